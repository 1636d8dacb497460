"""GitHub: `.github/workflows/mlinfra.yml`. Credentials by OpenID Connect alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlinfra.pipelines.lanes import Lane
from mlinfra.pipelines.workflow import AWS, AZURE, GCP, Forge, Login

PATH = ".github/workflows/mlinfra.yml"
HOURLY = "23 * * * *"
_ABOUT = """Credentials come from OpenID Connect: no long-lived key is kept. Actions are pinned by their commits.
GitHub starts no schedule more often than every 5m, and later when it is busy."""


def _login(lane: Lane, cloud: str, plan: bool) -> Login:
    own = f"{lane.variable}_{cloud.upper()}"
    who = f"{own}_PLAN" if plan else own
    steps: Mapping[str, Sequence[Mapping[str, Any]]] = {
        "aws": [
            {
                "uses": AWS,
                "with": {"role-to-assume": _variable(f"{who}_ROLE"), "aws-region": _variable(f"{own}_REGION")},
            }
        ],
        "gcp": [
            {
                "uses": GCP,
                "with": {
                    "workload_identity_provider": _variable(f"{own}_PROVIDER"),
                    "service_account": _variable(f"{who}_ACCOUNT"),
                },
            }
        ],
        "azure": [
            {
                "uses": AZURE,
                "with": {
                    "client-id": _variable(f"{who}_CLIENT"),
                    "tenant-id": _variable(f"{own}_TENANT"),
                    "subscription-id": _variable(f"{own}_SUBSCRIPTION"),
                },
            }
        ],
    }
    # Pulumi's provider for Azure does not read what the action leaves behind
    pulumi = {
        "ARM_USE_OIDC": "true",
        "ARM_CLIENT_ID": _variable(f"{who}_CLIENT"),
        "ARM_TENANT_ID": _variable(f"{own}_TENANT"),
        "ARM_SUBSCRIPTION_ID": _variable(f"{own}_SUBSCRIPTION"),
    }
    return Login(steps[cloud], {"azure": pulumi}.get(cloud, {}), identity=True)


def _variable(name: str) -> str:
    return f"${{{{ vars.{name} }}}}"


def _crons(lanes: Sequence[Lane]) -> list[str]:
    return [*dict.fromkeys(lane.tick.cron for lane in lanes), HOURLY]


GITHUB = Forge(
    host="github",
    path=PATH,
    about=_ABOUT,
    login=_login,
    crons=_crons,
    ticks=lambda lane: f"github.event.schedule == '{lane.tick.cron}'",
    watches=f"github.event.schedule == '{HOURLY}'",
    quiet=lambda lanes: "",
)
