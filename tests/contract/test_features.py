"""The table of targets and fields: what it says, and its pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlinfra.testing import features_document
from mlinfra.testing.features import SupportTable, feature_table, known_table, support_table


@pytest.fixture(scope="module")
def table() -> SupportTable:
    return support_table(["local"])


def test_a_page_says_why_what_to_do_instead_and_what_was_tried(table: SupportTable) -> None:
    page = features_document.page(table, "local")
    [gpus] = [line for line in page.splitlines() if line.startswith("| `compute.gpus` | no")][:1]
    assert "processes of this target get no GPU; → " in gpus
    assert gpus.endswith("| the contract, offline |")
    [ttl] = [line for line in page.splitlines() if line.startswith("| `ttl` |")]
    assert ttl == f"| `ttl` | yes |  | {table.targets['local']} |"
    proved = replace(table, proofs={"local": {"FeatureStore": "Feast"}})
    assert "| `ttl` | yes |  | Feast |" in features_document.page(proved, "local")


def test_the_table_says_what_local_does(table: SupportTable) -> None:
    said = {row.field: row.support["local"].text() for row in table.rows}
    assert said["FeatureStore.ttl"] == "yes"
    assert said["TrainingJob.compute.gpus"] == "refused: processes of this target get no GPU"
    assert said["Endpoint.runtime"] == "partly: custom: this target starts processes, not containers"
    assert said["Endpoint.scale.max"].startswith("refused: one machine")
    assert said["Endpoint.rollout.steps"] == said["DriftMonitor.on_drift"] == "yes"
    assert not [field for field, text in said.items() if text.startswith("unseen")]


def test_rows_have_an_answer_of_every_target() -> None:
    rows = feature_table(["local"])
    assert len(rows) > 50
    assert all(set(row) == {"feature", "local"} for row in rows)


def test_what_is_kept_of_a_shipped_target_is_what_is_tried(table: SupportTable) -> None:
    assert known_table(["local"]).rows == table.rows
