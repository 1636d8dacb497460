"""mlinfra env: what plain `pulumi` needs to do the same."""

from __future__ import annotations

import shlex

from mlinfra_cli.options import EnvironmentName

EXAMPLES = (
    ('eval "$(mlinfra env dev)" && pulumi up -s dev', "the same program, by Pulumi's own command line"),
    ('eval "$(mlinfra env dev)" && pulumi stack export -s dev', "the state, secrets encrypted"),
)


def command(environment: EnvironmentName) -> None:
    """Print what plain pulumi needs to do what mlinfra does.

    Makes the environment's Pulumi stack where it is not there yet. No secret is printed: the passphrase is named by
    its file.
    """
    from mlinfra.operations.session import Session
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.results import write_text

    session = Session.open(Repository.find(), environment)
    stack = session.stack(render.note)
    stack.init()
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in sorted(stack.variables().items())]
    write_text("".join(lines))
