"""mlinfra drift: measure a window of captured requests now."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import part_names
from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (
    ("mlinfra drift dev", "the window that the monitor itself looks at"),
    ("mlinfra drift dev flight-delay --window all", "everything that was captured"),
    ("mlinfra drift dev --window 2013-07-01..2013-08-01T00:00:00Z --json", "a span of time, for programs"),
)
_CODES = {"ok": 0, "drift": 1, "no data": 4}


def command(
    environment: EnvironmentName,
    monitor: Annotated[
        str | None,
        typer.Argument(
            metavar="MONITOR",
            help="Needed where there are several.",
            autocompletion=part_names("drift_monitors"),
        ),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="1h|START..END|all", help="Which requests; else the monitor's own `every`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare what an endpoint was asked with its training rows.

    Exit codes: 0 no drift, 1 drift, 4 no data (or too few rows to tell).
    """
    from mlinfra.declarations.drift_monitor import DriftMonitor
    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository
    from mlinfra_cli.results import write_json

    session = Session.open(Repository.find(), environment)
    part = session.one(DriftMonitor, monitor and monitor.removeprefix("drift_monitors."))
    assert isinstance(part.part, DriftMonitor)
    result = session.service.drift(part, window or part.part.every)
    if as_json:
        write_json(result)
    else:
        from mlinfra_cli.views import show_drift

        show_drift(result)
    raise typer.Exit(_CODES[result["verdict"]])
