"""mlinfra bootstrap: what must exist before the first up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mlinfra_cli.options import EnvironmentName

if TYPE_CHECKING:
    from mlinfra.operations.bootstrap import Survey

EXAMPLES = (
    ("mlinfra bootstrap prod", "shows what is there and what is not, and creates it after you said yes"),
    ("mlinfra bootstrap prod --yes", "for scripts: nothing is asked; a second one changes nothing"),
)
_WORDS = {
    "create": ("create", "new"),
    "made": ("made", "good"),
    "there": ("there", "good"),
    "missing": ("missing", "bad"),
    "unknown": ("unknown", "attention"),
}


def command(
    environment: EnvironmentName,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where nobody can answer.")] = False,
) -> None:
    """Create what must exist before the first up.

    The bucket of the state, the store of models, the key of secrets, the repository of images, and the identity of CI:
    under the names that the environment's file gives them. What is there already is left alone. Without credentials
    it shows what would be made, and makes nothing: exit code 3.
    """
    from mlinfra.operations.bootstrap import Standing, create, refuse_unknown, survey
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.progress import LiveProgress
    from mlinfra_cli.render import text

    repository = Repository.find()
    seen = survey(repository, environment, render.note)
    _show(seen)
    refuse_unknown(seen)
    if seen.due:
        if not yes:
            _confirm(environment)
        with LiveProgress() as progress:
            seen = create(seen, progress)
        done = render.counted(len(progress.touched), "resource")
        render.show(text((f"{environment} is ready for its first up", "good"), f": {done} made or changed"))
    elif seen.items:
        render.show(text(("everything is there", "good"), "; nothing was changed"))
    if seen.foundation.variables:
        render.show(text("variables of CI, which mlinfra ci reads (docs/pipelines.md):"))
        render.show(*(text(f"{name}={value}", indent=2) for name, value in seen.foundation.variables.items()))
    raise typer.Exit(1 if seen.of(Standing.MISSING) else 0)


def _show(seen: Survey) -> None:
    from mlinfra_cli import render
    from mlinfra_cli.render import text

    environment = seen.environment
    if not seen.items:
        render.show(text((environment.name, "name"), f": {environment.target} needs nothing before the first up"))
        return
    render.show(text((environment.name, "name"), f" on {environment.target} needs, before its first up:"))
    for item in seen.items:
        word, style = _WORDS[item.standing.value] if seen.unasked is None else ("needed", "attention")
        render.show(text((f"{word:8}", style), f" {item.thing.key}: ", (item.thing.name, "name")))
        render.show(text((item.thing.why, "quiet"), indent=9))
        if item.detail:
            render.show(text((item.detail, "attention"), indent=9))
        if item.resources and item.standing.value in ("create", "unknown"):
            render.show(text((", ".join(item.resources), "quiet"), indent=9))
    for key, why in seen.foundation.left_out.items():
        render.show(text((f"{'left out':8}", "attention"), f" {key}: {why}"))
    if seen.differences:
        counted = render.counted(seen.differences, "resource")
        render.show(text((f"of what was made, {counted} would be made otherwise today", "attention")))
    if seen.stale:
        render.show(text(("the last run was cut off, or something was removed by hand", "attention")))


def _confirm(environment: str) -> None:
    """Ask whether it may be made.

    Raises:
        WrongUse: no was said, or nobody can be asked.
    """
    from mlinfra.problems import WrongUse

    if not sys.stdin.isatty():
        raise WrongUse(
            "creating is confirmed by a person, and there is no terminal here; nothing was made",
            remedy=f"mlinfra bootstrap {environment} --yes",
        )
    if not typer.confirm("Create what is not there?", err=True):
        raise WrongUse("nothing was made", remedy=f"mlinfra bootstrap {environment} asks again")
