"""What an environment needs of its cluster, asked of it; nothing is changed, and nothing is written to try it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from mlinfra.adapters import ResolvedPart
from mlinfra.declarations.compute import Compute
from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.training_job import TrainingJob
from mlinfra.environment import Environment
from mlinfra.footing import reached
from mlinfra.problems import MlinfraError
from mlinfra_providers.kubernetes.asking import Absent, Asking, Untold
from mlinfra_providers.kubernetes.naming import namespace_name
from mlinfra_providers.kubernetes.permissions import NEEDED, Rule
from mlinfra_providers.kubernetes.pods import GPU

Told = tuple[str, bool | None, str, str]
FLEETS = 2
"""During a rollout both releases run."""
_GIB = Decimal(1024**3)
_BUILT_IN = ("", "apps", "batch", "policy", "networking.k8s.io", "rbac.authorization.k8s.io")


def examine(environment: Environment, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Yield what was found."""
    asking = Asking(environment)
    try:
        version = asking.check()
    except MlinfraError as error:
        yield "credentials", False, error.message, error.remedy
        return
    yield _who(asking, environment)
    yield "cluster", True, f"{environment.context} answers, with Kubernetes {version}", ""
    yield from _kinds(asking)
    for subject, url in (("state", environment.state), ("artifacts", environment.artifacts)):
        if url is not None:
            found = reached(url)
            detail = f"{url} {found.detail}; whether it may be written is not asked" if found.there else found.detail
            yield subject, found.there, detail, "" if found.there else f"make it: {url}"
    namespace = namespace_name(environment)
    yield from _namespace(asking, environment, namespace)
    yield from _permissions(asking, namespace)
    yield from _quota(asking, namespace, parts)
    yield from _nodes(asking, parts)


def _who(asking: Asking, environment: Environment) -> Told:
    from kubernetes import client

    body = client.V1SelfSubjectReview()
    try:
        found = asking.ask(client.AuthenticationV1Api(asking.api).create_self_subject_review, body)
    except (Absent, Untold) as why:
        return "credentials", None, f"whose they are is not known: {str(why) or 'the cluster does not tell'}", ""
    return "credentials", True, f"{found.status.user_info.username}, by the context {environment.context}", ""


def _kinds(asking: Asking) -> Iterator[Told]:
    """Look for the operators, by the groups of their kinds."""
    from kubernetes import client

    needed = dict.fromkeys(rule.group for rule in NEEDED if rule.group not in _BUILT_IN)
    try:
        known = {group.name for group in asking.ask(client.ApisApi(asking.api).get_api_versions).groups}
    except (Absent, Untold) as why:
        yield "operators", None, str(why), ""
        return
    missing = sorted(set(needed) - known)
    if missing:
        way_out = "install the operators that serve them (environments/examples/kubernetes.yaml)"
        yield "operators", False, f"the cluster has no {', '.join(missing)}", way_out
    else:
        yield "operators", True, f"{len(needed)} are installed: {', '.join(needed)}", ""


def _namespace(asking: Asking, environment: Environment, namespace: str) -> Iterator[Told]:
    from kubernetes import client

    try:
        asking.ask(client.CoreV1Api(asking.api).read_namespace, namespace)
    except Absent:
        if environment.namespace is None:
            yield "namespace", True, f"{namespace} is not there yet: `up` makes it", ""
            yield from _allowed(asking, "", (Rule("making the namespace", "", ("namespaces",), ("create",)),))
        else:
            yield "namespace", False, f"there is no {namespace}", f"mlinfra bootstrap {environment.name}"
    except Untold as why:
        yield "namespace", None, f"{namespace}: {why}", ""
    else:
        yield "namespace", True, f"{namespace} is there", ""


def _permissions(asking: Asking, namespace: str) -> Iterator[Told]:
    yield from _allowed(asking, namespace, NEEDED)


def _allowed(asking: Asking, namespace: str, rules: Sequence[Rule]) -> Iterator[Told]:
    """Ask of every verb; an answer for `*` of a group would not tell which one is missing.

    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
    """
    by_purpose: dict[str, list[Rule]] = {}
    for rule in rules:
        by_purpose.setdefault(rule.purpose, []).append(rule)
    for purpose, listed in by_purpose.items():
        asked, denied, unknown = 0, [], ""
        for rule in listed:
            for resource in rule.resources:
                for verb in rule.verbs:
                    asked += 1
                    try:
                        if not _may(asking, namespace, rule.group, resource, verb):
                            denied.append(f"{verb} {resource}")
                    except (Absent, Untold) as why:
                        unknown = str(why)
        subject = f"permissions: {purpose}"
        if denied:
            way_out = "bind the role of mlinfra bootstrap, mlinfra-ci, to whoever this is"
            yield subject, False, f"not allowed in {namespace or 'the cluster'}: {', '.join(denied)}", way_out
        elif unknown:
            yield subject, None, unknown, ""
        else:
            yield subject, True, f"{asked} verbs are allowed in {namespace or 'the cluster'}", ""


def _may(asking: Asking, namespace: str, group: str, resource: str, verb: str) -> bool:
    from kubernetes import client

    named, _, part = resource.partition("/")
    attributes = client.V1ResourceAttributes(
        namespace=namespace or None, group=group, resource=named, subresource=part or None, verb=verb
    )
    body = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    answer = asking.ask(client.AuthorizationV1Api(asking.api).create_self_subject_access_review, body)
    return bool(answer.status.allowed)


def needs(parts: Sequence[ResolvedPart]) -> list[Compute]:
    """Return each pod that runs when every endpoint is rolled out at its largest, and each job once."""
    found: list[Compute] = []
    for item in parts:
        if isinstance(item.part, Endpoint):
            found += [item.part.compute] * (FLEETS * item.part.scale.max)
        elif isinstance(item.part, TrainingJob):
            found.append(item.part.compute)
    return found


def _wanted(pods: Sequence[Compute]) -> dict[str, Decimal]:
    return {
        "cpu": Decimal(str(sum(pod.cpus for pod in pods))),
        "memory": sum((Decimal(str(pod.memory_gib)) for pod in pods), Decimal(0)) * _GIB,
        GPU: Decimal(sum(pod.gpus for pod in pods)),
    }


def _quota(asking: Asking, namespace: str, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Compare the bounds of the namespace: all of each, for what is here is counted in what is needed."""
    from kubernetes import client

    try:
        listed = asking.ask(client.CoreV1Api(asking.api).list_namespaced_resource_quota, namespace).items
    except (Absent, Untold) as why:
        yield "quota", None, f"{namespace}: {str(why) or 'there is no such namespace'}", ""
        return
    wanted = _wanted(needs(parts))
    bounds: list[tuple[str, str, Decimal]] = [
        (quota.metadata.name, name, _amount(limit))
        for quota in listed
        for name, limit in (quota.spec.hard or {}).items()
    ]
    judged = [
        (quota, name, limit, wanted[name.removeprefix("requests.").removeprefix("limits.")])
        for quota, name, limit in bounds
        if name.removeprefix("requests.").removeprefix("limits.") in wanted
    ]
    if not judged:
        yield "quota", True, f"{namespace} has no bounds on cpu and memory", ""
    for quota, name, limit, need in judged:
        detail = f"{quota}: {_shown(name, need)} {name} are needed ({FLEETS} fleets), {_shown(name, limit)} are allowed"
        yield "quota", limit >= need, detail, "" if limit >= need else f"raise {name} in the ResourceQuota {quota}"


def _nodes(asking: Asking, parts: Sequence[ResolvedPart]) -> Iterator[Told]:
    """Compare what the nodes have. An autoscaler of the cluster may bring more, so that too little is unknown."""
    from kubernetes import client

    try:
        nodes = asking.ask(client.CoreV1Api(asking.api).list_node).items
    except (Absent, Untold) as why:
        yield "nodes", None, str(why), ""
        return
    ready = [node for node in nodes if not (node.spec.unschedulable or False)]
    pods = needs(parts)
    wanted = _wanted(pods)
    rooms = [{name: _amount((node.status.allocatable or {}).get(name, "0")) for name in wanted} for node in ready]
    have = {name: sum((room[name] for room in rooms), Decimal(0)) for name in wanted}
    short = [name for name, need in wanted.items() if have[name] < need]
    homeless = [pod for pod in pods if not any(_fits(pod, room) for room in rooms)]
    detail = ", ".join(
        f"{_shown(name, need)} {name} of {_shown(name, have[name])}" for name, need in wanted.items() if need
    )
    told = f"{len(ready)} nodes; {FLEETS} fleets need {detail or 'nothing'}"
    if homeless:
        told += f"; no node has room for a pod of {homeless[0].cpus:g} cpus and {homeless[0].memory_gib:g} GiB"
    good: Any = None if short or homeless else True
    yield "nodes", good, told, "add nodes, unless the cluster's autoscaler does" if good is None else ""


def _amount(quantity: str) -> Decimal:
    """Return a quantity of Kubernetes as a number: `500m`, `4Gi`."""
    from kubernetes.utils import parse_quantity

    return Decimal(parse_quantity(quantity))  # type: ignore[no-untyped-call]


def _fits(pod: Compute, room: dict[str, Decimal]) -> bool:
    need = _wanted([pod])
    return all(room[name] >= need[name] for name in need)


def _shown(name: str, amount: Decimal) -> str:
    return f"{amount / _GIB:.4g} GiB" if "memory" in name else f"{amount.normalize():f}"
