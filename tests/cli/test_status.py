"""mlinfra status: what is said of an endpoint in every state that it can be in."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mlinfra.adapters import Deployment, ResolvedPart, ServedRelease, Serving
from mlinfra.adapters import Run as AdapterRun
from mlinfra.declarations.check import Check, metric
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.operations.example import write_example
from mlinfra.operations.session import Session
from mlinfra.operations.status import EndpointStatus, Status
from mlinfra.operations.up import Summary
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.repository import Repository
from mlinfra_cli.rows import read_rows
from mlinfra_cli.views import show_run, show_summary

Run = Callable[..., Result]
URL = "http://127.0.0.1:21000"


@pytest.fixture
def session(repository: Path) -> Session:
    return Session.open(Repository(repository), "dev")


def release_of(part: ResolvedPart) -> Release:
    return Release(
        stack="diabetes",
        endpoint="diabetes",
        identity=Identity(
            artifact=f"sha256:{'a' * 64}",
            runtime=Runtime(name="sklearn", version="1.7"),
            spec=part.part.spec(),
            signature={"inputs": [{"name": "age", "type": "FP64", "required": True}], "outputs": []},
            baseline=f"sha256:{'b' * 64}",
        ),
        provenance=Provenance(
            created="2026-03-01T10:20:30.123456+00:00", author="me", run="diabetes-1", metrics={"r2": 0.47271}
        ),
    )


def status_with(session: Session, served: dict[str, tuple[int, bool]], *, wanted: bool = True) -> Status:
    """Return a status where these releases ("wanted" is the wanted one) have a share and a health."""
    part = next(session.resolved.of_kind(Endpoint))
    release = release_of(part) if wanted else None
    if release:
        part = dataclasses.replace(part, deployments=[Deployment(release, part.part)])
    releases = [
        ServedRelease(
            release.short if name == "wanted" and release else name,
            weight,
            healthy,
            last_failure=None if healthy else "it ended with 1",
        )
        for name, (weight, healthy) in served.items()
    ]
    return Status(session, [EndpointStatus(part, release, Serving("diabetes", URL if served else None, releases, 3))])


def shown(run: Run, monkeypatch: pytest.MonkeyPatch, status: Status) -> tuple[int, list[str]]:
    monkeypatch.setattr("mlinfra.operations.status.status", lambda *_: status)
    result = run("status", "dev")
    short = next((item.wanted.short for item in status.endpoints if item.wanted), "")
    lines = [
        " ".join(line.replace(short or "-", "SHORT" if short else "-").split()) for line in result.stdout.splitlines()
    ]
    return result.exit_code, lines[1:]


RUN = "SHORT: run diabetes-1, 2026-03-01 10:20; r2 0.4727 (>= 0.4)"


@pytest.mark.parametrize(
    ("served", "code", "lines"),
    [
        ({"wanted": (100, True)}, 0, [f"diabetes SHORT 100 % healthy {URL}", RUN]),
        (
            {"wanted": (100, False)},
            1,
            [f"diabetes SHORT 100 % not healthy {URL}", RUN, "SHORT: it ended with 1"],
        ),
        (
            {"old": (100, True)},
            1,
            [
                f"diabetes old 100 % healthy, but SHORT is wanted {URL}",
                f"diabetes SHORT - is wanted, and not there {URL}",
                RUN,
            ],
        ),
        (
            {"old": (0, True), "wanted": (100, True)},
            0,
            [f"diabetes old 0 % healthy {URL}", f"diabetes SHORT 100 % healthy {URL}", RUN],
        ),
        ({}, 1, ["diabetes SHORT - is wanted, and not there -", RUN]),
    ],
)
def test_states(
    session: Session,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    served: dict[str, tuple[int, bool]],
    code: int,
    lines: list[str],
) -> None:
    assert shown(run, monkeypatch, status_with(session, served)) == (code, lines)


def test_before_the_first_release(session: Session, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    status = status_with(session, {}, wanted=False)
    assert shown(run, monkeypatch, status) == (0, ["diabetes - - no release yet -"])


def test_the_summary_names_files_with_a_row_and_a_request(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    status = status_with(session, {"wanted": (100, True)})
    wanted = status.endpoints[0].wanted
    assert wanted is not None
    example = write_example(session, "diabetes", wanted)
    summary = Summary([], [], status, 12.0)
    show_summary(summary, "dev", changed=3, same=1, examples={"diabetes": example})
    printed = capsys.readouterr().out
    assert printed.startswith("dev is up: 3 resources changed, 1 as before, 12 s\n\nendpoint ")
    curl, predict = (shlex.split(line) for line in printed.splitlines()[-2:])
    assert curl == [
        "curl", "-s", f"{URL}/v2/models/diabetes/infer", "-H", "content-type: application/json",
        "-d", "@.mlinfra/dev/examples/diabetes.json",
    ]  # fmt: skip
    assert json.loads(Path(curl[-1][1:]).read_text()) == {
        "inputs": [{"name": "age", "shape": [1], "datatype": "FP64", "data": [0.0]}]
    }
    assert predict == ["mlinfra", "predict", "dev", "@.mlinfra/dev/examples/diabetes.row.json"]
    assert read_rows(predict[-1]) == [{"age": 0.0}]


def test_of_an_endpoint_that_needs_its_clouds_client_that_command_is_shown(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    status = status_with(session, {"wanted": (100, True)})
    [item] = status.endpoints
    assert item.wanted is not None
    asked = dataclasses.replace(item.serving, asked_by="aws invoke --body fileb://{request}")
    status = dataclasses.replace(status, endpoints=[dataclasses.replace(item, serving=asked)])
    example = write_example(session, "diabetes", item.wanted)
    show_summary(Summary([], [], status, 1.0), "dev", changed=0, same=1, examples={"diabetes": example})
    assert capsys.readouterr().out.splitlines()[-1] == "  aws invoke --body fileb://.mlinfra/dev/examples/diabetes.json"


def test_predict_says_how_else_it_is_asked(session: Session, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving("diabetes", URL, (), 3, asked_by="aws invoke --body fileb://{request}")
    monkeypatch.setattr("mlinfra_providers.local.service.LocalService.observe", lambda *_: serving)
    result = run("predict", session.environment.name, '{"age": 59}')
    assert result.exit_code == 1
    assert "aws invoke --body fileb://REQUEST.json" in result.stderr


@pytest.mark.parametrize(
    ("metrics", "checks", "shown"),
    [
        ({"r2": 0.47271, "rows": 442.0}, [metric("r2") >= 0.4], "r2 0.4727 (>= 0.4)"),
        ({"r2": 0.47271, "rows": 442.0}, [], "r2 0.4727, rows 442"),
        ({"rows": 442.0}, [metric("r2") >= 0.4, metric("rows") <= 500], "no r2 (>= 0.4), rows 442 (<= 500)"),
        ({}, [], "no metrics"),
    ],
)
def test_metrics_that_decide_are_shown(
    metrics: dict[str, float], checks: list[Check], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [{**check.spec(), "answer": check.ask(metrics).value} for check in checks]
    show_run("diabetes", AdapterRun("diabetes-1", "rejected", metrics, answers, 3.2, False, "in"), [])
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"diabetes: run diabetes-1 rejected, trained in 3.2 s; {shown}"
