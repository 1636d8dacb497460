"""Disks of Google's Workbench."""

from __future__ import annotations

from collections.abc import Iterator

from mlinfra.policy.inspection import Inspection
from mlinfra.policy.rule import Answer, decides, unknown, violation
from mlinfra.policy.values import at
from mlinfra.resources import Resource
from mlinfra_policies.families.encryption.keys import listed, without_key


@decides("ENC-08", "gcp:workbench/instance:Instance")
def disks_of_a_workbench(workbench: Resource, inspection: Inspection) -> Iterator[Answer]:
    """A key counts only with the switch that says that it is used; there is always a boot disk."""
    boot = at(workbench.inputs, "gceSetup.bootDisk")
    for disk in (boot, *listed(at(workbench.inputs, "gceSetup.dataDisks"))):
        switch = at(disk, "diskEncryption")
        if switch.hidden:
            yield unknown(switch.path)
        elif switch.value != "CMEK":
            yield violation(
                switch.path, f"is {switch.value or 'GMEK by default'}, not CMEK", remedy=f"{switch.path}: CMEK"
            )
        yield from without_key(at(disk, "kmsKey"), workbench, inspection)
