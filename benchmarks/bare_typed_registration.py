"""The peer of a target's offline plan: imports the SDK's class of each resource, and registers it under Pulumi's mocks.

    python bare_typed_registration.py PLAN.json

`bare_registration.py` registers; the classes are imported as a program does that names them.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

PACKAGES = {
    "aws": "pulumi_aws",
    "gcp": "pulumi_gcp",
    "azure-native": "pulumi_azure_native",
    "kubernetes": "pulumi_kubernetes",
}


def imported(token: str) -> type:
    """Return the class of a type: `aws:s3/bucket:Bucket`, `azure-native:storage:Blob`, `kubernetes:apps/v1:Deployment`.

    An operator's kind has none of its own: it is an `apiextensions.CustomResource`.
    """
    package, module, name = token.split(":")
    found = importlib.import_module(PACKAGES[package])
    group, _, version = module.partition("/")
    if package == "kubernetes":
        if not hasattr(found, group.partition(".")[0]):
            return found.apiextensions.CustomResource  # type: ignore[no-any-return]
        found = getattr(getattr(found, group.partition(".")[0]), version)
    else:
        found = getattr(found, group)
    return getattr(found, name)  # type: ignore[no-any-return]


for token in {item["type"] for item in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["resources"]}:
    if token.partition(":")[0] in PACKAGES:
        imported(token)

importlib.import_module("bare_registration")
