"""The machines of SageMaker: instances.csv holds those that serve, train and run jobs alike.

Sizes: https://aws.amazon.com/ec2/instance-types; that all three take them: botocore's enums (a test compares).
Burstable machines are left out: an endpoint is slow when their credits are spent.
"""

from __future__ import annotations

from decimal import Decimal

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra.prices.book import Key
from mlinfra_providers.instances import Machine, cheapest, list_price, machines

REGION = "us-east-1"
"""Where prices are compared: those of all machines are known there, and their order is the same elsewhere."""


def machine(need: Compute) -> Instance:
    """Return the cheapest machine that fits a need which `resolve` has accepted."""
    found = find_machine(need)
    assert found is not None
    return found


def find_machine(need: Compute) -> Instance | None:
    """Return the cheapest machine that fits, or None."""
    return cheapest(need, machines("mlinfra_providers.sagemaker"), _dollars)


def _dollars(offered: Machine) -> Decimal | None:
    return list_price(Key("aws", "SageMaker", "realtime-hosting", offered.name, "hour"), REGION)
