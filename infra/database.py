"""The database: SQLite in WAL mode by default, PostgreSQL in production; the rest of the code does not tell them apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from infra.database_error import database_error
from infra.errors import Busy, SettingsError, StorageFull, Unavailable

# Any constant: it names the lock under which all writers of one database take turns.
_WRITER_LOCK = 0x0F007507
# How long a writer waits for its turn: longer than storing the largest document takes.
BUSY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Database:
    """An open database. ``read()`` sees one snapshot; ``write()`` is one transaction, and writers take turns.

    Both raise ``StorageFull`` if there is no room left, ``Busy`` if it is another's turn for too long, and ``Unavailable`` if the
    database does not answer. A write that raised one of the first two has changed nothing; after the third that is not known.
    """

    engine: Engine
    _readers: sessionmaker[Session]
    _writers: sessionmaker[Session]
    _busy_timeout_ms: int

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one snapshot of the database and changes nothing."""
        with _told_apart(), self._readers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Writers are serialised, so that change numbers become visible in their order and a check made inside holds until the
        commit.
        """
        with _told_apart(), self._writers.begin() as session:
            session.connection()  # begins the transaction, and so takes SQLite's lock, now and not at the first statement
            if self.engine.dialect.name == "postgresql":
                session.execute(text(f"SET LOCAL lock_timeout = {self._busy_timeout_ms}"))
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITER_LOCK})
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _told_apart() -> Iterator[None]:
    """What a caller must be told of the database's errors, as our own; the others, which are defects, as they are."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        told = database_error(error)
        if told is None:
            raise
        raise told from error


def open_database(url: str, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Database:
    """Open the database at ``url`` and bring its tables up to date; a writer waits ``busy_timeout_s`` for its turn.

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
    timeout_ms = round(busy_timeout_s * 1000)
    if sqlite:
        event.listen(engine, "connect", partial(_prepare_sqlite, timeout_ms))
        event.listen(engine, "begin", _begin_sqlite)
    readers = engine if sqlite else engine.execution_options(isolation_level="REPEATABLE READ")
    database = Database(
        engine=engine,
        _readers=sessionmaker(readers, expire_on_commit=False),
        _writers=sessionmaker(engine.execution_options(footnote_write=True), expire_on_commit=False),
        _busy_timeout_ms=timeout_ms,
    )
    try:
        migrate(database)
    except (Busy, StorageFull):
        engine.dispose()
        raise
    except (OperationalError, Unavailable) as failure:
        engine.dispose()
        cause = failure.__cause__ if isinstance(failure, Unavailable) else failure
        reason = cause.orig if isinstance(cause, DBAPIError) else cause
        raise Unavailable(
            f"The database at {parsed.render_as_string(hide_password=True)} cannot be opened: {reason}".strip(),
            code="database_unavailable",
        ) from failure
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


def _prepare_sqlite(busy_timeout_ms: int, connection: sqlite3.Connection, _record: Any) -> None:
    # SQLAlchemy's "begin" event below starts transactions; the driver must not start its own.
    connection.isolation_level = None
    # The waiting time first: switching to WAL may have to wait too.
    pragmas = (f"busy_timeout={busy_timeout_ms}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: a later upgrade of a reader fails with "database is locked".
    write = connection.get_execution_options().get("footnote_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
