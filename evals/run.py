"""A run: every question of a gold set is searched for and asked, as the caller that its groups describe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from evals.anchors import Anchor, hits, resolve
from evals.gold import GoldItem, to_body
from evals.ranking import DEPTH, by_document, by_evidence, distinct_documents, place_of
from evals.result import ItemResult, Retrieved
from evals.scoring import answer_scores, retrieval_scores
from evals.subject import Subject
from infra.errors import FootnoteError
from retrieval.access import EVERYTHING, Access
from retrieval.answers.answer import Answer, Reason
from retrieval.passage import Passage

MODES = ("hybrid", "dense", "lexical")
_SHOWN = 5
# Passages asked for until ten distinct documents are among them.
_DEPTHS = (3 * DEPTH, 12 * DEPTH, 50 * DEPTH)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to run. ``answers``: ask as well as search; ``concurrency``: questions in flight at a time."""

    collection: str
    mode: str = "hybrid"
    answers: bool = True
    concurrency: int = 1


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run found.

    ``problems`` say why its numbers cannot be trusted, ``notes`` what is worth knowing.
    """

    items: tuple[ItemResult, ...]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def asks_answers(items: Sequence[GoldItem]) -> bool:
    """Whether the gold says anything of answers; sets of relevance judgements don't."""
    return not all(item.only_judged for item in items)


async def run_items(
    subject: Subject, items: Sequence[GoldItem], plan: RunPlan, progress: Callable[[], None] = lambda: None
) -> Trial:
    """Run ``items``; ``progress`` is called after each. Raises ``NotFound`` for an unknown collection.

    An item whose search or answer fails is recorded with its error, and the run goes on.
    """
    config = await to_thread.run_sync(subject.describe, plan.collection)
    if items:
        # The first search builds the index: that is no part of anyone's latency.
        await to_thread.run_sync(partial(_warm_up, subject, items[0].question, plan))
    results: list[ItemResult | None] = [None] * len(items)
    limit = anyio.Semaphore(plan.concurrency)
    texts: dict[str, str | None] = {}

    async def work(number: int, item: GoldItem) -> None:
        async with limit:
            results[number] = await _run_item(subject, item, plan, texts)
            progress()

    async with anyio.create_task_group() as group:
        for number, item in enumerate(items):
            group.start_soon(work, number, item)
    done = tuple(result for result in results if result is not None)
    return Trial(done, *_judge_run(done), config)


def _warm_up(subject: Subject, question: str, plan: RunPlan) -> None:
    subject.search(question, collection=plan.collection, mode=plan.mode, top_k=1, access=EVERYTHING)


async def _run_item(subject: Subject, item: GoldItem, plan: RunPlan, texts: dict[str, str | None]) -> ItemResult:
    anchors, missing, problems = await to_thread.run_sync(resolve_evidence, subject, item, plan.collection, texts)
    usable = [*anchors, *missing] if not problems and (anchors or missing) else None
    access = EVERYTHING if item.groups is None else Access(frozenset(item.groups))
    scores: dict[str, float] = {}
    retrieved: tuple[Retrieved, ...] = ()
    answer: Answer | None = None
    try:
        if usable or not plan.answers:
            started = time.perf_counter()
            passages = await to_thread.run_sync(_search, subject, item, plan, access, usable)
            scores["latency_ms"] = 1000 * (time.perf_counter() - started)
            if usable:
                whole = all(anchor.whole_document for anchor in usable)
                ranking = by_document(passages, usable, item.id) if whole else by_evidence(passages, usable)
                scores |= retrieval_scores(ranking)
            retrieved = _retrieved(passages, usable or ())
        if plan.answers:
            started = time.perf_counter()
            answer = await subject.answer(item.question, collection=plan.collection, mode=plan.mode, access=access)
            scores["latency_ms"] = 1000 * (time.perf_counter() - started)
            if answer.reason is not Reason.GENERATOR_UNAVAILABLE:
                scores |= answer_scores(item, answer, usable)
    except FootnoteError as error:
        return ItemResult(id=item.id, gold=to_body(item), scores={}, error=error.detail, problems=problems)
    return ItemResult(
        id=item.id,
        gold=to_body(item),
        scores=scores,
        retrieved=retrieved,
        status=answer.status.value if answer else None,
        reason=answer.reason.value if answer and answer.reason else None,
        answer=_shown(answer) if answer else None,
        problems=problems or tuple(f"document {anchor.external_id!r} is not in the collection" for anchor in missing),
    )


def resolve_evidence(
    subject: Subject, item: GoldItem, collection: str, texts: dict[str, str | None]
) -> tuple[list[Anchor], list[Anchor], tuple[str, ...]]:
    """The item's places; whole documents that are missing (they stay relevant, and unfound); and what is
    wrong with the rest.
    """
    anchors: list[Anchor] = []
    missing: list[Anchor] = []
    problems: list[str] = []
    for evidence in item.evidence if item.answerable else ():
        name = evidence.external_id
        if name not in texts:
            texts[name] = subject.document_text(collection, name)
        place = resolve(evidence, texts[name])
        if isinstance(place, Anchor):
            anchors.append(place)
        elif evidence.whole_document and place.code == "missing_document":
            missing.append(Anchor(name, grade=evidence.grade))
        else:
            problems.append(place.reason)
    return anchors, missing, tuple(problems)


def _search(
    subject: Subject, item: GoldItem, plan: RunPlan, access: Access, anchors: Sequence[Anchor] | None
) -> Sequence[Passage]:
    search = partial(subject.search, item.question, collection=plan.collection, mode=plan.mode, access=access)
    if not anchors or not all(anchor.whole_document for anchor in anchors):
        return search(top_k=DEPTH)
    for depth in _DEPTHS:
        passages = search(top_k=depth)
        # One more than ten, for a document that has the query's own id is not ranked.
        if len(passages) < depth or len(distinct_documents(passages)) > DEPTH:
            break
    return passages


def _retrieved(passages: Sequence[Passage], anchors: Sequence[Anchor]) -> tuple[Retrieved, ...]:
    return tuple(
        Retrieved(
            passage.document.external_id,
            round(passage.score, 6),
            any(hits(anchor, place_of(passage)) for anchor in anchors),
            passage.char_start,
            passage.char_end,
            passage.page,
        )
        for passage in passages[:DEPTH]
    )


def _shown(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.id,
        "text": answer.answer,
        "grounding": answer.grounding.score,
        "degraded": list(answer.degraded),
        "sentences": [
            {"text": s.text, "verdict": s.verdict.value, "score": s.score, "citations": list(s.citations)}
            for s in answer.sentences
        ],
        "citations": [
            {"n": c.n, "external_id": c.document.external_id, "page": c.page, "quote": c.quote}
            for c in answer.citations
        ],
    }


def _judge_run(items: Sequence[ItemResult]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    problems: list[str] = []
    notes: list[str] = []
    if not items:
        problems.append("the gold set has no items")
    failed = [item for item in items if item.error is not None]
    if failed:
        problems.append(f"{len(failed)} of {len(items)} items failed, the first ({failed[0].id}): {failed[0].error}")
    down = sum(item.reason == Reason.GENERATOR_UNAVAILABLE for item in items)
    if down:
        problems.append(f"{down} of {len(items)} answers were not written: the language model could not be reached")
    stale = [item for item in items if item.problems and "ndcg@10" not in item.scores and item.error is None]
    problems.extend(f"the evidence of item {i.id} cannot be found: {i.problems[0]}" for i in stale[:_SHOWN])
    if len(stale) > _SHOWN:
        problems.append(f"the evidence of {len(stale) - _SHOWN} more items cannot be found")
    partly = [item for item in items if item.problems and "ndcg@10" in item.scores]
    absent = sum(len(item.problems) for item in partly)
    if partly and all(len(item.problems) == len(item.gold["evidence"]) for item in _judged(items)):
        problems.append("none of the documents that the gold set names is in the collection")
    elif absent:
        notes.append(f"{absent} documents judged relevant are not in the collection; they count as not found")
    degraded = sum(bool(item.answer and item.answer["degraded"]) for item in items) - down
    if degraded:
        notes.append(f"{degraded} answers were degraded")
    return tuple(problems), tuple(notes)


def _judged(items: Sequence[ItemResult]) -> list[ItemResult]:
    return [item for item in items if item.gold["answerable"] and item.gold.get("evidence")]
