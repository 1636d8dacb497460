"""The way in: a private endpoint of the workspace, in the environment's own network or in one that is made.

https://learn.microsoft.com/azure/machine-learning/how-to-configure-private-link. A team's own network is supposed to
have the two private DNS zones, as hubs have them; a network that is made gets them.
"""

from __future__ import annotations

import pulumi
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import network, privatedns

from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import group_id
from mlinfra_providers.short_names import short_name

ZONES = ("privatelink.api.azureml.ms", "privatelink.notebooks.azure.net")
_RANGE, _SUBNET = "10.64.0.0/24", "endpoints"


def make_private_endpoint(
    environment: Environment, workspace: ml.Workspace, tags: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Register a private endpoint in each subnet, and the network where none is named."""
    group = environment.resource_group or ""
    called = short_name(environment.name, "mlinfra", limit=64)
    named = environment.network
    made: list[pulumi.Resource] = [] if named else _network(environment, called, tags, opts)
    subnets = [_subnet_id(environment, subnet) for subnet in named.subnets] if named else [
        f"{_network_id(environment, called)}/subnets/{_SUBNET}"
    ]  # fmt: skip
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*made, workspace]))
    for number, subnet in enumerate(subnets):
        label = environment.name if not number else f"{environment.name}-{number + 1}"
        endpoint = network.PrivateEndpoint(
            label,
            private_endpoint_name=short_name(environment.name, "mlinfra", str(number + 1), limit=64),
            resource_group_name=group,
            location=environment.region,
            subnet=network.SubnetArgs(id=subnet),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(
                    name="workspace", private_link_service_id=workspace.id, group_ids=["amlworkspace"]
                )
            ],
            tags=tags,
            opts=after,
        )
        made.append(endpoint)
        if named is None:
            network.PrivateDnsZoneGroup(
                label,
                private_dns_zone_group_name="default",
                private_endpoint_name=endpoint.name,
                resource_group_name=group,
                private_dns_zone_configs=[
                    network.PrivateDnsZoneConfigArgs(
                        name=zone.replace(".", "-"),
                        private_dns_zone_id=f"{group_id(environment)}/providers/Microsoft.Network/privateDnsZones/{zone}",
                    )
                    for zone in ZONES
                ],
                opts=after,
            )
    return made


def _network(
    environment: Environment, called: str, tags: dict[str, str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Register a virtual network for clients, and the names that the workspace has in it."""
    group = environment.resource_group or ""
    own = network.VirtualNetwork(
        environment.name,
        virtual_network_name=called,
        resource_group_name=group,
        location=environment.region,
        address_space=network.AddressSpaceArgs(address_prefixes=[_RANGE]),
        subnets=[
            network.SubnetArgs(name=_SUBNET, address_prefix=_RANGE, default_outbound_access=False),
        ],
        tags=tags,
        opts=opts,
    )
    made: list[pulumi.Resource] = [own]
    for zone in ZONES:
        names = privatedns.PrivateZone(
            f"{environment.name}-{zone}",
            private_zone_name=zone,
            resource_group_name=group,
            location="global",
            tags=tags,
            opts=opts,
        )
        link = privatedns.VirtualNetworkLink(
            f"{environment.name}-{zone}",
            virtual_network_link_name=called,
            private_zone_name=names.name,
            resource_group_name=group,
            location="global",
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=own.id),
            tags=tags,
            opts=opts,
        )
        made += [names, link]
    return made


def _network_id(environment: Environment, called: str) -> str:
    return f"{group_id(environment)}/providers/Microsoft.Network/virtualNetworks/{called}"


def _subnet_id(environment: Environment, subnet: str) -> str:
    if "/" in subnet:
        return subnet
    assert environment.network is not None
    vpc = environment.network.vpc or ""
    return f"{vpc if '/' in vpc else _network_id(environment, vpc)}/subnets/{subnet}"
