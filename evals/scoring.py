"""The scores of one item: what its search and its answer are worth against its gold."""

from __future__ import annotations

from collections.abc import Sequence

from evals.anchors import Anchor, Place
from evals.gold import GoldItem
from evals.metrics.answer_facts import answer_facts
from evals.metrics.aurc import loss
from evals.metrics.citation_precision import citation_precision
from evals.metrics.citation_recall import citation_recall
from evals.metrics.false_answer_rate import false_answer
from evals.metrics.groundedness import groundedness
from evals.metrics.mrr import reciprocal_rank
from evals.metrics.ndcg import ndcg
from evals.metrics.over_refusal_rate import over_refusal
from evals.metrics.recall import recall
from evals.ranking import DEPTH, Ranking
from retrieval.answers.answer import Answer, Status


def retrieval_scores(ranking: Ranking) -> dict[str, float]:
    """Scores of a search for an item that has evidence."""
    return {
        "ndcg@10": ndcg(ranking.gains, ranking.ideal, DEPTH),
        "recall@10": recall(ranking.found, len(ranking.ideal)),
        "mrr@10": reciprocal_rank(ranking.first, DEPTH),
    }


def answer_scores(item: GoldItem, answer: Answer, anchors: Sequence[Anchor] | None) -> dict[str, float]:
    """Scores of an answer; a score that the item gives no ground for is absent.

    ``anchors`` are the item's places in the documents; ``None`` = it has none, or not all could be found.
    """
    name, score = (
        ("over_refusal", over_refusal(answer.status))
        if item.answerable
        else ("false_answer", false_answer(answer.status))
    )
    scores: dict[str, float | None] = {name: score}
    if answer.status is not Status.ABSTAINED:
        scores["groundedness"] = groundedness(answer.grounding.supported, answer.grounding.unsupported)
        facts = cited = None
        if item.answerable:
            if item.facts:
                facts = scores["answer_facts"] = answer_facts(item.facts, answer.answer)
            if anchors:
                places = citation_places(answer)
                scores["citation_precision"] = citation_precision(places, anchors)
                scores["citation_recall"] = citation_recall(places, anchors)
                cited = bool(scores["citation_recall"])
        lost = loss(item.answerable, facts, cited)
        if lost is not None:
            scores |= {"confidence": answer.grounding.score, "loss": lost}
    return {key: value for key, value in scores.items() if value is not None}


def citation_places(answer: Answer) -> list[Place]:
    """Where the answer's citations point."""
    return [Place(c.document.external_id, c.char_start, c.char_end, c.page) for c in answer.citations]
