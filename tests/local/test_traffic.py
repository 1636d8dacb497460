"""Splits as values, and Envoy's configuration as a function of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlinfra_providers.local import envoy
from mlinfra_providers.local.traffic import MOST_UPSTREAMS, Traffic

NAMES = ["3f9c2ab1d04e", "91d04e77aa10", "v1.0", "v-2"]


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=MOST_UPSTREAMS))
    cuts = (
        sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1))) if names else []
    )
    weights = [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)] if names else []
    return Traffic(
        draw(st.integers(0, 10**6)),
        dict(zip(names, weights, strict=True)) if draw(st.booleans()) else {},
        {name: 21_000 + index for index, name in enumerate(names)},
        {name: draw(st.integers(0, 100)) for name in names if draw(st.booleans())},
        frozenset(name for name in names if draw(st.booleans())),
        trial=draw(st.sampled_from([None, *names])),
    )


@given(traffics())
def test_json_and_back(traffic: Traffic) -> None:
    assert Traffic.from_json(json.loads(json.dumps(traffic.to_json()))) == traffic


@given(traffics())
def test_what_envoy_says_is_what_was_asked_for(traffic: Traffic) -> None:
    routes = envoy.routes("flight-delay", traffic)
    dump = {"configs": [{"route_config": routes["resources"][0]}]}
    seen = envoy.observed(dump, {})
    assert seen.generation == traffic.generation
    assert seen.weights == {release: weight for release, weight in traffic.weights.items() if weight}
    if traffic.serving:
        assert seen.mirror == {release: percent for release, percent in traffic.mirror.items() if percent}


def named(value: Any) -> set[str]:
    """Every cluster that a route configuration names."""
    if isinstance(value, dict):
        own = {value["cluster"]} if "cluster" in value else set()
        if "weighted_clusters" in value:
            own |= {each["name"] for each in value["weighted_clusters"]["clusters"]}
        return own.union(*(named(each) for each in value.values()))
    return set().union(*(named(each) for each in value)) if isinstance(value, list) else set()


@given(traffics())
def test_a_route_names_only_clusters_that_are_there(traffic: Traffic) -> None:
    clusters = envoy.cluster_names(envoy.clusters("flight-delay", traffic.upstreams))
    assert named(envoy.routes("flight-delay", traffic)) <= clusters


@given(traffics())
def test_only_proved_releases_with_weight_or_on_standby_stand_in(traffic: Traffic) -> None:
    clusters = {each["name"]: each for each in envoy.clusters("flight-delay", traffic.upstreams)["resources"]}
    [host] = envoy.routes("flight-delay", traffic)["resources"][0]["virtual_hosts"]
    for each in host["routes"][0].get("route", {}).get("weighted_clusters", {}).get("clusters", []):
        members = clusters[each["name"]].get("cluster_type", {}).get("typed_config", {}).get("clusters")
        answering = {name.removeprefix("release-") for name in members or [each["name"]]}
        chosen = each["name"].removeprefix("any-").removeprefix("release-").partition("+")[0]
        assert answering == {chosen} | traffic.stand_ins
        assert answering <= traffic.serving | traffic.standby
        assert chosen == traffic.trial or traffic.trial not in answering


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"generation": -1}, "not negative"),
        ({"generation": 1, "weights": {"v1": 100}}, "no upstream for v1"),
        ({"generation": 1, "weights": {"v1": 90}, "upstreams": {"v1": 1}}, "add up to 100 percent, and these to 90"),
        ({"generation": 1, "mirror": {"v1": 101}, "upstreams": {"v1": 1}}, "from 0 to 100"),
        ({"generation": 1, "upstreams": {"a/b": 1}}, "holds no '/'"),
        ({"generation": 1, "upstreams": dict.fromkeys("abcde", 1)}, "at most 4 releases"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Traffic(**fields)
