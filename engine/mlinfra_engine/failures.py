"""Why one way to an engine did not work."""

from __future__ import annotations


class WayFailed(Exception):
    """One way to install the engine did not work; its text says why, and the next way is tried."""
