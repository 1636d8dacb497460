"""mlinfra promote --dry-run: what it shows, and what refuses a promotion."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlinfra.releases import Release
from mlinfra.rollout.record import Phase
from tests.cli.test_json import check
from tests.promotion.conftest import world
from tests.promotion.promoting import Run, document, new, old, plain, promote
from tests.promotion.world import World, serving

__all__ = ["new", "old", "world"]  # fixtures


class TestDryRun:
    def test_all_that_differs_and_all_that_must_hold(self, world: World, run: Run, old: Release, new: Release) -> None:
        lines = plain(promote(run, "--dry-run").stdout)
        assert lines[0] == f"diabetes → prod {old.short} → {new.short} ✓ all met"
        for line in (
            "model r2 0.41 → 0.42 · 1 input of another type · 1 change of the specification",
            "cost $0.00 → $0.00 a month (idle $0.00)",
            "✓ accepts prod accepts from staging",
            "✓ soak diabetes prod wants none",
            "✓ hold diabetes nobody holds prod",
            "✓ budget prod has none",
            "this can be promoted: mlinfra promote diabetes --from staging --to prod",
        ):
            assert line in lines
        assert any(line.startswith("plan ") and line.endswith("to add, 0 to change, 0 to remove, 0 destroy data")
                   for line in lines)  # fmt: skip

    def test_json(self, world: World, run: Run, old: Release, new: Release) -> None:
        found = document(run, "--dry-run")
        check("promote", found)
        assert (found["promotable"], found["refused"], found["delivered"]) == (True, False, None)
        [move] = found["moves"]
        assert (move["release"], move["previous"]) == (new.digest, old.digest)
        [metric] = move["difference"]["metrics"]
        assert (metric["before"], metric["after"]) == (pytest.approx(0.41), pytest.approx(0.42))
        assert {item["verdict"] for item in found["preconditions"]} == {"met"}

    def test_it_changes_nothing_and_needs_no_git(self, world: World, run: Run) -> None:
        def files() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}

        before = files()
        promote(run, "--dry-run")
        assert files() == before

    def test_time_that_is_left_is_waited_for(self, world: World, run: Run) -> None:
        world.environment("prod", "accept_from: [staging]", "soak: 6h", "approvals: 2")
        lines = plain(promote(run, "--dry-run", code=4).stdout)
        assert lines[0].endswith("✗ 2 open")
        assert "✗ approvals 0 of 2, given in the pull request" in lines
        [soak] = [line for line in lines if line.startswith("✗ soak")]
        assert soak.startswith("✗ soak diabetes of 6h in staging: 4 h 59 min left") or "5 h left" in soak
        assert lines[-1] == "this waits: nothing was promoted"

    @pytest.mark.parametrize(
        ("spoil", "line"),
        [
            ("accept", "✗ accepts prod accepts from dev, not from staging → write accept_from: [dev, staging]"),
            ("hold", "✗ hold diabetes ops holds it since 2026-02-01 00:00: freeze → mlinfra resume prod"),
            ("verified", "✗ verified diabetes nothing was rolled out in staging yet → mlinfra up staging"),
            ("rollout", "✗ rollout diabetes that of"),
            ("signature", "? signature diabetes"),
            ("artifact", "✗ artifact diabetes its artifact is not in"),
            ("drift", "✗ drift diabetes diabetes in staging found drift: bmi → mlinfra drift staging diabetes"),
            ("circle", "✗ accepts accept_from goes in a circle: "),
        ],
    )
    def test_what_refuses_it(self, world: World, run: Run, old: Release, new: Release, spoil: str, line: str) -> None:
        spoiled(world, spoil, old, new)
        lines = plain(promote(run, "--dry-run", code=3).stdout)
        assert any(each.startswith(line) for each in lines), lines
        assert lines[-1] == "this is refused: nothing was promoted"

    def test_a_mandatory_rule_that_it_breaks(self, world: World, run: Run) -> None:
        (world.root / "policies" / "rules").mkdir(parents=True)
        (world.root / "policies" / "rules" / "own.py").write_text(
            "from mlinfra.policy import rule, violation\n"
            "@rule('OWN-1', 'mlinfra:local:Traffic', title='None', remedy='remove it', severity='critical')\n"
            "def judge(traffic, inspection):\n    yield violation('', 'is there')\n"
        )
        world.environment("prod", "accept_from: [staging]", "policies: {profile: production}")
        lines = plain(promote(run, "--dry-run", code=3).stdout)
        assert "policy 1 violation, 0 unknown (OWN-1)" in lines
        assert "✗ policy 1 violation, 0 unknown: 1 mandatory → mlinfra check prod" in lines

    @pytest.mark.parametrize(
        ("budget", "code", "line"),
        [
            (32, 3, "✗ budget over $32.00 a month → mlinfra cost prod"),
            (33, 0, "✓ budget within $33.00 a month"),
        ],
    )
    def test_the_budget(self, world: World, run: Run, budget: int, code: int, line: str) -> None:
        (world.root / "stacks" / "__main__.py").write_text(
            "import pulumi\nfrom mlinfra.program import main\nmain()\n"
            "pulumi.CustomResource('aws:ec2/natGateway:NatGateway', 'nat', {'region': 'us-east-1'})\n"
        )
        idle = "usage: {nat: {data_gb: 0}}"
        world.environment("prod", "accept_from: [staging]", f"budget: {{monthly_usd: {budget}}}", idle)
        lines = plain(promote(run, "--dry-run", code=code).stdout)
        assert line in lines
        assert "cost $0.00 → $32.85 a month (idle $32.85)" in lines

    def test_a_release_of_ones_choice_must_be_what_serves_upstream(
        self, world: World, run: Run, old: Release, new: Release
    ) -> None:
        assert document(run, "--dry-run", "--release", new.short)["promotable"]
        other = world.release(3)
        found = document(run, "--dry-run", "--release", other.short, code=3)
        assert found["moves"][0]["release"] == other.digest
        assert "verified" in {item["precondition"] for item in found["preconditions"] if item["verdict"] == "unmet"}

    def test_a_release_that_the_target_cannot_serve_says_why(self, world: World, run: Run) -> None:
        odd = world.release(3, sidecars=2)
        result = promote(run, "--dry-run", "--release", odd.short, code=3)
        assert "identity.spec.sidecars: is no field here" in result.stdout
        assert "? budget what it would cost is not known" in plain(result.stdout)

    def test_the_same_release_is_nothing_to_promote(self, world: World, run: Run, new: Release) -> None:
        world.pin("prod", new)
        assert promote(run, "--dry-run").stdout == "diabetes: prod pins what staging serves: nothing to promote\n"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("diabets", "--from", "staging", "--to", "prod"), "has no stack 'diabets' (did you mean 'diabetes'?)"),
            (("diabetes", "--from", "stagin", "--to", "prod"), "no environment 'stagin' (did you mean 'staging'?)"),
            (("diabetes", "--from", "prod", "--to", "prod"), "--from and --to are both prod"),
            (("diabetes", "--from", "prod", "--to", "dev"), "dev follows the newest release that is trained there"),
        ],
    )  # fmt: skip
    def test_wrong_use(self, world: World, run: Run, arguments: tuple[str, ...], said: str) -> None:
        result = run("promote", *arguments, "--dry-run")
        assert result.exit_code == 2
        assert said in result.stderr

    def test_before_the_first_release(self, world: World, run: Run) -> None:
        (world.root / "environments" / "staging.lock.yaml").unlink()
        result = promote(run, "--dry-run", code=3)
        assert "staging has no release of diabetes yet" in result.stderr


def spoiled(world: World, how: str, old: Release, new: Release) -> None:
    accepts = "accept_from: [staging]"
    if how == "accept":
        world.environment("prod", "accept_from: [dev]")
    elif how == "hold":
        world.pin("prod", old, "hold: {reason: freeze, owner: ops, since: '2026-02-01T00:00:00+00:00'}")
    elif how == "verified":
        del world.truth["staging"]
    elif how == "rollout":
        world.truth["prod"] = serving(old, phase=Phase.STEP)
    elif how == "signature":
        world.environment("prod", accepts, "signed_by: keys/release.pub")
    elif how == "artifact":
        shutil.rmtree(world.root / ".mlinfra" / "artifacts" / "trees")
    elif how == "drift":
        path = world.root / "stacks" / "diabetes" / "stack.py"
        path.write_text(path.read_text().replace('every="1h"', 'every="1h", on_drift="block-promotion"'))
        world.drift["staging"] = {"verdict": "drift", "columns": [{"column": "bmi", "verdict": "drift"}]}
    elif how == "circle":
        world.environment("staging", "accept_from: [prod]")
