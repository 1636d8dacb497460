"""Where things lie: the store of models, which CI reaches, and the environment's own storage account, which is private.

What is remembered, and definitions, lie beside the models, because whoever shifts must reach them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mlinfra.declarations.endpoint import Endpoint
from mlinfra.declarations.part import Part
from mlinfra.environment import Environment
from mlinfra_providers.azureml.naming import ACCOUNT_LIMIT, group_id, physical_name, place_digits
from mlinfra_providers.remote.shipped import shipped_url
from mlinfra_providers.short_names import short_name

CONTAINER = "mlinfra"
ARTIFACTS = re.compile(r"abfss?://([a-z0-9-]{3,63})@([a-z0-9]{3,24})\.dfs\.core\.windows\.net(/.*)?")
KEY_ID = re.compile(
    r"(/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.KeyVault/vaults/([^/]+))/keys/([^/]+)"
    r"(?:/versions/([0-9a-f]+))?"
)
"""The vault's id, its name, the key's name, and its version."""
_MODELS, _DATA = "mlinfra_artifacts", "mlinfra_data"


@dataclass(frozen=True)
class Place:
    """A folder or a blob of a container: `path` has no slash at its ends."""

    account: str
    container: str
    path: str

    def below(self, *steps: str) -> Place:
        """Return a place inside."""
        return Place(self.account, self.container, "/".join([*([self.path] if self.path else []), *steps]))


def artifacts(environment: Environment) -> Place:
    """Return where the store of models is; `refuse_place` has read the URL."""
    return _place(environment.artifacts or "")


def captured(environment: Environment, endpoint: Endpoint) -> Place:
    """Return where the servers of an endpoint bring what they capture: into the store of models, where CI reaches."""
    return _place(shipped_url(environment, endpoint))


def records(environment: Environment, *steps: str) -> Place:
    """Return where definitions, and what is remembered of rollouts, are kept: beside the models, where CI reaches."""
    return artifacts(environment).below("environments", environment.name, *steps)


def given(environment: Environment) -> Place:
    """Return where the trees are that jobs read."""
    return records(environment, "given")


def runs(environment: Environment, job: str) -> Place:
    """Return where the runs of a job, by its physical name, leave what they make."""
    return records(environment, "runs", job)


def reports(environment: Environment, part: Part) -> Place:
    """Return where a drift monitor's job writes what it found."""
    return records(environment, "monitors", physical_name(part))


def tree(environment: Environment, digest: str) -> Place:
    """Return where the store keeps a tree: `…/trees/<digits>` (mlinfra.artifacts)."""
    return artifacts(environment).below("trees", digest.removeprefix("sha256:"))


def data(environment: Environment, *steps: str) -> Place:
    """Return where in the environment's own account something lies."""
    return Place(account_name(environment), CONTAINER, environment.name).below(*steps)


def account_name(environment: Environment) -> str:
    """Return the name of the storage account, the environment's own or the one that is made."""
    return environment.bucket or short_name(
        environment.name, place_digits(environment), limit=ACCOUNT_LIMIT, separator=""
    )


def account_id(environment: Environment, account: str) -> str:
    """Return the id of a storage account of the resource group."""
    return f"{group_id(environment)}/providers/Microsoft.Storage/storageAccounts/{account}"


def abfs(there: Place) -> str:
    """Return the URL that fsspec reads."""
    return f"abfs://{there.container}@{there.account}.dfs.core.windows.net/{there.path}"


def abfss(there: Place) -> str:
    """Return the URL that Spark reads, by its ABFS driver."""
    return f"abfss://{there.container}@{there.account}.dfs.core.windows.net/{there.path}"


def datastore(environment: Environment, there: Place) -> str:
    """Return the URI that jobs and models of the workspace know a place by."""
    named = _MODELS if there.account == artifacts(environment).account else _DATA
    return f"azureml://datastores/{named}/paths/{there.path}"


def datastores(environment: Environment) -> dict[str, Place]:
    """Return the datastores that the workspace has, by name, each with the container that it stands for."""
    models = artifacts(environment)
    return {
        _MODELS: Place(models.account, models.container, ""),
        _DATA: Place(account_name(environment), CONTAINER, ""),
    }


def _place(url: str) -> Place:
    found = ARTIFACTS.fullmatch(url)
    assert found is not None
    container, account, path = found.groups()
    return Place(account, container, (path or "").strip("/"))
