"""Fitting how a collection ranks to a gold set: fusion, the legs' weights, how much age counts, and a reranker's share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec
import numpy as np

from evals.anchors import Anchor
from evals.cross_validation import FOLDS, cross_validate
from evals.gold import GoldItem
from evals.ranking import DEPTH, by_document, by_evidence
from evals.run import resolve_evidence
from evals.scoring import retrieval_scores
from evals.subject import Subject
from infra.clock import now
from retrieval.access import EVERYTHING, Access
from retrieval.passage import Passage
from retrieval.ranking.fusion import Hit
from retrieval.ranking.rank import Found, Ranked, rank
from retrieval.ranking.reranker import Reranker
from retrieval.ranking.reranking import rerank, text_to_read
from retrieval.ranking.settings import RankingSettings

# With fewer questions, five folds choose on two dozen: no gain that a fusion can have would stand out.
MIN_ITEMS = 30
_STEPS = tuple(step / 10 for step in range(11))
_RECENCY = (0.0, 0.25, 0.5, 0.75)


class CandidateSource(Subject, Protocol):
    """A subject that also shows what its two legs find, before it is ranked."""

    def candidates(self, query: str, *, collection: str, access: Access) -> tuple[Found, int]:
        """Find what a hybrid search ranks, and how many each leg was asked for."""
        ...

    def passages(self, hits: Sequence[Hit], access: Access) -> Sequence[Passage]:
        """Show the passages of ``hits``, in their order."""
        ...

    @property
    def reranker(self) -> Reranker | None:
        """What reorders results where a collection asks for it."""
        ...


class Fit(msgspec.Struct, frozen=True):
    """What fitting found: ``PASS`` = ``chosen`` is better than ``current`` on questions that it was not chosen on.

    ``ndcg`` is the mean nDCG@10 with the settings in force and, cross-validated, with chosen ones; ``gain`` their difference
    with its 95 % interval ``ci``, and ``mde`` the smallest gain that so many items can show.
    """

    goldset: str
    collection: str
    verdict: str  # PASS, INCONCLUSIVE or INVALID
    reason: str
    items: int
    current: dict[str, Any]
    chosen: dict[str, Any]
    ndcg: tuple[float, float] | None = None
    gain: float | None = None
    ci: tuple[float, float] | None = None
    mde: float | None = None
    notes: tuple[str, ...] = ()
    applied: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    item: GoldItem
    anchors: tuple[Anchor, ...]

    @property
    def access(self) -> Access:
        return EVERYTHING if self.item.groups is None else Access(frozenset(self.item.groups))


def variants(current: RankingSettings, *, reranker: bool = False) -> list[RankingSettings]:
    """The settings that are tried: ``current`` first, then both fusions with dense weights of 0, .1, ... 1; with weights of
    recency of 0, .25, .5 and .75 where ``current`` has a half-life.

    With a ``reranker`` also ``current`` reranked with weights of .1, .2, ... 1. Where ``current`` is reranked already, these
    and not reranking are all: other fusions would each have other passages read.
    """
    ages = _RECENCY if current.recency_half_life_days is not None else (current.recency_weight,)
    fusions: tuple[Any, ...] = ("min_max", "reciprocal_rank")
    fused = [
        replace(current, fusion=fusion, dense_weight=weight, recency_weight=age)
        for fusion in fusions
        for weight in _STEPS
        for age in ages
    ]
    reranked = [replace(current, rerank=True, rerank_weight=weight) for weight in _STEPS[1:]]
    if not reranker:
        tried = fused
    elif current.rerank:
        tried = [replace(current, rerank=False), *reranked]
    else:
        tried = [*fused, *reranked]
    return [current, *(each for each in tried if each != current)]


def fit_ranking(
    source: CandidateSource,
    goldset: str,
    items: Iterable[GoldItem],
    collection: str,
    current: RankingSettings,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Fit:
    """Choose fusion and weights for ``collection`` by nDCG@10 on the ``items`` that have evidence, cross-validated.

    Nothing is changed. Collapsing, which comes after, has no part in it. Raises ``NotFound`` for an unknown collection.
    """
    questions, notes = _questions(source, items, collection)
    tried = variants(current, reranker=source.reranker is not None)
    fitted = _fitted(current, source.reranker)
    shown = _shown(current, fitted)
    fit = Fit(goldset, collection, "INVALID", "", len(questions), shown, shown, notes=notes)
    if not questions:
        return msgspec.structs.replace(fit, reason="no item has evidence that is in the collection")
    if len(questions) < MIN_ITEMS:
        reason = f"{len(questions)} items have evidence in the collection; at least {MIN_ITEMS} are needed"
        return msgspec.structs.replace(fit, verdict="INCONCLUSIVE", reason=reason)
    scores = np.empty((len(questions), len(tried)))
    for number, question in enumerate(questions):
        scores[number] = _score(source, question, collection, tried)
        progress(number + 1, len(questions))
    choice = cross_validate(scores)
    low, high = choice.gain.low, choice.gain.high
    fit = msgspec.structs.replace(
        fit,
        ndcg=(round(choice.before, 6), round(choice.after, 6)),
        gain=round(choice.gain.value, 6),
        ci=(round(low, 6), round(high, 6)),
        mde=round(choice.gain.mde, 6),
    )
    if choice.chosen == 0 or low <= 0.0:
        best = "the settings in force are the best of those tried" if choice.chosen == 0 else "the gain may be chance"
        return msgspec.structs.replace(fit, verdict="INCONCLUSIVE", reason=best)
    reason = f"better than the settings in force on questions that it was not chosen on ({FOLDS}-fold cross-validation)"
    return msgspec.structs.replace(fit, verdict="PASS", reason=reason, chosen=_shown(tried[choice.chosen], fitted))


def _fitted(current: RankingSettings, reranker: Reranker | None) -> list[str]:
    names = ["fusion", "dense_weight"]
    if current.recency_half_life_days is not None:
        names.append("recency_weight")
    return names if reranker is None else [*names, "rerank", "rerank_weight"]


def _shown(settings: RankingSettings, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in names}


def _questions(
    source: CandidateSource, items: Iterable[GoldItem], collection: str
) -> tuple[list[_Question], tuple[str, ...]]:
    texts: dict[str, str | None] = {}
    questions: list[_Question] = []
    stale = 0
    for item in items:
        anchors, missing, problems = resolve_evidence(source, item, collection, texts)
        if problems:
            stale += 1
        elif anchors or missing:
            questions.append(_Question(item, (*anchors, *missing)))
    return questions, (f"{stale} items are left out: their evidence cannot be found",) if stale else ()


def _score(
    source: CandidateSource, question: _Question, collection: str, tried: Sequence[RankingSettings]
) -> list[float]:
    """nDCG@10 of one question by settings."""
    item, anchors, access = question.item, question.anchors, question.access
    found, depth = source.candidates(item.question, collection=collection, access=access)
    whole = all(anchor.whole_document for anchor in anchors)
    moment = now()
    passages = _Passages(source, item.question, access)
    scores = []
    for settings in tried:
        ranked = rank([replace(found, settings=settings)], mode="hybrid", depth=depth, moment=moment)
        reranked = passages.reranked(ranked)
        # Documents are ranked by their best passages, so ten of them may take all that was found.
        shown = passages.load(reranked if whole else reranked[:DEPTH])
        ranking = by_document(shown, anchors, item.id) if whole else by_evidence(shown, anchors)
        scores.append(retrieval_scores(ranking)["ndcg@10"])
    return scores


class _Passages:
    """The passages of a question, each loaded once, and each selection of them read by the reranker once."""

    def __init__(self, source: CandidateSource, question: str, access: Access) -> None:
        self._source = source
        self._question = question
        self._access = access
        self._known: dict[int, Passage] = {}
        self._read: dict[tuple[int, ...], dict[int, float]] = {}

    def load(self, hits: Sequence[Hit]) -> list[Passage]:
        unknown = [hit for hit in hits if hit.key not in self._known]
        if unknown:
            loaded = self._source.passages(unknown, self._access)
            self._known |= dict(zip([hit.key for hit in unknown], loaded, strict=True))
        return [self._known[hit.key] for hit in hits]

    def reranked(self, ranked: Ranked) -> Sequence[Hit]:
        """The hits in the order that a search shows them in."""
        reranker, settings = self._source.reranker, ranked.settings
        if reranker is None or not settings.rerank:
            return ranked.hits
        first = ranked.hits[: settings.rerank_depth]
        keys = tuple(hit.key for hit in first)
        if keys not in self._read:
            scores = reranker.score(self._question, [text_to_read(passage) for passage in self.load(first)])
            self._read[keys] = dict(zip(keys, scores.tolist(), strict=True))
        return rerank(ranked, self._read[keys], settings.rerank_weight)
