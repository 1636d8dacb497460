"""Arguments and options that several commands share, and what a shell completes them with."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import environment_names

EnvironmentName = Annotated[
    str,
    typer.Argument(metavar="ENV", help="The environment's name.", autocompletion=environment_names),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON alone on stdout; docs/json.md describes it.")]
