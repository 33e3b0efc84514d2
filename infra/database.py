"""The database: SQLite in WAL mode by default, PostgreSQL in production; the rest of the code does not tell them apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from infra.errors import SettingsError, Unavailable

# Any constant: it names the lock under which all writers of one database take turns.
_WRITER_LOCK = 0x0F007507


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. ``read()`` sees one snapshot; ``write()`` is one transaction, and writers take turns."""

    engine: Engine
    _readers: sessionmaker[Session]
    _writers: sessionmaker[Session]

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot of the database and changes nothing."""
        with self._readers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Writers are serialised, so that change numbers become visible in their order and a check made inside holds until the
        commit.
        """
        with self._writers.begin() as session:
            session.connection()  # begins the transaction, and so takes SQLite's lock, now and not at the first statement
            if self.engine.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open the database at ``url`` and bring its tables up to date.

    Raises ``SettingsError`` if the driver is not installed and ``Unavailable`` if the server does not answer.
    """
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    try:
        engine = create_engine(url, pool_pre_ping=not sqlite, pool_size=16, max_overflow=32)
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"FOOTNOTE_DATABASE_URL names PostgreSQL, whose driver {error.name} is not installed: "
            "install footnote[postgres]."
        ) from None
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    readers = engine if sqlite else engine.execution_options(isolation_level="REPEATABLE READ")
    database = Database(
        engine=engine,
        _readers=sessionmaker(readers, expire_on_commit=False),
        _writers=sessionmaker(engine.execution_options(footnote_write=True), expire_on_commit=False),
    )
    try:
        migrate(database)
    except OperationalError as error:
        engine.dispose()
        raise Unavailable(
            f"The database at {parsed.render_as_string(hide_password=True)} cannot be opened: {error.orig}".strip(),
            code="database_unavailable",
        ) from error
    return database


def migrate(database: Database) -> None:
    """Bring the tables to the newest revision, in one transaction; several processes may try at once."""
    with database.write() as session:
        command.upgrade(alembic_config(session.connection()), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, bound to a connection of ours instead of a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    # SQLAlchemy's "begin" event below starts transactions; the driver must not start its own.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=60000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: a later upgrade of a reader fails with "database is locked".
    write = connection.get_execution_options().get("footnote_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
