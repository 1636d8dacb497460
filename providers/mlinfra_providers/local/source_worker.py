"""The process that runs a user's source function: `python -m mlinfra_providers.local.source_worker`.

A process of its own, with the stack's folder as its working directory and first on the module path, so that the
function can import its neighbours, and can neither see nor break anything of mlinfra's.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from mlinfra.problems import MlinfraError, nearest
from mlinfra_providers.local.sources import Columns
from mlinfra_providers.local.tables import conform, digest_table, from_frame, type_name, write_table
from mlinfra_providers.local.workers import serve


def read(source: str, path: str, columns: Mapping[str, Any] | None) -> dict[str, Any]:
    """Run `source`, check its rows, write them to `path`, and describe them.

    Raises:
        MlinfraError: see `mlinfra_providers.local.sources.snapshot`.
    """
    file, _, name = source.partition(":")
    frame = _call(_function(file, name), source)
    if not isinstance(frame, pd.DataFrame):
        raise MlinfraError(f"{source} returned {type(frame).__name__}, expected a pandas DataFrame")
    if frame.empty:
        raise MlinfraError(f"{source} returned no rows")
    try:
        table = from_frame(frame)
        if columns is not None:
            table = _checked(table, Columns(**columns))
    except MlinfraError as error:
        raise MlinfraError(f"{source}: {error.message}", remedy=error.remedy) from None
    write_table(table, Path(path))
    return {
        "digest": digest_table(table),
        "rows": table.num_rows,
        "columns": [[field.name, type_name(field.type)] for field in table.schema],
    }


def _function(file: str, name: str) -> Callable[[], Any]:
    path = Path(file).resolve()
    if not path.is_file():
        near = nearest(file, [str(other) for other in Path().rglob("*.py")])
        raise MlinfraError(f"{file}: no such file in {Path.cwd()}", remedy=f"did you mean {near!r}?" if near else "")
    sys.path[0:0] = list(dict.fromkeys([str(path.parent), str(Path.cwd())]))
    name_of_module = path.stem if path.stem not in sys.modules else f"source_{path.stem}"
    specification = importlib.util.spec_from_file_location(name_of_module, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name_of_module] = module
    loader = specification.loader
    _call(lambda: loader.exec_module(module), file)
    function = getattr(module, name, None)
    if not callable(function):
        near = nearest(name, [known for known, value in vars(module).items() if callable(value)])
        raise MlinfraError(f"{file} has no function {name!r}", remedy=f"did you mean {near!r}?" if near else "")
    found: Callable[[], Any] = function
    return found


def _call(function: Callable[[], Any], what: str) -> Any:
    """Call the user's code; what it raises is told with the place in the user's own files."""
    try:
        return function()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        traceback.print_exc()
        own = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).is_relative_to(Path.cwd())
        ]
        where = f"{Path(own[-1].filename).relative_to(Path.cwd())}:{own[-1].lineno}: " if own else ""
        code = f"\n    {own[-1].line}" if own and own[-1].line else ""
        raise MlinfraError(f"{what} raised {type(error).__name__}\n  {where}{error}{code}") from None


def _checked(table: pa.Table, columns: Columns) -> pa.Table:
    """Return the declared columns in their declared types; all that is wrong with them is said at once."""
    wrong, kept = [], {}
    for name, declared in columns.types().items():
        if name not in table.column_names:
            near = nearest(name, table.column_names)
            wrong.append(f"column {name!r} is missing" + (f" (did you mean {near!r}?)" if near else ""))
            continue
        found = table.column(name).combine_chunks()
        column = conform(found, declared)
        if column is None:
            wrong.append(f"column {name!r} holds {type_name(found.type)}, declared is {declared}")
            continue
        kept[name] = column
        if name in (columns.entity, columns.event_time) and column.null_count:
            wrong.append(f"column {name!r} has {column.null_count} nulls: every row needs an entity and a time")
    if wrong:
        remedy = f"it returned: {', '.join(table.column_names)}"
        raise MlinfraError("; ".join(wrong), remedy=remedy)
    result = pa.table(kept)
    _check_unique(result, columns)
    return result


def _check_unique(table: pa.Table, columns: Columns) -> None:
    """Refuse two rows of one entity at one time: which of them a join would see is chance."""
    keys = [columns.entity, columns.event_time]
    counts = table.group_by(keys).aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts["count_all"], 1))
    if several.num_rows:
        first = several.slice(0, 1).to_pylist()[0]
        raise MlinfraError(
            f"{several.num_rows} pairs of {columns.entity} and {columns.event_time} occur more than once, "
            f"for example {first[columns.entity]!r} at {first[columns.event_time].isoformat()}",
            remedy=f"one row for each: frame.drop_duplicates([{columns.entity!r}, {columns.event_time!r}])",
        )


if __name__ == "__main__":
    serve({"read": read})
