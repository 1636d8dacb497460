"""The drift job where a failed run is an alert."""

from __future__ import annotations

import pytest

from mlinfra_serving.drift import scheduled


@pytest.mark.parametrize(("code", "told"), [(0, 0), (1, 1), (2, 2), (4, 0)])
def test_a_window_without_requests_is_no_failure(monkeypatch: pytest.MonkeyPatch, code: int, told: int) -> None:
    monkeypatch.setattr(scheduled, "run", lambda arguments: code)
    assert scheduled.main(["--endpoint", "api"]) == told
