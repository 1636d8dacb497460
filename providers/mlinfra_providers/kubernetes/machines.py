"""How large nodes are: instances.csv holds common sizes, with what is left of them for pods.

Each pod asks for what is declared and names no node: only who runs the cluster knows what its nodes are called. A size
is chosen so that a need that fits on no node is refused before it waits forever. What the kubelet keeps for itself is
taken off: https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources
"""

from __future__ import annotations

from mlinfra.adapters import Instance
from mlinfra.declarations.compute import Compute
from mlinfra_providers.instances import cheapest, machines


def find_machine(need: Compute) -> Instance | None:
    """Return the smallest node on which a need fits, or None. A cluster's own prices are not known here."""
    return cheapest(need, machines("mlinfra_providers.kubernetes"), lambda machine: None)
