"""Filters and permissions on the mapped facts of many documents: writing, opening, asking, and memory.

    python -m bench.filters [--documents 100000 1000000] [--folder FOLDER]

Documents are made up: six unique fields each, and metadata with few, many and unique values, lists, dates and objects. Each
question is asked of a file just opened (the best of five, as other work may run), again for the mask that is kept, and of a
sample of documents one by one with ``Filter.matches``, as a check and to compare (CPU time). Writing runs in a process of its
own; two more open the file at once and say what they hold. Writes ``bench/filters.json`` and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from retrieval.access import EVERYTHING, Access
from retrieval.facts.build import FILE, write_facts
from retrieval.facts.file import FactsFile
from retrieval.filters import DocumentFacts, Filter, parse_filter
from retrieval.positions import position_mask

_SAMPLE = 5_000
_CHUNKS = 6
_MIB = 1 << 20
_TYPES = ("text/markdown", "text/html", "application/pdf", "text/plain")
_FIRST = datetime(2019, 1, 1, tzinfo=UTC)

Question = tuple[str, Access, Filter | None]


def made_up(count: int) -> Iterator[DocumentFacts]:
    """``count`` documents, always the same, in the order of their ids."""
    rng = random.Random(4)
    for number in range(count):
        created = _FIRST + timedelta(seconds=number * 200_000_000 // count, microseconds=rng.randrange(1_000_000))
        kind = rng.random()
        metadata = {
            "department": f"department {rng.randrange(12)}",
            "site": f"site {rng.randrange(40)}",
            "year": created.year,
            "status": rng.choice(("draft", "published", "published", "archived")),
            "confidential": kind > 0.98,
            "tags": [f"tag {rng.randrange(200)}" for _ in range(rng.randrange(4))],
            "reviewed": (_FIRST + timedelta(days=rng.randrange(2_500))).date().isoformat(),
            "owner": {"name": f"person {rng.randrange(5_000)}", "floor": rng.randrange(9)},
            "ticket": number * 7,
        }
        groups = None if kind < 0.6 else () if kind > 0.98 else tuple(f"group {rng.randrange(200)}" for _ in range(2))
        yield DocumentFacts(
            f"doc_{number:024x}",
            f"department/{rng.randrange(12)}/page-{number}.md",
            f"How the {rng.randrange(900)} of section {number} is done",
            f"https://wiki.example.com/pages/{number}",
            rng.choice(_TYPES),
            1 + rng.randrange(5),
            metadata,
            groups,
            created,
            created + timedelta(seconds=rng.randrange(10_000_000)),
        )


def questions(count: int) -> list[Question]:
    """Questions from one document to all of them, with the access that asks."""
    member = Access(frozenset({"group 1", "group 2", "group 3"}))
    some = [f"department/{d}/page-{n}.md" for n in range(0, count, max(1, count // 100)) for d in range(12)]
    raw: list[tuple[str, Access, dict[str, Any] | None]] = [
        ("one id", EVERYTHING, {"id": f"doc_{count // 2:024x}"}),
        ("one number, unique in the metadata", EVERYTHING, {"ticket": count // 3 * 7}),
        (f"$in of {len(some)} names", EVERYTHING, {"external_id": {"$in": some}}),
        ("an owner, in an object", EVERYTHING, {"owner.name": "person 77"}),
        ("a range of unique dates", EVERYTHING, {"created_at": {"$gte": "2022-01-01", "$lt": "2022-01-10"}}),
        ("a tag, in a list", EVERYTHING, {"tags": "tag 7"}),
        ("a department", EVERYTHING, {"department": "department 3"}),
        ("a range of texts that are dates", EVERYTHING, {"reviewed": {"$gte": "2024-06-01"}}),
        ("a range of numbers", EVERYTHING, {"year": {"$gte": 2022}}),
        ("not a status", EVERYTHING, {"status": {"$ne": "draft"}}),
        ("a range of dates, everything", EVERYTHING, {"created_at": {"$gte": "2000-01-01"}}),
        ("a field that no document has, null", EVERYTHING, {"absent": None}),
        ("three groups", member, None),
        (
            "three groups, department, status, date",
            member,
            {"department": "department 3", "status": "published", "updated_at": {"$gte": "2022-01-01"}},
        ),
    ]
    return [(label, access, None if given is None else parse_filter(given)) for label, access, given in raw]


def _write(folder: Path, count: int) -> dict[str, float]:
    """Write a file; the making up of the documents is timed alone before, and taken off."""
    begin = time.process_time()
    for _ in made_up(min(count, 50_000)):
        pass
    making = (time.process_time() - begin) * count / min(count, 50_000)
    before = psutil.Process().memory_info().rss
    begin, cpu = time.perf_counter(), time.process_time()
    write_facts(folder, made_up(count))
    used = time.process_time() - cpu
    return {
        "seconds": time.perf_counter() - begin,
        "making_cpu_seconds": making,
        "cpu_seconds": used - making,
        "rss_before_mib": before / _MIB,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _mapped(path: Path) -> dict[str, float]:
    """What the mapping of a file holds of main memory in this process: all of it, and this process's share."""
    maps = [m for m in psutil.Process().memory_maps() if m.path == str(path)]
    return {"rss_mib": sum(m.rss for m in maps) / _MIB, "pss_mib": sum(m.pss for m in maps) / _MIB}


def _read(folder: Path) -> None:
    """Open and ask everything when told to, then say what this process holds; the main process speaks by standard input."""
    process = psutil.Process()
    before = process.memory_full_info().uss
    file = FactsFile.open(folder)
    opened = process.memory_full_info().uss
    opened_map = _mapped(folder / FILE)
    print("ready", flush=True)
    sys.stdin.readline()
    masks = [file.allowed(access, filter_, "bench") for _, access, filter_ in questions(len(file))]
    print("asked", flush=True)
    sys.stdin.readline()
    report = {
        "own_mib_at_open": (opened - before) / _MIB,
        "mapped_rss_mib_at_open": opened_map["rss_mib"],
        "own_mib_after_questions": (process.memory_full_info().uss - before) / _MIB,
        "masks_mib": sum(mask.nbytes for mask in masks if mask is not None) / _MIB,
        **{f"mapped_{name}_after_questions": value for name, value in _mapped(folder / FILE).items()},
    }
    print(json.dumps(report), flush=True)


def _two_readers(folder: Path) -> dict[str, float]:
    """The second of two processes that hold the file open and have asked the same."""
    command = [sys.executable, "-m", "bench.filters", "--reader", str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first, subprocess.Popen(command, **pipes) as second:
        for reader in (first, second):
            _said(reader)
            _go_on(reader)
        for reader in (first, second):
            _said(reader)
        _go_on(second)
        found: dict[str, float] = json.loads(_said(second))
        _go_on(first)
        _said(first)
    return found


def _said(reader: Any) -> str:
    return str(reader.stdout.readline())


def _go_on(reader: Any) -> None:
    reader.stdin.write("\n")
    reader.stdin.flush()


def _ask(folder: Path, question: Question, sample: list[DocumentFacts]) -> dict[str, Any]:
    label, access, filter_ = question
    times = []
    for _ in range(5):
        file = FactsFile.open(folder)
        begin = time.perf_counter()
        mask = file.allowed(access, filter_, "bench")
        times.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    for _ in range(20):
        file.allowed(access, filter_, "bench")
    kept = (time.perf_counter() - begin) / 20
    begin = time.process_time()
    one_by_one = [access.may_read(f.allowed_groups) and (filter_ is None or filter_.matches(f)) for f in sample]
    loop = (time.process_time() - begin) * len(file) / len(sample)
    whole = np.ones(len(file), dtype=np.bool_) if mask is None else mask
    if whole[: len(sample)].tolist() != one_by_one:
        raise SystemExit(f"{label}: the mask and Filter.matches do not agree")
    starts = np.arange(0, (len(file) + 1) * _CHUNKS, _CHUNKS)
    spreading = []
    for _ in range(5):
        begin = time.perf_counter()
        position_mask(whole, starts)
        spreading.append(time.perf_counter() - begin)
    return {
        "question": label,
        "passing": int(whole.sum()),
        "share": float(whole.mean()),
        "first_ms": min(times) * 1e3,
        "kept_us": kept * 1e6,
        "position_mask_ms": min(spreading) * 1e3,
        "one_by_one_ms": loop * 1e3,
    }


def measure(count: int, folder: Path) -> dict[str, Any]:
    """Everything for ``count`` documents, in an empty folder."""
    command = [sys.executable, "-m", "bench.filters", "--writer", str(folder), "--documents", str(count)]
    written = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    opening = []
    for _ in range(20):
        begin = time.perf_counter()
        FactsFile.open(folder)
        opening.append(time.perf_counter() - begin)
    sample = [facts for facts, _ in zip(made_up(count), range(_SAMPLE), strict=False)]
    file = FactsFile.open(folder)
    rng = random.Random(5)
    ordinals = [rng.randrange(count) for _ in range(1_000)]
    begin = time.perf_counter()
    for ordinal in ordinals:
        if file.ordinal_of(f"doc_{ordinal:024x}") != ordinal:
            raise SystemExit("a document was not found by its id")
    found = time.perf_counter()
    for ordinal in ordinals:
        file.facts(ordinal)
    read = time.perf_counter()
    return {
        "documents": count,
        "writing": written,
        "mib": (folder / FILE).stat().st_size / _MIB,
        "open_ms": min(opening) * 1e3,
        "ordinal_of_us": (found - begin) * 1e3,
        "facts_us": (read - found) * 1e3,
        "second_process": _two_readers(folder),
        "questions": [_ask(folder, question, sample) for question in questions(count)],
    }


def _table(result: dict[str, Any]) -> str:
    w, r = result["writing"], result["second_process"]
    names = ("passing", "share", "first ms", "kept us", "positions ms", "one by one ms")
    head = f"{'question':42} " + " ".join(f"{name:>13}" for name in names)
    lines = [
        f"\n{result['documents']:,} documents, {result['mib']:.0f} MiB",
        f"written in {w['seconds']:.0f} s ({w['cpu_seconds']:.0f} CPU s)",
        f"memory while writing: {w['rss_before_mib']:.0f} MiB before, {w['peak_rss_mib']:.0f} at most",
        f"open {result['open_ms']:.2f} ms, ordinal_of {result['ordinal_of_us']:.1f} us, facts {result['facts_us']:.1f} us",
        f"a second process: {r['own_mib_at_open']:.2f} MiB of its own when open",
        f"after all questions: {r['own_mib_after_questions']:.1f} MiB of its own ({r['masks_mib']:.1f} masks)",
        f"and of the file {r['mapped_rss_mib_after_questions']:.1f} MiB, its share {r['mapped_pss_mib_after_questions']:.1f}",
        head,
    ]
    lines += [
        f"{q['question']:42} {q['passing']:13,} {q['share']:13.4%} {q['first_ms']:13.2f} {q['kept_us']:13.1f} "
        f"{q['position_mask_ms']:13.2f} {q['one_by_one_ms']:13,.0f}"
        for q in result["questions"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="Where the files are written; a temporary folder by default.")
    parser.add_argument("--writer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reader", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        print(json.dumps(_write(options.writer, options.documents[0])))
        return
    if options.reader:
        _read(options.reader)
        return
    results = []
    for count in options.documents:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            results.append(measure(count, Path(folder)))
        print(_table(results[-1]), flush=True)
    output = Path(__file__).with_suffix(".json")
    output.write_text(json.dumps({"load": os.getloadavg(), "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
