"""COST-16: containers state their CPU, memory and accelerators, so that machines can be filled and bills foreseen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import number
from mlinfra.resources import Resource
from mlinfra_policies.accelerators import is_accelerator
from mlinfra_policies.demands import demand, hidden
from mlinfra_policies.pods import Container, pods

_STATED = (
    ("requests.cpu", ("requests.cpu", "limits.cpu"), "no CPU is requested"),
    ("requests.memory", ("requests.memory", "limits.memory"), "no memory is requested"),
    ("limits.memory", ("limits.memory",), "memory has no limit"),
)
"""What must be stated, where that can be done (a limit without a request sets the request), and what is wrong."""


@decides("COST-16", "kubernetes:*")
def containers_state_resources(resource: Resource, inspection: Inspection) -> Iterator[Answer]:
    for pod in pods(resource):
        for container in pod.containers():
            # The API refuses resources in an ephemeral container.
            if container.in_full and container.kind != "ephemeral":
                yield from _judged(container)


def _judged(container: Container) -> Iterator[Answer]:
    for wanted, places, message in _STATED:
        said = [container.at(f"resources.{place}") for place in places]
        if all(value.absent for value in said):
            yield violation(f"{container.path}.resources.{wanted}", message)
        elif all(value.absent or hidden(value) for value in said):
            yield unknown(next(value.path for value in said if hidden(value)))
    requests = container.at("resources.requests")
    if hidden(requests):
        yield unknown(requests.path)
    elif isinstance(requests.value, Mapping):
        for name in filter(is_accelerator, requests.value):
            asked, limit = (container.at(f"resources.{place}['{name}']") for place in ("requests", "limits"))
            if hidden(limit):
                yield unknown(limit.path)
            elif limit.absent and not asked.absent:
                yield from demand(asked, lambda count: number(count) == 0, f"{name} is requested without a limit")
