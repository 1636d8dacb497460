"""mlinfra drift: what is said of a window."""

from __future__ import annotations

import pytest

from mlinfra_cli.views import show_drift


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-03-01T10:00:00+00:00", "2026-03-01T11:00:00+00:00", "2026-03-01 10:00:00 to 11:00:00 UTC"),
        ("2026-03-01T10:00:00+00:00", "2026-03-02T10:00:00Z", "2026-03-01 10:00:00 to 2026-03-02 10:00:00 UTC"),
        ("2026-03-01T10:00:00.25Z", None, "2026-03-01 10:00:00 to now UTC"),
        (None, "2026-03-01T10:00:00Z", "the beginning to 2026-03-01 10:00:00 UTC"),
        (None, None, "the beginning to now"),
    ],
)
def test_the_window_is_said_as_people_read_it(
    start: str | None, end: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    window = {"start": start, "end": end}
    numbers = {"release": "3f9c2ab1d07e", "rows": 2000, "baseline_rows": 62671}
    show_drift({"endpoint": "flight-delay", "verdict": "ok", "window": window, "columns": [], **numbers})
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "flight-delay: ok",
        f"release 3f9c2ab1d07e, 2000 rows from {said}, against 62671 of training",
    ]
