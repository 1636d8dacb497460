"""The shell steps, run with a stand-in for `mlinfra` on PATH: what each exit code means for the job."""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from mlinfra.pipelines.text import script
from tests.pipelines.conftest import Written

# Says what it was called with, and ends with the code that `codes.json` has for it, by the longest beginning.
FAKE = f"""#!{sys.executable}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
line = " ".join(sys.argv[1:])
with (here / "calls").open("a") as file:
    file.write(line + "\\n")
if line.endswith("--json"):
    print((here / "plan.json").read_text())
else:
    print("said of", line)
codes = json.loads((here / "codes.json").read_text())
sys.exit(codes.get(max((key for key in codes if line.startswith(key)), key=len, default=""), 0))
"""
PLAN = {"parts": [{"part": key} for key in ("endpoints.api", "drift_monitors.api", "drift_monitors.fares", None)]}


@dataclass(frozen=True)
class Done:
    """How a step ended: its exit code, what it printed, what it called, and the file that it wrote."""

    code: int
    output: str
    calls: list[str]
    written: str
    summary: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a step in a shell, as a host does, with the exit codes that `mlinfra` has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = folder / "mlinfra"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    (folder / "python3").symlink_to(sys.executable)

    def start(text: str, codes: Mapping[str, int], plan: object = PLAN, **variables: str) -> Done:
        for name in ("calls", "codes.json", "plan.json"):
            (folder / name).unlink(missing_ok=True)
        (folder / "calls").touch()
        (folder / "codes.json").write_text(json.dumps(codes))
        (folder / "plan.json").write_text(json.dumps(plan))
        (tmp_path / "summary").write_text("")
        environment = {
            "PATH": f"{folder}:/usr/bin:/bin", "ENVIRONMENT": "prod", "RUNNER_TEMP": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), **variables,
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        file = tmp_path / "mlinfra-prod.md"
        return Done(
            done.returncode,
            done.stdout + done.stderr,
            (folder / "calls").read_text().splitlines(),
            file.read_text() if file.exists() else "",
            (tmp_path / "summary").read_text(),
        )

    return start


@pytest.mark.parametrize("command", ["up", "tick"])
@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (130, 130)])
def test_waiting_is_fine_and_all_else_is_as_it_is(run: Run, command: str, code: int, ends: int) -> None:
    done = run(script(command), {command: code})
    assert (done.code, done.calls) == (ends, [f"{command} prod"])


@pytest.mark.parametrize(
    ("codes", "ends"),
    [
        ({}, 0),
        ({"plan": 4}, 0),
        ({"plan": 3}, 3),
        ({"check": 3}, 3),
        ({"cost": 3, "plan": 4}, 3),
        ({"plan": 1, "check": 3}, 1),
        ({"plan": 2, "check": 2, "cost": 2}, 2),
    ],
)
def test_a_plan_says_everything_and_ends_with_the_first_failure(run: Run, codes: dict[str, int], ends: int) -> None:
    done = run(script("plan"), codes)
    assert done.code == ends
    assert done.calls == ["plan prod", "check prod", "cost prod"]
    for command in ("plan", "check", "cost"):
        assert (
            f"### mlinfra {command} prod: exit code {codes.get(command, 0)}\n\n~~~text\nsaid of {command} prod\n~~~"
            in (done.written)
        )
    assert done.written == done.summary
    assert done.written in done.output


@pytest.mark.parametrize(
    ("codes", "ends", "told"),
    [
        ({}, 0, []),
        ({"drift prod api": 4}, 0, []),
        ({"verify": 1}, 0, ["verify prod"]),
        ({"drift prod fares": 1}, 0, ["drift prod fares"]),
        ({"verify": 1, "drift": 1}, 0, ["verify prod", "drift prod api", "drift prod fares"]),
        ({"verify": 3}, 3, ["verify prod"]),
        ({"verify": 1, "drift prod api": 2}, 2, ["verify prod", "drift prod api"]),
    ],
)
def test_watching_tells_what_differs_and_fails_on_what_it_cannot_do(
    run: Run, codes: dict[str, int], ends: int, told: list[str]
) -> None:
    done = run(script("watch"), codes)
    assert done.code == ends
    assert done.calls == ["verify prod", "plan prod --json", "drift prod api", "drift prod fares"]
    headings = [line.removeprefix("### mlinfra ") for line in done.written.splitlines() if line.startswith("###")]
    assert [heading.partition(":")[0] for heading in headings] == told
    assert done.summary == done.written
    for line in told:
        assert f"said of {line}" in done.written


def test_watching_without_monitors_or_with_a_plan_that_is_refused(run: Run) -> None:
    assert run(script("watch"), {}, {"parts": []}).calls == ["verify prod", "plan prod --json"]
    assert run(script("watch"), {"plan": 3}).calls[-1] == "drift prod fares"


def test_watching_that_cannot_read_the_plan_fails(run: Run) -> None:
    done = run(script("watch"), {"verify": 1}, "no plan")
    assert done.code == 1
    assert "said of verify prod" in done.written
    assert "the drift monitors cannot be read" in done.written


def test_gitlab_reports_before_it_ends_and_keeps_the_exit_code(run: Run, written: Written, tmp_path: Path) -> None:
    found = YAML(typ="safe").load(written["gitlab"].text)
    # in place of python3: it keeps what it is called with, and is Python for the rest
    python = tmp_path / "bin" / "python3"
    python.unlink()
    python.write_text(
        f'#!/bin/bash\ncase "$*" in *report*) echo "$@" >> {tmp_path}/reports; exit "${{REPORT:-0}}" ;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    for job, what, codes, report, ends in (
        ("plan lab", "comment", {"plan": 3}, "0", 3),
        ("watch lab", "issue", {"verify": 1}, "0", 0),
        ("watch lab", "issue", {"verify": 1}, "1", 1),
        ("watch lab", "issue", {"verify": 2}, "0", 2),
    ):
        (tmp_path / "reports").write_text("")
        lines = [line for line in found[job]["script"] if not line.startswith("pip ")]
        done = run("\n".join(lines), codes, REPORT=report, RUNNER_TEMP=".")
        assert done.code == ends, done.output
        assert (tmp_path / "reports").read_text() == f"-P -m mlinfra.pipelines.report {what} mlinfra-prod.md\n"
    assert "report" not in json.dumps(found["up lab"]["script"])


class TestQuiet:
    @pytest.fixture
    def host(self) -> Iterator[tuple[str, dict[str, object]]]:
        """A host that answers which runs there are: its address, and the answer."""
        answer: dict[str, object] = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.path == "/repos/acme/platform/actions/runs?event=push&per_page=50&limit=50"
                known = asked and self.headers["Authorization"] == "token secret"
                self.send_response(200 if known and answer else 404)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", answer
        server.shutdown()
        server.server_close()

    @pytest.mark.parametrize(
        ("runs", "quiet"),
        [
            ([], "true"),
            ([("push", "main", "completed"), ("push", "main", "success")], "true"),
            ([("push", "feature", "in_progress"), ("schedule", "main", "in_progress")], "true"),
            ([("push", "main", "completed"), ("push", "main", "in_progress")], "false"),
            ([("push", "main", "queued")], "false"),
            ([("push", "main", "pending")], "false"),
            (None, "true"),
        ],
    )
    def test_no_tick_while_an_up_of_a_merge_is_under_way(
        self, run: Run, host: tuple[str, dict[str, object]], tmp_path: Path,
        runs: list[tuple[str, str, str]] | None, quiet: str,
    ) -> None:  # fmt: skip
        if shutil.which("jq", path="/usr/bin:/bin") is None or shutil.which("curl", path="/usr/bin:/bin") is None:
            pytest.skip("jq and curl are not on PATH")
        url, answer = host
        if runs is not None:
            keys = ("event", "head_branch", "status")
            answer["workflow_runs"] = [dict(zip(keys, item, strict=True)) for item in runs]
        out = tmp_path / "out"
        done = run(
            script("quiet"), {}, GITHUB_OUTPUT=str(out), GITHUB_API_URL=url, GITHUB_REPOSITORY="acme/platform",
            GITHUB_REF_NAME="main", TOKEN="secret", no_proxy="*",
        )  # fmt: skip
        assert done.code == 0, done.output
        assert out.read_text() == f"quiet={quiet}\n"
        assert "secret" not in done.output
