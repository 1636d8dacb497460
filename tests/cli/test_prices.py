"""Prices are brought into the repository, and what it says itself is what estimates are made of."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import Result

from mlinfra.prices import update
from mlinfra.prices.book import Key, Price

Run = Callable[..., Result]

NODE = Key("gcp", "Vertex AI", "online-prediction", "n1-standard-4", "hour")
OWN = (
    "provider,service,component,item,region,unit,usd,as_of,source\n"
    "gcp,Vertex AI,online-prediction,n1-standard-4,us-central1,hour,0.1,2026-11-01,our contract\n"
)
POOL = "gcp:vertex/aiDeploymentResourcePool:AiDeploymentResourcePool"


def preview(folder: Path) -> str:
    dedicated = {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1}
    urn = f"urn:pulumi:dev::example::{POOL}::pool"
    inputs = {"region": "us-central1", "dedicatedResources": dedicated}
    state = {"urn": urn, "type": POOL, "custom": True, "inputs": inputs}
    path = folder / "preview.json"
    path.write_text(json.dumps({"steps": [{"op": "create", "urn": urn, "newState": state}]}))
    return str(path)


def monthly(run: Run, folder: Path) -> float:
    result = run("cost", "--preview", preview(folder), "--json")
    assert result.exit_code == 0, result.output
    likely: float = json.loads(result.stdout)["monthly_usd"]["likely"]
    return likely


def test_an_estimate_prefers_the_repositorys_own_prices(repository: Path, run: Run) -> None:
    assert monthly(run, repository) == 159.87  # 0.219 x 730
    (repository / "prices").mkdir()
    (repository / "prices" / "contract.csv").write_text(OWN)
    assert monthly(run, repository) == 73.0


def test_outside_of_a_repository_the_shipped_prices_hold(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "contract.csv").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert monthly(run, tmp_path) == 159.87


def test_a_bad_table_is_shown_with_its_line(repository: Path, run: Run) -> None:
    (repository / "prices").mkdir()
    (repository / "prices" / "contract.csv").write_text(OWN.replace("0.1", "much"))
    result = run("cost", "--preview", preview(repository))
    assert result.exit_code == 2
    assert "prices/contract.csv:2: usd: is no amount of US dollars (found 'much')" in result.stderr


def test_an_update_is_told_and_used(repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = [Price(NODE, "us-central1", Decimal("0.2"), None, "2026-11-22", "https://example.com", "api-quoted")]
    monkeypatch.setattr(update, "_asked", lambda *_: brought)
    result = run("prices", "update", "gcp", "--region", "us-central1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "prices/gcp.csv: 1 prices of us-central1\n  1 are new or differ\n"
    assert monthly(run, repository) == 146.0


def test_an_update_without_a_key_says_what_is_missing(
    repository: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    result = run("prices", "update", "gcp")
    assert result.exit_code == 2
    assert "GOOGLE_API_KEY is not set" in result.stderr
    assert not (repository / "prices").exists()


def test_a_provider_that_is_not_there_is_wrong_use(repository: Path, run: Run) -> None:
    result = run("prices", "update", "azur")
    assert result.exit_code == 2
    assert "did you mean 'azure'?" in result.stderr
