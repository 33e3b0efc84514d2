"""Syncs of large folders: what the second one costs, and how memory grows with the number of files.

    python -m bench.sync [--files 10000] [--many 100000]

``--files`` small files are synced with the built-in encoder and the parsers' sandbox, as a server does it, and then again,
unchanged: that must encode and fetch nothing. Then folders of ``--files`` and of ``--many`` files are synced, each in a process
of its own, with an encoder that costs nothing (the same for both): their peak memory must be alike. Writes ``bench/sync.json``
and prints a table. Absolute times depend on the machine: the ratios are the result.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import structlog
from numpy.typing import NDArray

from infra.database import open_database
from infra.tables import Job
from ingest.collections import ensure_collection
from ingest.elements import ParsedDocument
from ingest.jobs import submit_for
from ingest.pipeline import Ingestion
from ingest.plain import parse_plain
from ingest.prepare import Parser
from ingest.runner import JobRunner
from ingest.sandbox import Sandbox
from ingest.source import SourceSettings, create_source
from ingest.sources.directory import DirectoryReader
from ingest.sources.entry import Entry, Fetched
from ingest.spool import Spool
from retrieval.encoders.encoder import Encoder, Kind, load_encoder

FILES_A_FOLDER = 200
_THINGS = [
    "booking",
    "claim",
    "depot",
    "ferry",
    "gateway",
    "invoice",
    "landing",
    "permit",
    "refund",
    "roster",
    "signal",
    "supplier",
    "tram",
    "winch",
]


def make_tree(root: Path, files: int, seed: int = 7) -> None:
    """Markdown files of about 50 words, different from each other."""
    rng = random.Random(seed)
    for number in range(files):
        folder = root / f"{number // FILES_A_FOLDER:04}"
        if number % FILES_A_FOLDER == 0:
            folder.mkdir(parents=True)
        sentences = [
            f"The {rng.choice(_THINGS)} of {rng.choice(_THINGS)} {rng.randrange(10_000)} is checked by the "
            f"{rng.choice(_THINGS)} office before day {rng.randrange(1, 29)}."
            for _ in range(3)
        ]
        (folder / f"{number:06}.md").write_text(f"# Note {number}\n\n{' '.join(sentences)}\n", encoding="utf-8")


class CountingEncoder:
    """``inner``, and how many ``texts`` it was given."""

    def __init__(self, inner: Encoder) -> None:
        self._inner, self.texts = inner, 0
        self.name, self.dim, self.max_tokens, self.precision = inner.name, inner.dim, inner.max_tokens, inner.precision

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """See ``retrieval.encoders.encoder.Encoder``."""
        self.texts += len(texts)
        return self._inner.encode(texts, kind=kind)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``retrieval.encoders.encoder.Encoder``."""
        return self._inner.count_tokens(texts)


class FreeEncoder:
    """Vectors of the built-in encoder's size from a text's hash: for what does not depend on the model."""

    name, dim, max_tokens, precision = "free", 384, 256, "float32"

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:  # noqa: ARG002 - the Protocol's
        """One unit row a text."""
        rows = [np.frombuffer(hashlib.shake_128(text.encode()).digest(self.dim), dtype=np.int8) for text in texts]
        vectors = np.asarray(rows, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """A token for each four characters, and two around them."""
        return [2 + -(-len(text) // 4) for text in texts]


class CountingReader(DirectoryReader):
    """A folder, and how many of its files were ``fetched``."""

    fetched = 0

    def fetch(self, entry: Entry, folder: Path, validator: str | None) -> Fetched | None:
        """See ``ingest.sources.entry.SourceReader``."""
        CountingReader.fetched += 1
        return super().fetch(entry, folder, validator)


def _parse(path: Path, _filename: str, _content_type: str | None = None) -> ParsedDocument:
    return parse_plain(path.read_text("utf-8"))


@contextmanager
def _parts(free: bool) -> Iterator[tuple[Encoder, Parser]]:
    if free:
        yield FreeEncoder(), _parse
        return
    sandbox = Sandbox(timeout_s=60, memory_mb=1024)
    try:
        yield load_encoder(), sandbox.parse
    finally:
        sandbox.close()


def _peak_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def sync_twice(root: Path, *, free: bool) -> dict[str, Any]:
    """Sync the folder into an empty database, and again: seconds, texts encoded, files fetched, and this process's memory."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder, _parts(free) as (inner, parser):
        encoder = CountingEncoder(inner)
        database = open_database(f"sqlite:///{folder}/bench.db")
        runner = JobRunner(Ingestion(database, encoder, parser), Spool(Path(folder) / "spool"), lambda _: reader)
        reader = CountingReader(root)
        with database.write() as session:
            collection = ensure_collection(session, "default")
            settings = SourceSettings(kind="directory", uri=str(root), prune=True)
            source = create_source(session, collection, settings, None)
        encoder.encode(["A first text, so that everything is loaded."])
        result: dict[str, Any] = {"start_mib": round(psutil.Process().memory_info().rss / 2**20, 1)}
        for name in ("first", "second"):
            encoder.texts = CountingReader.fetched = 0
            with database.write() as session:
                job_id = submit_for(session, "sync", collection, None, source).id
            started = time.perf_counter()
            runner.run(job_id)
            result[name] = {"seconds": round(time.perf_counter() - started, 2), "peak_mib": _peak_mib()}
            with database.read() as session:
                job = session.get_one(Job, job_id)
            if job.status != "succeeded":
                raise SystemExit(f"the sync ended as {job.status}: {job.error} {job.failures[:3]}")
            result[name] |= {"counts": job.counts, "encoded": encoder.texts, "fetched": CountingReader.fetched}
        database.close()
        return result


def in_a_process(root: Path, *, free: bool) -> dict[str, Any]:
    """``sync_twice`` in a process of its own."""
    command = [sys.executable, "-m", "bench.sync", "--tree", str(root), *(["--free"] if free else [])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Run, print and write ``bench/sync.json``; fails if a sync that has nothing to do does something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--tree", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--free", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tree is not None:
        print(json.dumps(sync_twice(options.tree, free=options.free)))
        return
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        make_tree(few, options.files)
        result["built_in_encoder"] = in_a_process(few, free=False)
        result["free_encoder"] = in_a_process(few, free=True)
        make_tree(many, options.many)
        result["free_encoder_many"] = in_a_process(many, free=True)
    real, small, large = result["built_in_encoder"], result["free_encoder"], result["free_encoder_many"]
    result["second_over_first"] = round(real["second"]["seconds"] / real["first"]["seconds"], 4)
    result["peak_many_over_few"] = round(large["second"]["peak_mib"] / small["second"]["peak_mib"], 3)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, run in (("built-in encoder", real), ("free encoder", small), ("free encoder, many", large)):
        first, second = run["first"], run["second"]
        print(
            f"{name:20} {first['counts']['new']:7} files: first {first['seconds']} s, second {second['seconds']} s "
            f"({second['encoded']} encoded, {second['fetched']} fetched); {run['start_mib']} MiB at the start, "
            f"peak {first['peak_mib']} and {second['peak_mib']} MiB"
        )
    print(f"second over first {result['second_over_first']}, peak of many over few {result['peak_many_over_few']}")
    if any(run["second"]["encoded"] or run["second"]["fetched"] for run in (real, small, large)):
        sys.exit("a sync of an unchanged folder encoded or fetched something")


if __name__ == "__main__":
    main()
