"""What must hold: each is met, unmet or unknown, and none is met because nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlinfra.adapters import Serving
from mlinfra.environment import Environment
from mlinfra.promotion import preconditions as must
from mlinfra.promotion.preconditions import Precondition, Verdict
from mlinfra.releases import Hold, Identity, Provenance, Release, Runtime
from mlinfra.rollout.record import Failure, Phase, stamp
from tests.promotion.world import serving

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def made(number: int) -> Release:
    return Release(
        stack="diabetes",
        endpoint="diabetes",
        identity=Identity(
            artifact=f"sha256:{number:064}",
            runtime=Runtime(name="sklearn", version="1.7"),
            spec={},
            signature={},
            baseline=f"sha256:{number:064}",
        ),
        provenance=Provenance(created="2026-03-01T10:20:30+00:00", author="me", run="diabetes-1"),
    )


OLD, NEW = made(1), made(2)


def prod(**fields: Any) -> Environment:
    return Environment(name="prod", target="local", stacks=("diabetes",), **fields)


def record(serving: Serving, **changes: Any) -> Serving:
    assert serving.rollout is not None
    return replace(serving, rollout=serving.rollout.model_copy(update=changes))


def said(found: Precondition) -> tuple[Verdict, bool, str]:
    return found.verdict, found.waits, found.detail


class TestAccepts:
    def test_from_there(self) -> None:
        assert must.accepts("staging", prod(accept_from=("staging",)), {"prod": ["staging"], "staging": []}).met

    def test_from_nowhere_says_the_line_to_write(self) -> None:
        found = must.accepts("staging", prod(), {"prod": [], "staging": []})
        assert found.refuses
        assert found.remedy == "write accept_from: [staging] in environments/prod.yaml"

    def test_from_elsewhere_and_from_a_name_that_is_none(self) -> None:
        found = must.accepts("staging", prod(accept_from=("dev", "stagin")), {"dev": [], "staging": [], "prod": []})
        assert said(found) == (
            Verdict.UNMET,
            False,
            "prod accepts from dev, stagin, not from staging (did you mean 'staging' by 'stagin'?)",
        )

    def test_several_prods_may_accept_from_one(self) -> None:
        graph = {"eu": ["staging"], "us": ["staging"], "staging": ["dev"], "dev": []}
        assert must.accepts("staging", prod(accept_from=("staging",)), graph).met

    def test_a_circle_anywhere_is_refused(self) -> None:
        graph = {"prod": ["staging"], "staging": [], "a": ["b"], "b": ["c"], "c": ["a"]}
        found = must.accepts("staging", prod(accept_from=("staging",)), graph)
        assert found.refuses
        assert found.detail.startswith("accept_from goes in a circle: ")


class TestVerified:
    def test_it_serves_alone_and_healthy(self) -> None:
        assert must.verified(NEW, serving(NEW), "staging").met

    @pytest.mark.parametrize(
        ("there", "verdict", "waits", "detail"),
        [
            ("staging cannot be asked", Verdict.UNKNOWN, False, "staging cannot be asked"),
            (Serving("diabetes", None, [], 0), Verdict.UNMET, False, "nothing was rolled out in staging yet"),
            (serving(OLD), Verdict.UNMET, False, f"staging rolled out {OLD.short} last, not {NEW.short}"),
            (serving(NEW, phase=Phase.STEP), Verdict.UNMET, True, "its rollout in staging is under way"),
            (serving(NEW, phase=Phase.SHADOW), Verdict.UNMET, True, "its rollout in staging is under way"),
            (record(serving(NEW), verified=None), Verdict.UNMET, True, "its rollout in staging is under way"),
            (serving(NEW, healthy=False), Verdict.UNMET, False, "does not serve there alone and healthy now"),
            (replace(serving(NEW), releases=[]), Verdict.UNMET, False, "does not serve there alone and healthy now"),
        ],
    )
    def test_it_does_not(self, there: Serving | str, verdict: Verdict, waits: bool, detail: str) -> None:
        found = must.verified(NEW, there, "staging")
        assert (found.verdict, found.waits) == (verdict, waits)
        assert detail in found.detail

    def test_a_rollout_that_failed_says_why(self) -> None:
        failures = [Failure(release=NEW.short, at=stamp(NOW), reason="failed p95_ms <= 50: 81")]
        there = record(serving(NEW, phase=Phase.FAILED), failures=failures)
        found = must.verified(NEW, there, "staging")
        assert found.refuses
        assert found.detail == "its rollout in staging failed: failed p95_ms <= 50: 81"


class TestSoak:
    def soaked(self, hours: float, soak: str | None = "6h") -> Precondition:
        there = record(serving(NEW), verified=stamp(NOW - timedelta(hours=hours)))
        return must.soaked(NEW, there, prod(soak=soak), "staging", NOW)

    def test_none_is_wanted(self) -> None:
        assert self.soaked(0, soak=None).met

    def test_the_time_left_is_told(self) -> None:
        found = self.soaked(2)
        assert (found.verdict, found.waits, found.seconds_left) == (Verdict.UNMET, True, 4 * 3600)
        assert self.soaked(5.99).seconds_left == pytest.approx(36)
        assert self.soaked(6).met

    def test_a_clock_that_jumped_makes_it_neither_shorter_nor_longer_than_it_is(self) -> None:
        assert self.soaked(-100).seconds_left == 6 * 3600

    def test_it_begins_when_it_is_verified(self) -> None:
        for there in (serving(NEW, phase=Phase.STEP), serving(OLD)):
            found = must.soaked(NEW, there, prod(soak="6h"), "staging", NOW)
            assert (found.verdict, found.waits, found.seconds_left) == (Verdict.UNMET, True, 6 * 3600)

    def test_what_is_not_known_is_no_time(self) -> None:
        assert must.soaked(NEW, "unreachable", prod(soak="6h"), "staging", NOW).refuses


class TestDrift:
    @pytest.mark.parametrize(
        ("verdict", "expected", "waits"),
        [("ok", Verdict.MET, False), ("drift", Verdict.UNMET, False), ("no data", Verdict.UNKNOWN, True)],
    )
    def test_a_blocking_monitor(self, verdict: str, expected: Verdict, waits: bool) -> None:
        columns = [{"column": "bmi", "verdict": verdict}, {"column": "age", "verdict": "ok"}]
        found = must.quiet("diabetes", "inputs", {"verdict": verdict, "columns": columns}, "staging")
        assert (found.verdict, found.waits) == (expected, waits)
        assert ("drift: bmi" in found.detail) == (verdict == "drift")

    def test_one_that_cannot_be_asked_refuses(self) -> None:
        assert must.quiet("diabetes", "inputs", "it cannot be asked", "staging").refuses

    def test_none_blocks(self) -> None:
        assert must.no_monitor("diabetes", "staging").met


def test_a_hold_refuses_and_says_whose_it_is() -> None:
    hold = Hold(reason="freeze", owner="ops", since="2026-02-01T00:00:00+00:00")
    assert must.no_hold("diabetes", None, "prod").met
    found = must.no_hold("diabetes", hold, "prod")
    assert found.refuses
    assert found.detail == "ops holds it since 2026-02-01 00:00: freeze"


class TestRollout:
    @pytest.mark.parametrize("phase", [Phase.STEP, Phase.SHADOW])
    def test_one_under_way_refuses_unless_it_is_superseded(self, phase: Phase) -> None:
        there = serving(OLD, phase=phase)
        assert must.no_rollout(NEW, there, "prod", supersede=False).refuses
        assert must.no_rollout(NEW, there, "prod", supersede=True).met

    @pytest.mark.parametrize("phase", [Phase.SERVED, Phase.FAILED, Phase.ROLLED_BACK])
    def test_one_that_ended_does_not(self, phase: Phase) -> None:
        assert must.no_rollout(NEW, serving(OLD, phase=phase), "prod", supersede=False).met

    def test_one_that_failed_here_before_is_told(self) -> None:
        failures = [Failure(release=NEW.short, at=stamp(NOW), reason="failed p95_ms <= 50: 81")]
        found = must.no_rollout(NEW, record(serving(OLD), failures=failures), "prod", supersede=False)
        assert found.met
        assert found.detail.endswith("; it failed p95_ms <= 50: 81 here: mlinfra up prod --retry")

    def test_what_is_not_known_refuses(self) -> None:
        assert must.no_rollout(NEW, "unreachable", "prod", supersede=True).refuses


class TestApprovals:
    @pytest.mark.parametrize(
        ("wanted", "given", "direct", "expected"),
        [
            (0, None, False, (Verdict.MET, False)),
            (0, None, True, (Verdict.MET, False)),
            (2, None, False, (Verdict.UNMET, True)),
            (2, 1, False, (Verdict.UNMET, True)),
            (2, 2, False, (Verdict.MET, False)),
            (2, None, True, (Verdict.UNMET, False)),
        ],
    )
    def test_they_are_counted(self, wanted: int, given: int | None, direct: bool, expected: Any) -> None:
        found = must.approved(prod(approvals=wanted), given, direct=direct)
        assert (found.verdict, found.waits) == expected


@pytest.mark.parametrize("ask", [must.within_budget, lambda plan: must.keeps_rules(plan, "prod")])
def test_without_a_plan_nothing_is_known(ask: Callable[[str], Precondition]) -> None:
    assert ask("it cannot be planned").verdict is Verdict.UNKNOWN
