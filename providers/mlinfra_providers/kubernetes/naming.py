"""What all kinds share when they declare: names within Kubernetes' limits, labels, and the options of a resource."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.environment import Environment
from mlinfra_providers.kubernetes.labelled import LIMIT, OWNER
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import tags_of

FORCE = "pulumi.com/patchForce"
"""The annotation with which an `up` takes back what was changed by hand, where others own a field since
(pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply)."""
_DIGITS = 8
_NO_LABEL = re.compile(r"[^A-Za-z0-9._-]")


def namespace_name(environment: Environment) -> str:
    """Return the namespace: the one that the environment names, or the one that is made."""
    return environment.namespace or short_name(environment.name, "mlinfra", limit=LIMIT)


def labels(environment: Environment, part: ResolvedPart | None = None, owner: str = "") -> dict[str, str]:
    """Return the tags as labels: letters, digits, `-`, `_` and `.`, at most 63 characters.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
    """
    return {key: label(value) for key, value in tags_of(environment, part, owner).items()}


def label(value: str) -> str:
    """Return a text as a label's value; a longer one is cut, and ends in eight digits of its digest."""
    plain = _NO_LABEL.sub("-", value).strip("-._")
    if len(plain) <= LIMIT:
        return plain
    return f"{plain[: LIMIT - _DIGITS - 1]}-{hashlib.sha256(value.encode()).hexdigest()[:_DIGITS]}"


def metadata(
    part: ResolvedPart,
    links: Links,
    called: str,
    *,
    also: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> k8s.meta.v1.ObjectMetaArgs:
    """Return the metadata of something of a part; `also` are labels beside the tags."""
    return k8s.meta.v1.ObjectMetaArgs(
        name=called,
        namespace=links.around.namespace,
        labels={**labels(links.environment, part), **(also or {})},
        annotations={OWNER: part.owner, FORCE: "true", **(annotations or {})},
    )


def told(value: Any) -> str:
    """Return what was declared, as JSON for an annotation."""
    return json.dumps(value, sort_keys=True)


def options(
    links: Links, *, protect: bool = False, depends_on: Any = None, ignore_changes: list[str] | None = None
) -> pulumi.ResourceOptions:
    """Return the options of an object: in the cluster that the environment names, after its namespace."""
    return pulumi.ResourceOptions(
        parent=links.parent,
        provider=links.around.provider,
        protect=protect,
        depends_on=[*links.around.made, *(depends_on or ())],
        ignore_changes=ignore_changes,
    )


def place(links: Links) -> dict[str, Any]:
    """Return what a resource of the plugin needs to be sure that it writes where it should."""
    environment = links.environment
    return {
        "environment": environment.name,
        "context": environment.context,
        "namespace": namespace_name(environment),
    }
