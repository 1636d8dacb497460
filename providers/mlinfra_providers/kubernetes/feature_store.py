"""FeatureStore: a store of the Feast operator on the team's PostgreSQL, and the definitions that it serves.

https://docs.feast.dev/how-to-guides/feast-on-kubernetes. Where the database is stands in a Secret that is there
already, `<store>-database`: `postgres` for both stores and `sql` for the registry, each as YAML of feature_store.yaml.
Before its servers start, the operator makes a repository and applies what is in it: there the definitions are mounted.
Rows come by Jobs of the running side (feature_rows.py); who they run as, and whom they reach, is declared here.
"""

from __future__ import annotations

import pulumi_kubernetes as k8s

from mlinfra.adapters import Links, ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.feature_store import FeatureStore
from mlinfra.digests import digest_json, short
from mlinfra.durations import seconds
from mlinfra_providers.kubernetes.around import account, name_in_state
from mlinfra_providers.kubernetes.labelled import COMPONENT, LOAD, STORE_LIMIT, loader_name, name, project
from mlinfra_providers.kubernetes.naming import metadata, options, told
from mlinfra_providers.kubernetes.network import ARTIFACTS, DATABASES, beside, holding, part_policy, same_namespace
from mlinfra_providers.kubernetes.pods import USER, mount, resources

FILE = "features.py"
REPOSITORY = "/feast-data/{project}/feature_repo"
"""Where the operator makes the repository of a project (feast-operator: EphemeralPath, FeatureRepoDir)."""
NEED = Compute(cpus=1, memory_gib=2)
PORT = 6566
TYPES = {"float64": "Float64", "int64": "Int64", "string": "String", "bool": "Bool"}
"""By a feature's type: its type in feast.types."""


def declare(part: ResolvedPart, links: Links) -> Links:
    """Register the definitions and the store; gives its name."""
    store = part.part
    assert isinstance(store, FeatureStore)
    called = name(store, limit=STORE_LIMIT)
    definitions = k8s.core.v1.ConfigMap(
        name_in_state(part, "features"),
        metadata=metadata(part, links, f"{called}-features"),
        data={FILE: feast_definitions(store, called)},
        opts=options(links),
    )
    made = k8s.apiextensions.CustomResource(
        store.name,
        api_version="feast.dev/v1",
        kind="FeatureStore",
        metadata=metadata(part, links, called, annotations={"mlinfra/definition": told(_definition(part))}),
        spec={
            "feastProject": project(called),
            "feastProjectDir": {"init": {"minimal": True}},
            "services": _services(store, called),
        },
        opts=options(links, protect=True, depends_on=[definitions]),
    )
    servers = {"feast.dev/name": called}
    part_policy(
        part,
        links,
        name_in_state(part, "features"),
        servers,
        from_=[same_namespace()],
        on=PORT,
        to=[holding(DATABASES)],
    )
    account(part, links, LOAD)
    part_policy(
        part,
        links,
        name_in_state(part, LOAD),
        {COMPONENT: loader_name(store)},
        to=[holding(ARTIFACTS), holding(DATABASES), beside(servers)],
    )
    return links.giving(part, name=called, resource=made)


def feast_definitions(store: FeatureStore, called: str) -> str:
    """Return the store as a Feast repository's Python file: an entity, its table, and one view of it."""
    key = {"string": "STRING", "int64": "INT64"}[store.entity.key]
    ttl = f"timedelta(seconds={seconds(store.ttl)})" if store.ttl else "timedelta(0)"
    fields = "\n".join(
        f"        Field(name={feature.name!r}, dtype={TYPES[feature.type]})," for feature in store.features
    )
    used = ", ".join(sorted({TYPES[feature.type] for feature in store.features}))
    table = project(called)
    return f"""from datetime import timedelta

from feast import Entity, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import {used}

entity = Entity(name={store.entity.name!r}, join_keys=[{store.entity.name!r}], value_type=ValueType.{key})
rows = PostgreSQLSource(name={f"{table}_rows"!r}, table={table!r}, timestamp_field={store.event_time!r})
view = FeatureView(
    name={table!r},
    entities=[entity],
    ttl={ttl},
    schema=[
{fields}
    ],
    source=rows,
    online={store.online},
)
"""


def _definition(part: ResolvedPart) -> dict[str, object]:
    store = part.part
    assert isinstance(store, FeatureStore)
    return {"source": f"{part.folder}/{store.source}", "code": part.code, "refresh": store.refresh}


def _services(store: FeatureStore, called: str) -> dict[str, object]:
    secret = {"name": f"{called}-database"}
    file = f"{REPOSITORY.format(project=project(called))}/{FILE}"
    server = {
        "resources": resources(NEED),
        "volumeMounts": [mount("features", file, inside=FILE, read_only=True)],
        "metrics": True,
    }
    stored = {"persistence": {"store": {"type": "postgres", "secretRef": secret}}, "server": server}
    return {
        # of containers the operator says nothing: so these pods are of the baseline standard, not of the restricted one
        "securityContext": k8s.core.v1.PodSecurityContextArgs(
            run_as_non_root=True, fs_group=USER, seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault")
        ),
        # other definitions are other pods: only when they start, what is mounted is applied
        "podAnnotations": {"mlinfra/definitions": short(digest_json(feast_definitions(store, called)))},
        "volumes": [
            k8s.core.v1.VolumeArgs(
                name="features", config_map=k8s.core.v1.ConfigMapVolumeSourceArgs(name=f"{called}-features")
            )
        ],
        "offlineStore": stored,
        "onlineStore": stored if store.online else {"disabled": True},
        "registry": {
            "local": {
                "persistence": {"store": {"type": "sql", "secretRef": secret}},
                "server": {**server, "grpc": True},
            }
        },
        "runFeastApplyOnInit": True,
    }
