"""The life of a stack on a target, the same for each: what every target's test class inherits.

The tests go on from each other. Requests flow from the first release on. A target's own file is as short as
`test_local.py`: a class that inherits from `Life`, and says how the target is started.
"""

from __future__ import annotations

import json
import re
from contextlib import AbstractContextManager
from importlib.metadata import distribution
from pathlib import Path
from typing import ClassVar

import pytest

from mlinfra.releases import Release
from mlinfra.rollout.record import Phase
from tests.end_to_end.repository import ENDPOINT
from tests.lab.scenarios.world import ENV, Requests, World
from tests.lab.target import Fault, Target

STORE, ROWS = "weather", 60
COLUMNS = ("city", "observed_at", "temperature", "humidity")
STEPS = [10, 50, 100]
TEMPERATURE = 'Feature("temperature", "float64")'
DESTROY = [{"resource": "feature_stores.weather", "reason": "nobody reads it"}]


class Life:
    """The scenarios."""

    first: ClassVar[Release]
    second: ClassVar[Release]

    @staticmethod
    def running(folder: Path) -> AbstractContextManager[Target]:
        """Start the target, given a scratch folder."""
        raise NotImplementedError

    # 1. The first release.

    def test_without_a_release_all_but_what_serves_is_made(self, world: World) -> None:
        assert world.target.there() == []
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert re.search(r"no release yet|waits for", ended.said), ended.said
        assert world.target.there()
        assert world.left() == []
        assert not world.serving().releases
        assert world.target.stored(ENV, STORE) == dict.fromkeys(COLUMNS, ROWS)

    def test_what_is_trained_there_is_served(self, world: World) -> None:
        type(self).first = world.trained()
        world.pin(self.first)
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert world.weights() == {self.first.short: 100}
        assert world.ask_once().release == self.first.short
        [served] = world.serving().releases
        assert served.artifact in (None, self.first.identity.artifact)
        assert world.run("verify", ENV).code == 0

    # 2. Nothing changes when nothing was changed.

    def test_a_second_up_changes_nothing(self, world: World) -> None:
        before = world.exported()
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert "nothing changed" in ended.said
        assert world.exported() == before
        world.pulumi(ENV, "preview", "--expect-no-changes")

    def test_after_a_refresh_nothing_changes(self, world: World) -> None:
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        world.pulumi(ENV, "preview", "--expect-no-changes")
        assert world.planned() == {}

    def test_a_newer_mlinfra_changes_nothing(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours = distribution("mlinfra-toolkit")
        newer = tmp_path / "mlinfra_toolkit-99.0.0.dist-info"
        newer.mkdir()
        newer.joinpath("METADATA").write_text("Metadata-Version: 2.4\nName: mlinfra-toolkit\nVersion: 99.0.0\n")
        newer.joinpath("entry_points.txt").write_text(ours.read_text("entry_points.txt") or "")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert "99.0.0" in world.run("--version").said
        world.pulumi(ENV, "preview", "--expect-no-changes")

    # 3. A second release, step by step.

    def test_a_second_release_takes_its_steps_and_only_the_split_changes(self, world: World) -> None:
        world.edit('"strength": 1.0', '"strength": 0.1')
        type(self).second = world.trained()
        world.pin(self.second, self.first)
        world.gate("silent")
        with world.requests() as told:
            told.allow(STEPS[0])
            ended = world.run("up", ENV)
            assert ended.code == 4, ended.said
            assert world.weights() == {self.first.short: 90, self.second.short: 10}
            for share in STEPS[1:]:
                self._changes_the_split_alone(world, told, share)
            ended = world.tick_to_the_end()
            assert ended.code == 0, ended.said
        assert told.failures == []
        assert told.exceeded(self.second.short) == []
        assert told.answered[-1] == self.second.short
        assert world.record().phase is Phase.SERVED
        assert {item.release: item.weight for item in world.serving().releases} == {
            self.first.short: 0,
            self.second.short: 100,
        }
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        world.pulumi(ENV, "preview", "--expect-no-changes")

    def _changes_the_split_alone(self, world: World, told: Requests, share: int) -> None:
        before, there = world.exported(), world.target.there()
        told.allow(share)
        ended = world.next_step()
        assert ended.code in (0, 4), ended.said
        assert world.weights().get(self.second.short) == share, ended.said
        after = world.exported()
        changed = {urn.split("::")[2].rpartition(":")[2] for urn in after if after[urn] != before.get(urn)}
        assert changed <= {"Traffic"}
        assert world.target.there() == there

    def test_what_was_before_is_warm_and_then_retired(self, world: World) -> None:
        world.pin(self.second)
        with world.requests() as told:
            ended = world.run("up", ENV)
            assert ended.code == 0, ended.said
        assert told.failures == []
        assert [item.release for item in world.serving().releases] == [self.second.short]
        assert world.left() == []

    # 4. A change of what serves in the middle of a rollout.

    @pytest.mark.parametrize(
        "fields",
        [
            {"override": {f"endpoints.{ENDPOINT}.scale": {"min": 1, "max": 4, "target_rps": 50}}},
            {"tags": {"cost-center": "ml-7"}},
            {"override": {f"endpoints.{ENDPOINT}.compute": {"cpus": 4, "memory_gib": 16}}},
        ],
        ids=["scaling", "tags", "size"],
    )
    @pytest.mark.long
    def test_at_half_a_change_moves_no_request(self, world: World, fields: dict[str, object]) -> None:
        split = self._half(world)
        world.environment(**fields)
        with world.requests() as told:
            ended = world.run("up", ENV)
            assert ended.code in (1, 3, 4), ended.said
            # an environment that is refused opens for nobody
            world.environment()
            assert world.weights() == split
        assert told.failures == []
        if ended.code == 4:
            return
        assert "rollout" in ended.said or self._never(world, ended.said), ended.said
        assert world.run("rollout", "finish", ENV, "--reason", "seen").code == 0
        world.environment(**fields)
        with world.requests() as told:
            ended = world.run("up", ENV)
            # what a target never takes is refused then, too
            assert ended.code == 0 or self._never(world, ended.said), ended.said
        assert told.failures == []

    def _never(self, world: World, said: str) -> bool:
        return any(f"{world.target.name} {refusal}" in said for refusal in ("refuses", "has no use for"))

    def _half(self, world: World) -> dict[str, int]:
        """Bring the endpoint to the middle of a rollout of the release that does not serve."""
        self._settle(world)
        serves = max(world.weights(), key=lambda name: world.weights()[name])
        new, old = (self.first, self.second) if serves == self.second.short else (self.second, self.first)
        world.pin(new, old)
        world.gate("silent")
        ended = world.run("up", ENV, "--retry", "--supersede")
        assert ended.code == 4, ended.said
        ended = world.next_step()
        assert ended.code == 4, ended.said
        split = {new.short: 50, old.short: 50}
        assert world.weights() == split
        return split

    def _settle(self, world: World) -> None:
        """Finish the rollout of a test before: superseded, its release would not be tried again by itself."""
        world.environment()
        record = world.serving().rollout  # one can be under way before it has any share
        if len(world.weights()) > 1 or (record is not None and record.is_under_way):
            ended = world.run("rollout", "finish", ENV, "--reason", "seen")
            assert ended.code == 0, ended.said

    # 5. Data.

    def test_a_column_more_is_taken_in_place(self, world: World) -> None:
        world.environment()
        assert world.run("rollout", "finish", ENV, "--reason", "seen").code in (0, 1, 2)
        world.run("up", ENV)
        world.edit(TEMPERATURE, f'{TEMPERATURE}, Feature("pressure", "float64")')
        assert set(world.planned().values()) <= {"update", "create"}
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert world.planned() == {}
        assert world.target.stored(ENV, STORE) == dict.fromkeys([*COLUMNS, "pressure"], ROWS)

    def test_what_takes_data_from_readers_is_refused(self, world: World) -> None:
        there, exported = world.target.there(), world.exported()
        stack = world.folder / "stacks/crowds/stack.py"
        text = stack.read_text()
        store = text[text.index("weather = stack.add(") : text.index("train = stack.add(")]
        without = text.replace(store, "").replace(", features=[weather]", "")
        renamed = text.replace('"weather",', '"climate",')
        one_less = text.replace(', Feature("pressure", "float64")', "")
        for changed in (one_less, without, renamed):
            stack.write_text(changed)
            ended = world.run("up", ENV)
            assert ended.code == 3, ended.said
            assert "nothing was changed" in ended.said
            assert "destroy_data" in ended.said
            assert world.exported() == exported
        stack.write_text(one_less)
        assert world.target.there() == there

    def test_with_permission_it_is_done(self, world: World) -> None:
        world.environment(destroy_data=DESTROY)
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert "nobody reads it" in ended.said
        world.environment()
        assert world.planned() == {}
        assert world.target.stored(ENV, STORE)["temperature"] == ROWS

    # 6. Changed by hand.

    def test_a_split_changed_by_hand_is_told_and_repaired(self, world: World) -> None:
        serves, other = self._both(world)
        world.target.shift_by_hand(ENV, ENDPOINT, {serves.short: 70, other.short: 30})
        for command in ("verify", "status"):
            ended = world.run(command, ENV)
            assert ended.code == 1, ended.said
            assert "30" in ended.said, ended.said
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        assert world.run("verify", ENV).code == 1
        with world.requests() as told:
            ended = world.run("up", ENV)
            assert ended.code in (0, 4), ended.said
            ended = world.tick_to_the_end()
        assert told.failures == []
        assert world.weights() == {serves.short: 100}, ended.said
        assert world.run("verify", ENV).code == 0

    def test_machines_changed_by_hand_are_told(self, world: World) -> None:
        [serves] = world.weights()
        world.target.scale_by_hand(ENV, ENDPOINT, serves, 2)
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        assert world.run("verify", ENV).code == 0

    def test_a_model_changed_by_hand_is_told_and_repaired(self, world: World) -> None:
        [serves] = world.weights()
        other = self.first if serves == self.second.short else self.second
        world.target.swap_by_hand(ENV, ENDPOINT, serves, other.short)
        ended = world.run("verify", ENV)
        assert ended.code == 1, ended.said
        assert serves in ended.said
        world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
        ended = world.run("up", ENV)
        assert ended.code in (0, 4), ended.said
        world.tick_to_the_end()
        assert world.run("verify", ENV).code == 0

    def test_a_rollback_survives_a_refresh_and_an_up(self, world: World) -> None:
        _, other = self._both(world)
        with world.requests() as told:
            ended = world.run("rollback", ENV, "--direct")
            assert ended.code in (0, 1, 4), ended.said
            assert world.weights() == {other.short: 100}, ended.said
            world.pulumi(ENV, "refresh", "--yes", "--skip-preview")
            world.run("up", ENV)
            assert world.weights() == {other.short: 100}
        assert told.failures == []
        assert told.answered[-1] == other.short

    def _both(self, world: World) -> tuple[Release, Release]:
        """Let one release serve everything with the other warm beside it; return the two."""
        self._settle(world)
        new, old = self.second, self.first
        world.pin(new, old)
        world.gate("pass")
        ended = world.run("up", ENV, "--retry", "--supersede")
        assert ended.code in (0, 4), ended.said
        ended = world.tick_to_the_end()
        assert ended.code == 0, ended.said
        assert world.weights() == {new.short: 100}
        return new, old

    # 7. What goes wrong.

    @pytest.mark.long
    @pytest.mark.parametrize("fault", list(Fault), ids=str)
    def test_what_fails_is_told_and_the_next_up_finishes(self, world: World, fault: Fault) -> None:
        if fault in world.target.lacks:
            assert world.target.lacks[fault], "a fault that cannot happen has a reason"
            return
        expected = self._alone(world)
        world.target.fail(fault, times=8 if fault is Fault.THROTTLED else 1)
        with world.requests() as told:
            ended = world.run("up", ENV)
            serving = world.weights()
            assert serving.get(self.second.short), ended.said
            if ended.code not in (0, 4):
                assert re.search(r"error|failed|refused", ended.said), ended.said
            world.target.heal()
            ended = world.run("up", ENV)
            assert ended.code in (0, 4), ended.said
        assert told.failures == []
        assert sorted(world.target.there()) == sorted(set(world.target.there())), "nothing twice"
        assert world.left() == []
        # a configuration that is named by its content goes with it, and out of the state
        known = json.dumps(world.exported())
        assert {line for line in expected if line.partition(" ")[2] in known} <= set(world.target.there())

    @pytest.mark.long
    def test_killed_in_the_middle_the_next_up_finishes(self, world: World) -> None:
        self._alone(world)
        before = set(world.target.there())
        with world.requests() as told:
            process = world.start("up", ENV)
            while process.poll() is None and set(world.target.there()) == before:
                pass
            world.kill(process)
            assert world.weights().get(self.second.short)
            ended = world.run("up", ENV)
            assert ended.code in (0, 4), ended.said
        assert told.failures == []
        assert world.left() == []

    def _alone(self, world: World) -> list[str]:
        """Let the second release serve alone, and the lock name the first one beside it; return what is there."""
        self._both(world)
        world.pin(self.second)
        ended = world.run("up", ENV)
        assert ended.code == 0, ended.said
        world.pin(self.first, self.second)
        return list(world.target.there())

    # 8. The end.

    def test_down_leaves_protected_data_and_names_it(self, world: World) -> None:
        before = world.target.there()
        ended = world.run("down", ENV)
        assert ended.code == 0, ended.said
        after = world.target.there()
        assert set(after) < set(before)
        left = json.dumps(world.exported())
        for line in after:
            name = line.partition(" ")[2]
            assert name in left, f"{line} is in no state"
        assert "kept" in ended.said
        assert world.run("down", ENV).code == 0
