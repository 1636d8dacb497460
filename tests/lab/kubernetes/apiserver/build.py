"""A real Kubernetes API server and its etcd, built once per user from the Go modules that are pinned beside this."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import platformdirs

VERSION = "1.36.3"
MODULES = Path(__file__).parent
PROGRAMS = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "etcd": "go.etcd.io/etcd/server/v3"}
SECONDS = 1800


class CannotBuild(Exception):
    """There is no Go, or its modules cannot be had; says why."""


def built() -> Path:
    """Return the folder that holds `kube-apiserver` and `etcd`; build them first where they are not.

    KUBEBUILDER_ASSETS, the convention of controller-runtime's envtest, names a folder that has both.

    Raises:
        CannotBuild: there is no Go, or a module cannot be had.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given:
        return Path(given)
    folder = Path(platformdirs.user_cache_dir("mlinfra")) / "apiserver" / VERSION
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder / "build.lock", timeout=SECONDS):
        missing = [name for name in PROGRAMS if not (folder / name).exists()]
        if missing:
            sys.stderr.write(f"\nbuilding {' and '.join(missing)} for the lab: about four minutes on two cores, once\n")
        for name in missing:
            _build(name, folder)
    return folder


def _build(name: str, folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise CannotBuild("there is no `go` on PATH (1.26 or newer is needed)")
    # without it the server calls itself v0.0.0-master, and clients refuse it
    base = "k8s.io/component-base/version"
    major, minor, _ = VERSION.split(".")
    version = f"-X {base}.gitVersion=v{VERSION} -X {base}.gitMajor={major} -X {base}.gitMinor={minor}"
    binary = folder / f".{name}-{os.getpid()}"
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {version}"]
    # after the tests that run beside it
    command = ["nice", "-n", "10", go, "build", *flags, "-o", str(binary), PROGRAMS[name]]
    environment = os.environ | {"GOWORK": "off"}
    try:
        ran = subprocess.run(
            command, cwd=MODULES, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if ran.returncode != 0:
            raise CannotBuild(f"`go build` of {name} failed: {ran.stderr.strip()[-600:]}")
        binary.replace(folder / name)
    except subprocess.TimeoutExpired:
        raise CannotBuild(f"`go build` of {name} did not end within {SECONDS} s") from None
    finally:
        binary.unlink(missing_ok=True)
