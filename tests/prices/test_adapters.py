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


@pytest.mark.parametrize("target", adapter_names())
def test_what_an_adapter_registers_is_priced_or_free(target: str) -> None:
    judge = Judge(load_adapter(target))
    observed = [judge.observe(Scene(part)) for kind in KINDS for part in (SMALL[kind], *FULL[kind])]
    types = {item.type for found in observed if isinstance(found, Resources) for item in found.declared()}
    assert types
    for token in {STANDS_FOR.get(token, token) for token in types}:
        free = free_of(token)
        assert pricer_of(token) or (free and free.reason and free.source), token
