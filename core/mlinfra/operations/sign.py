"""sign: vouch for a release with a private key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlinfra.operations.releases import Catalogue
from mlinfra.problems import MlinfraError
from mlinfra.releases import Release
from mlinfra.repository import Repository
from mlinfra.signing import sign_release


@dataclass(frozen=True)
class Signed:
    """A release, the URLs of the stores that keep its signature, and the environments whose store cannot be read."""

    release: Release
    stores: Sequence[str]
    unread: Sequence[str]


def sign(repository: Repository, release: str, private_key: Path) -> Signed:
    """Sign a release in each store that holds its artifact.

    Raises:
        WrongUse: no such release, or the key cannot be used.
        Refused: a store holds another artifact than the release names.
        MlinfraError: no store holds the artifact, or the extra is not installed.
    """
    catalogue = Catalogue.read(repository)
    found = catalogue.find(release)
    stores = [store for store, _ in catalogue.stores.values() if store.has(found.identity.artifact)]
    if not stores:
        raise MlinfraError(
            f"no store holds the artifact of {found.short}", remedy="mlinfra show tells where it is missing"
        )
    for store in stores:
        sign_release(found, store, private_key)
    read = {name for _, names in catalogue.stores.values() for name in names}
    return Signed(found, [store.url for store in stores], sorted({*repository.environments()} - read))
