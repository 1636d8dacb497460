"""What the lab's plugin and the emulated project both name; no client of Google's is imported for it."""

from __future__ import annotations

NUMBER = "123456789012"
"""The number of the lab's project."""
PLUGIN = "x-lab-plugin"
"""The lab's own plugin asks: real providers try again, so no fault concerns it."""
THINGS = "/lab/things/"
"""Where resources are kept that have no API of their own here."""
