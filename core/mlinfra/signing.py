"""Signatures of releases: whoever holds the private key vouches for the bytes that are served.

What is signed is an in-toto statement of OpenSSF Model Signing (`model-signing`, elliptic curve keys, offline): the
digest of each file of the release's artifact. Its subject is the release's own digest, so that a signature is good for
one release alone, and for all that the release is made of. It is a Sigstore bundle, kept beside the release in the
artifact store.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.artifacts import ArtifactStore
from mlinfra.digests import PREFIX
from mlinfra.problems import MlinfraError, Refused, WrongUse
from mlinfra.releases import Release

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "MLINFRA_SIGNING_PASSWORD"
"""The environment variable with the password of the private key."""
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MAKE_A_KEY = "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"


def sign_release(release: Release, store: ArtifactStore, private_key: Path) -> bytes:
    """Sign a release, keep the signature in the store, and return it. A signature that was there is replaced.

    `private_key` is a PEM file; if it is encrypted, its password is in MLINFRA_SIGNING_PASSWORD.

    Raises:
        WrongUse: the key is not there, or cannot be used.
        Refused: the artifact in the store is not what the release names.
        MlinfraError: the extra is not installed, or the store does not hold the artifact.
    """
    signing, _ = _library()
    password = os.environ.get(PASSWORD)
    _check_private(private_key, password)
    # the library hands the password on as it is, and bytes are what is taken there
    secret: Any = password.encode() if password else None
    signer = signing.Config().use_elliptic_key_signer(private_key=private_key, password=secret)
    with _staged(release, store) as (tree, signature):
        signer.sign(tree, signature)
        data = signature.read_bytes()
    store.put_signature(release.stack, release.digest, data)
    return data


def verify_release(release: Release, store: ArtifactStore, public_key: Path) -> str | None:
    """Return None when the holder of the key signed this release and its artifact is what was signed; else the reason.

    Raises:
        WrongUse: the public key is not there, or cannot be used.
        MlinfraError: the extra is not installed, or the store cannot be read.
    """
    _, verifying = _library()
    _check_public(public_key)
    data = store.signature(release.stack, release.digest)
    if data is None:
        return "it has no signature"
    if not store.has(release.identity.artifact):
        return f"{store.url} does not hold its artifact"
    try:
        with _staged(release, store) as (tree, signature):
            signature.write_bytes(data)
            verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
            try:
                verifier.verify(tree, signature)
                subject = _subject(data)
            except Exception as error:  # noqa: BLE001  the library has no type of its own: what does not verify is bad
                return _reason(error)
    except Refused as error:
        return f"its artifact was changed: {error.message}"
    if subject != _name(release):
        return f"its signature is that of another release: {subject[:12]}"
    return None


def _library() -> tuple[Any, Any]:
    try:
        from model_signing import signing, verifying
    except ImportError as error:
        raise MlinfraError(
            f"signatures need the extra signing: {error}", remedy="pip install 'mlinfra-toolkit[signing]'"
        ) from error
    return signing, verifying


def _name(release: Release) -> str:
    return release.digest.removeprefix(PREFIX)


@contextmanager
def _staged(release: Release, store: ArtifactStore) -> Iterator[tuple[Path, Path]]:
    """Fetch the artifact into a folder of the release's name, which the statement has as its subject."""
    with tempfile.TemporaryDirectory(prefix="mlinfra-signing-") as folder:
        tree = store.get_tree(release.identity.artifact, Path(folder) / _name(release))
        yield tree, Path(folder) / "signature.json"


def _subject(data: bytes) -> str:
    """Return what a statement says that it is about; only of a signature that was verified."""
    statement = json.loads(base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"]))
    return str(statement["subject"][0]["name"])


def _reason(error: Exception) -> str:
    text = str(error)
    if text.startswith("Key mismatch"):
        return "its signature was made with another key"
    if text.startswith("Signature mismatch"):
        return f"its artifact is not what was signed: {text.removeprefix('Signature mismatch: ')}"
    return f"its signature is damaged: {text or type(error).__name__}"


def _check_private(path: Path, password: str | None) -> None:
    """Check a private key by itself, so that no message of a library can hold a part of it."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _bytes(path, "private key")
    try:
        key = load_pem_private_key(data, password.encode() if password else None)
    except TypeError:
        if password:
            raise WrongUse(f"{path} has no password, and {PASSWORD} is set", remedy=f"unset {PASSWORD}") from None
        raise WrongUse(f"{path} is encrypted", remedy=f"set {PASSWORD} to its password") from None
    except ValueError:
        wrong = "is no private key in PEM, or its password is another" if password else "is no private key in PEM"
        raise WrongUse(f"{path} {wrong}", remedy=_MAKE_A_KEY) from None
    _check_curve(path, key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else None)


def _check_public(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _bytes(path, "public key")
    try:
        key = load_pem_public_key(data)
    except ValueError:
        remedy = "take it from the private key: openssl ec -in key.pem -pubout -out key.pub"
        raise WrongUse(f"{path} is no public key in PEM", remedy=remedy) from None
    _check_curve(path, key if isinstance(key, ec.EllipticCurvePublicKey) else None)


def _check_curve(path: Path, key: ec.EllipticCurvePublicKey | None) -> None:
    if key is None or key.curve.name not in _CURVES:
        found = "of another kind" if key is None else f"on {key.curve.name}"
        raise WrongUse(f"{path} is a key {found}; signatures need one on {', '.join(_CURVES)}", remedy=_MAKE_A_KEY)


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongUse(f"the {what} {path} cannot be read: {error.strerror}", remedy="name a PEM file") from None
