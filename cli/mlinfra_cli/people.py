"""Who is at the keyboard."""

from __future__ import annotations

import getpass
import subprocess
from pathlib import Path


def who(folder: Path) -> str:
    """Return the e-mail address that git knows here, else the name of the user."""
    try:
        done = subprocess.run(
            ["git", "config", "user.email"], cwd=folder, capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return getpass.getuser()
    return done.stdout.strip() or getpass.getuser()
