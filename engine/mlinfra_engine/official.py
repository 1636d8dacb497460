"""The official way to an engine: Pulumi's own installer, through the SDK."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from mlinfra_engine.failures import WayFailed

INSTALLER = "https://get.pulumi.com/install.sh"

# The installer itself waits for minutes where a network swallows packets.
REACHABLE_SECONDS = 5.0


def _check_reachable() -> None:
    import httpx

    try:
        httpx.head(INSTALLER, timeout=REACHABLE_SECONDS, follow_redirects=True).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise WayFailed(f"{INSTALLER} cannot be reached: {str(error) or type(error).__name__}") from error


def install(version: str, home: Path, say: Callable[[str], None]) -> None:
    """Put the official engine of `version` into `home/bin`, whole or not at all. Raises WayFailed."""
    _check_reachable()
    say(f"Downloading Pulumi {version} from get.pulumi.com (about 100 MB) …")
    from pulumi.automation import PulumiCommand
    from semver import VersionInfo

    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".official-") as folder:
        try:
            PulumiCommand.install(root=folder, version=VersionInfo.parse(version))
        except subprocess.CalledProcessError as error:
            lines = (error.output or b"").decode(errors="replace").split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
            raise WayFailed(f"the installer failed: {said}") from error
        except Exception as error:  # the SDK documents none of what it raises here
            raise WayFailed(f"the installer failed: {error}") from error
        target = home / "bin"
        if target.exists():
            shutil.rmtree(target)
        (Path(folder) / "bin").replace(target)
