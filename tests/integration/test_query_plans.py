"""No statement of a search, a commit or a deletion reads a table from end to end: they cost the same in a large collection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeEncoder, fake_engine, fake_ingestion
from sqlalchemy import event

from infra.database import Database, open_database
from ingest.collections import create_collection, get_collection
from ingest.commit import delete_document
from ingest.document import DocumentInput
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING
from retrieval.search import SearchQuery, search

# Few rows, however large the collection is.
SMALL = {"collections", "generations"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path}/plans.db")
    with opened.write() as session:
        create_collection(session, "default")
    yield opened
    opened.close()


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database meanwhile."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def scanned(database: Database, seen: list[tuple[str, Any]]) -> set[str]:
    """The tables that these statements read from end to end."""
    found = set()
    with database.engine.connect() as connection:
        for statement, parameters in seen:
            if statement.split(maxsplit=1)[0] not in ("SELECT", "DELETE", "UPDATE"):
                continue
            given = parameters[0] if isinstance(parameters, list) else parameters
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all()
            found |= {row[3].split()[1] for row in plan if row[3].startswith("SCAN ")}
    return found - {"CONSTANT"}


def put(database: Database, text: str) -> None:
    ingest_batch(fake_ingestion(database, FakeEncoder()), "default", [DocumentInput("a.md", text=text)])


def test_storing_replacing_and_deleting_read_no_table_from_end_to_end(database: Database) -> None:
    with statements(database) as seen:
        put(database, "# Parking\n\nVisitors park in bay Zeta-7.\n")
        put(database, "# Parking\n\nVisitors park in bay Eta-9.\n")
        with database.write() as session:
            delete_document(session, get_collection(session, "default"), "a.md")
    assert sum(statement.startswith("DELETE FROM vectors") for statement, _ in seen) == 2
    assert scanned(database, seen) <= SMALL


def test_searching_reads_no_table_from_end_to_end_nor_the_change_log(database: Database) -> None:
    put(database, "# Parking\n\nVisitors park in bay Zeta-7.\n")
    engine = fake_engine(database, FakeEncoder())
    query = SearchQuery("where do visitors park", ["default"])
    assert search(engine, query, EVERYTHING).passages
    with statements(database) as seen:
        search(engine, query, EVERYTHING)
    assert scanned(database, seen) <= SMALL
    assert not [statement for statement, _ in seen if "changes" in statement and "GROUP BY" in statement]
