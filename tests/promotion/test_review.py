"""The pull request is opened or adopted, its comment kept, and a host that fails leaves a pushed branch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from typer.testing import Result

from mlinfra.hosts import HostError, PullRequest
from mlinfra.promotion.comment import KEY
from mlinfra.rollout.record import Phase
from tests.cli.test_json import check
from tests.promotion.world import World, serving

Run = Callable[..., Result]


@dataclass
class Hub:
    """A git host in memory, with what went wrong last (or None), and who approved."""

    requests: dict[str, PullRequest] = field(default_factory=dict)
    comments: dict[tuple[int, str], tuple[int, str]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    approving: list[str] = field(default_factory=list)
    fails: HostError | None = None
    may_comment: bool = True
    name: str = "hub"

    def open_or_adopt(self, branch: str, base: str, head: str, title: str, body: str) -> PullRequest:
        self._answer()
        created = branch not in self.requests
        number = len(self.requests) + 1 if created else self.requests[branch].number
        request = PullRequest(number, f"https://hub/{number}", branch, base, head, "open", created=created)
        self.requests[branch] = request
        return request

    def approvals(self, number: int) -> list[str]:
        self._answer()
        return self.approving

    def comment_sticky(self, number: int, key: str, revision: int, text: str) -> str | None:
        self._answer()
        if not self.may_comment:
            return None
        self.comments[number, key] = (revision, text)
        return f"https://hub/{number}#comment"

    def set_status(self, commit: str, context: str, state: str, description: str, url: str | None) -> None:
        self._answer()
        self.statuses[commit] = state

    def _answer(self) -> None:
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def hub(world: World, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub()
    monkeypatch.setattr("mlinfra.hosts.host_of", lambda git, environ: made)
    return made


def promote(run: Run, *arguments: str, code: int = 0) -> Any:
    result = run("promote", "diabetes", "--from", "staging", "--to", "prod", "--json", *arguments)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_one_request_is_opened_then_adopted(world: World, run: Run, hub: Hub) -> None:
    world.start(remote=True)
    first, second = promote(run)["delivered"], promote(run)["delivered"]
    [request] = hub.requests.values()
    assert (request.branch, request.base, request.head) == (first["branch"], "main", first["commit"])
    assert first["pull_request"] == second["pull_request"] == {"number": 1, "url": "https://hub/1", "state": "open"}
    assert list(hub.comments) == [(1, KEY)]


def test_the_document_is_the_documented_one(world: World, run: Run, hub: Hub) -> None:
    world.environment("prod", "accept_from: [staging]", "soak: 6h")
    check("promote", promote(run, "--dry-run", code=4))


def test_approvals_are_those_of_the_request(world: World, run: Run, hub: Hub) -> None:
    world.environment("prod", "accept_from: [staging]", "approvals: 2")
    world.start(remote=True)
    hub.approving = ["ann"]
    assert not promote(run, code=4)["promotable"]
    assert "approvals: 1 of 2" in hub.comments[1, KEY][1]
    assert list(hub.statuses.values()) == ["pending"]
    hub.approving = ["ann", "bob"]
    assert promote(run)["promotable"]
    assert "✓ all met" in hub.comments[1, KEY][1]
    assert list(hub.statuses.values()) == ["success"]


def test_an_open_request_says_what_refuses_it_since(world: World, run: Run, hub: Hub) -> None:
    world.start(remote=True)
    commit = promote(run)["delivered"]["commit"]
    del world.truth["staging"]
    assert promote(run, code=3)["delivered"]["commit"] == commit
    assert "✗ 1 open" in hub.comments[1, KEY][1]
    assert hub.statuses == {commit: "failure"}


def test_the_comment_has_the_summary_the_details_folded_and_the_commands(world: World, run: Run, hub: Hub) -> None:
    world.environment("prod", "accept_from: [staging]", "soak: 6h")
    world.start(remote=True)
    move = promote(run, code=4)["moves"][0]
    _, text = hub.comments[1, KEY]
    before, after = move["previous"][7:19], move["release"][7:19]
    summary = text.split("```")[1].strip().splitlines()
    assert summary[0] == f"diabetes → prod   {before} → {after}   ✗ 1 open"
    assert [line.split()[0] for line in summary[1:]] == ["model", "plan", "cost", "policy", "open"]
    assert summary[-1].startswith("open     diabetes: soak: of 6h in staging: ")
    assert text.count("<details>") == text.count("</details>") >= 3
    assert "| roll back | `mlinfra rollback prod diabetes` |" in text
    assert "| roll out, once it is merged | `mlinfra up prod` |" in text


def test_what_a_release_says_of_itself_is_text_and_nothing_more(world: World, run: Run, hub: Hub) -> None:
    odd = world.release(3)
    evil = odd.provenance.model_copy(update={"metrics": {"<img src=x> | @all ```": 1.0}})
    world.pin("staging", changed := odd.model_copy(update={"provenance": evil}))
    world.truth["staging"] = serving(changed)
    world.start(remote=True)
    promote(run)
    _, text = hub.comments[1, KEY]
    assert "<img" not in text.replace(text.split("```")[1], "")
    assert "@all" not in text.replace(text.split("```")[1], "")
    assert text.count("```") == 2


@pytest.mark.parametrize("status", [401, 403, 422, 429, 500, None])
def test_a_host_that_fails_leaves_the_branch_and_the_way_on(
    world: World, run: Run, hub: Hub, status: int | None
) -> None:
    world.start(remote=True)
    hub.fails = HostError("the host did not answer well", status=status)
    result = run("promote", "diabetes", "--from", "staging", "--to", "prod")
    assert result.exit_code == 1
    assert "is pushed, and its pull request is not open: the host did not answer well" in result.stderr
    assert len(world.branches()) == 2
    hub.fails = None
    assert promote(run)["delivered"]["adopted"]


def test_a_token_that_may_not_comment_is_said_and_no_failure(world: World, run: Run, hub: Hub) -> None:
    world.start(remote=True)
    hub.may_comment = False
    assert promote(run)["delivered"]["notes"] == [
        "the token may not write comments: the pull request does not say what is open"
    ]


def test_a_rollout_that_is_replaced_is_replaced_by_the_commands_too(world: World, run: Run, hub: Hub) -> None:
    there = world.truth["prod"].rollout
    assert there is not None
    world.truth["prod"] = replace(world.truth["prod"], rollout=there.model_copy(update={"phase": Phase.STEP}))
    world.start(remote=True)
    promote(run, code=3)
    promote(run, "--supersede")
    assert "`mlinfra up prod --supersede`" in hub.comments[1, KEY][1]
