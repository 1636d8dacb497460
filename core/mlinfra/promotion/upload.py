"""Carrying a release from the store of one environment to that of another; checked where it arrives."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlinfra.artifacts import ArtifactStore, Condition
from mlinfra.digests import short
from mlinfra.problems import MlinfraError, Refused
from mlinfra.releases import Release


def upload(release: Release, source: ArtifactStore, target: ArtifactStore) -> list[str]:
    """Bring all of a release and its signature to `target`; return the digests of the trees that were sent.

    What is there already is not sent again, so that an interrupted upload goes on when it is repeated.

    Raises:
        Refused: a tree is not what its digest names, where it is or where it arrived.
        MlinfraError: no store holds a tree, or one of them cannot be read or written.
    """
    trees = dict.fromkeys((release.identity.artifact, release.identity.baseline))
    sent = [tree for tree in trees if _send(tree, source, target)]
    target.put_release(release.stack, release.digest, release.to_json())
    signature = source.signature(release.stack, release.digest)
    if signature is not None and source.url != target.url:
        target.put_signature(release.stack, release.digest, signature)
    return sent


def _send(tree: str, source: ArtifactStore, target: ArtifactStore) -> bool:
    if target.condition(tree) in (Condition.WHOLE, Condition.THERE):
        return False
    if source.url == target.url:
        raise Refused(
            f"the artifact {short(tree)} is {target.condition(tree).value} in {target.url}",
            remedy="copy it again from where it was stored first, or train again; nothing was promoted",
        )
    with tempfile.TemporaryDirectory(prefix="mlinfra-upload-") as name:
        folder = source.get_tree(tree, Path(name) / "sent")
        target.put_tree(folder)
        condition = target.condition(tree)
        if condition is Condition.THERE:
            _check_arrived(tree, target, Path(name) / "arrived")
        elif condition is not Condition.WHOLE:
            raise MlinfraError(
                f"the artifact {short(tree)} is {condition.value} in {target.url} after it was sent there",
                remedy="run this again; if it stays so, look at the store",
            )
    return True


def _check_arrived(tree: str, target: ArtifactStore, folder: Path) -> None:
    """Read what was sent: a store that is no folder tells names only. What is wrong is not taken for sent again."""
    try:
        target.get_tree(tree, folder)
    except Refused:
        target.forget_tree(tree)
        raise
