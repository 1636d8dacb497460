"""The local adapter keeps the contract."""

from __future__ import annotations

from mlinfra.testing import AdapterContract


class TestLocal(AdapterContract):
    adapter_name = "local"
