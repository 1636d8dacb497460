"""What a pipeline says on its host: one comment of a pull request, one issue of an environment, each kept up to date.

    python3 -P -m mlinfra.pipelines.report comment FILE
    python3 -P -m mlinfra.pipelines.report issue FILE      closes the issue where FILE is empty

The job's variables tell the environment, the pull request and the host (docs/pipelines.md). A comment is a copy of the
summary, so that it fails nothing; an issue that could not be written does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mlinfra.git import GitRepository
from mlinfra.hosts import Host, host_of
from mlinfra.pipelines.issues import keep_issue
from mlinfra.problems import MlinfraError

_RUNS = ("GITHUB_RUN_ID", "CI_PIPELINE_ID")
_PULL_REQUESTS = ("PULL_REQUEST", "CI_MERGE_REQUEST_IID")


def comment(host: Host, variables: Mapping[str, str], text: str) -> str:
    """Keep the comment of an environment on the pull request; return what was done.

    Raises:
        HostError: the host did not do it.
    """
    number = next((int(variables[name]) for name in _PULL_REQUESTS if variables.get(name)), None)
    if number is None:
        return "there is no pull request"
    run = next((int(variables[name]) for name in _RUNS if variables.get(name)), 0)
    url = host.comment_sticky(number, f"plan/{variables['ENVIRONMENT']}", run, text)
    return url or "the token of this run may only read, as on the pull request of a fork: see its summary"


def main() -> int:
    """Return the exit code: 0, or 1 where an issue could not be written."""
    what, file = sys.argv[1:]
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        sys.stderr.write(f"{what}: nothing was written for it\n")
        return 0
    try:
        host = host_of(GitRepository.open(Path.cwd()), os.environ)
        if what == "comment":
            done = comment(host, os.environ, text)
        else:
            done = keep_issue(host, os.environ["ENVIRONMENT"], text)
    except MlinfraError as error:
        sys.stderr.write(f"{what}: {error.message}\n{f'  → {error.remedy}' if error.remedy else ''}\n")
        return 1 if what == "issue" else 0
    sys.stderr.write(f"{what}: {done}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
