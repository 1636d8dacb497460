"""The workflow that GitHub and Gitea share: jobs and steps. What differs between them is a `Forge`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlinfra.pipelines.lanes import Lane
from mlinfra.pipelines.text import head, install, script, write_yaml

CHECKOUT = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd"
PYTHON = "actions/setup-python@a309ff8b426b58ec0e2a45f0f869d46889d02405"
AWS = "aws-actions/configure-aws-credentials@8df5847569e6427dd6c4fb1cf565c83acfa8afa7"
GCP = "google-github-actions/auth@7c6bc770dae815cd3e89ee6cdf493a5fab2cc093"
AZURE = "azure/login@532459ea530d8321f2fb9bb10d1e0bcf23869a43"
VERSIONS = {CHECKOUT: "v6.0.2", PYTHON: "v6.2.0", AWS: "v6.0.0", GCP: "v3.0.0", AZURE: "v3.0.0"}
"""The release that each pinned commit is."""

PYTHON_VERSION = "3.12"
_HOSTED = "ubuntu-latest"
_ON_PULL_REQUEST = "github.event_name == 'pull_request'"
_ON_MERGE = (
    "github.event_name == 'push' && "
    "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)"
)  # fmt: skip
_OWN_BRANCH = "github.event.pull_request.head.repo.full_name == github.repository"
_TOKEN = "${{ github.token }}"

Job = dict[str, Any]


@dataclass(frozen=True)
class Login:
    """How a job gets at a cloud: steps, variables, and whether it asks for a token of the host's identity provider."""

    steps: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    identity: bool = False


@dataclass(frozen=True)
class Forge:
    """What GitHub and Gitea do not share.

    `login(lane, cloud, plan)` has credentials; with `plan` those of a pull request, which can only read. `crons` are
    the schedules; `ticks` and `watches` say of a scheduled run whether it is one for a lane's tick, or for watching;
    `quiet` is what a step says besides whether it is quiet.
    """

    host: str
    path: str
    about: str
    login: Callable[[Lane, str, bool], Login]
    crons: Callable[[Sequence[Lane]], list[str]]
    ticks: Callable[[Lane], str]
    watches: str
    quiet: Callable[[Sequence[Lane]], str]


def workflow(lanes: Sequence[Lane], forge: Forge, *, requirements: bool) -> str:
    """Return the workflow's text."""
    jobs: dict[str, Job] = {
        "pipelines": _pipelines(lanes, forge, requirements=requirements),
        "touched": _touched(lanes),
    }
    for lane in lanes:
        jobs[f"plan-{lane.name}"] = _plan(lane, forge, requirements=requirements)
    for lane in lanes:
        jobs[f"up-{lane.name}"] = _up(lane, forge, requirements=requirements)
    jobs["quiet"] = _quiet(lanes, forge)
    for lane in lanes:
        jobs[f"tick-{lane.name}"] = _tick(lane, forge, requirements=requirements)
        jobs[f"watch-{lane.name}"] = _watch(lane, forge, requirements=requirements)
    document = {
        "name": "mlinfra",
        "on": {
            "pull_request": None,
            "push": {"branches": ["**"]},
            "schedule": [{"cron": cron} for cron in forge.crons(lanes)],
        },
        "permissions": {},
        "defaults": {"run": {"shell": "bash"}},
        "jobs": jobs,
    }
    bounds = "\n".join(_bound(lane) for lane in lanes)
    return write_yaml(document, f"{head(forge.host)}\n{forge.about}\n{bounds}", VERSIONS, apart="jobs")


def _bound(lane: Lane) -> str:
    tick = lane.tick
    return f"{lane.name}: a tick every {tick.every} ({tick.asked} is asked for); a run of the host may start later."


def _pipelines(lanes: Sequence[Lane], forge: Forge, *, requirements: bool) -> Job:
    return {
        "name": "the pipelines are those of the environments",
        "if": _ON_PULL_REQUEST,
        "runs-on": _HOSTED,
        "timeout-minutes": 10,
        "permissions": {"contents": "read"},
        "steps": [*_set_up([], requirements=requirements), {"run": f"mlinfra ci {forge.host} --check"}],
    }


def _touched(lanes: Sequence[Lane]) -> Job:
    lines = [f"touched {lane.name} {shlex.join(f':(glob){path}' for path in lane.paths)}\n" for lane in lanes]
    return {
        "name": "which environments are touched",
        "if": _ON_PULL_REQUEST,
        "runs-on": _HOSTED,
        "timeout-minutes": 10,
        "permissions": {"contents": "read"},
        "outputs": {lane.name: f"${{{{ steps.touched.outputs.{lane.name} }}}}" for lane in lanes},
        "steps": [
            {"uses": CHECKOUT, "with": {"fetch-depth": 0, "persist-credentials": False}},
            {
                "id": "touched",
                "env": {"BASE": "${{ github.event.pull_request.base.sha }}"},
                "run": script("touched") + "".join(lines),
            },
        ],
    }


def _plan(lane: Lane, forge: Forge, *, requirements: bool) -> Job:
    logins = [forge.login(lane, cloud, True) for cloud in lane.clouds]
    return {
        "name": f"plan {lane.name}",
        "needs": "touched",
        "if": f"needs.touched.outputs.{lane.name} == 'true'",
        "runs-on": _HOSTED,
        "timeout-minutes": 30,
        "permissions": {"contents": "read", **_identity(logins), "pull-requests": "write"},
        # one comment a pull request: the host has no compare-and-swap
        "concurrency": _one_at_a_time(f"mlinfra-{lane.name}/${{{{ github.event.pull_request.number }}}}"),
        "env": {"ENVIRONMENT": lane.name, **_given(logins)},
        "steps": [
            *_set_up(lane.extras, requirements=requirements),
            # a fork gets no token of the identity provider: it plans with what needs no credentials
            *({"if": _OWN_BRANCH, **step} for login in logins for step in login.steps),
            {"name": "plan, check, cost", "run": script("plan")},
            _report(forge, "comment", {"PULL_REQUEST": "${{ github.event.pull_request.number }}"}),
        ],
    }


def _up(lane: Lane, forge: Forge, *, requirements: bool) -> Job:
    job = _changing(lane, forge, 180, requirements=requirements)
    needs = {"needs": [f"up-{name}" for name in lane.after]} if lane.after else {}
    steps = [*job.pop("steps"), {"name": "up", **_secret(lane), "run": script("up")}]
    return {"name": f"up {lane.name}", **needs, "if": _ON_MERGE, **job, "steps": steps}


def _tick(lane: Lane, forge: Forge, *, requirements: bool) -> Job:
    job = _changing(lane, forge, 60, requirements=requirements)
    steps = [*job.pop("steps"), {"name": "tick", **_secret(lane), "run": script("tick")}]
    condition = f"needs.quiet.outputs.quiet == 'true' && {forge.ticks(lane)}"
    return {"name": f"tick {lane.name}", "needs": "quiet", "if": condition, **job, "steps": steps}


def _watch(lane: Lane, forge: Forge, *, requirements: bool) -> Job:
    job = _changing(lane, forge, 60, requirements=requirements)
    job["permissions"] = {**job["permissions"], "issues": "write"}
    steps = [*job.pop("steps"), {"name": "verify and drift", "run": script("watch")}, _report(forge, "issue", {})]
    condition = f"needs.quiet.outputs.quiet == 'true' && {forge.watches}"
    return {"name": f"watch {lane.name}", "needs": "quiet", "if": condition, **job, "steps": steps}


def _changing(lane: Lane, forge: Forge, minutes: int, *, requirements: bool) -> Job:
    """Return what the jobs share that run where the environment is, one at a time."""
    logins = [forge.login(lane, cloud, False) for cloud in lane.clouds]
    # the runner ends processes that carry its mark when a job is over: a local environment must outlive the job
    stays = {} if lane.shared else {"RUNNER_TRACKING_ID": ""}
    return {
        "runs-on": _HOSTED if lane.shared else "self-hosted",
        "timeout-minutes": minutes,
        "permissions": {"contents": "read", **_identity(logins)},
        "concurrency": _one_at_a_time(f"mlinfra-{lane.name}"),
        "env": {"ENVIRONMENT": lane.name, **stays, **_given(logins)},
        "steps": [
            *_set_up(lane.extras, requirements=requirements, clean=lane.shared),
            *(step for login in logins for step in login.steps),
        ],
    }


def _quiet(lanes: Sequence[Lane], forge: Forge) -> Job:
    more = forge.quiet(lanes)
    return {
        "name": "no up is under way",
        "if": "github.event_name == 'schedule'",
        "runs-on": _HOSTED,
        "timeout-minutes": 10,
        "permissions": {"actions": "read"},
        "outputs": {
            name: f"${{{{ steps.quiet.outputs.{name} }}}}" for name in ("quiet", *(["hourly"] if more else []))
        },
        "steps": [{"id": "quiet", "env": {"TOKEN": _TOKEN}, "run": script("quiet") + more}],
    }


def _set_up(extras: Sequence[str], *, requirements: bool, clean: bool = True) -> list[dict[str, Any]]:
    # what a local environment keeps is beside the files of the repository, and not in git
    kept = {} if clean else {"clean": False}
    return [
        {"uses": CHECKOUT, "with": {**kept, "persist-credentials": False}},
        {"uses": PYTHON, "with": {"python-version": PYTHON_VERSION}},
        {"name": "install mlinfra", "run": install(list(extras), requirements=requirements)},
    ]


def _report(forge: Forge, what: str, variables: Mapping[str, str]) -> dict[str, Any]:
    # a step of its own: what the repository's stacks run does not see the token
    line = f'python3 -P -m mlinfra.pipelines.report {what} "${{RUNNER_TEMP:-.}}/mlinfra-$ENVIRONMENT.md"'
    told = {"MLINFRA_GIT_HOST": forge.host, "GITHUB_TOKEN": _TOKEN, **variables}
    return {"name": what, "if": "always()", "env": told, "run": line}


def _one_at_a_time(group: str) -> dict[str, Any]:
    return {"group": group, "cancel-in-progress": False}


def _identity(logins: Sequence[Login]) -> dict[str, str]:
    return {"id-token": "write"} if any(login.identity for login in logins) else {}


def _given(logins: Sequence[Login]) -> dict[str, str]:
    return {name: value for login in logins for name, value in login.environment.items()}


def _secret(lane: Lane) -> dict[str, Any]:
    if not lane.passphrase:
        return {}
    return {"env": {"PULUMI_CONFIG_PASSPHRASE": f"${{{{ secrets.{lane.variable}_PASSPHRASE }}}}"}}
