"""GitLab: `.gitlab-ci.yml`, or a file to include where there is one. Credentials by id_tokens alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlinfra.pipelines.lanes import Lane
from mlinfra.pipelines.text import head, install, script, write_yaml

PATH = ".gitlab-ci.yml"
INCLUDED = ".gitlab/mlinfra.yml"
"""Where it is written when `.gitlab-ci.yml` is somebody else's."""

_IMAGE = "python:3.12"
_ABOUT = """Credentials come from id_tokens: no long-lived key is kept.
GITLAB_TOKEN is a project access token with the scope api: without it there are no comments and no issues.
Schedules are made in the project (Build > Pipeline schedules), each with the variable MLINFRA_SCHEDULE:"""
_BOUNDS = """GitLab.com starts a schedule every 5m at most (without a paid plan every hour), an instance of one's own
every 10m unless its pipeline_schedule_worker_cron says otherwise."""
_ON_MERGE_REQUEST = '$CI_PIPELINE_SOURCE == "merge_request_event"'
_ON_MERGE = '$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH'
_HOURLY = "23 * * * *"
_REPORT = (
    'trap \'code=$?; python3 -P -m mlinfra.pipelines.report {what} "mlinfra-$ENVIRONMENT.md" || code=1; '
    'exit "$code"\' EXIT\n'
)

Job = dict[str, Any]


def gitlab(lanes: Sequence[Lane], *, requirements: bool) -> str:
    """Return the pipeline's text."""
    shared = {"image": _IMAGE, "interruptible": False, "variables": {"MLINFRA_GIT_HOST": "gitlab"}}
    jobs: Job = {".mlinfra": shared}
    jobs["mlinfra pipelines"] = {
        "extends": ".mlinfra",
        "stage": "test",
        "timeout": "10 minutes",
        "rules": [{"if": _ON_MERGE_REQUEST}],
        "script": [install([], requirements=requirements), "mlinfra ci gitlab --check"],
    }
    for lane in lanes:
        jobs[f"plan {lane.name}"] = _plan(lane, requirements=requirements)
    for lane in lanes:
        needs = [f"up {name}" for name in lane.after]
        jobs[f"up {lane.name}"] = _changing(lane, "up", _ON_MERGE, needs, "3 hours", requirements=requirements)
    for lane in lanes:
        due = f'$CI_PIPELINE_SOURCE == "schedule" && $MLINFRA_SCHEDULE == "tick-{lane.tick.every}"'
        jobs[f"tick {lane.name}"] = _changing(lane, "tick", due, [], "1 hour", requirements=requirements)
        due = '$CI_PIPELINE_SOURCE == "schedule" && $MLINFRA_SCHEDULE == "watch"'
        jobs[f"watch {lane.name}"] = _changing(lane, "watch", due, [], "1 hour", requirements=requirements)
    lines = [head("gitlab"), _ABOUT]
    lines += dict.fromkeys(f"  {lane.tick.cron:<14} MLINFRA_SCHEDULE=tick-{lane.tick.every}" for lane in lanes)
    lines += [f"  {_HOURLY:<14} MLINFRA_SCHEDULE=watch", _BOUNDS]
    lines += [f"{lane.name}: a tick every {lane.tick.every} ({lane.tick.asked} is asked for)." for lane in lanes]
    return write_yaml(jobs, "\n".join(lines))


def _plan(lane: Lane, *, requirements: bool) -> Job:
    file = f"mlinfra-{lane.name}.md"
    variables, tokens, before = _login(lane, plan=True)
    return {
        "extends": ".mlinfra",
        "stage": "test",
        "timeout": "30 minutes",
        "rules": [{"if": _ON_MERGE_REQUEST, "changes": {"paths": list(lane.paths)}}],
        "variables": {"ENVIRONMENT": lane.name, **variables},
        **tokens,
        "script": [
            install(list(lane.extras), requirements=requirements),
            *before,
            _reporting("comment") + script("plan"),
        ],
        # the merge request shows a link to it
        "artifacts": {"when": "always", "expose_as": f"plan {lane.name}", "paths": [file], "expire_in": "30 days"},
    }


def _changing(
    lane: Lane, command: str, condition: str, needs: Sequence[str], timeout: str, *, requirements: bool
) -> Job:  # fmt: skip
    variables, tokens, before = _login(lane, plan=False)
    # what a local environment keeps is beside the files of the repository, and not in git
    there = {} if lane.shared else {"tags": ["self-hosted"]}
    kept = {} if lane.shared else {"GIT_CLEAN_FLAGS": "none"}
    secret = (
        {"PULUMI_CONFIG_PASSPHRASE": f"${lane.variable}_PASSPHRASE"} if lane.passphrase and command != "watch" else {}
    )
    return {
        "extends": ".mlinfra",
        "stage": "deploy",
        "timeout": timeout,
        **there,
        "resource_group": f"mlinfra-{lane.name}",
        "needs": list(needs),
        "rules": [{"if": condition}],
        "variables": {"ENVIRONMENT": lane.name, **kept, **variables, **secret},
        **tokens,
        "script": [
            install(list(lane.extras), requirements=requirements),
            *before,
            _reporting("issue" if command == "watch" else "") + script(command),
        ],
    }


def _reporting(what: str) -> str:
    return _REPORT.format(what=what) if what else ""


def _login(lane: Lane, *, plan: bool) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Return the variables, the `id_tokens` and the first lines of the script of a job."""
    variables: dict[str, str] = {}
    tokens: dict[str, Any] = {}
    before: list[str] = []
    for cloud in lane.clouds:
        own = f"{lane.variable}_{cloud.upper()}"
        who = f"{own}_PLAN" if plan else own
        # Pulumi's provider for Azure reads this name
        token = "ARM_OIDC_TOKEN" if cloud == "azure" else f"{cloud.upper()}_ID_TOKEN"
        file = f"/tmp/mlinfra-{cloud}-token"
        audience, given, stated = _CLOUDS[cloud](own, who, file)
        tokens[token] = {"aud": audience}
        variables |= given
        before.append(f'umask 077\nprintf %s "${token}" > {file}\n{stated}')
    return variables, {"id_tokens": tokens} if tokens else {}, before


def _aws(own: str, who: str, file: str) -> tuple[str, Mapping[str, str], str]:
    given = {"AWS_ROLE_ARN": f"${who}_ROLE", "AWS_REGION": f"${own}_REGION", "AWS_WEB_IDENTITY_TOKEN_FILE": file}
    return "sts.amazonaws.com", given, ""


def _gcp(own: str, who: str, file: str) -> tuple[str, Mapping[str, str], str]:
    credentials = "/tmp/mlinfra-gcp.json"
    impersonation = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken"
    document = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/${PROVIDER}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url": impersonation,
        "credential_source": {"file": file},
    }
    text = (
        json.dumps(document).replace("${PROVIDER}", f"${{{own}_PROVIDER}}").replace("${ACCOUNT}", f"${{{who}_ACCOUNT}}")
    )
    given = {"GOOGLE_APPLICATION_CREDENTIALS": credentials}
    return f"https://iam.googleapis.com/${own}_PROVIDER", given, f"cat > {credentials} <<END\n{text}\nEND\n"


def _azure(own: str, who: str, file: str) -> tuple[str, Mapping[str, str], str]:
    given = {
        "AZURE_CLIENT_ID": f"${who}_CLIENT",
        "AZURE_TENANT_ID": f"${own}_TENANT",
        "AZURE_FEDERATED_TOKEN_FILE": file,
        "ARM_USE_OIDC": "true",
        "ARM_CLIENT_ID": f"${who}_CLIENT",
        "ARM_TENANT_ID": f"${own}_TENANT",
        "ARM_SUBSCRIPTION_ID": f"${own}_SUBSCRIPTION",
    }
    return "api://AzureADTokenExchange", given, ""


_CLOUDS = {"aws": _aws, "gcp": _gcp, "azure": _azure}
