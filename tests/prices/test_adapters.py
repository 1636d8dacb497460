"""Every type of resource that an installed adapter registers is priced, or free with a reason and a source."""

from __future__ import annotations

import pytest

from mlinfra.adapters import adapter_names, load_adapter
from mlinfra.prices.registry import free_of, pricer_of
from mlinfra.resources import Resources
from mlinfra.stand_ins import STANDS_FOR
from mlinfra.testing.judge import Judge
from mlinfra.testing.specimens import FULL, KINDS, SMALL
from mlinfra.testing.variations import Scene

UNPRICED = {
    "azureml": {
        "azure-native:applicationinsights:Component",
        "azure-native:keyvault:Key",
        "azure-native:monitor:ActionGroup",
        "azure-native:monitor:MetricAlert",
        "azure-native:monitor:ScheduledQueryRule",
        "azure-native:network:PrivateDnsZoneGroup",
        "azure-native:network:PrivateEndpoint",
        "azure-native:portal:Dashboard",
        "azure-native:privatedns:PrivateZone",
        "azure-native:privatedns:VirtualNetworkLink",
    }
}
"""What nobody has looked the price up of yet, by target."""


@pytest.mark.parametrize("target", adapter_names())
def test_what_an_adapter_registers_is_priced_or_free(target: str) -> None:
    """Or is one of UNPRICED, which `mlinfra cost` names."""
    judge = Judge(load_adapter(target))
    observed = [judge.observe(Scene(part)) for kind in KINDS for part in (SMALL[kind], *FULL[kind])]
    types = {item.type for found in observed if isinstance(found, Resources) for item in found.declared()}
    assert types
    unpriced = set()
    for token in {STANDS_FOR.get(token, token) for token in types}:
        free = free_of(token)
        if not (pricer_of(token) or (free and free.reason and free.source)):
            unpriced.add(token)
    assert unpriced == UNPRICED.get(target, set())
