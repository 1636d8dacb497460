"""mlinfra resume: let automation go on in an environment."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (("mlinfra resume prod --reason 'the cause is found'", "promotions and rollouts may go on"),)


def command(
    environment: EnvironmentName,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in git.")],
    direct: Annotated[bool, typer.Option("--direct", help="Commit the lock, without a pull request.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let promotions and rollouts go on here.

    The lock says so; who resumed and why is in its history.
    """
    from mlinfra.operations.hold import hold
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.people import who
    from mlinfra_cli.render import text
    from mlinfra_cli.results import write_json

    repository = Repository.find()
    done = hold(repository, environment, reason=reason, owner=who(repository.root), direct=direct, on=False)
    if as_json:
        write_json({"version": 1, "environment": environment, "lock": done.to_json()})
    else:
        where = f": {done.url or done.commit}" if done.url or done.commit else ""
        render.show(text(("lock ", "quiet"), f"{done.how}{where}"))
