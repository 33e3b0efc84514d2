"""Processes that share one index: writers, one that builds and switches generations, and a reader that checks all it finds.

Run as a program: ``python index_process.py ROLE ARGUMENTS``, the arguments as JSON. Each notes in its journal what it is about to
commit and what it has committed, so a reader knows what a search must find that began after the one and ended before the other.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parent))
from fakes import FakeWriter, fake_parse
from journals import Journal, Known, Tail

from infra.database import Database, open_database
from infra.errors import NotFound
from ingest.collections import get_collection
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import Ingestion, ingest_batch
from retrieval.access import EVERYTHING, Access
from retrieval.dense.report import RecallTarget
from retrieval.encoders.encoder import HashingEncoder
from retrieval.engine import Engine
from retrieval.generations.indexing import IndexFiles, build, merge
from retrieval.generations.states import folder_of, generations
from retrieval.generations.switch import drop, promote, rollback
from retrieval.index import Index
from retrieval.search import SearchQuery, search
from retrieval.store import latest_seq
from retrieval.verify.verifier import DeterministicVerifier

COLLECTION = "default"
# Each writer's documents: so many that are always there, and so many that come and go.
LASTING, PASSING = 8, 4
WRITERS = 2
MODES = ("hybrid", "dense", "lexical")
EDIT = re.compile(r"edit (\d{6})")
LONGEST_WAIT_S = 120.0
_KEPT = 4
_PAUSE_S = 0.01


def encoder() -> HashingEncoder:
    """The encoder of all of them; its small window cuts each document into several chunks."""
    return HashingEncoder(max_tokens=24)


def ingestion(database: Database) -> Ingestion:
    """The product's ingestion into ``database``."""
    return Ingestion(database, encoder(), fake_parse)


def names(writer: int) -> list[str]:
    """The documents of a writer; the last ones come and go."""
    return [f"w{writer}-{n}" for n in range(LASTING + PASSING)]


def lasts(name: str) -> bool:
    """Whether a document is never deleted."""
    return int(name.split("-")[1]) < LASTING


def is_secret(name: str) -> bool:
    """Whether only its group may read a document."""
    return int(name.split("-")[1]) % 3 == 0


def document(name: str, edit: int) -> DocumentInput:
    """A document at one of its edits: each chunk names both, and the last section is that of all documents."""
    parts = [f"## Part {n}\n\nRule {n} of {name} by edit {edit:06} speaks of wagons and of depots." for n in range(2)]
    attributes = Attributes(
        title=name, metadata={"writer": int(name[1])}, allowed_groups=["board"] if is_secret(name) else None
    )
    return DocumentInput(name, text="\n\n".join(parts), attributes=attributes)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    database = open_database(url)
    yield database
    database.close()


def write(url: str, folder: str, writer: int, seed: int) -> None:
    """Add, replace and delete the writer's documents, one after another, until told to stop."""
    there, chance = Path(folder), random.Random(seed)
    journal = Journal(there / f"writer-{writer}")
    present: set[str] = set()
    with opened(url) as database:
        into = ingestion(database)
        for edit in itertools.count(1):
            name = names(writer)[edit - 1] if edit <= LASTING else chance.choice(names(writer))
            if name in present and not lasts(name) and chance.random() < 0.5:
                journal.note("begin", name, None, 0)
                with database.write() as session:
                    receipt = delete_document(session, get_collection(session, COLLECTION), name)
                journal.note("done", name, None, receipt["seq"])
                present.remove(name)
            else:
                journal.note("begin", name, edit, 0)
                journal.note("done", name, edit, put(into, document(name, edit)))
                present.add(name)
            if (there / "stop").exists():
                return
            # As fast as may be, the writers would only wait for each other's transactions.
            time.sleep(_PAUSE_S)


def put(into: Ingestion, item: DocumentInput) -> int:
    """Store a document, and give the number of that change."""
    seqs: list[int] = []

    def note(session: Session, _results: object) -> None:
        session.flush()
        seqs.append(latest_seq(session, get_collection(session, COLLECTION).id))

    (result,) = ingest_batch(into, COLLECTION, [item], on_commit=note)
    assert result.code is None, result.detail
    return seqs[-1]


def switch(url: str, folder: str, index: str, switches: int, seed: int) -> None:
    """Promote, roll back and merge, ``switches`` times in all, each after a search that was made since the last one."""
    there, chance = Path(folder), random.Random(seed)
    journal, searches = Journal(there / "switcher"), Tail(there / "reader")
    counts: Counter[str] = Counter()
    with opened(url) as database:
        files = IndexFiles(database, encoder(), Path(index))
        while counts.total() < switches:
            kind = chance.choices(["promote", "rollback", "merge", "build"], [4, 3, 2, 1])[0]
            if kind == "merge":
                assert merge(files, COLLECTION) is not None
            elif kind == "build":
                build(files, COLLECTION, RecallTarget(), live=True)
            elif not _switch(database, kind, chance):
                continue
            counts[kind] += 1
            with database.read() as session:
                seq = latest_seq(session, get_collection(session, COLLECTION).id)
            journal.note("switched", kind, None, seq)
            _drop_the_oldest(files)
            _wait_for(lambda seq=seq: any(found >= seq for _, _, found in searches.lines()), there)
    print(json.dumps(counts))


def _switch(database: Database, kind: str, chance: random.Random) -> bool:
    with database.write() as session:
        collection = get_collection(session, COLLECTION)
        if kind == "rollback":
            try:
                rollback(session, collection)
            except NotFound:
                return False
            return True
        others = [row.number for row in generations(session, collection) if row.state in ("ready", "retired")]
        if others:
            promote(session, collection, chance.choice(others))
        return bool(others)


def _drop_the_oldest(files: IndexFiles) -> None:
    with files.database.write() as session:
        collection = get_collection(session, COLLECTION)
        rows = [row for row in generations(session, collection) if row.state != "live"]
        if len(rows) < _KEPT:
            return
        row = drop(session, collection, rows[-1].number)
        gone = folder_of(files.folder, collection.id, row.number, row.revision)
    shutil.rmtree(gone, ignore_errors=True)


def _wait_for(condition: Callable[[], bool], folder: Path) -> None:
    end = time.monotonic() + LONGEST_WAIT_S
    while not condition():
        assert not (folder / "failed").exists(), "another process has failed"
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def read(url: str, folder: str, index: str, chunks: int) -> None:
    """Search until told to stop; each answer must hold what was committed before it, once, and nothing that it replaced."""
    there = Path(folder)
    journal = Journal(there / "reader")
    known = Known([Tail(there / name) for name in ("writer-0", "writer-1", "switcher")])
    seen: Counter[int] = Counter()
    with opened(url) as database:
        engine = Engine(
            database,
            encoder(),
            Index(database, encoder(), Path(index)),
            FakeWriter(),
            DeterministicVerifier(),
        )
        questions = itertools.cycle(itertools.product(MODES, (EVERYTHING, Access(frozenset({"staff"}))), (None, 0, 1)))
        while not (there / "stop").exists():
            mode, access, writer = next(questions)
            known.look()
            before, seq = dict(known.done), known.seq
            filter_ = None if writer is None else {"writer": writer}
            asked = SearchQuery("rule of wagons", mode=mode, filter=filter_, top_k=200, collapse=False)
            result = search(engine, asked, access)
            known.look()
            assert result.index.seq >= seq, "a commit that was finished before is not seen"
            found: dict[str, list[int]] = {}
            for passage in result.passages:
                (edit,) = EDIT.findall(passage.text)
                found.setdefault(passage.document.external_id, []).append(int(edit))
            assert len({passage.chunk_id for passage in result.passages}) == len(result.passages)
            _check(known, before, found, chunks, access, writer)
            seen[result.index.generation] += 1
            journal.note("searched", result.index.generation, result.index.seq)
    print(json.dumps({"searches": seen.total(), "generations": len(seen)}))


def _check(
    known: Known,
    before: dict[str, int],
    found: dict[str, list[int]],
    chunks: int,
    access: Access,
    writer: int | None,
) -> None:
    for name in {*known.begun, *found}:
        edits = found.get(name, [])
        if (access is not EVERYTHING and is_secret(name)) or writer not in (None, int(name[1])):
            assert not edits, f"{name} was not to be found"
            continue
        # What was committed before the search, and whatever may have been since.
        at = before.get(name, 0)
        history = [None, *known.begun[name]][at:]
        assert len(set(edits)) <= 1, f"{name} is there in several versions: {edits}"
        assert (edits[0] if edits else None) in history, f"{name} is at {edits} and should be one of {history}"
        assert len(edits) in (0, chunks), f"{name} is there with {len(edits)} of {chunks} chunks"


def main() -> None:
    """Play the role; whoever fails says so to the others."""
    role, arguments = sys.argv[1], json.loads(sys.argv[2])
    roles: dict[str, Callable[..., None]] = {"write": write, "switch": switch, "read": read}
    try:
        roles[role](**arguments)
    except BaseException:
        (Path(arguments["folder"]) / "failed").touch()
        raise


if __name__ == "__main__":
    main()
