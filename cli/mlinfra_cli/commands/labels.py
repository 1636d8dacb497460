"""mlinfra labels: what was true in the end."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import part_names
from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (
    ("mlinfra labels add dev labels.csv", "a file with the columns request_id and label"),
    ("mlinfra labels add prod --endpoint flight-delay arrived.parquet", "of one endpoint of several"),
    ("head -100 arrived.jsonl | mlinfra labels add dev - --json", "stdin, and JSON for programs"),
)


def command(
    environment: EnvironmentName,
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV with a header, JSON lines or Parquet; - is stdin.")],
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Needed where there are several.", autocompletion=part_names("endpoints")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell an endpoint what was true in the end, by the id of the request.

    Gates on quality compare it with what was predicted. Of two labels for one request the last one counts. Where
    anything is wrong with the file, nothing of it is kept.
    """
    from mlinfra.operations.labels import add_labels
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.results import write_json

    repository = Repository.find()
    repository.check_name(environment)
    added = add_labels(repository, environment, file, endpoint=endpoint and endpoint.removeprefix("endpoints."))
    if as_json:
        write_json(added.to_json())
        return
    known = added.labels - added.new
    render.show(
        render.text((added.endpoint, "name"), f": {added.labels:,} labels, {added.new:,} of them new"),
        *([render.text((f"{known:,} of the requests had one before: the last one counts", "quiet"))] if known else []),
    )
