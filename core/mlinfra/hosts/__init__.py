"""Pull requests, comments and statuses on the host of a git remote, behind one protocol."""

from __future__ import annotations

from mlinfra.hosts.detect import host_of
from mlinfra.hosts.host import Host, HostError, NoPullRequests, PullRequest, State, StatusState

__all__ = ["Host", "HostError", "NoPullRequests", "PullRequest", "State", "StatusState", "host_of"]
