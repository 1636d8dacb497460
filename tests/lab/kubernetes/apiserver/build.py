"""A real Kubernetes API server and its etcd, built once per user from the Go modules that are pinned beside this."""

from __future__ import annotations

import os
from pathlib import Path

from tests.go_programs import build, folder_of

VERSION = "1.36.3"
PROGRAMS = {"kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver", "etcd": "go.etcd.io/etcd/server/v3"}


def built() -> Path:
    """Return the folder that holds `kube-apiserver` and `etcd`; build them first where they are not.

    KUBEBUILDER_ASSETS, the convention of controller-runtime's envtest, names a folder that has both.

    Raises:
        CannotBuild: there is no Go, or a module cannot be had.
    """
    given = os.environ.get("KUBEBUILDER_ASSETS")
    if given:
        return Path(given)
    folder = folder_of("apiserver", VERSION)
    # without it the server calls itself v0.0.0-master, and clients refuse it
    base = "k8s.io/component-base/version"
    major, minor, _ = VERSION.split(".")
    version = f"-X {base}.gitVersion=v{VERSION} -X {base}.gitMajor={major} -X {base}.gitMinor={minor}"
    build(Path(__file__).parent, PROGRAMS, folder, "about four minutes", "-ldflags", f"-s -w {version}")
    return folder
