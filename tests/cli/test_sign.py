"""mlinfra sign: which stores get a signature, and what is said; never the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import Result

from mlinfra.artifacts import ArtifactStore
from mlinfra.releases import Identity, Provenance, Release, Runtime
from mlinfra.signing import verify_release

Run = Callable[..., Result]


@pytest.fixture
def store(repository: Path) -> ArtifactStore:
    return ArtifactStore((repository / ".mlinfra" / "artifacts").as_uri())


@pytest.fixture
def release(repository: Path, store: ArtifactStore) -> Release:
    tree = repository / "tree"
    tree.mkdir()
    (tree / "weights").write_text("weights")
    digest = store.put_tree(tree)
    made = Release(
        stack="diabetes",
        endpoint="diabetes",
        identity=Identity(
            artifact=digest, baseline=digest, runtime=Runtime(name="sklearn", version="1"), spec={}, signature={}
        ),
        provenance=Provenance(created="2026-03-01T10:20:30+00:00", author="me", run="diabetes-1"),
    )
    store.put_release(made.stack, made.digest, made.to_json())
    return made


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_a_signed_release_verifies(run: Run, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
    result = run("sign", release.short, "--key", str(keys[0]))
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"signed {release.short} (diabetes)\n  kept in {store.url}\n"
    assert verify_release(release, store, keys[1]) is None


def test_the_key_is_never_shown(run: Run, release: Release, keys: tuple[Path, Path]) -> None:
    secret = [line for line in keys[0].read_text().splitlines() if not line.startswith("-----")]
    broken = keys[0].with_name("broken.pem")
    broken.write_text(keys[0].read_text().replace("END PRIVATE", "END"))
    for path in (keys[0], broken):
        result = run("sign", release.short, "--key", str(path))
        assert not any(line in result.output for line in secret)


def test_every_store_that_holds_the_artifact_gets_one(
    repository: Path, run: Run, release: Release, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    other = ArtifactStore((tmp_path / "other").as_uri())
    other.put_tree(repository / "tree")
    empty = ArtifactStore((tmp_path / "empty").as_uri())
    for name, url in (("staging", other.url), ("prod", empty.url)):
        file = repository / "environments" / f"{name}.yaml"
        file.write_text(f"{file.read_text()}\nartifacts: {url}\n")
    result = run("sign", release.short, "--key", str(keys[0]))
    assert result.exit_code == 0, result.stderr
    assert verify_release(release, other, keys[1]) is None
    assert empty.signature("diabetes", release.digest) is None


def test_a_store_that_cannot_be_read_is_told(
    repository: Path, run: Run, store: ArtifactStore, release: Release, keys: tuple[Path, Path]
) -> None:
    file = repository / "environments" / "prod.yaml"
    file.write_text(f"{file.read_text()}\nartifacts: nothing://here\n")
    result = run("sign", release.short, "--key", str(keys[0]))
    assert result.exit_code == 1
    assert "the store of prod cannot be read" in result.stderr
    assert verify_release(release, store, keys[1]) is None


def test_an_artifact_that_is_nowhere(run: Run, store: ArtifactStore, release: Release, keys: tuple[Path, Path]) -> None:
    digits = release.identity.artifact.removeprefix("sha256:")
    Path(f"{store.url.removeprefix('file://')}/trees/{digits}.json").unlink()
    result = run("sign", release.short, "--key", str(keys[0]))
    assert result.exit_code == 1
    assert f"no store holds the artifact of {release.short}" in result.stderr


def test_an_artifact_that_was_changed_is_not_signed(
    run: Run, store: ArtifactStore, release: Release, keys: tuple[Path, Path]
) -> None:
    digits = release.identity.artifact.removeprefix("sha256:")
    Path(f"{store.url.removeprefix('file://')}/trees/{digits}/weights").write_text("other")
    result = run("sign", release.short, "--key", str(keys[0]))
    assert result.exit_code == 3
    assert "was changed" in result.stderr
    assert store.signature("diabetes", release.digest) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["00000000", "--key", "key.pem"], "there is no release 00000000"),
        (["RELEASE", "--key", "none.pem"], "the private key none.pem cannot be read: No such file or directory"),
        (["RELEASE"], "Missing option '--key'"),
    ],
)
def test_wrong_use(run: Run, release: Release, arguments: list[str], said: str) -> None:
    result = run("sign", *(release.short if argument == "RELEASE" else argument for argument in arguments))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""
