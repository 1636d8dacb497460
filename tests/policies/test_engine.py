"""The pack in the real engine, on a program that never heard of mlinfra: the verdicts are the offline check's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlinfra_engine.install import ensure

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent / "plain"
PACK = Path(__file__).parents[2] / "policies"
PROVIDERS = ("aws", "gcp", "azure-native", "kubernetes")


@dataclass(frozen=True)
class Program:
    """A folder with the program, and the variables with which the engine runs it."""

    folder: Path
    variables: dict[str, str]

    @property
    def made(self) -> list[str]:
        """What providers were asked to make."""
        file = Path(self.variables["ECHO_MADE"])
        return file.read_text().splitlines() if file.exists() else []

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run plain `pulumi`."""
        command = ["pulumi", *arguments, "--non-interactive", "--color", "never"]
        return subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False, timeout=120
        )

    def mlinfra(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line in a folder that is no repository of mlinfra."""
        command = [sys.executable, "-m", "mlinfra_cli", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The program, with a stack that production is said of, and providers that make nothing."""
    folder = tmp_path_factory.mktemp("plain")
    shutil.copy(HERE / "program.py", folder / "__main__.py")
    (folder / "Pulumi.yaml").write_text(
        f"name: plain\nruntime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}\n"
    )
    binaries = folder / "bin"
    binaries.mkdir()
    for name in PROVIDERS:
        script = binaries / f"pulumi-resource-{name}"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "echo_provider.py"}" "$@"\n')
        script.chmod(0o755)
    (folder / "state").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MLINFRA_"))}
    engine = ensure(lambda _: None)
    variables = {**kept, **engine.environment()}
    variables |= {
        "PATH": f"{binaries}{os.pathsep}{variables['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "for a test",
        "PULUMI_DEBUG_COMMANDS": "true",
        "ECHO_MADE": str(folder / "made"),
    }
    made = Program(folder, variables)
    created = made.pulumi("stack", "init", "prod")
    assert created.returncode == 0, created.stderr
    return made


@pytest.fixture(scope="module")
def preview(program: Program) -> Path:
    """What `pulumi preview --json` prints."""
    done = program.pulumi("preview", "--json", "--stack", "prod")
    assert done.returncode == 0, done.stdout + done.stderr
    path = program.folder / "preview.json"
    path.write_text(done.stdout)
    return path


@pytest.fixture(scope="module")
def findings(program: Program, preview: Path) -> list[dict[str, Any]]:
    """What the offline check says of the preview."""
    done = program.mlinfra("check", "--preview", str(preview), "--json")
    assert done.returncode == 3, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return found


def test_a_preview_of_any_program_is_checked(findings: list[dict[str, Any]]) -> None:
    found = {(finding["rule"], finding["resource"].rsplit("::", 1)[1], finding["verdict"]) for finding in findings}
    assert {
        ("NET-01", "flights", "violation"),
        ("IAM-01", "flights", "violation"),
        ("POD-01", "flights", "violation"),
    } <= found
    assert len({(finding["rule"], finding["resource"]) for finding in findings}) == len(findings)


def test_the_pack_gives_the_same_verdicts_and_nothing_is_made(program: Program, findings: list[dict[str, Any]]) -> None:
    """`up` previews first; one mandatory violation, and not one resource is asked for."""
    log = program.folder / "events"
    done = program.pulumi(
        "up", "--yes", "--stack", "prod", "--policy-pack", str(PACK), "--event-log", str(log), "--suppress-progress"
    )
    assert done.returncode != 0
    assert program.made == []
    events = [json.loads(line) for line in log.read_text().splitlines()]
    told = {
        (
            event["policyEvent"]["policyName"],
            event["policyEvent"].get("resourceUrn", ""),
            "unknown" if "unknown: " in event["policyEvent"]["message"] else "violation",
        )
        for event in events
        if "policyEvent" in event
    }
    offline = {(finding["rule"], finding["resource"], finding["verdict"]) for finding in findings}
    assert sorted(told ^ offline) == []


def test_secrets_are_never_told(program: Program, preview: Path, findings: list[dict[str, Any]]) -> None:
    assert "a-secret" not in json.dumps(findings)
    assert "a-secret" not in (program.folder / "events").read_text()


def test_a_preview_of_any_program_is_priced(program: Program, preview: Path) -> None:
    """Two `ml.m5.xlarge` at the list price, and what has none is named beside the total."""
    done = program.mlinfra("cost", "--preview", str(preview), "--json")
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout)
    [hours] = [item for item in cost["items"] if "ml.m5.xlarge" in item["item"]]
    assert hours["monthly_usd"]["low"] == round(2 * 730 * hours["price_usd"], 2)
    assert cost["monthly_usd"]["low"] >= hours["monthly_usd"]["low"]
    assert [item["resource"].rsplit("::", 1)[1] for item in cost["unpriced"]] != []
