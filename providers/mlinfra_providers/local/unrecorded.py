"""Servers that a killed run began and that no state knows of: nothing else would ever end them."""

from __future__ import annotations

from mlinfra.resources import Resources
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import Ports
from mlinfra_providers.local.programs import name_of
from mlinfra_providers.local.resources.server import Server, program_name
from mlinfra_providers.local.router import Router

SERVER = "mlinfra:local:Server"


def end_unrecorded(layout: Layout, recorded: Resources) -> list[str]:
    """End every server that is neither in the state nor behind its endpoint; return their names."""
    known = {program_name(resource.inputs) for resource in recorded.all if resource.type == SERVER}
    files = layout.supervisor_programs.glob("server.*.ini")
    ended = [name for name in sorted(name_of(file.stem) for file in files) if name not in known]
    ended = [name for name in ended if not _behind_its_endpoint(layout, name)]
    for name in ended:
        _, endpoint, rest = name.split("/")
        inputs = {"environment": layout.environment, "endpoint": endpoint, "release": rest.rpartition("-")[0]}
        Server(layout.repository).delete(name, inputs)
    return ended


def _behind_its_endpoint(layout: Layout, name: str) -> bool:
    """Whether requests may reach a server: then it is of a state that was lost, and is left alone."""
    traffic = Router(layout, name.split("/")[1]).traffic()
    return traffic is not None and Ports(layout).kept().get(name) in traffic.upstreams.values()
