"""The commands, one file each. Nothing here imports more than Typer, so that `mlinfra --help` is quick."""

from __future__ import annotations

from types import ModuleType
from typing import Annotated

import typer

from mlinfra_cli.commands import (
    bootstrap,
    check,
    ci,
    cost,
    diff,
    doctor,
    down,
    drift,
    env,
    evidence,
    history,
    hold,
    init,
    labels,
    logs,
    plan,
    predict,
    prices,
    promote,
    releases,
    resume,
    rollback,
    rollout,
    rules,
    schema,
    show,
    sign,
    status,
    targets,
    tick,
    train,
    up,
    verify,
)
from mlinfra_cli.failures import guarded

HELP = """Declare an ML platform once; plan it, make it real, watch it.

ENV names an environment: a file environments/ENV.yaml of the repository that you are in.
"""

EPILOG = """
\b
Exit codes:
  0    fine
  1    failed, or found bad (a drift, an endpoint that does not serve what is wanted)
  2    wrong use: an argument, a file that was written wrongly
  3    refused by a plan, a policy or a target; nothing was changed
  4    waiting, or no data yet; nothing is wrong
  130  interrupted; the same command goes on from there

\b
A first look:
  mlinfra init my-platform && cd my-platform
  mlinfra plan dev
  mlinfra up dev
"""

_MODULES = {
    "init": init,
    "bootstrap": bootstrap,
    "plan": plan,
    "check": check,
    "cost": cost,
    "up": up,
    "train": train,
    "promote": promote,
    "status": status,
    "tick": tick,
    "rollback": rollback,
    "hold": hold,
    "resume": resume,
    "verify": verify,
    "history": history,
    "releases": releases,
    "show": show,
    "sign": sign,
    "diff": diff,
    "evidence": evidence,
    "predict": predict,
    "drift": drift,
    "logs": logs,
    "down": down,
    "doctor": doctor,
    "targets": targets,
    "rules": rules,
    "ci": ci,
    "env": env,
    "schema": schema,
}
_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mlinfra {version('mlinfra-toolkit')}")
        raise typer.Exit


def _examples(module: ModuleType) -> str:
    lines: tuple[tuple[str, str], ...] = module.EXAMPLES
    return "\b\nExamples:\n" + "".join(f"  {line}\n      {what}\n" for line, what in lines)


app = typer.Typer(
    name="mlinfra",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings=_CONTEXT,
    rich_markup_mode=None,  # Typer would import rich for every --help
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for _name, _module in _MODULES.items():
    app.command(_name, epilog=_examples(_module), context_settings=_CONTEXT)(guarded(_name, _module.command))

_rollout = typer.Typer(
    help="What a person decides of a rollout that is under way.",
    no_args_is_help=True,
    context_settings=_CONTEXT,
    rich_markup_mode=None,
)
for _decision in (rollout.pause, rollout.resume, rollout.approve, rollout.finish):
    _name = _decision.__name__
    _rollout.command(_name, epilog=_examples(rollout), context_settings=_CONTEXT)(
        guarded(f"rollout {_name}", _decision)
    )
app.add_typer(_rollout, name="rollout")

_prices = typer.Typer(
    help="The list prices that estimates are made of.",
    no_args_is_help=True,
    context_settings=_CONTEXT,
    rich_markup_mode=None,
)
_prices.callback()(lambda: None)
_prices.command("update", epilog=_examples(prices), context_settings=_CONTEXT)(guarded("prices update", prices.command))
app.add_typer(_prices, name="prices")

_labels = typer.Typer(
    help="What was true in the end, for gates on quality.",
    no_args_is_help=True,
    context_settings=_CONTEXT,
    rich_markup_mode=None,
)
_labels.callback()(lambda: None)
_labels.command("add", epilog=_examples(labels), context_settings=_CONTEXT)(guarded("labels add", labels.command))
app.add_typer(_labels, name="labels")
