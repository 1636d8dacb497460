"""What is shown of a status, a finished `up` and a drift measurement; how it looks is decided in render."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.rollout.reconcile import Done
from mlinfra_cli import render
from mlinfra_cli.render import Cell, counted, text
from mlinfra_cli.rollout_view import rollout_lines, show_standings

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.adapters import Run
    from mlinfra.operations.example import Example
    from mlinfra.operations.status import EndpointStatus, Status
    from mlinfra.operations.up import Summary

_VERDICTS = {"ok": "good", "drift": "bad", "no data": "attention"}
_RANKS = ("drift", "no data", "ok", None)


def show_summary(
    summary: Summary, environment: str, *, changed: int, same: int, examples: Mapping[str, Example]
) -> None:
    """Show what an `up` did and what serves: numbers of resources, and how to ask each endpoint that answers."""
    for trained in summary.trained:
        show_run(trained.part.part.name, trained.run, [release.short for release in trained.releases])
    what = f"{counted(changed, 'resource')} changed" if changed else "nothing changed"
    render.show(
        text((f"{environment} is up", "good"), f": {what}, {same} as before, {render.seconds(summary.seconds)}"),
        text(),
    )
    show_status(summary.status, but_runs=[trained.run.id for trained in summary.trained])
    if any(not isinstance(standing.due, Done) for standing in summary.standings):
        show_standings(summary.standings)
    for item in summary.status.endpoints:
        name = item.part.part.name
        if item.serving.url is not None and name in examples:
            several = f" --endpoint {name}" if len(summary.status.endpoints) > 1 else ""
            render.show(
                text(),
                text(("ask ", ""), (name, "name")),
                text(_request(item, examples[name]), indent=2),
            )
            if item.serving.asked_by is None:
                render.show(text(f"mlinfra predict {environment}{several} @{_here(examples[name].row)}", indent=2))


def show_run(name: str, run: Run, releases: Sequence[str]) -> None:
    """Show how a training run ended."""
    how = "the same inputs as before, adopted" if run.adopted else f"trained in {render.seconds(run.seconds)}"
    style = "good" if run.outcome == "accepted" else "bad"
    render.show(text(f"{name}: run {run.id} ", (run.outcome, style), f", {how}; {_metrics(run.metrics, run.checks)}"))
    for check in run.checks:
        if check.get("answer") != "pass":
            wanted = f"{check.get('metric')} {check.get('operator')} {check.get('value')}"
            render.show(text(("not accepted: ", "bad"), f"{wanted}: {check.get('answer')}", indent=2))
    for release in releases:
        render.show(text(f"made release {release}", indent=2))


def _metrics(metrics: Mapping[str, float], checks: Sequence[Mapping[str, Any]]) -> str:
    """Return the metrics that decide, each with what is asked of it; where nothing is asked, all of them."""
    shown = {name: f"{name} {value:.4g}" for name, value in sorted(metrics.items())}
    if checks:
        return ", ".join(
            f"{shown.get(check['metric'], 'no ' + check['metric'])} ({check['operator']} {check['value']:g})"
            for check in checks
        )
    return ", ".join(shown.values()) or "no metrics"


def _request(item: EndpointStatus, example: Example) -> str:
    """Return the command that sends an endpoint the example."""
    if item.serving.asked_by:
        return item.serving.asked_by.format(request=_here(example.request))
    model = item.part.part.renamed_from or item.part.part.name
    url = f"{item.serving.url}/v2/models/{model}/infer"
    return f"curl -s {url} -H 'content-type: application/json' -d @{_here(example.request)}"


def _here(path: Path) -> str:
    """Return a path as one writes it in the current folder."""
    return shlex.quote(os.path.relpath(path))


def show_status(status: Status, *, but_runs: Sequence[str] = ()) -> None:
    """Show what serves where, and whether it is what is wanted; nothing of where a release of `but_runs` is from."""
    rows: list[tuple[Cell, ...]] = []
    for item in status.endpoints:
        rows.extend(_status_rows(item))
    if not rows:
        render.show(text("no endpoint is declared"))
        return
    render.show(render.table(("endpoint", "release", "share", "state", "url"), rows, right=("share",)))
    for item in status.endpoints:
        if item.wanted is not None and item.wanted.provenance.run not in but_runs:
            made = item.wanted.provenance
            metrics = _metrics(made.metrics, _asked(item))
            line = f"{item.wanted.short}: run {made.run}, {made.created[:16].replace('T', ' ')}; {metrics}"
            render.show(text((line, "quiet")))
        if item.serving.rollout is not None:
            for pieces in rollout_lines(item.serving.rollout, status.session.environment.tick_every):
                render.show(text(*pieces, indent=2))
        for served in item.serving.releases:
            if served.last_failure:
                render.show(text((f"{served.release}: {served.last_failure}", "bad")))


def _asked(item: EndpointStatus) -> list[dict[str, Any]]:
    """Return what is asked today of what the endpoint serves."""
    endpoint = item.part.part
    assert isinstance(endpoint, Endpoint)
    return [check.spec() for check in endpoint.model.trained_by.accept]


def _status_rows(item: EndpointStatus) -> Iterator[tuple[Cell, ...]]:
    name, url = item.part.part.name, item.serving.url or "-"
    wanted = item.wanted.short if item.wanted else None
    if not item.serving.releases:
        state = ("is wanted, and not there", "bad") if wanted else ("no release yet", "attention")
        yield name, wanted or "-", "-", state, url
        return
    for served in item.serving.releases:
        state = ("healthy", "good") if served.healthy else ("not healthy", "bad")
        if served.release != wanted and served.weight:
            state = (f"{state[0]}, but {wanted or 'none'} is wanted", "bad")
        yield name, served.release, f"{served.weight} %", state, url
    if wanted and wanted not in [served.release for served in item.serving.releases]:
        yield name, wanted, "-", ("is wanted, and not there", "bad"), url


def show_drift(result: Mapping[str, Any]) -> None:
    """Show a drift measurement, what decides first."""
    columns = sorted(result["columns"], key=lambda column: (_RANKS.index(column["verdict"]), -(column["value"] or 0.0)))
    verdict = str(result["verdict"])
    render.show(
        text((result["endpoint"], "name"), ": ", (verdict, _VERDICTS[verdict])),
        text(
            f"release {result['release']}, {counted(result['rows'], 'row')} from {_span(result['window'])}, "
            f"against {result['baseline_rows']} of training",
        ),
        text(),
    )
    heads = ("column", "measure", "value", "floor", "limit", "verdict", "rows")
    rows = [_drift_row(column) for column in columns]
    render.show(render.table(heads, rows, right=("value", "floor", "rows")))
    for column in columns:
        if column["verdict"] and column["note"]:
            render.show(text((f"{column['column']}: ", "name"), column["note"]))


def _span(window: Mapping[str, str | None]) -> str:
    """Return a window as people read it; a day that is the same is said once."""
    start, end = (str(window[name] or "")[:19].replace("T", " ") for name in ("start", "end"))
    if start[:10] == end[:10]:
        end = end[11:]
    return f"{start or 'the beginning'} to {end or 'now'}{' UTC' if start or end else ''}"


def _drift_row(column: Mapping[str, Any]) -> tuple[Cell, ...]:
    limit, verdict = column["threshold"], column["verdict"]
    return (
        column["column"],
        column["measure"],
        _number(column["value"]),
        _number(column["floor"]),
        f"{limit['operator']} {limit['value']:g}" if limit else "-",
        (verdict, _VERDICTS[verdict]) if verdict else "-",
        str(column["rows"]),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
