"""mlinfra env: after it, plain pulumi works on the same state."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.engine
def test_plain_pulumi_finds_the_stack(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's a platform"
    shutil.copytree(made, folder)
    script = f'eval "$({sys.executable} -m mlinfra_cli env dev)" && pulumi stack ls && pulumi preview -s dev && env'
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "\ndev " in done.stdout
    assert "mlinfra:local:Traffic" in done.stdout
    assert f"MLINFRA_REPOSITORY={folder}\n" in done.stdout
    passphrase = folder / ".mlinfra" / "passphrase"
    assert f"PULUMI_CONFIG_PASSPHRASE_FILE={passphrase}\n" in done.stdout
    assert passphrase.read_text() not in done.stdout + done.stderr
