"""The packages that a command needs to read rows here: a target's own extra does not bring them."""

from __future__ import annotations

from importlib.util import find_spec

from mlinfra.problems import MlinfraError

ROWS = ("pandas", "pyarrow")
JOINS = ("feast", "duckdb")
CAPTURED = ("orjson", "pandas", "pyarrow", "scipy")


def need(what: str, *packages: str) -> None:
    """Check that packages are installed.

    Raises:
        MlinfraError: some are not; all of them are named.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MlinfraError(
            f"{what} needs packages that are not installed: {', '.join(missing)}",
            remedy="pip install 'mlinfra-toolkit[local]'",
        )
