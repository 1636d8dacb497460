"""mlinfra predict: ask an endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from mlinfra_cli.completion import part_names
from mlinfra_cli.options import AsJson, EnvironmentName

EXAMPLES = (
    ("""mlinfra predict dev '{"temp": 39.0, "origin": "JFK"}'""", "one row; what is left out is a missing value"),
    ("mlinfra predict dev --endpoint flight-delay @rows.csv", "a file: CSV with a header, or a JSON array"),
    ("head -5 rows.csv | mlinfra predict dev --json", "stdin, and JSON for programs"),
)


def command(
    environment: EnvironmentName,
    row: Annotated[
        str | None, typer.Argument(metavar="ROW", help="JSON, CSV with a header, @FILE; else stdin.")
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Needed where there are several.", autocompletion=part_names("endpoints")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask an endpoint, and say which release answered.

    ROW is a JSON object, a JSON array of objects, or CSV with a header.
    """
    from mlinfra.operations.predict import predict
    from mlinfra.repository import Repository
    from mlinfra_cli import render
    from mlinfra_cli.results import write_json
    from mlinfra_cli.rows import read_rows

    repository = Repository.find()
    repository.check_name(environment)
    answer = predict(repository, environment, read_rows(row), endpoint=endpoint and endpoint.removeprefix("endpoints."))
    if answer.unknown:
        render.note(("not sent: ", "attention"), f"the model has no input {', '.join(answer.unknown)}")
    if as_json:
        write_json(
            {
                "version": 1,
                "environment": environment,
                "endpoint": answer.endpoint,
                "release": answer.release,
                "request_id": answer.request_id,
                "milliseconds": round(answer.milliseconds, 3),
                "predictions": list(answer.predictions),
            }
        )
        return
    for prediction in answer.predictions:
        render.show(render.text(str(prediction)))
    line = f"release {answer.release} of {answer.endpoint} answered in {answer.milliseconds:.1f} ms"
    render.show(render.text((line, "quiet")))
