"""A Ray cluster of one machine for tests, in a process of its own, and a driver that is there to be killed.

As a program without arguments it starts the cluster, writes its address, and stops it when its standard input ends; with
``ADDRESS DATABASE TREE SPOOL`` it syncs a folder on the cluster there, a few documents at a time.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

# Before Ray is imported: the cluster, this process and the driver that is killed share a secret of their own.
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ["RAY_AUTH_MODE"] = "token"

from infra.database import Database, open_database
from infra.tables import Job
from ingest.cluster import Cluster, on_cluster
from ingest.cluster_worker import WorkerSettings
from ingest.collections import get_collection
from ingest.elements import ParsedDocument
from ingest.jobs import describe, submit_for
from ingest.pace import Pace
from ingest.pipeline import Ingestion
from ingest.ray_cluster import open_ray
from ingest.runner import JobRunner
from ingest.source import SourceSettings, ensure_source
from ingest.sources.directory import DirectoryReader
from ingest.spool import Spool
from retrieval.encoders.encoder import Encoder, HashingEncoder

ROOT = Path(__file__).parents[1]
SETTINGS = WorkerSettings(HashingEncoder, HashingEncoder, parse_timeout_s=60, parse_memory_mb=1024)
PACE = Pace(documents=8, prepared=4, batches=3)


def no_parser(path: Path, filename: str, content_type: str | None = None) -> ParsedDocument:
    """This machine must read nothing."""
    raise AssertionError(f"{filename} was read here")


def sync(ingestion: Ingestion, tree: Path, spool: Path) -> dict[str, int]:
    """The counts of a sync of ``tree`` into the collection ``default``."""
    with ingestion.database.write() as session:
        row = get_collection(session, "default")
        source = ensure_source(session, row, SourceSettings(kind="directory", uri=str(tree), prune=True), None)
        job_id = submit_for(session, "sync", row, None, source).id
    JobRunner(ingestion, Spool(spool), lambda source: DirectoryReader(Path(source.uri))).run(job_id)
    with ingestion.database.read() as session:
        return dict(describe(session.get_one(Job, job_id))["counts"])


def ray_ingestion(database: Database, cluster: Cluster, encoder: Encoder | None = None) -> Ingestion:
    """Ingestion on the cluster, in small batches; nothing is read on this side."""
    ingestion = on_cluster(Ingestion(database, encoder or HashingEncoder(), no_parser), cluster)
    return replace(ingestion, pace=PACE)


@contextmanager
def started_cluster() -> Iterator[str]:
    """The address of a cluster with two processors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, __file__], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as head:
        assert head.stdout is not None
        yield head.stdout.readline().strip()
        head.communicate(timeout=60)


def main() -> None:
    if len(sys.argv) > 1:
        address, url, tree, spool = sys.argv[1:]
        with open_ray(address, SETTINGS, HashingEncoder()) as cluster:
            sync(ray_ingestion(open_database(url), cluster), Path(tree), Path(spool))
        return
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        logging_level="ERROR",
    )
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
