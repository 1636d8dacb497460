"""Envoy's configuration: pure functions from a split to JSON, and back from what Envoy says it has.

The clusters follow from the upstreams alone, never from the weights. So a shift changes the routes and nothing
else: it is one rename of one file, and the counters of the servers go on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlinfra.digests import digest_json, short
from mlinfra_providers.local.layout import Layout
from mlinfra_providers.local.ports import HOST
from mlinfra_providers.local.traffic import Observed, Traffic, Upstream

ROUTES = "traffic"
_TYPE = "type.googleapis.com/envoy"
_HTTP = f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"
# Requests are kept until they are answered, to be sent again or mirrored: larger ones cannot be.
_BODY_BYTES = 32 << 20
_REQUEST_SECONDS = 60
# Below the five seconds after which the model server (uvicorn) closes an idle connection, so that no request is
# sent on one that is being closed.
_IDLE_SECONDS = 4
# Not 5xx: an error of the model would come again, and count twice.
_RETRY_ON = "connect-failure,refused-stream,reset,gateway-error"
# But while a release is on trial: another one answers what it fails at, and its gates count the error all the same.
_RETRY_ON_TRIAL = "5xx"
# Of these the gates read latency by release: the name of the cluster would change with fail-over.
_ACCESS_LOG = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "release": "%RESP(x-mlinfra-release)%",
    "upstream": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "upstream_us": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%",
    "flags": "%RESPONSE_FLAGS%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "request_id": "%REQ(x-request-id)%",
}


def bootstrap(layout: Layout, endpoint: str, port: int) -> dict[str, Any]:
    """Return the static part: the listener, the admin socket, and where the rest is read from."""
    manager = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "rds": {"route_config_name": ROUTES, "config_source": _source(routes_file(layout, endpoint))},
        "server_header_transformation": "PASS_THROUGH",
        "access_log": [_stdout_log()],
        # Envoy's own errors in the shape of the model server's.
        "local_reply_config": {"body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}}},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
    }
    listener = {
        "name": "ingress",
        "address": _address(port),
        # Two processes on one port would share its requests without a word.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": _BODY_BYTES,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {
        "node": {"id": endpoint, "cluster": layout.environment},
        "admin": {"address": {"pipe": {"path": str(layout.admin_socket(endpoint)), "mode": 0o600}}},
        "static_resources": {"listeners": [listener]},
        "dynamic_resources": {"cds_config": _source(clusters_file(layout, endpoint))},
    }


def routes_file(layout: Layout, endpoint: str) -> Path:
    return layout.xds(endpoint) / "routes" / "routes.json"


def clusters_file(layout: Layout, endpoint: str) -> Path:
    # A folder of its own: any rename in a watched folder makes Envoy read again.
    return layout.xds(endpoint) / "clusters" / "clusters.json"


def routes(endpoint: str, traffic: Traffic) -> dict[str, Any]:
    """Return the discovery response with the one route of the endpoint."""
    if traffic.serving:
        stand_ins = traffic.stand_ins
        action: dict[str, Any] = {
            "route": {
                "weighted_clusters": {
                    "clusters": [
                        {"name": _with_stand_ins(release, stand_ins), "weight": traffic.weights[release]}
                        for release in sorted(traffic.serving)
                    ]
                },
                "timeout": f"{_REQUEST_SECONDS}s",
                "retry_policy": _retries(on_trial=traffic.trial in traffic.serving),
                "request_mirror_policies": [
                    {
                        "cluster": _alone(release),
                        "runtime_fraction": {"default_value": {"numerator": percent, "denominator": "HUNDRED"}},
                    }
                    for release, percent in sorted(traffic.mirror.items())
                    if percent
                ],
            }
        }
    else:
        said = f"endpoint {endpoint} has no release yet"
        action = {"direct_response": {"status": 503, "body": {"inline_string": said}}}
    # In the route itself: Envoy keeps an older version's name when nothing else differs.
    action["metadata"] = {"filter_metadata": {"mlinfra": {"generation": traffic.generation}}}
    configuration = {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": ROUTES,
        "virtual_hosts": [{"name": endpoint, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}],
    }
    return _response([configuration])


def clusters(endpoint: str, upstreams: Mapping[str, int]) -> dict[str, Any]:
    """Return the discovery response with, for each release, its server alone and with every set of stand-ins."""
    resources = []
    for release, port in sorted(upstreams.items()):
        resources.append(_server(endpoint, release, port))
        others = sorted({*upstreams} - {release})
        for count in range(1, len(others) + 1):
            resources += [_aggregate(release, each) for each in itertools.combinations(others, count)]
    return _response(resources)


def cluster_names(response: Mapping[str, Any]) -> set[str]:
    """Return the names of the clusters in a discovery response."""
    return {cluster["name"] for cluster in response["resources"]}


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the clusters of both responses, the newer definition of a name first."""
    known = cluster_names(new)
    return _response([*new["resources"], *(each for each in old["resources"] if each["name"] not in known)])


def observed(route_dump: Mapping[str, Any], cluster_status: Mapping[str, Any]) -> Observed:
    """Return what is in force, from Envoy's dump of its dynamic routes and its status of clusters, both JSON."""
    generation, weights, mirror = 0, {}, {}
    for found in route_dump.get("configs", []):
        [host] = found["route_config"]["virtual_hosts"]
        [entry] = host["routes"]
        generation = int(entry["metadata"]["filter_metadata"]["mlinfra"]["generation"])
        route = entry.get("route", {})
        for each in route.get("weighted_clusters", {}).get("clusters", []):
            weights[_release(each["name"])] = each["weight"]
        for each in route.get("request_mirror_policies", []):
            mirror[_release(each["cluster"])] = each["runtime_fraction"]["default_value"]["numerator"]
    upstreams = {
        _release(cluster["name"]): _upstream(host)
        for cluster in cluster_status.get("cluster_statuses", [])
        for host in cluster.get("host_statuses", [])
        if cluster["name"].startswith("release-")
    }
    return Observed(True, generation, weights, mirror, upstreams)


def _server(endpoint: str, release: str, port: int) -> dict[str, Any]:
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": _alone(release),
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": _BODY_BYTES,
        "circuit_breakers": _no_limits(),
        "typed_extension_protocol_options": {
            _HTTP.removeprefix("type.googleapis.com/"): {
                "@type": _HTTP,
                "common_http_protocol_options": {"idle_timeout": f"{_IDLE_SECONDS}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": _alone(release),
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
        # Slow to judge: a server that is busy for seconds is not dead, and one that is dead refuses connections,
        # which a retry notices at once.
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "2s",
                "no_traffic_interval": "2s",
                "unhealthy_interval": "0.5s",
                "unhealthy_threshold": 3,
                "healthy_threshold": 1,
                "http_health_check": {"path": f"/v2/models/{endpoint}/ready"},
            }
        ],
    }


def _aggregate(release: str, others: Iterable[str]) -> dict[str, Any]:
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": _with_stand_ins(release, others),
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": _no_limits(),
        "cluster_type": {
            "name": "envoy.clusters.aggregate",
            "typed_config": {
                "@type": f"{_TYPE}.extensions.clusters.aggregate.v3.ClusterConfig",
                "clusters": [_alone(release), *(_alone(other) for other in others)],
            },
        },
    }


def _retries(*, on_trial: bool) -> dict[str, Any]:
    priorities = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
    return {
        "retry_on": _RETRY_ON_TRIAL if on_trial else _RETRY_ON,
        # Twice to the release that was chosen, as a broken connection alone is no reason to change it, then twice
        # to one that stands in.
        "num_retries": 3,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {"@type": f"type.googleapis.com/{priorities}", "update_frequency": 2},
        },
    }


def _no_limits() -> dict[str, Any]:
    # The default of three retries at once loses requests when a server dies under load.
    limit = 100_000
    names = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(names, limit)]}


def _stdout_log() -> dict[str, Any]:
    # supervisord writes it to a file and rotates that.
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": _ACCESS_LOG},
        },
    }


def _source(file: Path) -> dict[str, Any]:
    watched = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"resource_api_version": "V3", "path_config_source": watched}


def _response(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version_info": short(digest_json(resources)), "resources": resources}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _alone(release: str) -> str:
    return f"release-{release}"


def _with_stand_ins(release: str, others: Iterable[str]) -> str:
    names = [release, *sorted({*others} - {release})]
    return f"any-{'+'.join(names)}" if len(names) > 1 else _alone(release)


def _release(cluster: str) -> str:
    return cluster.partition("-")[2].partition("+")[0]


def _upstream(host: Mapping[str, Any]) -> Upstream:
    stats = {each["name"]: int(each.get("value", 0)) for each in host["stats"]}
    health = host.get("health_status", {})
    return Upstream(
        port=host["address"]["socket_address"]["port_value"],
        healthy=not health.get("failed_active_health_check", False),
        requests=stats["rq_total"],
        errors=stats["rq_error"],
        active=stats["rq_active"],
    )
