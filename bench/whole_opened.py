"""The large collection, opened as a service has it, with questions whose vectors are ready-made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from sqlalchemy import select

from bench.whole_collection import NAME, MadeUpEncoder, Texts
from infra.database import Database, open_database
from infra.tables import Collection, Generation
from retrieval.answers.writer import Writer
from retrieval.dense.stored import VECTORS_FILE
from retrieval.dense.tuning import made_queries
from retrieval.engine import Engine
from retrieval.generations.base import DENSE
from retrieval.generations.states import folder_of
from retrieval.index import Index
from retrieval.verify.verifier import DeterministicVerifier

_QUESTIONS = 1_000
_FROM_DOCUMENTS = 500


@dataclass(frozen=True, slots=True)
class Opened:
    """Everything a search needs, and the questions that can be asked."""

    database: Database
    engine: Engine
    encoder: MadeUpEncoder
    questions: list[str]


def opened(work: Path) -> Opened:
    """Open the collection in ``work``; the index opens with the first search."""
    questions = json.loads((work / "questions.json").read_text())
    vectors = np.load(work / "questions.npy")
    encoder = MadeUpEncoder(dict(zip(questions, vectors, strict=True)))
    database = open_database(f"sqlite:///{work}/footnote.db")
    index = Index(database, encoder, work / "index")
    # Searching writes no answer.
    engine = Engine(database, encoder, index, cast("Writer", None), DeterministicVerifier())
    return Opened(database, engine, encoder, questions)


def live_folder(work: Path) -> Path:
    """Where the live generation's files are."""
    database = open_database(f"sqlite:///{work}/footnote.db")
    with database.read() as session:
        row = session.scalars(
            select(Generation).join(Collection).where(Collection.name == NAME, Generation.state == "live")
        ).one()
    database.close()
    return folder_of(work / "index", row.collection_id, row.number, row.revision)


def make_questions(work: Path, folder: Path) -> None:
    """Write questions: 2 to 8 words of a chunk, and a vector that lies to the index's as a question's does to passages'."""
    random = np.random.default_rng(5)
    texts = Texts()
    chunks = [text.split() for _ in range(_FROM_DOCUMENTS) for text in texts.document()]
    asked: dict[str, None] = {}
    while len(asked) < _QUESTIONS:
        words = chunks[int(random.integers(len(chunks)))]
        asked[" ".join(random.choice(words, int(random.integers(2, 9)), replace=False))] = None
    vectors = np.load(folder / DENSE / VECTORS_FILE, mmap_mode="r")
    np.save(work / "questions.npy", made_queries(vectors, _QUESTIONS, 1234))
    (work / "questions.json").write_text(json.dumps(list(asked)))
