"""The way of a question: search, write, check, answer; as a stream of events or at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from infra.ids import new_id
from retrieval.access import Access
from retrieval.answers.answer import (
    Answer,
    AnswerSentence,
    Citation,
    GeneratorInfo,
    Grounding,
    IndexState,
    Reason,
    Status,
    VerifierInfo,
)
from retrieval.answers.overlaps import without_overlaps
from retrieval.answers.question_context import standalone_question
from retrieval.answers.writer import Audience, GeneratorUnavailable, Task, Turn
from retrieval.engine import Engine
from retrieval.generator.prompt import declines
from retrieval.passage import Passage
from retrieval.ranking.expansion import load_neighbours
from retrieval.search import SearchQuery, SearchResult, search
from retrieval.sentences import split_sentences
from retrieval.verify.proof import Proven, check, prove
from retrieval.verify.verification import SentenceVerdict
from retrieval.view import Mode

DEFAULT_TOP_K = 8
NOTHING_WRITTEN = Grounding(0.0, 0, 0, 0, 0)
_ABSTENTIONS = {
    Reason.NO_EVIDENCE: "The documents don't say.",
    Reason.LOW_GROUNDING: "The documents don't say: what could be written about this is not proven by them.",
    Reason.CONFLICTING_SOURCES: "The documents contradict each other on this.",
    Reason.GENERATOR_UNAVAILABLE: "No answer could be written: the language model cannot be reached.",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """A question, the conversation before it and where to look."""

    question: str
    history: Sequence[Turn] = ()
    collections: Sequence[str] | None = None
    filter: Mapping[str, Any] | None = None
    top_k: int = DEFAULT_TOP_K
    mode: Mode = "hybrid"
    audience: Audience = "internal"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages that the answer will be written from."""

    passages: tuple[Passage, ...]
    index: IndexState


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the draft, as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A finished sentence of the draft with its verdict; ranges count in the draft without marks."""

    sentence: SentenceVerdict


@dataclass(frozen=True, slots=True)
class Done:
    """The answer, and the passages it was written from."""

    answer: Answer
    passages: tuple[Passage, ...]


Event = Retrieved | Delta | Checked | Done


async def answer(engine: Engine, ask: Ask, access: Access) -> Done:
    """Answer ``ask`` at once; errors as in ``search``. A model server that fails becomes an abstention, not an error."""
    async with aclosing(answer_events(engine, ask, access)) as events:
        async for event in events:
            if isinstance(event, Done):
                return event
    raise RuntimeError("the stream of events ended without an answer")


async def answer_events(engine: Engine, ask: Ask, access: Access) -> AsyncGenerator[Event, None]:
    """Answer ``ask`` step by step: ``Retrieved``, then ``Delta`` and ``Checked`` as they come, then ``Done``.

    Closing the iterator stops the work, that of the model server too.
    """
    clock = _Clock()
    question = standalone_question(ask.question, ask.history)
    query = SearchQuery(question, ask.collections, ask.top_k, ask.mode, ask.filter)
    found = await asyncio.to_thread(search, engine, query, access)
    shown = found.passages
    if found.ranking.expand and shown:
        # After the passages that were found, so that where a prompt has no room for all, these are left out first.
        shown += await asyncio.to_thread(_neighbours, engine, found, access)
    passages = without_overlaps(shown)
    clock.take("encode", found.timings_ms["encode"])
    clock.take("search", found.timings_ms["refresh"] + found.timings_ms["search"])
    yield Retrieved(passages, found.index)
    result = _Result(engine, ask.question, found.index, clock)
    async with aclosing(_write(engine, ask, question, passages, result)) as events:
        async for event in events:
            yield event


def _neighbours(engine: Engine, found: SearchResult, access: Access) -> tuple[Passage, ...]:
    with engine.database.read() as session:
        return tuple(load_neighbours(session, found.passages, found.ranking.expand, access))


async def answer_again(engine: Engine, ask: Ask, passages: Sequence[Passage], index: IndexState) -> Done:
    """Answer ``ask`` from given passages, without searching: a replay."""
    question = standalone_question(ask.question, ask.history)
    result = _Result(engine, ask.question, index, _Clock())
    async with aclosing(_write(engine, ask, question, tuple(passages), result)) as events:
        async for event in events:
            if isinstance(event, Done):
                return event
    raise RuntimeError("the stream of events ended without an answer")


async def _write(
    engine: Engine, ask: Ask, question: str, passages: tuple[Passage, ...], result: _Result
) -> AsyncGenerator[Event, None]:
    clock = result.clock
    if not passages:
        yield Done(result.abstain(Reason.NO_EVIDENCE), passages)
        return
    draft, checked = "", 0
    clock.start()
    try:
        async with aclosing(engine.writer.write(Task(question, passages, ask.history, ask.audience))) as pieces:
            async for piece in pieces:
                draft += piece
                yield Delta(piece)
                for verdict in await asyncio.to_thread(_finished_sentences, engine, draft, passages, question, checked):
                    checked += 1
                    yield Checked(verdict)
    except GeneratorUnavailable as error:
        clock.stop("generate")
        yield Done(result.abstain(Reason.GENERATOR_UNAVAILABLE, detail=error.detail, degraded=("generator",)), passages)
        return
    clock.stop("generate")
    # A model that ran into its length limit leaves its last sentence open: said, as no part may fail in silence.
    degraded = ("generator_cut_off",) if getattr(pieces, "cut_off", False) else ()
    if declines(draft):
        yield Done(result.abstain(Reason.NO_EVIDENCE), passages)
        return
    clock.start()
    verification = await asyncio.to_thread(check, engine.verifier, draft, passages, question)
    proven = prove(verification, draft, passages)
    clock.stop("verify")
    for verdict in verification.sentences[checked:]:
        yield Checked(verdict)
    yield Done(result.finish(proven, degraded), passages)


def _finished_sentences(
    engine: Engine, draft: str, passages: Sequence[Passage], question: str, done: int
) -> list[SentenceVerdict]:
    """Verdicts on the sentences that another one follows already: the last may still grow."""
    if len(split_sentences(draft)) <= done + 1:
        return []
    return list(check(engine.verifier, draft, passages, question).sentences[done:-1])


class _Clock:
    """Milliseconds by step."""

    def __init__(self) -> None:
        self._began = self._step = time.perf_counter()
        self._steps: dict[str, float] = {}

    def take(self, step: str, milliseconds: float) -> None:
        self._steps[step] = round(milliseconds, 1)

    def start(self) -> None:
        self._step = time.perf_counter()

    def stop(self, step: str) -> None:
        self.take(step, (time.perf_counter() - self._step) * 1000)

    def read(self) -> dict[str, float]:
        total = round((time.perf_counter() - self._began) * 1000, 1)
        steps = dict.fromkeys(("encode", "search", "generate", "verify"), 0.0) | self._steps
        return {**steps, "total": total}


@dataclass(frozen=True, slots=True)
class _Result:
    engine: Engine
    question: str
    index: IndexState
    clock: _Clock

    def abstain(
        self,
        reason: Reason,
        *,
        detail: str | None = None,
        degraded: tuple[str, ...] = (),
        grounding: Grounding = NOTHING_WRITTEN,
        truncated: bool = False,
    ) -> Answer:
        return self._answer(
            Status.ABSTAINED, reason, _ABSTENTIONS[reason], (), (), grounding, truncated, detail, degraded
        )

    def finish(self, proven: Proven, degraded: tuple[str, ...]) -> Answer:
        if proven.reason is not None:
            return self.abstain(
                proven.reason, grounding=proven.grounding, truncated=proven.truncated, degraded=degraded
            )
        return self._answer(
            proven.status,
            None,
            proven.text,
            proven.sentences,
            proven.citations,
            proven.grounding,
            proven.truncated,
            degraded=degraded,
        )

    def _answer(
        self,
        status: Status,
        reason: Reason | None,
        text: str,
        sentences: tuple[AnswerSentence, ...],
        citations: tuple[Citation, ...],
        grounding: Grounding,
        truncated: bool,
        detail: str | None = None,
        degraded: tuple[str, ...] = (),
    ) -> Answer:
        writer = self.engine.writer
        return Answer(
            id=new_id("ans"),
            status=status,
            reason=reason,
            answer=text,
            sentences=sentences,
            citations=citations,
            grounding=grounding,
            generator=GeneratorInfo(writer.kind, writer.model),
            verifier=VerifierInfo(self.engine.verifier.name, truncated),
            index=self.index,
            timings_ms=self.clock.read(),
            degraded=(*degraded, *(("verifier_truncated",) if truncated else ())),
            question=self.question,
            detail=detail,
        )
