"""The test that acme's authors write. Run by tests/contract/test_third_party.py, where the package is installed."""

from __future__ import annotations

from typing import Any, ClassVar

from mlinfra.adapters import Instance, ResolvedPart, load_adapter
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.testing import AdapterContract


def max_runtime_reaches_the_launcher() -> None:
    """The limit of a run is not in any resource: it is what a run is started with."""
    said: list[str] = []
    adapter = load_adapter("acme")
    part = TrainingJob("job", code="train.py", max_runtime="7m")
    service = adapter.service(None, None)  # type: ignore[arg-type]
    resolved = ResolvedPart("stack", "owner", "folder", "code", part, Instance("small", 2, 8))
    service.train(resolved, again=False, say=said.append)
    assert said == ["stops after 7m"]


class TestAcme(AdapterContract):
    adapter_name = "acme"
    behaviours: ClassVar = {"TrainingJob.max_runtime": max_runtime_reaches_the_launcher}


class Shorter(TestAcme):
    """A few fields and no processes, since the sabotaged ones differ from acme in one thing each."""

    test_is_deterministic_and_pure = None  # type: ignore[assignment]

    def pytest_generate_tests(self, metafunc: Any) -> None:
        if "field" in metafunc.fixturenames:
            metafunc.parametrize("field", ["FeatureStore.ttl", "FeatureStore.refresh", "TrainingJob.spot"])
        else:
            super().pytest_generate_tests(metafunc)


class TestForgetful(Shorter):
    adapter_name = "acme-forgetful"


class TestCareless(Shorter):
    adapter_name = "acme-careless"


class TestCurt(Shorter):
    adapter_name = "acme-curt"


class TestShuffled(Shorter):
    adapter_name = "acme-shuffled"
    test_is_deterministic_and_pure = AdapterContract.test_is_deterministic_and_pure  # type: ignore[assignment]


class TestCutting(Shorter):
    adapter_name = "acme-cutting"
