"""How much of a long document is embedded again after one edit in it.

    python -m bench.reembedding FOLDER [--only title-160,size-160] [--edits 6] [--out FILE]

FOLDER holds ``chunking/corpora/*.md``: five texts of 40 to 740 thousand characters without headings, the worst case, where every
cut could depend on all that stands before. Each edit is made alone, at a sentence's end drawn by a fixed seed: ``sentence`` adds
one, ``paragraph`` adds eight, ``delete`` takes the sentence out. Counted are the chunks whose embedded text is new, as mean and
maximum over the edits of a text; one or two would be the least possible.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np

from bench.chunking import KeptVectors, settings_of
from ingest.chunk import chunk
from ingest.chunking import ChunkingSettings
from ingest.elements import encoded_text
from ingest.plain import parse_plain
from retrieval.encoders.encoder import load_encoder
from retrieval.sentences import Span, split_sentences

_SENTENCE = " This sentence was added by an editor who wanted to say a little more about it."
_KINDS = ("sentence", "paragraph", "delete")


def edited(text: str, span: Span, kind: str) -> str:
    """``text`` with one edit at the sentence ``span``."""
    if kind == "delete":
        return text[: span.start] + text[span.end :]
    return text[: span.end] + _SENTENCE * (8 if kind == "paragraph" else 1) + text[span.end :]


def measure(text: str, settings: ChunkingSettings, kept: KeptVectors, window: int, edits: int) -> dict[str, object]:
    """Chunks of ``text``, and how many are new after each kind of edit."""

    def cut(version: str) -> list[str]:
        parsed = parse_plain(version, "text/markdown")
        chunks = chunk(parsed, kept.count_tokens, window, settings)
        return [encoded_text(each.context, parsed.text[each.start : each.end]) for each in chunks]

    before = cut(text)
    known = set(before)
    places = random.Random(7).sample(split_sentences(text), edits)
    found: dict[str, object] = {"chunks": len(before)}
    for kind in _KINDS:
        new = [sum(each not in known for each in cut(edited(text, span, kind))) for span in places]
        found[kind] = {"mean": round(float(np.mean(new)), 1), "max": max(new)}
    return found


def main() -> None:
    """Read the command line, measure each text, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="title-160,size-160")
    parser.add_argument("--edits", type=int, default=6)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    kept = KeptVectors(encoder, None)
    results: dict[str, dict[str, object]] = {}
    for name in options.only.split(","):
        results[name] = {}
        for path in sorted((options.folder / "chunking/corpora").glob("*.md")):
            text = path.read_bytes().decode("utf-8")
            found = measure(text, settings_of(name), kept, encoder.max_tokens, options.edits)
            results[name][path.stem] = found
            print(f"{name:10} {path.stem:20} {found}", flush=True)
    options.out.write_text(json.dumps({"encoder": encoder.name, "texts": results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
