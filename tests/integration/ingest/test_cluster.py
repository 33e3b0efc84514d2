"""Ingestion with the work done elsewhere: the same rows as on one machine, whatever happens; without Ray."""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeEncoder, fake_ingestion
from local_cluster import LocalCluster
from tables import contents

from infra.database import Database, open_database
from infra.errors import Conflict, Unavailable
from infra.tables import Job
from ingest.bulk import ingest_all
from ingest.cluster import Shipment, on_cluster, pace_of
from ingest.collections import ensure_collection, get_collection
from ingest.document import Attributes, DocumentInput
from ingest.jobs import describe, submit_for
from ingest.pace import Pace
from ingest.pipeline import Ingestion
from ingest.runner import JobRunner, Stopped
from ingest.source import SourceSettings, ensure_source
from ingest.sources.directory import DirectoryReader
from ingest.spool import Spool

COUNTS = ("scanned", "new", "modified", "unchanged", "deleted", "failed")


def tree(root: Path, files: int = 40) -> Path:
    """Notes in folders: some alike, one broken, one of a kind that is not read."""
    for number in range(files):
        folder = root / f"part {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        text = (
            "The same words.\n" if number % 10 == 0 else f"This is note {number}.\n\nIt has a second part, {number}.\n"
        )
        (folder / f"note {number}.md").write_text(f"# Note\n\n{text}", "utf-8")
    (root / "broken.md").write_text("BROKEN")
    (root / "tool.bin").write_bytes(b"\0\1")
    (root / "latin.txt").write_bytes(b"caf\xe9")
    return root


def run_sync(ingestion: Ingestion, root: Path, spool: Path, *, prune: bool = False) -> dict[str, int]:
    with ingestion.database.write() as session:
        row = get_collection(session, "default")
        source = ensure_source(session, row, SourceSettings(kind="directory", uri=str(root), prune=prune), None)
        job_id = submit_for(session, "sync", row, None, source).id
    JobRunner(ingestion, Spool(spool), lambda source: DirectoryReader(Path(source.uri))).run(job_id)
    with ingestion.database.read() as session:
        told = describe(session.get_one(Job, job_id))
    assert told["counts"]["scanned"] == sum(told["counts"][name] for name in COUNTS[1:])
    return dict(told["counts"])


@pytest.fixture
def plain(tmp_path: Path) -> Database:
    """A second database, for what one machine makes of the same documents."""
    opened = open_database(f"sqlite:///{tmp_path / 'plain.db'}")
    with opened.write() as session:
        ensure_collection(session, "default")
    return opened


def clustered(database: Database, cluster: LocalCluster, encoder: FakeEncoder | None = None) -> Ingestion:
    """Ingestion on the cluster, in small batches."""
    ingestion = on_cluster(fake_ingestion(database, encoder), cluster)
    assert ingestion.pace == pace_of(cluster)
    return replace(ingestion, pace=Pace(documents=5, prepared=3, batches=4))


def test_the_same_rows_as_on_one_machine(database: Database, plain: Database, tmp_path: Path) -> None:
    root, cluster, local = tree(tmp_path / "tree"), LocalCluster(FakeEncoder()), FakeEncoder()
    ingestion = clustered(database, cluster, local)
    for _ in range(3):
        expected = run_sync(fake_ingestion(plain), root, tmp_path / "spool", prune=True)
        cluster.sent.clear()
        cluster.texts.clear()
        assert run_sync(ingestion, root, tmp_path / "spool", prune=True) == expected
        with database.read() as ours, plain.read() as theirs:
            made = contents(ours)
            assert made == contents(theirs)
        (root / "part 0" / "note 3.md").write_text("# Note\n\nOther words.\n")
        (root / "part 1" / "note 1.md").unlink(missing_ok=True)
    assert expected == {"scanned": 42, "new": 0, "modified": 0, "unchanged": 39, "deleted": 0, "failed": 3}
    # What is unchanged is not sent; what failed is tried again.
    assert sorted(cluster.sent) == ["broken.md", "latin.txt", "tool.bin"]
    assert cluster.texts == []
    assert local.texts == []
    assert len(made["chunks"]) > len(made["vectors"]) > 30
    assert {row[3] for row in made["documents"]} == {None, "malformed", "unsupported_format"}


def test_single_files_as_on_one_machine(sqlite_database: Database, plain: Database, tmp_path: Path) -> None:
    overtakes = threading.Event()

    def dawdle(shipment: Shipment) -> None:
        # The first of the two would be stored last, if both were under way.
        if shipment.item.external_id == items[0].external_id:
            if shipment.item.text is not None:
                overtakes.set()
            elif overtakes.wait(2):
                time.sleep(1)

    root, cluster = tree(tmp_path / "tree"), LocalCluster(FakeEncoder(), dawdle)
    attributes = Attributes(title="T", metadata={"year": 2026}, allowed_groups=["hr"])
    items = [
        DocumentInput(str(path.relative_to(root)), path=path, filename=path.name, attributes=attributes)
        for path in sorted(root.rglob("*.*"))
    ]
    later = replace(items[0], path=None, text="The later one stays.")
    items = [*items[:6], later, *items[6:], DocumentInput("text", text="Sent as text.")]
    expected = {r.external_id: (r.outcome, r.code) for r in ingest_all(fake_ingestion(plain), "default", items)}
    ingestion = clustered(sqlite_database, cluster)
    assert {r.external_id: (r.outcome, r.code) for r in ingest_all(ingestion, "default", items)} == expected
    with sqlite_database.read() as ours, plain.read() as theirs:
        assert contents(ours) == contents(theirs)
    cluster.sent.clear()
    again = list(ingest_all(ingestion, "default", items[1:]))
    assert {r.outcome.value for r in again} == {"unchanged", "failed"}
    assert set(cluster.sent) == {r.external_id for r in again if r.outcome.value == "failed"}


def test_what_is_sent_holds_no_path_of_this_machine(sqlite_database: Database, tmp_path: Path) -> None:
    seen: list[Shipment] = []
    root, cluster = tree(tmp_path / "tree", 3), LocalCluster(FakeEncoder(), seen.append)
    run_sync(clustered(sqlite_database, cluster), root, tmp_path / "spool")
    assert len(seen) == 6
    assert all(shipment.item.path is None for shipment in seen)
    assert {shipment.item.data for shipment in seen} >= {b"BROKEN", b"\0\1"}
    assert all(root not in path.parents and not path.exists() for path in cluster.sandbox.seen)


def test_a_bounded_number_of_documents_is_in_hand(sqlite_database: Database, tmp_path: Path) -> None:
    root = tree(tmp_path / "tree", 60)
    go = threading.Event()

    def hold(_: Shipment) -> None:
        """Until six are in hand, and a little longer, for a seventh to come if it may."""
        if cluster.most >= 6:
            threading.Timer(0.5, go.set).start()
        go.wait(60)

    cluster = LocalCluster(FakeEncoder(), hold)
    ingestion = replace(clustered(sqlite_database, cluster), pace=Pace(documents=6, prepared=2, batches=3))
    assert run_sync(ingestion, root, tmp_path / "spool")["new"] == 60
    assert cluster.most == 6  # 2 of each of 3 batches


def test_a_cluster_that_is_gone_leaves_what_was_stored(database: Database, plain: Database, tmp_path: Path) -> None:
    root, left = tree(tmp_path / "tree"), [25]
    lock = threading.Lock()

    def vanish(_: Shipment) -> None:
        with lock:
            left[0] -= 1
        if left[0] < 0:
            raise Unavailable("No worker is left.", code="cluster_unavailable")

    cluster = LocalCluster(FakeEncoder(), vanish)
    ingestion = clustered(database, cluster)
    with pytest.raises(Unavailable, match="No worker is left"):
        run_sync(ingestion, root, tmp_path / "spool")
    with database.read() as session:
        stored = len(contents(session)["versions"])
    assert 0 < stored < 40
    left[0] = 10**6
    cluster.sent.clear()
    run_sync(ingestion, root, tmp_path / "spool")
    assert len(cluster.sent) <= 43 - stored  # what was stored is not sent again
    run_sync(fake_ingestion(plain), root, tmp_path / "spool")
    with database.read() as ours, plain.read() as theirs:
        assert contents(ours) == contents(theirs)


def test_a_document_that_changes_while_it_is_away_is_no_version(sqlite_database: Database, tmp_path: Path) -> None:
    root = tree(tmp_path / "tree", 3)

    def change(shipment: Shipment) -> None:
        if shipment.item.external_id == "part 1/note 1.md":
            (root / "part 1" / "note 1.md").write_text("# Note\n\nOther words meanwhile.\n")

    counts = run_sync(clustered(sqlite_database, LocalCluster(FakeEncoder(), change)), root, tmp_path / "spool")
    assert (counts["new"], counts["failed"]) == (2, 4)
    with sqlite_database.read() as session:
        codes = {row[0]: row[3] for row in contents(session)["documents"]}
    assert codes["part 1/note 1.md"] == "changed_while_read"


def test_a_machine_without_room_is_no_fault_of_the_document(sqlite_database: Database, tmp_path: Path) -> None:
    def full(_: Shipment) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    ingestion = clustered(sqlite_database, LocalCluster(FakeEncoder(), full))
    with pytest.raises(Unavailable, match="A machine of the cluster could not work: No space left on device"):
        run_sync(ingestion, tree(tmp_path / "tree", 3), tmp_path / "spool")
    with sqlite_database.read() as session:
        assert contents(session)["documents"] == []


def test_memory_that_does_not_suffice_there_costs_the_document_only(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.patience._PATIENCE_S", (0.0,))

    def exhaust(shipment: Shipment) -> None:
        if shipment.item.external_id == "part 1/note 1.md":
            raise MemoryError

    cluster = LocalCluster(FakeEncoder(), exhaust)
    counts = run_sync(clustered(sqlite_database, cluster), tree(tmp_path / "tree", 3), tmp_path / "spool")
    assert (counts["new"], counts["failed"]) == (2, 4)
    assert cluster.sent.count("part 1/note 1.md") == 2


def test_stopping_ends_with_the_batches_in_hand(sqlite_database: Database, tmp_path: Path) -> None:
    root = tree(tmp_path / "tree")
    runner: list[JobRunner] = []

    def stop(_: Shipment) -> None:
        runner[0].stop()

    ingestion = clustered(sqlite_database, LocalCluster(FakeEncoder(), stop))
    with sqlite_database.write() as session:
        row = get_collection(session, "default")
        source = ensure_source(session, row, SourceSettings(kind="directory", uri=str(root)), None)
        job_id = submit_for(session, "sync", row, None, source).id
    runner.append(JobRunner(ingestion, Spool(tmp_path / "spool"), lambda source: DirectoryReader(Path(source.uri))))
    with pytest.raises(Stopped):
        runner[0].run(job_id)
    with sqlite_database.read() as session:
        assert session.get_one(Job, job_id).status == "queued"
        before = len(contents(session)["documents"])
    assert before < 43
    assert run_sync(clustered(sqlite_database, LocalCluster(FakeEncoder())), root, tmp_path / "spool")["new"] == 40
    with sqlite_database.read() as session:
        assert len(contents(session)["documents"]) == 43


def test_an_encoder_that_is_not_the_collections_is_refused(sqlite_database: Database, tmp_path: Path) -> None:
    root = tree(tmp_path / "tree", 2)
    run_sync(fake_ingestion(sqlite_database), root, tmp_path / "spool")
    other = FakeEncoder("other")
    (root / "new.md").write_text("# New\n\nA new one.\n")
    with sqlite_database.read() as session:
        before = contents(session)["documents"]
    ingestion = clustered(sqlite_database, LocalCluster(other), other)
    with pytest.raises(Conflict, match="was indexed with encoder 'fake'"):
        list(ingest_all(ingestion, "default", [DocumentInput("new.md", path=root / "new.md", filename="new.md")]))
    with sqlite_database.read() as session:
        assert contents(session)["documents"] == before
