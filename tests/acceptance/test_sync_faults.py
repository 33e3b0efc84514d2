"""``kill -9`` at random points of syncs of a folder that changes meanwhile: nothing is lost, doubled or left over.

A run in full: ``pytest tests/acceptance/test_sync_faults.py --kills 200 -s``.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from changing_tree import Tree
from fakes import fake_engine, fake_ingestion
from sqlalchemy import select
from stored_state import check_state, chunk_contents, ready, unfinished
from sync_process import IDLE, Victim

from infra.database import Database, open_database
from infra.tables import Job, Source
from ingest.collections import ensure_collection, get_collection
from ingest.commit import delete_document, find_document
from ingest.document import DocumentInput
from ingest.jobs import submit_for
from ingest.runner import JobRunner, sweep
from ingest.source import SourceSettings, create_source
from ingest.sources.directory import DirectoryReader
from ingest.spool import Spool
from ingest.uploads import submit_uploads, supersede
from retrieval.engine import Engine
from retrieval.integrity import check_integrity

SEED = 20260702
MOST_FILES, FILES_PER_KILL = 500, 25
PATIENCE_S = 600
# What a kill waits for; without one it comes at any moment after the start.
AIMS = [
    "listing",
    "beginning",
    "moving",
    "storing",
    "storing",
    "storing!",
    "storing!",
    "pruning",
    "pruning!",
    "between",
]
AIMS += ["start-up", "waiting", "", "", ""]


class Driver:
    """Edits folders, submits syncs and uploads, kills those who work on them, and checks what is stored."""

    def __init__(self, database: Database, folder: Path, seed: int, trees: int, files: int) -> None:
        self.database, self.folder, self.chance = database, folder, random.Random(seed)
        self.spool = Spool(folder / "spool")
        self.engine: Engine = fake_engine(database)
        self.trees: list[Tree] = []
        self.sources: list[str] = []
        self.uploads: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.at: Counter[str] = Counter()
        self.settled: list[dict[str, tuple[str, str]]] = []
        self.moves = 0
        for n in range(trees):
            tree = Tree(folder / f"tree{n}", self.chance)
            tree.grow(files // trees)
            with database.write() as session:
                settings = SourceSettings(kind="directory", uri=str(tree.root), prune=True)
                self.sources.append(create_source(session, get_collection(session, "default"), settings, None).id)
            self.trees.append(tree)
            self.settled.append({})
        url = database.engine.url.render_as_string(False)
        address = f"sqlite:///{folder / 'jobs.db'}" if url.startswith("sqlite") else url
        self.victims = [
            Victim(folder / f"where{n}", url=url, address=address, spool=str(self.spool.folder)) for n in range(trees)
        ]

    def round(self) -> None:
        """One kill, of one of the processes; now and then one is ended in order before it starts anew."""
        victim = self.chance.choice(self.victims)
        if self.chance.random() < 0.7:
            # Where there are two processes, the other may be listing just now: a file that is renamed meanwhile can be missed.
            live = any(other.pid is not None for other in self.victims)
            for tree in self.trees:
                tree.change(self.chance.randrange(1, 25), live=live)
        self._submit()
        for other in self.victims:
            if other.pid is None:
                other.start()
        aim = self.chance.choice(AIMS)
        if aim:
            self._await(victim, aim)
        if self.chance.random() < 0.3:
            for tree in self.trees:
                tree.change(self.chance.randrange(1, 8), live=True)
        if self.chance.random() < 0.3:
            self._delete_one()
        if self.chance.random() < 0.2:
            with self.database.read() as session:  # while somebody writes
                check_state(session)
        time.sleep(self.chance.random() ** 3 * (0.1 if aim else 3))
        place = victim.end()
        self.at[place] += 1
        self.check()

    def _submit(self) -> None:
        with self.database.write() as session:
            collection = get_collection(session, "default")
            for source_id in self.sources:
                submit_for(session, "sync", collection, None, session.get_one(Source, source_id))
            if self.chance.random() < 0.2:
                items = []
                for _ in range(self.chance.randrange(1, 6)):
                    name, number = f"upload {self.chance.randrange(20)}.md", self.chance.randrange(10**6)
                    self.uploads[name] = (
                        f"# Note {number}\n\nThis is note {number}, begun. This is note {number}, ended.\n"
                    )
                    blob = self.spool.write([self.uploads[name].encode()])
                    items.append((DocumentInput(name, path=self.spool.path(blob), filename=name), blob))
                submit_uploads(session, collection, list({i.external_id: (i, b) for i, b in items}.values()), None)

    def _await(self, victim: Victim, aim: str) -> None:
        end = time.monotonic() + 4
        while (where := victim.where()) not in (aim, IDLE) and time.monotonic() < end:
            time.sleep(0.001)
        if where == IDLE:  # too late: or is there another job?
            time.sleep(0.2)

    def _delete_one(self) -> None:
        """As a caller does it, of whatever document."""
        with self.database.write() as session:
            collection = get_collection(session, "default")
            names = sorted(self.uploads) + sorted(self.chance.choice(self.trees).files)
            name = self.chance.choice(names)
            document = find_document(session, collection.id, name)
            if document is not None:
                self.deleted.add(document.id)
                supersede(session, collection.id, [name])
                delete_document(session, collection, name)
                self.uploads.pop(name, None)

    def check(self, engine: Engine | None = None) -> None:
        engine = engine or self.engine
        with self.database.read() as session:
            check_state(session)
        result = check_integrity(self.database, engine.index)
        assert result.ok, result

    def settle(self) -> None:
        """Let the work end, then sync once more, undisturbed: now exactly what the folders hold is stored."""
        for victim in self.victims:
            if victim.pid is None:
                victim.start()
        self._wait_for_the_end()
        self._submit()
        self._wait_for_the_end()
        self.check()
        with self.database.read() as session:
            stored = ready(session)
        for name, text in self.uploads.items():
            assert stored.pop(name)[2] == text
        for n, tree in enumerate(self.trees):
            readable = tree.readable()
            for key in sorted(tree.files):
                if key in readable:
                    _, version, text = stored.pop(key)
                    assert text == readable[key], key
                    assert version <= tree.writes[key], (key, version, tree.writes[key])
                elif key in stored:  # it cannot be read any more: an earlier content stays
                    assert stored.pop(key)[2].encode() in tree.past[key], key
            self._check_moves(n, tree)
        assert stored == {}, f"documents of no file: {sorted(stored)}"

    def _check_moves(self, number: int, tree: Tree) -> None:
        with self.database.read() as session:
            ids = {key: entry[0] for key, entry in ready(session).items()}
        now = {identity: (key, ids[key]) for key, identity in tree.identities().items() if key in ids}
        for identity, (key, document_id) in self.settled[number].items():
            later_key, later_id = now.get(identity, (key, document_id))
            names = tree.names[later_key]
            certain = (
                document_id not in self.deleted
                and not names & tree.reused
                and not (names - {later_key}) & set(tree.files)
            )
            if later_key != key and certain:
                assert later_id == document_id, (key, later_key)
                self.moves += 1
        self.settled[number] = now

    def _wait_for_the_end(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            with self.database.read() as session:
                if not unfinished(session):
                    return
                jobs = session.scalars(select(Job).where(Job.finished_at.is_(None))).all()
            if time.monotonic() > end:
                for victim in self.victims:
                    victim.show_stacks()
                pytest.fail(f"jobs hang: {[(job.kind, job.status, job.phase, job.counts) for job in jobs]}")
            time.sleep(0.05)

    def close(self) -> None:
        for victim in self.victims:
            victim.close()


@pytest.fixture
def drive(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[int, int], Driver]]:
    """Makes a driver, which is given a seed and how many processes and folders it has."""
    database = open_database(database_url)
    with database.write() as session:
        ensure_collection(session, "default")
    drivers: list[Driver] = []

    def make(seed: int, trees: int) -> Driver:
        files = min(MOST_FILES, FILES_PER_KILL * int(request.config.getoption("--kills")))
        drivers.append(Driver(database, tmp_path, seed, trees, files))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()
    database.close()


def fresh_chunks(trees: list[Tree], uploads: dict[str, str], kept: set[str], folder: Path) -> list[tuple[object, ...]]:
    """The chunks of the same files in an empty database; ``kept`` are left out."""
    database = open_database(f"sqlite:///{folder / 'fresh.db'}")
    roots = {str(tree.root): tree.root for tree in trees}
    runner = JobRunner(fake_ingestion(database), Spool(folder / "fresh"), lambda s: DirectoryReader(roots[s.uri]))
    with database.write() as session:
        collection = ensure_collection(session, "default")
        jobs = []
        for root in roots:
            source = create_source(session, collection, SourceSettings(kind="directory", uri=root), None)
            jobs.append(submit_for(session, "sync", collection, None, source).id)
        items = []
        for name, text in uploads.items():
            blob = runner.spool.write([text.encode()])
            items.append((DocumentInput(name, path=runner.spool.path(blob), filename=name), blob))
        jobs.append(submit_uploads(session, collection, items, None).id)
    for job in jobs:
        runner.run(job)
    with database.read() as session:
        chunks = chunk_contents(session)
    database.close()
    return [chunk for chunk in chunks if chunk[0] not in kept]


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("processes", [1, 2])
def test_syncs_that_are_killed_again_and_again(
    drive: Callable[[int, int], Driver], tmp_path: Path, request: pytest.FixtureRequest, processes: int
) -> None:
    kills = int(request.config.getoption("--kills"))
    driver = drive(SEED + processes, processes)
    started = time.monotonic()
    for kill in range(1, kills + 1):
        driver.round()
        if kill % 10 == 0:
            driver.settle()
            print(f"{kill} kills, {time.monotonic() - started:.0f} s", flush=True)
    driver.settle()
    for victim in driver.victims:
        victim.end(signal.SIGTERM)
    print(f"\n{kills} kills, {time.monotonic() - started:.0f} s, {driver.moves} moves, {dict(driver.at.most_common())}")
    assert sum(driver.at.values()) == kills
    with driver.database.read() as session:
        assert unfinished(session) == 0
        here = set(ready(session))
        kept = here - set(driver.uploads) - {key for tree in driver.trees for key in tree.readable()}
        chunks = [chunk for chunk in chunk_contents(session) if chunk[0] not in kept]
    assert chunks == fresh_chunks(driver.trees, driver.uploads, kept, tmp_path)
    driver.check(fake_engine(driver.database))
    # What a kill after a job's last commit leaves in the spool is swept by the first start an hour later.
    for blob in driver.spool.folder.iterdir():
        os.utime(blob, (0, 0))
    sweep(fake_ingestion(driver.database), driver.spool)
    assert list(driver.spool.folder.iterdir()) == []
