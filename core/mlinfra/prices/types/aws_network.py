"""AWS networks: gateways, private endpoints, load balancers and addresses."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.values import at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import Context
from mlinfra.prices.registry import HOURS, AmountNotKnown, Answer, Free, Use, exactly, known, priced
from mlinfra.resources import Resource

_INTERFACE = ("Interface", "GatewayLoadBalancer")


def _key(service: str, component: str, item: str, unit: str = "hour") -> Key:
    return Key("aws", service, component, item, unit)


@priced("aws:ec2/natGateway:NatGateway")
def nat_gateway(resource: Resource, context: Context) -> Iterator[Answer]:
    """The gateway around the clock, and the GB that it passes on."""
    yield Use(_key("VPC", "NAT gateway", "gateway"), exactly(HOURS))
    data, assumed = context.load(resource, "data_gb")
    yield Use(_key("VPC", "NAT gateway", "data processed", "GB"), data, idle=False, assumed=assumed)


@priced("aws:ec2/vpcEndpoint:VpcEndpoint")
def vpc_endpoint(resource: Resource, context: Context) -> Iterator[Answer]:
    """An interface in each subnet around the clock; a gateway to S3 or DynamoDB is free."""
    kind = known(at(resource.inputs, "vpcEndpointType"), "Gateway")
    if kind not in _INTERFACE:
        yield Free("a gateway endpoint is free", "https://aws.amazon.com/privatelink/pricing/")
        return
    subnets = at(resource.inputs, "subnetIds")
    if subnets.unknown:
        raise AmountNotKnown("the number of subnets is known only after an up (subnetIds)")
    count = max(1, len(every(resource.inputs, "subnetIds[]")))
    yield Use(_key("VPC", "interface endpoint", "endpoint"), exactly(HOURS * count))
    data, assumed = context.load(resource, "data_gb")
    yield Use(_key("VPC", "interface endpoint", "data processed", "GB"), data, idle=False, assumed=assumed)


@priced("aws:lb/loadBalancer:LoadBalancer", "aws:alb/loadBalancer:LoadBalancer")
def load_balancer(resource: Resource, context: Context) -> Iterator[Answer]:
    """The load balancer around the clock; one capacity unit is taken for each GB an hour that is stated."""
    kind = str(known(at(resource.inputs, "loadBalancerType"), "application"))
    yield Use(_key("ELB", kind, "load balancer"), exactly(HOURS))
    data, assumed = context.load(resource, "data_gb")
    yield Use(_key("ELB", kind, "LCU"), data, idle=False, assumed=assumed)


@priced("aws:ec2/eip:Eip")
def address(resource: Resource, context: Context) -> Iterator[Answer]:
    """A public address around the clock, in use or not."""
    yield Use(_key("VPC", "public IPv4", "address"), exactly(HOURS))


@priced("aws:ec2/vpnConnection:VpnConnection")
def vpn(resource: Resource, context: Context) -> Iterator[Answer]:
    """The connection around the clock."""
    yield Use(_key("VPC", "VPN", "connection"), exactly(HOURS))


@priced("aws:route53/zone:Zone")
def zone(resource: Resource, context: Context) -> Iterator[Answer]:
    """The zone; the number of questions is small."""
    yield Use(_key("Route 53", "hosted zone", "zone", "month"), exactly(1))
