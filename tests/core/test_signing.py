"""Signatures with real keys: what is good is good, and whatever was changed afterwards is said."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mlinfra.artifacts import ArtifactStore
from mlinfra.problems import MlinfraError, WrongUse
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.signing import PASSWORD, sign_release, verify_release


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore((tmp_path / "store").as_uri())


@pytest.fixture
def release(tmp_path: Path, store: ArtifactStore) -> Release:
    return made(tmp_path, store, "1")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return pair(tmp_path, "key")


def made(folder: Path, store: ArtifactStore, version: str) -> Release:
    """Return a release; all versions have one artifact, of two files and one that git would not show."""
    tree = folder / "tree"
    (tree / "model").mkdir(parents=True, exist_ok=True)
    (tree / "model" / "weights").write_bytes(b"weights")
    (tree / "mlinfra.json").write_text("{}")
    (tree / ".gitignore").write_text("*")
    digest = store.put_tree(tree)
    identity = Identity(
        artifact=digest, baseline=digest, runtime=Runtime(name="sklearn", version=version), spec={}, signature={}
    )
    made_how = Provenance(created="2026-03-01T10:20:30+00:00", author="me", run="train-1")
    return Release(stack="flights", endpoint="api", identity=identity, provenance=made_how)


def pair(
    folder: Path, name: str, password: str | None = None, curve: ec.EllipticCurve | None = None
) -> tuple[Path, Path]:
    """Write a private and a public key, and return their files."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def artifact(store: ArtifactStore, release: Release) -> Path:
    return Path(store.url.removeprefix("file://")) / "trees" / release.identity.artifact.removeprefix("sha256:")


class TestGood:
    @pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
    def test_what_was_signed_verifies(
        self, tmp_path: Path, store: ArtifactStore, release: Release, curve: ec.EllipticCurve
    ) -> None:
        private, public = pair(tmp_path, "key", curve=curve)
        data = sign_release(release, store, private)
        assert store.signature("flights", release.digest) == data
        assert verify_release(release, store, public) is None

    def test_a_key_with_a_password(
        self, tmp_path: Path, store: ArtifactStore, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        private, public = pair(tmp_path, "key", password="open sesame")
        monkeypatch.setenv(PASSWORD, "open sesame")
        sign_release(release, store, private)
        assert verify_release(release, store, public) is None

    def test_signing_again_with_another_key_replaces(
        self, tmp_path: Path, store: ArtifactStore, release: Release, keys: tuple[Path, Path]
    ) -> None:
        sign_release(release, store, keys[0])
        private, public = pair(tmp_path, "new")
        sign_release(release, store, private)
        assert verify_release(release, store, public) is None
        assert verify_release(release, store, keys[1]) == "its signature was made with another key"

    def test_the_store_may_be_no_folder(self, tmp_path: Path, keys: tuple[Path, Path]) -> None:
        store = ArtifactStore(f"memory://{tmp_path.name}")
        release = made(tmp_path, store, "1")
        assert verify_release(release, store, keys[1]) == "it has no signature"
        sign_release(release, store, keys[0])
        assert verify_release(release, store, keys[1]) is None

    def test_no_part_of_the_private_key_is_kept(
        self, store: ArtifactStore, release: Release, keys: tuple[Path, Path]
    ) -> None:
        data = sign_release(release, store, keys[0])
        lines = [line.encode() for line in keys[0].read_text().splitlines() if not line.startswith("-----")]
        payload = base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"])
        assert not any(line in data or line in payload for line in lines)


class TestBad:
    def test_no_signature(self, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
        assert verify_release(release, store, keys[1]) == "it has no signature"

    def test_another_key(self, tmp_path: Path, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
        sign_release(release, store, keys[0])
        assert verify_release(release, store, pair(tmp_path, "other")[1]) == "its signature was made with another key"

    @pytest.mark.parametrize(
        "change",
        [
            lambda tree: (tree / "model" / "weights").write_bytes(b"Weights"),
            lambda tree: (tree / "more").write_bytes(b""),
            lambda tree: (tree / "mlinfra.json").unlink(),
            lambda tree: (tree / ".gitignore").write_text("x"),
        ],
        ids=["changed", "added", "removed", "hidden"],
    )
    def test_a_changed_artifact(
        self, store: ArtifactStore, release: Release, keys: tuple[Path, Path], change: Callable[[Path], object]
    ) -> None:
        sign_release(release, store, keys[0])
        change(artifact(store, release))
        reason = verify_release(release, store, keys[1])
        # a file that was added is in nobody's listing, so that it is neither fetched nor served
        assert reason is None or reason.startswith("its artifact was changed: ")
        assert (reason is None) == (artifact(store, release) / "more").exists()

    def test_no_artifact(self, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
        sign_release(release, store, keys[0])
        artifact(store, release).with_suffix(".json").unlink()
        assert verify_release(release, store, keys[1]) == f"{store.url} does not hold its artifact"

    def test_the_signature_of_another_release_of_the_same_artifact(
        self, tmp_path: Path, store: ArtifactStore, release: Release, keys: tuple[Path, Path]
    ) -> None:
        other = made(tmp_path, store, "2")
        assert other.identity.artifact == release.identity.artifact
        store.put_signature("flights", release.digest, sign_release(other, store, keys[0]))
        reason = verify_release(release, store, keys[1])
        assert reason == f"its signature is that of another release: {other.short}"

    def test_a_statement_of_other_files(
        self, tmp_path: Path, store: ArtifactStore, release: Release, keys: tuple[Path, Path]
    ) -> None:
        from model_signing import signing

        tree = tmp_path / release.digest.removeprefix("sha256:")
        tree.mkdir()
        (tree / "mlinfra.json").write_text("other")
        signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(tree, tmp_path / "signature")  # type: ignore[no-untyped-call]
        store.put_signature("flights", release.digest, (tmp_path / "signature").read_bytes())
        reason = verify_release(release, store, keys[1])
        assert reason is not None
        assert reason.startswith("its artifact is not what was signed: ")
        assert "mlinfra.json" in reason
        assert "model/weights" in reason

    def test_a_changed_statement(self, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
        bundle = json.loads(sign_release(release, store, keys[0]))
        statement = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"mlinfra.json", b"mlinfra.jso_")
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(statement).decode()
        store.put_signature("flights", release.digest, json.dumps(bundle).encode())
        assert verify_release(release, store, keys[1]) == "its signature is damaged: InvalidSignature"

    def test_a_changed_signature(self, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
        bundle = json.loads(sign_release(release, store, keys[0]))
        [line] = bundle["dsseEnvelope"]["signatures"]
        raw = base64.b64decode(line["sig"])
        line["sig"] = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
        store.put_signature("flights", release.digest, json.dumps(bundle).encode())
        reason = verify_release(release, store, keys[1])
        assert reason is not None
        assert reason.startswith("its signature is damaged: ")

    @pytest.mark.parametrize("length", [0, 1, 100, 0.5, -3])
    def test_a_truncated_file(
        self, store: ArtifactStore, release: Release, keys: tuple[Path, Path], length: float
    ) -> None:
        data = sign_release(release, store, keys[0])
        end = int(len(data) * length) if length == 0.5 else int(length)
        store.put_signature("flights", release.digest, data[:end])
        reason = verify_release(release, store, keys[1])
        assert reason is not None
        assert reason.startswith("its signature is damaged: ")

    @pytest.mark.parametrize("data", [b"\xff\xfe", b"[]", b"null", b"{}", b'{"verificationMaterial": 1}'])
    def test_what_is_no_signature(
        self, store: ArtifactStore, release: Release, keys: tuple[Path, Path], data: bytes
    ) -> None:
        store.put_signature("flights", release.digest, data)
        reason = verify_release(release, store, keys[1])
        assert reason is not None
        assert reason.startswith("its signature is damaged: ")


class TestKeys:
    def test_a_key_that_is_not_there(self, tmp_path: Path, store: ArtifactStore, release: Release) -> None:
        with pytest.raises(WrongUse, match=r"private key .*none.* cannot be read: No such file"):
            sign_release(release, store, tmp_path / "none")
        with pytest.raises(WrongUse, match=r"public key .*none.* cannot be read: No such file"):
            verify_release(release, store, tmp_path / "none")

    def test_one_for_the_other(self, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
        with pytest.raises(WrongUse, match="no private key in PEM"):
            sign_release(release, store, keys[1])
        with pytest.raises(WrongUse, match="no public key in PEM"):
            verify_release(release, store, keys[0])

    def test_a_key_of_another_kind(self, tmp_path: Path, store: ArtifactStore, release: Release) -> None:
        key = rsa.generate_private_key(65537, 2048)
        path = tmp_path / "rsa.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(WrongUse, match="of another kind"):
            sign_release(release, store, path)
        path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(WrongUse, match="of another kind"):
            verify_release(release, store, path)
        with pytest.raises(WrongUse, match="on secp256k1"):
            sign_release(release, store, pair(tmp_path, "odd", curve=ec.SECP256K1())[0])

    @pytest.mark.parametrize(
        ("real", "given", "said"),
        [
            ("right", None, "is encrypted"),
            ("right", "swordfish", "or its password is another"),
            (None, "swordfish", "has no password"),
        ],
        ids=["none", "another", "too many"],
    )
    def test_passwords(
        self, tmp_path: Path, store: ArtifactStore, release: Release, monkeypatch: pytest.MonkeyPatch,
        real: str | None, given: str | None, said: str,
    ) -> None:  # fmt: skip
        private, _ = pair(tmp_path, "key", password=real)
        monkeypatch.delenv(PASSWORD, raising=False)
        if given:
            monkeypatch.setenv(PASSWORD, given)
        with pytest.raises(WrongUse, match=said) as caught:
            sign_release(release, store, private)
        assert "swordfish" not in f"{caught.value.message}{caught.value.remedy}"
        assert store.signature("flights", release.digest) is None

    def test_without_the_extra(
        self, store: ArtifactStore, release: Release, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "model_signing", None)
        for act in (lambda: sign_release(release, store, keys[0]), lambda: verify_release(release, store, keys[1])):
            with pytest.raises(MlinfraError, match="the extra signing") as caught:
                act()
            assert "mlinfra-toolkit[signing]" in caught.value.remedy
