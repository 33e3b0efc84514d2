"""A database that is full, or in other hands for too long: told by name, and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, func, select, text

from infra.database import Database, open_database
from infra.errors import Busy, StorageFull, Unavailable
from infra.ids import new_id
from infra.tables import Collection
from ingest.collections import ensure_collection


@contextmanager
def no_room(engine: Engine) -> Iterator[None]:
    """SQLite's own limit: within the block, the file cannot grow."""

    def limit(connection: object, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]

    event.listen(engine, "connect", limit)
    engine.dispose()
    try:
        yield
    finally:
        event.remove(engine, "connect", limit)
        engine.dispose()


def fill(database: Database, megabytes: int) -> None:
    with database.write() as session:
        row = ensure_collection(session, f"c{new_id('x')[-8:]}")
        row.description = "x" * megabytes * 2**20


def test_a_full_database_takes_nothing_and_goes_on_when_there_is_room(sqlite_database: Database) -> None:
    with no_room(sqlite_database.engine):
        with pytest.raises(StorageFull, match="no room left"):
            fill(sqlite_database, 2)
        with sqlite_database.read() as session:
            assert session.scalar(select(func.count()).select_from(Collection)) == 1
    fill(sqlite_database, 2)
    with sqlite_database.read() as session:
        assert session.scalar(select(func.count()).select_from(Collection)) == 2
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_a_writer_that_waits_too_long_is_told_so(database_url: str) -> None:
    holder, other = open_database(database_url), open_database(database_url, busy_timeout_s=0.1)
    try:
        with holder.write():
            with pytest.raises(Busy, match="busy with other work") as caught, other.write():
                pytest.fail("two writers at once")
            assert caught.value.code == "database_busy"
            assert caught.value.retry_after_s > 0
            with other.read() as session:  # readers do not wait for writers
                assert session.scalar(select(func.count()).select_from(Collection)) == 0
        with other.write() as session:
            ensure_collection(session, "default")
    finally:
        holder.close()
        other.close()


def test_opening_says_what_is_in_the_way(tmp_path: Path) -> None:
    holder = open_database(f"sqlite:///{tmp_path / 'one.db'}")
    with holder.write(), pytest.raises(Busy):
        open_database(f"sqlite:///{tmp_path / 'one.db'}", busy_timeout_s=0.1)
    holder.close()
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(Unavailable, match="cannot be opened: unable to open database file"):
        open_database(f"sqlite:///{tmp_path / 'folder.db'}")
