"""What all kinds share when they declare: names within Google's limits, resource names, and options.

Limits: the protobufs of google-cloud-aiplatform (`endpoint_id`, `model_id`, `DeployedModel.id`, `feature_group_id`),
and the documentation of the arguments of pulumi-gcp.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pulumi

from mlinfra.adapters import Links
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra_providers.short_names import short_name

NAME_LIMIT = 63
"""Of models, networks, key rings and jobs of the scheduler."""
FEATURE_LIMIT = 60
"""Of online stores, feature groups and views: lower case, digits and underscores."""
ACCOUNT_LIMIT = 30
"""Of the name of a service account, which is part of its address."""
ROLE_LIMIT = 64
_DIGITS = 9


def physical_name(part: Part) -> str:
    """Return the part's name at Google, without the environment: a renamed part keeps the one that its data has."""
    return part.renamed_from or part.name


def name(environment: str, part: Part, *pieces: str, limit: int = NAME_LIMIT, separator: str = "-") -> str:
    """Return the name of something of a part: `prod-flight-delay`, and with a separator `prod_airport_weather`."""
    return short_name(environment, physical_name(part), *pieces, limit=limit, separator=separator)


def online_store(environment: str) -> str:
    """Return the name of the one online store of an environment."""
    return short_name(environment, "features", limit=FEATURE_LIMIT, separator="_")


def feature_view(environment: str, store: Part) -> str:
    """Return the name of a store's feature group, and of its feature view."""
    return name(environment, store, limit=FEATURE_LIMIT, separator="_")


def number(*pieces: str) -> str:
    """Return nine digits, none of them a zero in front: so many an endpoint's id may have, and a deployed model's."""
    whole = int(hashlib.sha256("\0".join(pieces).encode()).hexdigest(), 16)
    lowest = 10 ** (_DIGITS - 1)
    return str(lowest + whole % (9 * lowest))


def endpoint_id(environment: str, endpoint: str) -> str:
    """Return the id of an endpoint, by its physical name."""
    return number("endpoint", environment, endpoint)


def location(environment: Environment) -> str:
    """Return `projects/…/locations/…`, the parent of everything in Vertex AI."""
    return f"projects/{environment.account}/locations/{environment.region}"


def account_id(environment: Environment, part: Part, purpose: str) -> str:
    """Return the name of a part's service account."""
    return name(environment.name, part, purpose, limit=ACCOUNT_LIMIT)


def account_email(environment: Environment, part: Part, purpose: str) -> str:
    """Return the address that a part's service account has, known before it is there."""
    return f"{account_id(environment, part, purpose)}@{environment.account}.iam.gserviceaccount.com"


def options(links: Links, *, protect: bool = False, depends_on: Any = None) -> pulumi.ResourceOptions:
    """Return the options of a resource of Google: in the project and region that the environment names."""
    return pulumi.ResourceOptions(
        parent=links.parent, provider=links.around.provider, protect=protect, depends_on=depends_on
    )


def place(links: Links) -> dict[str, Any]:
    """Return where a resource of the plugin is: what Google's own resources say, and the environment's name."""
    environment = links.environment
    return {"environment": environment.name, "project": environment.account, "location": environment.region}


def plugin_options(
    links: Links, *, protect: bool = False, depends_on: Any = None, ignore_changes: list[str] | None = None
) -> pulumi.ResourceOptions:
    """Return the options of a resource of mlinfra's own plugin."""
    return pulumi.ResourceOptions(
        parent=links.parent, protect=protect, depends_on=depends_on, ignore_changes=ignore_changes
    )
