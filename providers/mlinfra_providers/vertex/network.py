"""The network that endpoints are reached from and jobs run in: the environment's own, or one without a way out.

Endpoints: https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect. Jobs:
https://cloud.google.com/vertex-ai/docs/general/vpc-psc-i-setup.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from mlinfra.environment import Environment
from mlinfra_providers.short_names import short_name
from mlinfra_providers.vertex.naming import NAME_LIMIT, ROLE_LIMIT

_RANGE = "10.64.0.0/22"


@dataclass(frozen=True)
class Network:
    """Resource names, known before anything is there."""

    network: str
    subnet: str
    attachment: str


def refuse_network(environment: Environment) -> Iterator[tuple[str, str, str]]:
    """Yield (field, reason, way out) for a network that cannot be joined."""
    network = environment.network
    if network is not None and network.vpc is None:
        yield "network.vpc", "joins a network by its name, and none is named", "write network: {vpc: …, subnets: […]}"
    if network is not None and not network.subnets:
        yield "network.subnets", "gets its addresses from a subnet, and none is named", "name one of the region"


def make_network(
    environment: Environment, agent: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> tuple[Network, list[pulumi.Resource]]:
    """Return the network, and what was registered: an attachment always, the rest where none is named."""
    called = short_name(environment.name, "mlinfra", limit=NAME_LIMIT)
    named = environment.network
    subnets = [_subnet(environment, item) for item in (named.subnets if named else (called,))]
    network = Network(
        network=_network(environment, named.vpc if named and named.vpc else called),
        subnet=subnets[0],
        attachment=f"projects/{environment.account}/regions/{environment.region}/networkAttachments/{called}",
    )
    made = [] if named else _make(environment, called, opts)
    attachment = gcp.compute.NetworkAttachment(
        environment.name,
        name=called,
        project=environment.account,
        region=environment.region,
        connection_preference="ACCEPT_AUTOMATIC",
        subnetworks=subnets,
        description=f"mlinfra: the jobs of {environment.name}",
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=made)),
    )
    return network, [*made, attachment, *_let_attach(environment, agent, opts)]


def _make(environment: Environment, called: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Register a network that reaches Google's own services and nothing else: no address of it is public."""
    network = gcp.compute.Network(
        environment.name,
        name=called,
        project=environment.account,
        auto_create_subnetworks=False,
        description=f"mlinfra: the endpoints and jobs of {environment.name}",
        opts=opts,
    )
    subnet = gcp.compute.Subnetwork(
        environment.name,
        name=called,
        project=environment.account,
        region=environment.region,
        network=network.id,
        ip_cidr_range=_RANGE,
        private_ip_google_access=True,
        log_config=gcp.compute.SubnetworkLogConfigArgs(aggregation_interval="INTERVAL_10_MIN", flow_sampling=0.1),
        opts=opts,
    )
    closed = gcp.compute.Firewall(
        f"{environment.name}-in",
        name=short_name(environment.name, "mlinfra", "in", limit=NAME_LIMIT),
        project=environment.account,
        network=network.id,
        direction="INGRESS",
        priority=65000,
        source_ranges=["0.0.0.0/0"],
        denies=[gcp.compute.FirewallDenyArgs(protocol="all")],
        opts=opts,
    )
    return [network, subnet, closed]


def _let_attach(
    environment: Environment, agent: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Let Vertex AI's agent connect jobs to the attachment."""
    role_id = short_name(environment.name, "mlinfra", "attach", limit=ROLE_LIMIT, separator="_")
    role = gcp.projects.IAMCustomRole(
        f"{environment.name}-attach",
        role_id=role_id,
        project=environment.account,
        title=f"mlinfra: jobs of {environment.name} join the network",
        permissions=[
            "compute.networkAttachments.get",
            "compute.networkAttachments.update",
            "compute.regionOperations.get",
        ],
        opts=opts,
    )
    grant = gcp.projects.IAMMember(
        f"{environment.name}-attach",
        project=environment.account or "",
        role=f"projects/{environment.account}/roles/{role_id}",
        member=agent,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )
    return [role, grant]


def _network(environment: Environment, named: str) -> str:
    return named if "/" in named else f"projects/{environment.account}/global/networks/{named}"


def _subnet(environment: Environment, named: str) -> str:
    return named if "/" in named else f"projects/{environment.account}/regions/{environment.region}/subnetworks/{named}"
