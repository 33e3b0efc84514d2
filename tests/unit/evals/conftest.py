"""A subject without a model: passages and answers are looked up, so that every score can be worked out by
hand.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.database import Database, open_database
from infra.errors import FootnoteError, NotFound
from retrieval.access import Access
from retrieval.answers.answer import (
    Answer,
    AnswerSentence,
    Citation,
    CitedDocument,
    GeneratorInfo,
    Grounding,
    IndexState,
    Reason,
    Status,
    VerifierInfo,
)
from retrieval.passage import DocumentRef, Passage
from retrieval.verify.verification import Verdict


def passage(external_id: str, start: int = 0, end: int = 10, page: int | None = None, score: float = 1.0) -> Passage:
    return Passage(
        chunk_id=f"{external_id}:{start}",
        document=DocumentRef(id=f"doc_{external_id}", external_id=external_id, version=1),
        text="x" * (end - start),
        heading_path=(),
        page=page,
        char_start=start,
        char_end=end,
        score=score,
    )


def answer(
    text: str = "",
    citations: Sequence[tuple[str, int, int]] = (),
    *,
    supported: int = 1,
    unsupported: int = 0,
    score: float = 1.0,
    reason: Reason | None = None,
) -> Answer:
    status = Status.ABSTAINED if reason else Status.PARTIAL if unsupported else Status.ANSWERED
    return Answer(
        id="ans_1",
        status=status,
        reason=reason,
        answer=text,
        sentences=(AnswerSentence(text, 0, len(text), Verdict.SUPPORTED, score, (1,)),) if text else (),
        citations=tuple(
            Citation(n, "c", CitedDocument("doc", name, 1, None, None), (), None, start, end, "q" * (end - start))
            for n, (name, start, end) in enumerate(citations, start=1)
        ),
        grounding=Grounding(score, supported + unsupported, supported, unsupported, 0),
        generator=GeneratorInfo("extractive", None),
        verifier=VerifierInfo("fake", truncated=False),
        index=IndexState(1, 1),
        timings_ms={"total": 1.0},
    )


@dataclass
class FakeSubject:
    """``searches`` and ``answers`` by question, ``texts`` by external id; remembers who asked what."""

    texts: dict[str, str] = field(default_factory=dict)
    searches: dict[str, list[Passage]] = field(default_factory=dict)
    answers: dict[str, Answer | FootnoteError] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=lambda: {"encoder": "fake"})
    asked: list[tuple[str, Access]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)

    def search(self, query: str, *, collection: str, mode: str, top_k: int, access: Access) -> Sequence[Passage]:
        self.depths.append(top_k)
        return self.searches.get(query, [])[:top_k]

    async def answer(self, question: str, *, collection: str, mode: str, access: Access) -> Answer:
        self.asked.append((question, access))
        found = self.answers.get(question, answer(reason=Reason.NO_EVIDENCE))
        if isinstance(found, FootnoteError):
            raise found
        return found

    def document_text(self, collection: str, external_id: str) -> str | None:
        return self.texts.get(external_id)

    def describe(self, collection: str) -> Mapping[str, Any]:
        if collection == "nowhere":
            raise NotFound("There is no collection 'nowhere'.")
        return self.config


@pytest.fixture
def make_passage() -> Callable[..., Passage]:
    return passage


@pytest.fixture
def make_answer() -> Callable[..., Answer]:
    return answer


@pytest.fixture
def subject() -> FakeSubject:
    return FakeSubject()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'footnote.db'}")
    yield opened
    opened.close()
