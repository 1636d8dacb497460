"""The machines of Vertex AI: instances.csv holds those that serve and train alike.

Source: https://cloud.google.com/vertex-ai/docs/predictions/configure-compute and …/training/configure-compute. Small
machines that only serve are left out. A machine of the families A2 and G2 has its accelerators in it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.prices.book import Key
from mlinfra_providers.instances import Machine, cheapest, list_price, machines

REGION = "us-central1"
"""Where prices are compared: those of most machines are known there, and their order is the same elsewhere."""


def machine(need: Compute) -> Instance:
    """Return the cheapest machine that fits a need which `resolve` has accepted."""
    found = find_machine(need)
    assert found is not None
    return found


def find_machine(need: Compute) -> Instance | None:
    """Return the cheapest machine that fits, or None."""
    return cheapest(need, _machines(), _dollars)


def machine_spec(instance: Instance) -> dict[str, Any]:
    """Return a `MachineSpec`, with the accelerators that the machine has."""
    kind = next(item.gpu for item in _machines() if item.name == instance.name)
    spec: dict[str, Any] = {"machineType": instance.name}
    return {**spec, "acceleratorType": kind, "acceleratorCount": instance.gpus} if kind else spec


def _machines() -> tuple[Machine, ...]:
    return machines("mlinfra_providers.vertex")


def _dollars(offered: Machine) -> Decimal | None:
    return list_price(Key("gcp", "Vertex AI", "online-prediction", offered.name, "hour"), REGION)
