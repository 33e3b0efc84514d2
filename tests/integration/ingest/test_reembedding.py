"""An edited document of 200 pages: only what changed is embedded again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_ingestion

from infra.database import open_database
from ingest.collections import ensure_collection
from ingest.document import DocumentInput
from ingest.pipeline import Ingestion, ingest_batch
from retrieval.encoders.encoder import Kind

WORDS = (
    "crossing",
    "freight",
    "tram",
    "ferry",
    "winch",
    "cable",
    "booking",
    "claim",
    "invoice",
    "depot",
    "leave",
    "budget",
)


class CountingEncoder:
    """Four characters a token, a window of 256; ``asked`` are the texts whose vectors were wanted."""

    name, dim, max_tokens, precision, runtime = "counting", 8, 256, "float32", "none"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> np.ndarray:
        self.asked += texts
        return np.tile(np.eye(1, self.dim, dtype=np.float32), (len(texts), 1))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [2 + -(-len(text) // 4) for text in texts]


class Handbook:
    """A document in a database, ingested anew with each edit."""

    def __init__(self, folder: Path, *, headings: bool) -> None:
        self.rng = random.Random(5)
        self.blocks: list[str] = []
        for number in range(1000):  # five paragraphs a page
            if headings and number % 6 == 0:
                self.blocks.append(f"## {self.rng.choice(WORDS)} {number}")
            self.blocks.append(self.paragraph())
        self.encoder = CountingEncoder()
        self.database = open_database(f"sqlite:///{folder}/test.db")
        with self.database.write() as session:
            ensure_collection(session, "c")
        parser = fake_ingestion(self.database).parser
        self.ingestion = Ingestion(self.database, self.encoder, parser)

    def paragraph(self) -> str:
        return " ".join(
            f"The {self.rng.choice(WORDS)} of {self.rng.choice(WORDS)} {self.rng.randrange(10**6)} comes before the"
            f" {self.rng.choice(WORDS)} within {self.rng.randrange(99)} days."
            for _ in range(self.rng.randrange(3, 9))
        )

    def ingest(self) -> list[str]:
        """The texts that are embedded for the document as it is now."""
        self.encoder.asked.clear()
        text = "\n\n".join(["# Handbook", *self.blocks])
        (result,) = ingest_batch(self.ingestion, "c", [DocumentInput("handbook", text=text)])
        assert result.code is None
        return list(self.encoder.asked)


@pytest.fixture(params=[True, False], ids=["sections", "prose"])
def handbook(request: pytest.FixtureRequest, tmp_path: Path) -> Handbook:
    return Handbook(tmp_path, headings=request.param)


def test_an_edit_embeds_what_changed_and_no_more(handbook: Handbook) -> None:
    whole = handbook.ingest()
    assert len(whole) == len(set(whole)) > 400
    assert handbook.ingest() == []

    place = next(i for i in range(500, 520) if not handbook.blocks[i].startswith("#"))
    handbook.blocks[place] = handbook.blocks[place].replace("The ", "This ", 1)
    changed = handbook.ingest()
    assert len(changed) == 1
    assert "This " in changed[0]

    new = handbook.paragraph()
    handbook.blocks.insert(place, new)
    put_in = handbook.ingest()
    assert new.split(". ")[0] in " ".join(put_in)
    # Borders may move within a section, and must settle soon where there are no sections.
    assert 1 <= len(put_in) <= len(whole) * 0.03

    del handbook.blocks[place]
    assert len(handbook.ingest()) <= len(whole) * 0.03

    handbook.blocks[0], handbook.blocks[-1] = "The first words are new.", "The last words are new."
    ends = handbook.ingest()
    assert any("The first words are new." in text for text in ends)
    assert any("The last words are new." in text for text in ends)
    assert len(ends) <= len(whole) * 0.06
    handbook.database.close()
