"""Gitea and Forgejo: `.gitea/workflows/mlinfra.yml`. Credentials are secrets: there is no identity provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlinfra.pipelines.lanes import Lane, tick
from mlinfra.pipelines.workflow import Forge, Login

PATH = ".gitea/workflows/mlinfra.yml"
_ABOUT = """This host gives jobs no OpenID Connect token, so the keys of clouds are secrets: few rights, often renewed.
Before 1.26 Gitea reads neither concurrency nor permissions: mlinfra's own locks then keep runs apart.
All environments tick at the shortest interval that one asks for: not all versions say which schedule began a run."""
_KEY_FILE = """umask 077
printf '%s' "$KEY" > "$RUNNER_TEMP/gcp.json"
echo "GOOGLE_APPLICATION_CREDENTIALS=$RUNNER_TEMP/gcp.json" >> "$GITHUB_ENV"
"""


def _login(lane: Lane, cloud: str, plan: bool) -> Login:
    own = f"{lane.variable}_{cloud.upper()}"
    who = f"{own}_PLAN" if plan else own
    if cloud == "gcp":
        return Login(
            [{"name": "write the key of Google Cloud", "env": {"KEY": _secret(f"{who}_KEY")}, "run": _KEY_FILE}]
        )
    azure = {"CLIENT_ID": f"{who}_CLIENT", "CLIENT_SECRET": f"{who}_SECRET", "TENANT_ID": f"{own}_TENANT"}
    variables: Mapping[str, Mapping[str, str]] = {
        "aws": {
            "AWS_ACCESS_KEY_ID": _secret(f"{who}_KEY_ID"),
            "AWS_SECRET_ACCESS_KEY": _secret(f"{who}_KEY"),
            "AWS_REGION": f"${{{{ vars.{own}_REGION }}}}",
        },
        "azure": {
            **{f"{prefix}_{name}": _secret(secret) for prefix in ("ARM", "AZURE") for name, secret in azure.items()},
            "ARM_SUBSCRIPTION_ID": _secret(f"{own}_SUBSCRIPTION"),
        },
    }
    return Login(environment=variables[cloud])


def _secret(name: str) -> str:
    return f"${{{{ secrets.{name} }}}}"


def _shortest(lanes: Sequence[Lane]) -> int:
    """Return the minutes between two scheduled runs: at most an hour, which is how often is watched."""
    return min(60, *(lane.tick.minutes for lane in lanes))


def _crons(lanes: Sequence[Lane]) -> list[str]:
    return [tick(f"{_shortest(lanes)}m").cron]


def _hourly(lanes: Sequence[Lane]) -> str:
    # the first run of each hour watches
    return (
        f'if [ "$((10#$(date -u +%M)))" -lt {_shortest(lanes)} ]; then echo "hourly=true"; '
        'else echo "hourly=false"; fi >> "$GITHUB_OUTPUT"\n'
    )


GITEA = Forge(
    host="gitea",
    path=PATH,
    about=_ABOUT,
    login=_login,
    crons=_crons,
    ticks=lambda lane: "github.event_name == 'schedule'",
    watches="needs.quiet.outputs.hourly == 'true'",
    quiet=_hourly,
)
