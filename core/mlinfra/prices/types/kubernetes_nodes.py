"""Which node a pod selects, whose price that is, and Kubernetes' quantities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from mlinfra.policy.values import Value, at, every
from mlinfra.prices.book import Key
from mlinfra.prices.context import ASSUMED_REGIONS
from mlinfra.prices.registry import AmountNotKnown, NotKnown, known

_TYPES = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_REGIONS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_ACCELERATOR = "cloud.google.com/gke-accelerator"
_SPOT = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
GIB = Decimal(1024**3)
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?([numkKMGTPE]i?)?")
_UNITS = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTPE")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTPE")},
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A type of node: what its hour is found by, where it is, and the accelerator that is billed beside it."""

    key: Key
    region: str
    spot: bool
    assumed: str
    accelerator: Key | None = None


def node_of(spec: Value) -> Node | None:
    """Return the type of node that a pod selects; None where it selects none.

    Raises:
        NotKnown: it is known only after an `up`, is one of several, or is no type that a cloud has.
    """
    labels = _selected(spec)
    name = next((labels[label] for label in _TYPES if label in labels), None)
    if name is None:
        return None
    provider, key = _key(name)
    region = next((labels[label] for label in _REGIONS if label in labels), "")
    zone = next((labels[label] for label in _ZONES if label in labels), "")
    region = region or re.sub(r"-?[a-z]$" if provider != "azure" else r"-\d$", "", zone)
    accelerator = labels.get(_ACCELERATOR)
    beside = accelerator is not None and name.startswith("n1-")
    return Node(
        key,
        region or ASSUMED_REGIONS[provider],
        any(labels.get(label) == value for label, value in _SPOT.items()),
        "" if region else f"the region, which nothing states: {ASSUMED_REGIONS[provider]}",
        Key("gcp", "GCE/GKE node", "compute", str(accelerator), "hour") if beside else None,
    )


def quantity(value: Value) -> Decimal:
    """Return a quantity such as `500m`, `2` or `4Gi` in its base unit; 0 where nothing stands there.

    Raises:
        AmountNotKnown: it is known only after an `up`, or is no quantity.
    """
    given = known(value)
    if given is None:
        return Decimal(0)
    found = _QUANTITY.fullmatch(str(given).strip())
    if found is None:
        raise AmountNotKnown(f"{value.path} is no quantity: {given!r}"[:120])
    number, exponent, unit = found.groups()
    try:
        return Decimal(number) * Decimal(10) ** int(exponent or 0) * _UNITS[unit or ""]
    except (InvalidOperation, KeyError):
        raise AmountNotKnown(f"{value.path} is no quantity: {given!r}"[:120]) from None


def _selected(spec: Value) -> Mapping[str, str]:
    """Return the labels that a pod's node must have: by its selector, and by required affinity to one value."""
    labels: dict[str, str] = {}
    required = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]"
    terms = every(spec, required)
    for expression in every(terms[0], "matchExpressions[]") if len(terms) == 1 else ():
        name, values = at(expression.value, "key").value, at(expression.value, "values").value
        if at(expression.value, "operator").value == "In" and isinstance(name, str):
            if name in _TYPES and isinstance(values, list) and len(values) > 1:
                raise NotKnown(f"it may run on several instance types: {', '.join(map(str, values))}"[:120])
            if isinstance(values, list) and len(values) == 1:
                labels[name] = str(known(Value(name, values[0])))
    selector = known(at(spec, "nodeSelector"), {})
    for name in selector if isinstance(selector, Mapping) else ():
        labels[name] = str(known(Value(f"nodeSelector['{name}']", selector[name])))
    return labels


def _key(name: str) -> tuple[str, Key]:
    """Return the provider whose type of machine has this name, and what its hour is found by."""
    if name.startswith("Standard_"):
        return "azure", Key("azure", "Virtual Machines", "compute", name, "hour")
    if re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", name):
        return "aws", Key("aws", "EC2/EKS node", "compute", name, "hour")
    if re.fullmatch(r"[a-z][a-z0-9]*-[a-z0-9-]+", name):
        return "gcp", Key("gcp", "GCE/GKE node", "compute", name, "hour")
    raise NotKnown(f"{name!r} is no instance type of AWS, Google Cloud or Azure")
