"""What each target does with each field: a table, derived from the variations of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlinfra.adapters import GROUP, Adapter, adapter_names, load_adapter
from mlinfra.declarations.part import Declaration
from mlinfra.installed import installed
from mlinfra.testing.judge import Judge, Outcome, Verdict
from mlinfra.testing.specimens import DETERMINED
from mlinfra.testing.variations import fields, variations

DISTRIBUTION = "mlinfra-toolkit"
KEPT = Path(__file__).with_name("support.json")
"""What `support_table` says of the shipped targets; `make docs` writes it, and a test fails when it is stale."""


@dataclass(frozen=True)
class Refusal:
    """A value that a target refuses, why, and what to do instead."""

    value: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Support:
    """What one target does with one field.

    `answer`: `yes`, `partly` (some values), `no`; `not yet`: registered, but not carried out; `unseen`: in no
    resource, so it is for the target's own tests of behaviour to show. `note` says what happens instead.
    """

    answer: str
    refusals: Sequence[Refusal] = ()
    note: str = ""

    def text(self) -> str:
        """Return the answer and why: `yes`, `refused: …`, `partly: …`, `not yet: …`, `unseen`."""
        answer = "refused" if self.answer == "no" else self.answer
        why = "; ".join([*self.reasons(), *([self.note] if self.note else [])])
        return f"{answer}: {why}" if why else answer

    def reasons(self) -> list[str]:
        """Return each reason of a refusal once, with the value where only one is refused for it."""
        found = []
        for reason in dict.fromkeys(refusal.reason for refusal in self.refusals):
            values = {refusal.value for refusal in self.refusals if refusal.reason == reason}
            found.append(f"{values.pop()}: {reason}" if self.answer == "partly" and len(values) == 1 else reason)
        return found


@dataclass(frozen=True)
class Row:
    """One field, `Endpoint.scale.max`, with the support for it by target."""

    field: str
    support: Mapping[str, Support]

    @property
    def kind(self) -> str:
        """The first part of the field's name: the kind of part, or what is around parts."""
        return self.field.partition(".")[0]

    @property
    def path(self) -> str:
        """The field below its kind."""
        return self.field.partition(".")[2]


@dataclass(frozen=True)
class SupportTable:
    """Targets (name to what each was proved against), and a row for each field.

    `proofs`: by target and kind of part, where more is known than of the whole target.
    """

    targets: Mapping[str, str]
    rows: Sequence[Row] = field(default_factory=tuple)
    proofs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the table as it is kept."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SupportTable:
        """Return the table that `to_json` described."""
        rows = [
            Row(
                row["field"],
                {
                    target: Support(said["answer"], tuple(Refusal(**one) for one in said["refusals"]), said["note"])
                    for target, said in row["support"].items()
                },
            )
            for row in value["rows"]
        ]
        return cls(value["targets"], rows, value["proofs"])

    def proved_against(self, target: str, row: Row) -> str:
        """Return what an answer was proved against."""
        answer = row.support[target].answer
        if answer == "no":
            return "the contract, offline"
        if answer == "not yet":
            return "nothing"
        return self.proofs.get(target, {}).get(row.kind, self.targets[target])


def support_table(names: Iterable[str] | None = None) -> SupportTable:
    """Try every field on the named targets, or on all that are installed; offline, seconds to a minute each.

    Raises:
        MlinfraError: no adapter has one of the names.
        ImportError: an adapter cannot be loaded.
    """
    adapters = [load_adapter(name) for name in (adapter_names() if names is None else names)]
    support: dict[str, dict[str, Support]] = {name: {} for name in fields() if name not in DETERMINED}
    for adapter in adapters:
        judge = Judge(adapter)
        verdicts: dict[str, list[Verdict]] = {}
        for variation in variations(adapter.place):
            verdicts.setdefault(variation.field, []).append(judge.verdict(variation))
        for name, found in verdicts.items():
            support[name][adapter.name] = _support(name, found, adapter)
    rows = [Row(name, found) for name, found in support.items()]
    proofs = {adapter.name: adapter.proofs for adapter in adapters}
    return SupportTable({adapter.name: adapter.proved_against for adapter in adapters}, rows, proofs)


def known_table(names: Iterable[str] | None = None) -> SupportTable:
    """Return what `support_table` does, at once: of shipped targets it was made with the documents, and is kept.

    Raises:
        MlinfraError: no adapter has one of the names.
        ImportError: an adapter cannot be loaded.
    """
    wanted = list(adapter_names() if names is None else names)
    shipped = set(shipped_targets())
    kept = SupportTable.from_json(json.loads(KEPT.read_text(encoding="utf-8")))
    tried = support_table([name for name in wanted if name not in shipped])
    rows = [
        Row(one.field, {name: (one if name in shipped else other).support[name] for name in wanted})
        for one, other in zip(kept.rows, tried.rows, strict=True)
    ]
    both = {**kept.targets, **tried.targets}
    return SupportTable({name: both[name] for name in wanted}, rows, {**kept.proofs, **tried.proofs})


def feature_table(names: Iterable[str] | None = None) -> list[dict[str, str]]:
    """Return a row for each field as `targets --json` prints it: `feature`, and by target its answer and why."""
    return [
        {"feature": row.field, **{target: support.text() for target, support in row.support.items()}}
        for row in known_table(names).rows
    ]


def shipped_targets() -> list[str]:
    """Return the names of the targets that this distribution brings."""
    points = installed(GROUP)
    return sorted(point.name for point in points if point.dist is not None and point.dist.name == DISTRIBUTION)


def _support(name: str, verdicts: Sequence[Verdict], adapter: Adapter) -> Support:
    outcomes = {verdict.outcome for verdict in verdicts} - {Outcome.UNTOLD}
    prefix, own = f"{adapter.name} refuses this: ", f"{adapter.name} "
    refusals = tuple(
        Refusal(_shown(verdict.variation.value), problem.message.removeprefix(prefix).removeprefix(own), problem.remedy)
        for verdict in verdicts
        if verdict.outcome is Outcome.REFUSED and verdict.refused is verdict.variation.after
        for problem in verdict.problems
    )
    if outcomes == {Outcome.REFUSED}:
        return Support("no", refusals)
    if Outcome.IGNORED in outcomes and Outcome.HONOURED not in outcomes:
        return Support("unseen", refusals)
    for entry, note in adapter.not_yet.items():
        known, _, value = entry.partition("=")
        if f"{name}.".startswith(f"{known}."):
            return Support("partly" if value or refusals else "not yet", refusals, f"{value} {note}".strip())
    return Support("partly" if refusals else "yes", refusals)


def _shown(value: Any) -> str:
    if isinstance(value, Declaration):
        return ", ".join(f"{key} {item}" for key, item in value.spec().items() if item is not None)
    return str(value)
