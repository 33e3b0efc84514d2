"""Processes that share one index: two write, one switches generations, one reads, and no search errs.

A run in full: ``pytest tests/acceptance/test_index_processes.py --switches 1000 -s``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeWriter
from index_process import COLLECTION, EDIT, LASTING, WRITERS, document, encoder, ingestion, names, put
from journals import Known, Tail
from sqlalchemy import select

from infra.database import Database
from infra.tables import Document
from ingest.collections import get_collection
from ingest.commit import delete_document
from retrieval.access import EVERYTHING
from retrieval.engine import Engine
from retrieval.index import Index
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections
from retrieval.verify.verifier import DeterministicVerifier

SEED = 20260702
PROGRAM = Path(__file__).parents[1] / "index_process.py"
PATIENCE_S = 3600


def start(role: str, **arguments: object) -> subprocess.Popen[str]:
    root = str(PROGRAM.parents[1])
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), role, json.dumps(arguments)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What a process has printed, once it has ended well."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return out


def chunks_of_a_document(database: Database) -> int:
    """How many chunks each of the documents has: as many, whatever its name and edit."""
    counts = set()
    for name, edit in (("w0-0", 1), ("w1-11", 999_999)):
        put(ingestion(database), document(name, edit))
        with database.read() as session:
            counts |= set(session.scalars(select(Document.chunk_count)))
        with database.write() as session:
            delete_document(session, get_collection(session, COLLECTION), name)
    (count,) = counts
    return count


@pytest.mark.timeout(PATIENCE_S)
def test_readers_through_promotions_rollbacks_and_merges(
    database: Database, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    switches = request.config.getoption("switches") // (1 if database_url.startswith("sqlite") else 4)
    chunks = chunks_of_a_document(database)
    assert chunks > 1
    journals, index = tmp_path / "journals", tmp_path / "index"
    journals.mkdir()
    shared: dict[str, Any] = {"url": database_url, "folder": str(journals)}
    writers = [start("write", **shared, writer=n, seed=SEED + n) for n in range(WRITERS)]
    reader = start("read", **shared, index=str(index), chunks=chunks)
    switcher = start("switch", **shared, index=str(index), switches=switches, seed=SEED)
    processes = [switcher, reader, *writers]
    try:
        while switcher.poll() is None and not (journals / "failed").exists():
            time.sleep(0.05)
        (journals / "stop").touch()
        # The first that failed says why; the others only that they were let down.
        told = [ended(process) for process in [reader, *writers, switcher]]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    searches, counts = json.loads(told[0]), json.loads(told[-1])
    print(searches, counts)
    assert sum(counts.values()) == switches
    assert searches["searches"] >= switches
    assert searches["generations"] > 1
    known = Known([Tail(journals / f"writer-{n}") for n in range(WRITERS)])
    known.look()
    last = {name: edits[-1] for name, edits in known.begun.items()}
    assert {name for n in range(WRITERS) for name in names(n)[:LASTING]} <= last.keys()
    answers = []
    for views in (Index(database, encoder(), index), Index(database, encoder())):
        engine = Engine(database, encoder(), views, FakeWriter(), DeterministicVerifier())
        asked = SearchQuery("rule of wagons", mode="dense", top_k=200, collapse=False)
        passages = search(engine, asked, EVERYTHING).passages
        found = {passage.document.external_id: int(EDIT.findall(passage.text)[0]) for passage in passages}
        assert found == {name: edit for name, edit in last.items() if edit is not None}
        answers.append({passage.chunk_id: pytest.approx(passage.scores.dense, abs=1e-5) for passage in passages})
        assert check_integrity(database, views).ok
        with database.read() as session:
            assert views.current(find_collections(session, [COLLECTION]))[0].documents == len(found)
    assert answers[0] == answers[1]
