"""The contract that every adapter must pass, to be subclassed in its own tests.

    from mlinfra.testing import AdapterContract

    class TestMine(AdapterContract):
        adapter_name = "mine"

pytest collects it. What each target accepts is derived from the same variations: `mlinfra.testing.features`.
"""

from mlinfra.testing.contract import AdapterContract

__all__ = ["AdapterContract"]
