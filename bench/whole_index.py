"""The whole index at its size: a large collection in a real database, its files built, opened, searched, changed and merged.

    python -m bench.whole_index [--data FOLDER] [--chunks 100000] [--queries 100] [--work FOLDER] [--out FILE] [--only PHASE…]
        [--stages 100 1000] [--no-merge]

The collection is made up (``bench/whole_collection.py``) and filled into SQLite; ``--data`` names the folder whose texts the
vectors' statistics are taken from beside the sample company's. Everything else is the product's own path, in phases, each in a
fresh process: ``build`` is ``footnote index build --promote`` (``retrieval.generations.indexing.build``) by step; ``start`` opens
the index with an encoder that gives ready-made vectors and makes the first search, three times with the files in no cache and
three times with them there, and then two processes hold it at once; ``searches`` (``bench/whole_searches.py``) measures searches
under filters, their recall, and FAISS itself; ``changes`` (``bench/whole_changes.py``) stores and deletes documents, searches
beside them, and merges.

``s`` and ``ms`` are by the clock, ``cpu`` of the processor; ``load`` is the machine's load average when the phase began.
``--work`` keeps the collection and each phase's result, so that ``--only searches`` repeats one of them. Writes
``bench/whole_index-CHUNKS.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

from bench.dense_vectors import calibrated, fit, real_vectors
from bench.measuring import Peak, Steps, evict, memory
from bench.whole_collection import NAME, MadeUpEncoder, fill, made_vectors
from bench.whole_opened import Opened, live_folder, make_questions, opened
from infra.database import open_database
from infra.tables import Collection
from ingest.collections import ensure_collection
from retrieval.access import EVERYTHING
from retrieval.dense.report import RecallTarget
from retrieval.generations import build as building
from retrieval.generations import files as writing
from retrieval.generations.indexing import IndexFiles, build, merge
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections

Rows = dict[str, Any]
PHASES = ("fill", "build", "start", "searches", "changes")


def fill_phase(work: Path, chunks: int, data: Path | None) -> Rows:
    """Make up the collection and store it."""
    real = real_vectors(data, work / "real.npz")
    made_vectors(calibrated(fit(real), real), work / "vectors.npy", chunks)
    vectors = np.load(work / "vectors.npy", mmap_mode="r")
    for old in work.glob("footnote.db*"):
        old.unlink()
    shutil.rmtree(work / "index", ignore_errors=True)
    database = open_database(f"sqlite:///{work}/footnote.db")
    begun, busy = time.perf_counter(), time.process_time()
    with database.write() as session:
        ensure_collection(session, NAME)
    with database.read() as session:
        collection_id = session.scalars(select(Collection.id).where(Collection.name == NAME)).one()
    fill(database, collection_id, vectors)
    database.close()
    taken = {"s": round(time.perf_counter() - begun, 1), "cpu_s": round(time.process_time() - busy, 1)}
    (work / "vectors.npy").unlink()
    return {**taken, "chunks": chunks, "database_bytes": (work / "footnote.db").stat().st_size}


def build_phase(work: Path, *, merging: bool = False) -> Rows:
    """Build the files and make them live, or merge what changed since into the next revision; by step."""
    steps = _watched()
    database = open_database(f"sqlite:///{work}/footnote.db")
    files = IndexFiles(database, MadeUpEncoder({}), work / "index")
    before = memory()
    with Peak() as peak, steps.step("all"):
        made = merge(files, NAME) if merging else build(files, NAME, RecallTarget(), live=True)
    database.close()
    if made is None:
        raise RuntimeError("another process builds this collection")
    dense = made["report"]["dense"]
    folder = live_folder(work)
    if not merging:
        make_questions(work, folder)
    return {
        "steps": steps.told(),
        "memory_before_mib": before,
        "peak_mib": peak.most,
        "max_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "bytes": sizes(folder),
        "documents": made["report"]["documents"],
        "chunks": made["report"]["chunks"],
        "dense": {name: dense[name] for name in ("kind", "factory", "efforts", "recall", "recall_deep")},
    }


def _watched() -> Steps:
    """Have each step of a build counted; what reads from the database for the facts counts to them."""
    steps = Steps()
    steps.watch(building, "load_documents", "read documents, chunks and vectors")
    steps.watch(writing, "surrounding_texts", "surroundings")
    steps.watch(writing, "surrounded_vectors", "surroundings")
    steps.watch(writing, "places", "surroundings")
    for method in ("add", "commit", "finish"):
        steps.watch(writing.LexicalBuilder, method, "lexical")
    steps.watch(building, "write_chunks", "all of reading and writing chunks")
    steps.watch(building, "write_dense", "dense")
    steps.watch(building, "write_documents", "facts")
    steps.watch(building, "seal", "checksums")
    dense = writing.build_dense
    at = [time.perf_counter(), time.process_time()]

    def tell(stage: str, done: int, _of: int) -> None:
        now = [time.perf_counter(), time.process_time()]
        if done:
            taken = steps.taken.setdefault(f"dense: {stage}", [0.0, 0.0])
            taken[0] += now[0] - at[0]
            taken[1] += now[1] - at[1]
        at[:] = now

    def told(*args: Any, **kwargs: Any) -> Any:
        return dense(*args, **kwargs, progress=tell)

    writing.build_dense = told
    return steps


def sizes(folder: Path) -> dict[str, int]:
    """Bytes by kind of file."""
    found: dict[str, int] = {}
    kinds = {"dense/vectors.npy": "vectors", "dense/index.faiss": "dense index", "facts/facts.bin": "facts"}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            kind = kinds.get(name, "lexical" if name.startswith("lexical/") else "positions and reports")
            found[kind] = found.get(kind, 0) + path.stat().st_size
    return found


def start_phase(work: Path, queries: int) -> Rows:
    """Open and search in fresh processes: with cold files three times, with warm ones three times, then two at once."""
    held = [work / "footnote.db", *(path for path in (work / "index").rglob("*") if path.is_file())]
    cold = []
    for _ in range(3):
        evict(held)
        cold.append(_ended(_worker(work, queries=0)))
    warm = [_ended(_worker(work, queries=0)) for _ in range(3)]
    first, second = _worker(work, queries), _worker(work, queries)
    alone = [_told(first), _told(second)]
    for process in (first, second):
        _go_on(process)
    together = [_told(process) for process in (first, second)]
    for process in (first, second):
        _go_on(process)
        process.wait()
    return {"cold": cold, "warm": warm, "after searches": alone, "two at once": together}


def _worker(work: Path, queries: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.whole_index", "--phase", "worker", "--work", str(work)]
    options = ["--queries", str(queries), "--begun", str(time.time())]
    return subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _told(process: subprocess.Popen[str]) -> Rows:
    assert process.stdout is not None
    found: Rows = json.loads(process.stdout.readline())
    return found


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _ended(process: subprocess.Popen[str]) -> Rows:
    found = _told(process)
    process.wait()
    return found


def worker(work: Path, queries: int, begun: float) -> None:
    """One process that searches: what opening and the first search take; after ``queries`` searches it stays until told to go."""
    imported, faults = time.time(), resource.getrusage(resource.RUSAGE_SELF)
    before = memory()
    at = time.perf_counter()
    here = opened(work)
    with here.database.read() as session:
        states = find_collections(session, [NAME])
    connected = time.perf_counter()
    here.engine.index.current(states)
    mapped = time.perf_counter()
    _ask(here, here.questions[0])
    first = time.perf_counter()
    _ask(here, here.questions[0])
    again = time.perf_counter()
    now = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "import_ms": round((imported - begun) * 1e3, 1),
        "database_ms": round((connected - at) * 1e3, 2),
        "open_index_ms": round((mapped - connected) * 1e3, 2),
        "first_search_ms": round((first - mapped) * 1e3, 2),
        "same_search_again_ms": round((again - first) * 1e3, 2),
        "open_to_first_result_ms": round((first - at) * 1e3, 2),
        "cpu_s_of_the_process": round(now.ru_utime + now.ru_stime, 2),
        "pages_from_disk": now.ru_majflt - faults.ru_majflt,
        "memory_before_mib": before,
        "memory_after_first_mib": memory(),
    }
    if queries:
        for each in here.questions[:queries]:
            _ask(here, each)
        found["memory_after_searches_mib"] = memory()
        print(json.dumps(found), flush=True)
        sys.stdin.readline()
        print(json.dumps(memory()), flush=True)
        sys.stdin.readline()
    else:
        print(json.dumps(found), flush=True)


def _ask(here: Opened, question: str) -> None:
    search(here.engine, SearchQuery(question, [NAME]), EVERYTHING)


def main() -> None:
    """Run the phases, each in a process of its own, or one of these processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--stages", type=int, nargs="+", default=[100, 1_000], help="Documents changed.")
    parser.add_argument("--no-merge", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--phase", choices=(*PHASES, "merge", "worker"), help=argparse.SUPPRESS)
    parser.add_argument("--begun", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.phase == "worker":
        worker(options.work, options.queries, options.begun)
        return
    if options.phase is not None:
        load = os.getloadavg()
        found = _phase(options)
        (options.work / f"{options.phase}.json").write_text(json.dumps({"load": load, **found}, indent=1) + "\n")
        return
    work = options.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    for phase in options.only:
        print(f"{phase} …", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "bench.whole_index", "--phase", phase, "--work", str(work)]
        command += ["--chunks", str(options.chunks), "--queries", str(options.queries)]
        command += ["--stages", *map(str, options.stages), *(["--no-merge"] if options.no_merge else [])]
        subprocess.run([*command, *(["--data", str(options.data)] if options.data else [])], check=True)
        print((work / f"{phase}.json").read_text(), flush=True)
    measured = {
        phase: json.loads((work / f"{phase}.json").read_text())
        for phase in PHASES
        if (work / f"{phase}.json").is_file()
    }
    out = options.out or Path(__file__).with_name(f"whole_index-{options.chunks}.json")
    out.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if options.work is None:
        shutil.rmtree(work)


def _phase(options: argparse.Namespace) -> Rows:
    from bench.whole_changes import changes  # noqa: PLC0415 - memory of the other phases is measured without it
    from bench.whole_searches import searches  # noqa: PLC0415 - as above

    work: Path = options.work
    if options.phase == "fill":
        return fill_phase(work, options.chunks, options.data)
    if options.phase in ("build", "merge"):
        return build_phase(work, merging=options.phase == "merge")
    if options.phase == "start":
        return start_phase(work, options.queries)
    if options.phase == "searches":
        return searches(work, options.queries)
    return changes(work, options.queries, options.stages, merging=not options.no_merge)


if __name__ == "__main__":
    main()
