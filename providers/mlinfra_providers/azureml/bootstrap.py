"""What must exist at Azure before the first `up`: a resource group, stores of state and models, a vault and its key,
a registry of images, and identities that pipelines become by federated credentials.

https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust-user-assigned-managed-identity
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from mlinfra.environment import Environment
from mlinfra.footing import reached
from mlinfra.foundation import ARTIFACTS, CI, CI_PLAN, IMAGES, KEY, STATE, Found, SourceHost, Thing
from mlinfra_providers.azureml.asking import Absent, Asking, Untold
from mlinfra_providers.azureml.naming import NAME_LIMIT, group_id, place_digits
from mlinfra_providers.azureml.places import ARTIFACTS as MODELS_URL
from mlinfra_providers.short_names import short_name
from mlinfra_providers.tags import tags_of

if TYPE_CHECKING:
    import pulumi

GROUP, ACCOUNT = "group", "account"
REGISTRY_LIMIT = 50
_VAULT = re.compile(
    r"azurekeyvault://([a-zA-Z0-9-]{3,24})\.vault\.azure\.net/keys/([0-9a-zA-Z-]{1,127})(?:/[0-9a-f]+)?"
)
_REGISTRY = re.compile(r"([a-z0-9]{5,50})\.azurecr\.io/.+")


def state_of(environment: Environment) -> tuple[str, str] | None:
    """Return storage account and container of `azblob://container?storage_account=…`; None for another backend."""
    parts = urlsplit(environment.state or "")
    account = parse_qs(parts.query).get("storage_account", [""])[0]
    return (account, parts.netloc) if parts.scheme == "azblob" and account and parts.netloc else None


def models_of(environment: Environment) -> tuple[str, str] | None:
    """Return storage account and container of the artifact store; None for another one."""
    found = MODELS_URL.fullmatch(environment.artifacts or "")
    return (found[2], found[1]) if found else None


def _captured(environment: Environment, account: str) -> str | None:
    """Return below what servers of all environments of an artifact store bring what they capture, in this account."""
    if (found := MODELS_URL.fullmatch(environment.artifacts or "")) is None or found[2] != account:
        return None
    return "/".join(filter(None, (found[1], (found[3] or "").strip("/"), "captured/")))


def key_of(environment: Environment) -> tuple[str, str] | None:
    """Return vault and key of the secrets provider; None for another one."""
    found = _VAULT.fullmatch(environment.secrets_provider or "")
    return (found[1], found[2]) if found else None


def registries(environment: Environment) -> list[str]:
    """Return the registries of the images; one where no image is named yet: its name is everybody's."""
    if environment.images is None:
        return [short_name(environment.name, "mlinfra", place_digits(environment), limit=REGISTRY_LIMIT, separator="")]
    named = (_REGISTRY.fullmatch(image) for image in (environment.images.serving, environment.images.training))
    return list(dict.fromkeys(found[1] for found in named if found))


class AzureFoundation:
    """The foundation of one environment in a resource group."""

    def __init__(self, environment: Environment, source: SourceHost | None) -> None:
        self._environment = environment
        self._source = source
        self._asking = Asking(environment)
        self._known: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.things: Sequence[Thing] = tuple(self._things())

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of CI; ids that Azure chooses are known once it was asked."""
        if self._source is None:
            return {}
        own = f"MLINFRA_{self._environment.name.upper().replace('-', '_')}_AZURE"
        clients = {CI: f"{own}_CLIENT", CI_PLAN: f"{own}_PLAN_CLIENT"}
        there = [thing.key for thing in self.things]
        return {
            f"{own}_SUBSCRIPTION": self._environment.account or "",
            f"{own}_TENANT": self._known.get("tenant", "TENANT"),
            **{name: self._known.get(key, "CLIENT-ID") for key, name in clients.items() if key in there},
        }

    def _things(self) -> list[Thing]:
        environment = self._environment
        things = [Thing(GROUP, environment.resource_group or "", "holds everything of the environment")]
        stores = {STATE: state_of(environment), ARTIFACTS: models_of(environment)}
        accounts = dict.fromkeys(found[0] for found in stores.values() if found)
        things += [
            Thing(f"{ACCOUNT}-{number}", name, "holds the containers below; no keys, only identities")
            for number, name in enumerate(accounts, 1)
        ]
        for key, url, why in (
            (STATE, environment.state, "keeps the state of Pulumi"),
            (ARTIFACTS, environment.artifacts, "keeps the models, by their digests"),
        ):
            found = stores[key]
            elsewhere = "" if found else "it is in no storage account that the URL names: it is made where it is"
            if found is None or "/".join(found) not in [thing.name for thing in things]:
                things.append(Thing(key, "/".join(found) if found else url or "", why, elsewhere))
        why, key_name = "encrypts the secrets in the state", key_of(environment)
        if environment.secrets_provider is None:
            self.left_out[KEY] = "no secrets_provider is written: secrets are encrypted with a passphrase"
        elif key_name is None:
            things.append(Thing(KEY, environment.secrets_provider, why, "it is not of Azure: it is made where it is"))
        else:
            things.append(Thing(KEY, "/".join(key_name), why))
        things += [
            Thing(f"{IMAGES}-{number}", name, "holds the images that run")
            for number, name in enumerate(registries(environment), 1)
        ]
        return things + self._ci()

    def _ci(self) -> list[Thing]:
        if self._source is None:
            self.left_out[CI] = "the remote `origin` of this repository is on no GitHub and no GitLab"
            return []
        subject = {key: self._source.subject(plan=key == CI_PLAN) for key in (CI, CI_PLAN)}
        found = [Thing(CI, self._identity(CI), f"what `mlinfra up` and `tick` run as: {subject[CI]}")]
        if "*" in subject[CI_PLAN]:
            self.left_out[CI_PLAN] = f"a federated credential takes whole subjects only, and not {subject[CI_PLAN]}"
            return found
        why = f"reads state and artifacts for plans: {subject[CI_PLAN]}"
        return [*found, Thing(CI_PLAN, self._identity(CI_PLAN), why)]

    def _identity(self, key: str) -> str:
        return short_name(self._environment.name, "mlinfra", key, limit=NAME_LIMIT)

    def find(self) -> Mapping[str, Found]:
        """Ask Azure. Raises MlinfraError without credentials that see the subscription."""
        self._known["tenant"] = self._asking.tenant()
        return {thing.key: self._found(thing) for thing in self.things}

    def _found(self, thing: Thing) -> Found:
        if thing.elsewhere:
            return Found(None, thing.elsewhere) if thing.key == KEY else reached(thing.name)
        try:
            told = self._asking.ask(self._path(thing))
        except Absent:
            return Found(False)
        except Untold as why:
            return Found(None, str(why))
        properties = told.get("properties", {})
        lacks = []
        if thing.key in (CI, CI_PLAN):
            self._known[thing.key] = str(properties.get("clientId", ""))
        if thing.key.startswith(ACCOUNT):
            if properties.get("allowBlobPublicAccess", True):
                lacks.append("containers in it can be made public")
            if properties.get("allowSharedKeyAccess", True):
                lacks.append("it can be read with a key that is nobody's own")
        return Found(True, "; ".join(lacks))

    def _path(self, thing: Thing) -> str:
        group, provider = group_id(self._environment), f"{group_id(self._environment)}/providers"
        first, _, rest = thing.name.partition("/")
        if thing.key == GROUP:
            return group
        if thing.key.startswith(ACCOUNT):
            return f"{provider}/Microsoft.Storage/storageAccounts/{first}"
        if thing.key in (STATE, ARTIFACTS):
            return f"{provider}/Microsoft.Storage/storageAccounts/{first}/blobServices/default/containers/{rest}"
        if thing.key == KEY:
            return f"{provider}/Microsoft.KeyVault/vaults/{first}/keys/{rest}"
        if thing.key.startswith(IMAGES):
            return f"{provider}/Microsoft.ContainerRegistry/registries/{first}"
        return f"{provider}/Microsoft.ManagedIdentity/userAssignedIdentities/{first}"

    def declare(self, keys: Collection[str]) -> None:
        """Register these things."""
        import pulumi_azure_native as azure

        from mlinfra_providers.azureml.foundations import Made

        environment = self._environment
        provider = azure.Provider(environment.name, subscription_id=environment.account)
        named = {thing.key: thing for thing in self.things if thing.key in keys}
        made = Made(environment, provider, tags_of(environment))
        first: list[pulumi.Resource] = [made.group()] if GROUP in named else []
        accounts = [
            made.account(thing, first, _captured(environment, thing.name))
            for key, thing in named.items()
            if key.startswith(ACCOUNT)
        ]
        granted = [made.container(named[key], [*first, *accounts]) for key in (STATE, ARTIFACTS) if key in named]
        granted += [made.key(named[KEY], first)] if KEY in named else []
        for key, thing in named.items():
            if key.startswith(IMAGES):
                made.registry(thing, first)
        stores = [found for found in (state_of(environment), models_of(environment)) if found is not None]
        for key in (CI, CI_PLAN):
            if key in named and self._source is not None:
                made.identity(named[key], self._source, stores, key_of(environment), [*first, *granted])
