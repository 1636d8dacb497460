"""What Envoy's access log and the captured requests say of an endpoint's releases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mlinfra.adapters import ResolvedPart
from mlinfra.rollout.samples import NoData, Samples
from mlinfra_providers.local.layout import Layout


def samples(layout: Layout, part: ResolvedPart, since: datetime, until: datetime) -> Samples | NoData:
    """Return what was measured of an endpoint's releases in a window."""
    return NoData("this target measures nothing yet")


def add_labels(layout: Layout, endpoint: str, labels: Mapping[str, float]) -> int:
    """Keep what was true in the end, by request id; return how many were not known before."""
    raise NotImplementedError
