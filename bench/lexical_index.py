"""How long a lexical index in files takes to build, to open and to search, with filters of any strictness.

    python -m bench.lexical_index [--chunks 100000] [--queries 100] [--commit 50000] [--folder FOLDER] [--out FILE]

The chunks are made up: words drawn from a Zipf distribution over 200,000 (word r with probability in proportion to
1/(r + 2.7)), 60 to 160 of them, ten chunks to a document, and the neighbours as surroundings. A query is 2 to 8 words of one
chunk. Searched is for the best 200, as hybrid search does, without a filter and with masks: documents at random, single chunks
at random (the worst case, for chunks of one document are allowed together), one document, and all but 1,000 deleted chunks.
Each mask is used for all queries, as a permission is, and the first query with it is reported apart. ``--folder`` keeps the
files. At the end queries run over a base file and a delta in memory, and it is measured how far the scores are from those of
one index over both. "cpu" and "chunks_per_cpu_s" count the processor's time, which other programs on the machine change little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical.build import LexicalBuilder
from retrieval.lexical.file import LexicalFile
from retrieval.lexical.memory import LexicalEntry, TantivyLexical

WORDS = 200_000
PER_DOCUMENT = 10
DEPTH = 200
Mask = NDArray[np.bool_]


def entries(count: int, seed: int = 1, shortest: int = 60, longest: int = 160) -> Iterator[LexicalEntry]:
    """Made-up chunks; the same for the same arguments."""
    random = np.random.default_rng(seed)
    odds = 1 / (np.arange(WORDS) + 2.7)
    steps = np.cumsum(odds / odds.sum())
    names = np.array([word(rank) for rank in range(WORDS)])
    for start in range(0, count, PER_DOCUMENT):
        lengths = random.integers(shortest, longest + 1, min(PER_DOCUMENT, count - start))
        chunks = [names[np.minimum(np.searchsorted(steps, random.random(n)), WORDS - 1)] for n in lengths]
        title = " ".join(chunks[0][:4])
        for at, words in enumerate(chunks):
            around = " ".join(np.concatenate(chunks[max(0, at - 1) : at + 2]))
            yield LexicalEntry(start + at, title, " ".join(words), around)


def word(rank: int) -> str:
    """A made-up word of letters: no two are stemmed to the same in practice, and frequent ones are short."""
    letters = "bcdfgklmnprtvz"
    found = ""
    rank += 1
    while rank:
        rank, digit = divmod(rank, 70)
        found += letters[digit % 14] + "aeiou"[digit // 14]
    return found


def masks(count: int) -> dict[str, Mask | None]:
    """Which chunks are allowed, by name."""
    random = np.random.default_rng(3)
    documents = count // PER_DOCUMENT

    def of(share: float) -> Mask:
        chosen = random.random(documents) < share
        chosen[int(random.integers(documents))] = True
        return np.repeat(chosen, PER_DOCUMENT)

    dead = np.ones(count, dtype=np.bool_)
    dead[random.choice(count, min(1000, count // 10), replace=False)] = False
    single = np.zeros(count, dtype=np.bool_)
    single[count // 2 : count // 2 + PER_DOCUMENT] = True
    made: dict[str, Mask | None] = {
        "none": None,
        "50 % of documents": of(0.5),
        "10 % of documents": of(0.1),
        "1 % of documents": of(0.01),
        ".01 % of documents": of(0.0001),
        "one document": single,
        "all but 1,000 chunks": dead,
        "10 % of chunks, scattered": random.random(count) < 0.1,
        "1 % of chunks, scattered": random.random(count) < 0.01,
    }
    for mask in made.values():
        if mask is not None:
            mask.flags.writeable = False
    return made


def queries(chunks: list[LexicalEntry], count: int) -> list[str]:
    """Words of chunks."""
    random = np.random.default_rng(5)
    found = []
    for _ in range(count):
        words = chunks[int(random.integers(len(chunks)))].text.split()
        found.append(" ".join(random.choice(words, int(random.integers(2, 9)), replace=False)))
    return found


def timed(call: Callable[[str], object], asked: list[str]) -> dict[str, float]:
    """Milliseconds of each call: the first, the median and the 95th percentile of the others, and the processor's mean."""
    spent = []
    busy = time.process_time()
    for query in asked:
        begun = time.perf_counter()
        call(query)
        spent.append((time.perf_counter() - begun) * 1000)
    rest = spent[1:]
    return {
        "first": round(spent[0], 2),
        "p50": round(float(np.median(rest)), 2),
        "p95": round(float(np.percentile(rest, 95)), 2),
        "cpu": round((time.process_time() - busy) * 1000 / len(asked), 2),
    }


def parts_against_one(folder: Path, count: int, asked: list[str]) -> dict[str, object]:
    """How far the scores of a base and a delta are from those of one index over both, by what is done about it.

    The delta is a hundredth of the base, once of chunks like those there and once of short notes.
    """
    base = LexicalFile.open(folder)
    old = list(entries(count))
    found: dict[str, object] = {}
    for name, shortest, longest in (("like the base", 60, 160), ("short notes", 8, 30)):
        made = list(entries(max(100, count // 100), 9, shortest, longest))
        new = [LexicalEntry(count + each.key, each.context, each.text, each.surroundings) for each in made]
        one, alone, levelled = TantivyLexical(), TantivyLexical(), TantivyLexical(lengths=base.lengths)
        for index, held in ((one, old + new), (alone, new), (levelled, new)):
            index.add(held)
            index.commit()
        rows = {}
        for way, delta, shared in (
            ("each by itself", alone, False),
            ("shared frequencies", alone, True),
            ("shared frequencies and lengths", levelled, True),
        ):
            off: list[float] = []
            for query in asked:
                statistics = base.statistics(query) + delta.statistics(query) if shared else None
                truth = dict(one.search(query, 2 * count))
                found_in_parts = base.search(query, DEPTH, statistics=statistics) + delta.search(
                    query, DEPTH, statistics=statistics
                )
                off += [abs(score / truth[key] - 1) for key, score in found_in_parts]
            rows[way] = {"median": round(float(np.median(off)), 5), "p99": round(float(np.percentile(off, 99)), 5)}
            print(f"   {name:14} {way:32} scores off by {rows[way]}", flush=True)
        found[name] = rows
    return found


def build(folder: Path, count: int, commit: int) -> dict[str, float]:
    """Build the files; the time that making the chunks up took is left out."""
    spent, busy, making = 0.0, 0.0, entries(count)
    builder = LexicalBuilder(folder)
    for start in range(0, count, commit):
        batch = list(itertools.islice(making, min(commit, count - start)))
        begun, busy_before = time.perf_counter(), time.process_time()
        builder.add(batch)
        builder.commit()
        spent += time.perf_counter() - begun
        busy += time.process_time() - busy_before
    begun, busy_before = time.perf_counter(), time.process_time()
    builder.finish()
    finish = time.perf_counter() - begun
    busy += time.process_time() - busy_before
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "add_s": round(spent, 1),
        "finish_s": round(finish, 1),
        "chunks_per_s": round(count / (spent + finish)),
        "chunks_per_cpu_s": round(count / busy),
        "bytes": size,
        "bytes_per_chunk": round(size / count),
    }


def main() -> None:
    """Read the command line, build, search, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--commit", type=int, default=50_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument(
        "--parts", type=int, default=20_000, help="Chunks of the base in the comparison of parts with one."
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "index"
        results: dict[str, object] = {"chunks": options.chunks, "queries": options.queries}
        if not (folder / "lexical.json").exists():
            results["build"] = build(folder, options.chunks, options.commit)
            print(f"build: {results['build']}", flush=True)
        begun = time.perf_counter()
        file = LexicalFile.open(folder)
        opened = time.perf_counter() - begun
        asked = queries(list(entries(min(options.chunks, 5_000))), options.queries)
        begun = time.perf_counter()
        file.search(asked[0], DEPTH)
        results["open_ms"] = round(opened * 1000, 1)
        results["first_search_ms"] = round((time.perf_counter() - begun) * 1000, 1)
        print(f"open {results['open_ms']} ms, first search {results['first_search_ms']} ms", flush=True)
        table = {}
        for name, mask in masks(options.chunks).items():
            table[name] = timed(lambda query, mask=mask: file.search(query, DEPTH, mask), asked)  # type: ignore[misc]
            print(f"   {name:28} {table[name]}", flush=True)
        results["search_ms"] = table
        if options.parts:
            small = Path(temporary) / "small"
            build(small, options.parts, options.parts)
            results["score_errors"] = parts_against_one(small, options.parts, asked[:30])
    runs = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    runs[f"{options.chunks} chunks, {options.commit} a part"] = results
    options.out.write_text(json.dumps(runs, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
