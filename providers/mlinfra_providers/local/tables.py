"""Arrow tables as sources give them: the types that are kept, and the digest of their content.

Imports pyarrow: for workers, not for the command line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from mlinfra.digests import PREFIX
from mlinfra.problems import MlinfraError

if TYPE_CHECKING:
    import pandas as pd

TIME = pa.timestamp("us", tz="UTC")
"""Microseconds: DuckDB casts no nanosecond timestamps with a time zone."""

TYPES: Mapping[str, Any] = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "timestamp": TIME,
}


def type_name(kind: Any) -> str:
    """Return the name of a kept type, for people and for digests."""
    return next((name for name, known in TYPES.items() if known == kind), str(kind))


def from_frame(frame: pd.DataFrame) -> pa.Table:
    """Return a DataFrame as a table of kept types: the index goes, integers become int64, floats float64.

    Raises:
        MlinfraError: a column mixes types, or holds something else than numbers, booleans, text and times.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise MlinfraError(f"two columns have the name {', '.join(twice)}")
    columns = {}
    for position, name in enumerate(names):
        try:
            column = pa.Array.from_pandas(frame.iloc[:, position])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise MlinfraError(f"column {name!r} mixes types, or has one that Parquet lacks: {error}") from None
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        columns[name] = _kept(name, column)
    return pa.table(columns)


def _kept(name: str, column: Any) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _kept(name, column.dictionary_decode())
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return column
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise MlinfraError(
                f"column {name!r} holds times without a time zone",
                remedy=f"say which zone they are in: frame[{name!r}].dt.tz_localize('UTC')",
            )
        return _cast(name, column, TIME)
    if pa.types.is_integer(kind):
        return _cast(name, column, pa.int64())
    if pa.types.is_floating(kind):
        return _cast(name, column, pa.float64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _cast(name, column, pa.string())
    raise MlinfraError(
        f"column {name!r} holds {kind}", remedy="a source gives numbers, booleans, text and times with a zone"
    )


def _cast(name: str, column: Any, kind: Any) -> Any:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid as error:
        hint = f"frame[{name!r}].dt.floor('us')" if kind == TIME else ""
        raise MlinfraError(f"column {name!r} does not fit into {type_name(kind)}: {error}", remedy=hint) from None


def conform(column: Any, declared: str) -> Any:
    """Return a column as the declared type, or None where that would change what it says.

    Integers may become float64, floats without a fraction int64 (pandas writes integers with nulls as floats), and
    a column of nulls anything.
    """
    kind = TYPES[declared]
    numbers = (pa.int64(), pa.float64())
    if column.type != kind and not pa.types.is_null(column.type) and not {column.type, kind} <= set(numbers):
        return None
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return None


def digest_table(table: pa.Table) -> str:
    """Return the digest of a table's content: names, types and values in order.

    It does not depend on the Parquet writer, on chunks, on metadata, or on what lies in memory under a null.
    """
    running = hashlib.sha256()
    schema = [{"name": field.name, "type": type_name(field.type)} for field in table.schema]
    running.update(json.dumps([schema, table.num_rows]).encode())
    for name in table.column_names:
        for piece in _buffers(name, table.column(name).combine_chunks()):
            running.update(piece)
    return PREFIX + running.hexdigest()


def _buffers(name: str, column: Any) -> list[bytes]:
    import numpy as np

    if isinstance(column, pa.ChunkedArray):  # a table without rows has no chunks to combine
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    valid = np.packbits(pc.is_valid(column).to_numpy(zero_copy_only=False)).tobytes()
    kind = column.type
    if pa.types.is_null(kind):
        return [valid]
    if kind == pa.string():
        filled = pc.fill_null(column, "")
        lengths = pc.binary_length(filled).to_numpy(zero_copy_only=False).astype("<i8").tobytes()
        return [valid, lengths, "".join(filled.to_pylist()).encode()]
    if kind == pa.bool_():
        return [valid, np.packbits(pc.fill_null(column, False).to_numpy(zero_copy_only=False)).tobytes()]
    if kind == TIME:
        kind, column = pa.int64(), column.cast(pa.int64())
    if kind not in (pa.int64(), pa.float64()):
        raise MlinfraError(f"column {name!r} holds {kind}, which has no digest")
    values = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return [valid, values.astype(values.dtype.newbyteorder("<")).tobytes()]


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet, under a temporary name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    pq.write_table(table.replace_schema_metadata(None), partial, compression="zstd")
    partial.replace(path)


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file; times come back in microseconds.

    Raises:
        MlinfraError: the file is not there or no Parquet.
    """
    try:
        return pq.read_table(path)
    except FileNotFoundError:
        raise MlinfraError(f"{path}: no such Parquet file") from None
    except pa.ArrowInvalid as error:
        raise MlinfraError(f"{path}: not a Parquet file: {error}") from None
