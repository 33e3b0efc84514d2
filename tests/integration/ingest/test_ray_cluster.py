"""Ingestion on a real Ray cluster of this machine: the same rows as without, and processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray_head
from ray_head import PACE, SETTINGS, ray_ingestion, started_cluster, sync
from sqlalchemy import func, select
from tables import contents

from infra.database import Database, open_database
from infra.errors import Conflict, InvalidInput, Unavailable
from infra.tables import ChunkRow, Document, Vector
from ingest.cluster_worker import WorkerSettings
from ingest.collections import ensure_collection
from ingest.generation import build
from ingest.pipeline import Ingestion
from ingest.ray_cluster import RayCluster, open_ray
from ingest.sandbox import Sandbox
from retrieval.dense.report import RecallTarget
from retrieval.encoders.encoder import HashingEncoder
from retrieval.generations.indexing import IndexFiles

NOTES = 60


def make_tree(root: Path) -> Path:
    for number in range(NOTES):
        folder = root / f"part {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        parts = "\n\n".join(
            f"## Part {part}\n\nThis is part {part} of note {number}." for part in range(number % 4 + 1)
        )
        (folder / f"{number}.md").write_text(f"# Note {number}\n\n{parts}\n", "utf-8")
    (root / "page.html").write_text("<html><body><h1>Leave</h1><p>2.25 days a month.</p></body></html>")
    (root / "table.csv").write_text("office,days\nBergen,4\nGhent,5\n")
    (root / "damaged.docx").write_bytes(b"PK\x03\x04 this is no archive")
    (root / "program.exe").write_bytes(b"MZ\0\0")
    (root / "empty.txt").write_text("")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="module")
def expected(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], dict[str, list[Any]]]:
    """What one machine makes of the tree: the counts and the rows."""
    folder = tmp_path_factory.mktemp("plain")
    database = fresh(folder)
    with Sandbox(timeout_s=60, memory_mb=1024) as sandbox:
        counts = sync(Ingestion(database, HashingEncoder(), sandbox.parse), tree, folder / "spool")
    with database.read() as session:
        return counts, contents(session)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with started_cluster() as found:
        yield found


def fresh(folder: Path) -> Database:
    database = open_database(f"sqlite:///{folder / 'footnote.db'}")
    with database.write() as session:
        ensure_collection(session, "default")
    return database


def rows(database: Database) -> dict[str, list[Any]]:
    with database.read() as session:
        return contents(session)


def stored(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Document).where(Document.version > 0)) or 0


def once(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def test_the_same_rows_as_on_one_machine_and_nothing_sent_twice(
    address: str, tree: Path, tmp_path: Path, expected: tuple[dict[str, int], dict[str, list[Any]]]
) -> None:
    database = fresh(tmp_path)
    with open_ray(address, SETTINGS, HashingEncoder()) as cluster:
        assert (cluster.parsers, cluster.encoders) == (1, 1)
        assert sync(ray_ingestion(database, cluster), tree, tmp_path / "spool") == expected[0]
        made = rows(database)
        assert made == expected[1]
        assert {row[3] for row in made["documents"]} == {None, "malformed", "unsupported_format", "empty_file"}
        assert cluster.sent["documents"] == NOTES + 5
        cluster.sent.update(documents=0, bytes=0, texts=0)
        again = sync(ray_ingestion(database, cluster), tree, tmp_path / "spool")
        assert again == {**expected[0], "new": 0, "unchanged": NOTES + 2}
        assert (cluster.sent["documents"], cluster.sent["texts"]) == (3, 0)  # those that failed are tried again
        assert {**rows(database), "entries": []} == {**made, "entries": []}


def test_killed_workers_lose_and_double_nothing(
    address: str, tree: Path, tmp_path: Path, expected: tuple[dict[str, int], dict[str, list[Any]]]
) -> None:
    database = fresh(tmp_path)

    def kill(cluster: RayCluster) -> None:
        once(lambda: cluster.sent["documents"] > 20)
        os.kill(cluster.parsing.identities()[0].pid, signal.SIGKILL)
        once(lambda: cluster.sent["documents"] > 40 and bool(cluster.encoding.identities()))
        os.kill(cluster.encoding.identities()[0].pid, signal.SIGKILL)

    with open_ray(address, SETTINGS, HashingEncoder()) as cluster:
        before = {each.pid for pool in (cluster.parsing, cluster.encoding) for each in pool.identities()}
        killer = threading.Thread(target=kill, args=(cluster,))
        killer.start()
        assert sync(ray_ingestion(database, cluster), tree, tmp_path / "spool") == expected[0]
        killer.join(10)
        # The encoder's death may show only at the next call.
        assert len(cluster.encoding.call(["one text"])) == 1
        after = {each.pid for pool in (cluster.parsing, cluster.encoding) for each in pool.identities()}
    assert len(after) == 2
    assert not before & after
    assert rows(database) == expected[1]


def test_a_killed_driver_loses_and_doubles_nothing(
    address: str, tree: Path, tmp_path: Path, expected: tuple[dict[str, int], dict[str, list[Any]]]
) -> None:
    database = fresh(tmp_path)
    url, spool = database.engine.url.render_as_string(False), tmp_path / "spool"
    driver = subprocess.Popen(
        [sys.executable, ray_head.__file__, address, url, str(tree), str(spool)],
        env={**os.environ, "PYTHONPATH": str(ray_head.ROOT)},
    )
    try:
        once(lambda: stored(database) >= PACE.documents or driver.poll() is not None)
    finally:
        driver.kill()
        assert driver.wait() == -signal.SIGKILL
    left = stored(database)
    assert 0 < left < NOTES + 2
    with open_ray(address, SETTINGS, HashingEncoder()) as cluster:  # its workers' places are free again
        assert sync(ray_ingestion(database, cluster), tree, spool) == expected[0]
        # What was stored is not sent again, nor what is known to have failed in this very sync.
        assert NOTES + 2 - left <= cluster.sent["documents"] <= NOTES + 5 - left
    assert rows(database) == expected[1]


def test_other_encoders_are_refused_before_anything_is_sent(address: str) -> None:
    other = WorkerSettings(partial(HashingEncoder, 32), HashingEncoder, 60, 1024)
    with pytest.raises(Conflict, match=r"embeds with encoder 'hashing-32' .*and this one with 'hashing-64'"):
        open_ray(address, other, HashingEncoder()).__enter__()


def test_texts_are_embedded_again_by_the_cluster(address: str, tree: Path, tmp_path: Path) -> None:
    database, new = fresh(tmp_path), HashingEncoder(32)
    with Sandbox(timeout_s=60, memory_mb=1024) as sandbox:
        sync(Ingestion(database, HashingEncoder(), sandbox.parse), tree, tmp_path / "spool")
    settings = WorkerSettings(partial(HashingEncoder, 32), partial(HashingEncoder, 32), 60, 1024)
    with open_ray(address, settings, new) as cluster:
        ingestion = ray_head.ray_ingestion(database, cluster, new)
        built = build(ingestion, IndexFiles(database, ingestion.encoder, None), "default", RecallTarget())
        assert (built["state"], built["encoder"], built["report"]) == ("ready", "hashing-32", None)
        assert cluster.sent["texts"] > 0
    with database.read() as session:
        vectors = {row.encoder: row for row in session.scalars(select(Vector))}
        assert len(vectors["hashing-32"].data) == 32 * 4
        counts = dict(session.execute(select(Vector.encoder, func.count()).group_by(Vector.encoder)).all())  # type: ignore[arg-type]
        sets = dict(session.execute(select(ChunkRow.chunk_set, func.count()).group_by(ChunkRow.chunk_set)).all())  # type: ignore[arg-type]
    assert counts["hashing-32"] == counts["hashing-64"] == cluster.sent["texts"]
    assert sets[1] == sets[built["generation"]]


@pytest.mark.parametrize("address", ["", "somewhere", "ray://", "host:port", "host:99999", "host:²", "/tmp/x"])
def test_an_address_that_can_be_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="allowed: local, auto, HOST:PORT or ray://HOST:PORT"):
        open_ray(address, SETTINGS, HashingEncoder()).__enter__()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_named(address: str) -> None:
    with pytest.raises(Unavailable, match=f"'{address}' could not be reached: .*refused"):
        open_ray(address, SETTINGS, HashingEncoder()).__enter__()
