"""Environments that nothing exists of yet, one for each target."""

from __future__ import annotations

from mlinfra.environment import Environment
from mlinfra.foundation import SourceHost

GITHUB = SourceHost("github", "https://github.com", "acme/flights", "main")
GITLAB = SourceHost("gitlab", "https://gitlab.com", "acme/ml/flights", "main")

NEW = {
    "sagemaker": """
account: "111122223333"
region: eu-west-1
state: s3://acme-state
artifacts: s3://acme-models/models
secrets_provider: awskms://alias/acme-state
""",
    "vertex": """
account: acme-ml-prod
region: europe-west4
state: gs://acme-state
artifacts: gs://acme-models/models
secrets_provider: gcpkms://projects/acme-ml-prod/locations/europe-west4/keyRings/mlinfra/cryptoKeys/state
""",
    "azureml": """
account: 11111111-2222-3333-4444-555555555555
region: westeurope
resource_group: acme-ml
state: azblob://state?storage_account=acmemlinfra
artifacts: abfs://models@acmemlinfra.dfs.core.windows.net/mlinfra
secrets_provider: azurekeyvault://acme-ml.vault.azure.net/keys/state
""",
    "kubernetes": """
context: acme
namespace: flights
state: s3://acme-state
artifacts: s3://acme-models/models
secrets_provider: hashivault://mlinfra-state
""",
}
"""What an environment's file says beside its target and stacks, before anything is there: no image was pushed yet."""


def text(target: str, more: str = "") -> str:
    """Return the file of an environment."""
    return f"target: {target}\nstacks: [example]\n{NEW[target]}{more}"


def environment(target: str, **changes: object) -> Environment:
    """Return the environment prod of a target."""
    from ruamel.yaml import YAML

    return Environment.model_validate({**YAML(typ="safe").load(text(target)), "name": "prod", **changes})
