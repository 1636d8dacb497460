"""The table of targets and fields: what it says, and that the document says the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlinfra.testing.features import SupportTable, feature_table, shipped_targets, support_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "targets.md"


@pytest.fixture(scope="module")
def table() -> SupportTable:
    return support_table(shipped_targets())


def test_document_is_what_the_adapters_say(table: SupportTable) -> None:
    written = table.to_markdown() + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(written)
    assert DOCUMENT.read_text() == written, "python -m mlinfra.testing.features > docs/targets.md"


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
