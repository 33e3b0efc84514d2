"""How much of a long document is embedded again after one edit.

    python -m bench.edited_document [--edits 20]

A document of 200 pages (Markdown, about 360 words a page) is ingested, then one paragraph at a random place is changed, put in or
taken out, and it is ingested again; counted are the texts that the encoder is asked for. The tokenizer, and so every chunk's
border, is the built-in encoder's; the vectors are not computed. ``sections`` gives the document a heading every page or so,
``prose`` none at all, where a border that moves could move all that follow. Writes ``bench/edited_document.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infra.database import open_database
from ingest.collections import ensure_collection
from ingest.document import DocumentInput
from ingest.pipeline import Ingestion, ingest_batch
from ingest.plain import parse_plain
from retrieval.encoders.encoder import Encoder, Kind, load_encoder

_PAGES = 200
_PARAGRAPHS_A_PAGE = 5
_NOUNS = [
    "crossing", "freight", "tram", "ferry", "winch", "cable", "booking", "claim", "invoice", "depot", "landing", "driver",
    "roster", "leave", "budget", "supplier", "alarm",
]  # fmt: skip
_VERBS = ["needs", "replaces", "follows", "precedes", "covers", "requires", "allows", "excludes", "delays", "confirms"]


class CountingEncoder:
    """The built-in encoder's tokenizer; ``asked`` are the texts whose vectors were wanted."""

    precision, runtime, dim, name = "float32", "none", 8, "counting"

    def __init__(self) -> None:
        self._encoder: Encoder = load_encoder()
        self.max_tokens = self._encoder.max_tokens
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:  # noqa: ARG002
        """See ``Encoder``; every vector is the first unit vector."""
        self.asked += texts
        return np.tile(np.eye(1, self.dim, dtype=np.float32), (len(texts), 1))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See ``Encoder``."""
        return self._encoder.count_tokens(texts)


def paragraph(rng: random.Random) -> str:
    """Three to eight sentences that are not said elsewhere."""
    sentences = [
        f"The {rng.choice(_NOUNS)} of {rng.choice(_NOUNS)} {rng.randrange(100_000)} {rng.choice(_VERBS)} the"
        f" {rng.choice(_NOUNS)} within {rng.randrange(1, 99)} days."
        for _ in range(rng.randrange(3, 9))
    ]
    return " ".join(sentences)


def blocks(rng: random.Random, *, headings: bool) -> list[str]:
    """The paragraphs of a document of ``_PAGES`` pages, with a heading before about every fifth."""
    found = []
    for number in range(_PAGES * _PARAGRAPHS_A_PAGE):
        if headings and rng.random() < 1 / _PARAGRAPHS_A_PAGE:
            found.append(f"## {rng.choice(_NOUNS).title()} {number}")
        found.append(paragraph(rng))
    return found


def edited(original: list[str], kind: str, rng: random.Random) -> list[str]:
    """``original`` with one paragraph changed, put in or taken out."""
    places = [i for i, block in enumerate(original) if not block.startswith("#")]
    place = rng.choice(places)
    if kind == "changed":
        words = original[place].split()
        words[rng.randrange(len(words))] = "(amended)"
        return [*original[:place], " ".join(words), *original[place + 1 :]]
    if kind == "put in":
        return [*original[:place], paragraph(rng), *original[place:]]
    return [*original[:place], *original[place + 1 :]]


def measure(edits: int, *, headings: bool) -> dict[str, object]:
    """Texts embedded for the document, and for each edit of it."""
    rng = random.Random(3)
    encoder = CountingEncoder()
    document = blocks(rng, headings=headings)
    counts: dict[str, list[int]] = {"changed": [], "put in": [], "taken out": []}
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/bench.db")
        ingestion = Ingestion(database, encoder, lambda path, *_: parse_plain(path.read_text("utf-8")))
        with database.write() as session:
            ensure_collection(session, "bench")

        def ingest(parts: list[str]) -> int:
            encoder.asked.clear()
            text = "\n\n".join(["# Handbook", *parts])
            (result,) = ingest_batch(ingestion, "bench", [DocumentInput("long", text=text)])
            if result.code is not None:
                raise RuntimeError(str(result))
            return len(encoder.asked)

        whole = ingest(document)
        for number in range(edits):
            kind = list(counts)[number % len(counts)]
            document = edited(document, kind, rng)
            counts[kind].append(ingest(document))
        database.close()
    every = [count for found in counts.values() for count in found]
    return {
        "chunks": whole,
        "embedded_again": {kind: sorted(found) for kind, found in counts.items()},
        "median": statistics.median(every),
        "most": max(every),
        "most_share": round(max(every) / whole, 4),
    }


def main() -> None:
    """Run, print and write ``bench/edited_document.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=20)
    options = parser.parse_args()
    result = {
        name: measure(options.edits, headings=headings) for name, headings in (("sections", True), ("prose", False))
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, values in result.items():
        print(name, values)


if __name__ == "__main__":
    main()
