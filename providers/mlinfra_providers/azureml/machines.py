"""The machines of Azure ML: instances.csv holds those that serve and train alike.

Source: https://learn.microsoft.com/azure/machine-learning/reference-managed-online-endpoints-vm-sku-list, with vCPUs
and memory as https://learn.microsoft.com/azure/virtual-machines/sizes has them. Azure ML adds nothing to their price.
"""

from __future__ import annotations

from decimal import Decimal

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.prices.book import Key
from mlinfra_providers.instances import Machine, cheapest, list_price, machines

REGION = "eastus"
"""Where prices are compared: those of most machines are known there, and their order is the same elsewhere."""


def machine(need: Compute) -> Instance:
    """Return the cheapest machine that fits a need which `resolve` has accepted."""
    found = find_machine(need)
    assert found is not None
    return found


def find_machine(need: Compute) -> Instance | None:
    """Return the cheapest machine that fits, or None."""
    return cheapest(need, machines("mlinfra_providers.azureml"), _dollars)


def _dollars(offered: Machine) -> Decimal | None:
    return list_price(Key("azure", "Virtual Machines", "compute", offered.name, "hour"), REGION)
