"""What each part of the ranking adds: nDCG@10 with each on and off, on the sets of ``bench.retrieval``.

    python -m bench.ablation FOLDER [--sets northwind,chunking,wice,handbook,site-policy] [--rerank QUESTIONS]
                                    [--reranker NAME_OR_FOLDER] [--out FILE]

FOLDER is as ``bench.retrieval`` has it. Each set is cut, encoded and asked once; every line of the table then ranks the same
candidates of the two legs. ``late interaction`` reranks them with the encoder's token vectors. ``learned`` chooses fusion and
dense weight, or late interaction's share, as ``footnote eval fit-ranking`` does (``learned fusion`` without the latter), and is
the cross-validated score: no question is ranked with weights that were chosen on it. With ``--rerank``, that many questions of
each set are also reranked, beside the same questions without: by the cross-encoder ``--reranker`` or, by default, the scorer
that the extractive writer has, given whole chunks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.retrieval import SETS, Indexed, Task, indexed, ndcg
from evals.bootstrap import paired_difference
from evals.cross_validation import cross_validate
from evals.fit_ranking import variants
from evals.metrics import METRICS
from retrieval.answers.scorer import CrossEncoderScorer
from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.passage import DocumentRef, Passage
from retrieval.ranking.collapse import collapse
from retrieval.ranking.fusion import Hit
from retrieval.ranking.late_interaction import LATE_INTERACTION
from retrieval.ranking.rank import Found, Mode, Ranked, rank
from retrieval.ranking.reranker import Reranker, load_reranker
from retrieval.ranking.reranking import rerank, text_to_read
from retrieval.ranking.settings import DEFAULT_RANKING, RankingSettings
from retrieval.ranking.views import DEPTH, find_candidates

_COLLAPSE = (1.0, 0.8)
_RERANK_DEPTHS = (10, 20)
_RERANK_WEIGHTS = (0.1, 0.3, 0.5, 1.0)
_LATE_WEIGHTS = (0.3, 0.5, 0.7, 1.0)


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions of a set that have gold, each with what both legs found for it."""

    index: Indexed
    questions: list[str]
    gold: list[set[str]]
    found: list[Found]

    def scores(self, order: Callable[[int], Sequence[Hit]]) -> np.ndarray:
        """nDCG@10 of each question's ``order``, units ranked by their best chunk."""
        units = ([self.index.unit_of[hit.key] for hit in order(i)] for i in range(len(self.gold)))
        return np.array([ndcg(list(dict.fromkeys(u)), gold) for u, gold in zip(units, self.gold, strict=True)])

    def ranked(self, number: int, settings: RankingSettings = DEFAULT_RANKING, mode: Mode = "hybrid") -> Ranked:
        """What was found for a question, ranked."""
        found = replace(self.found[number], settings=settings)
        if mode != "hybrid":
            found = replace(found, **{"lexical" if mode == "dense" else "dense": {}})
        return rank([found], mode=mode, depth=DEPTH)

    def passage(self, hit: Hit) -> Passage:
        """A hit as a passage; its unit is its document."""
        unit, (context, text) = self.index.unit_of[hit.key], self.index.chunks[hit.key]
        return Passage(str(hit.key), DocumentRef(unit, unit, 1), text, (), None, 0, len(text), context=context)


def ask(task: Task, encoder: Encoder) -> Asked:
    """Encode and index a set, and ask both legs its questions."""
    index = indexed(task, encoder)
    usable = [number for number, gold in enumerate(task.gold) if gold]
    questions = [task.questions[number] for number in usable]
    vectors = encoder.encode(questions, kind="query")
    found = [
        find_candidates([index.view], question, [vector], DEPTH)[0]
        for question, vector in zip(questions, vectors, strict=True)
    ]
    return Asked(index, questions, [task.gold[number] for number in usable], found)


def measure(asked: Asked, reranker: Reranker) -> dict[str, Any]:
    """Every line of a set's table; ``gain`` is over the default, with its 95 % interval. ``reranker``: late interaction."""
    default = asked.scores(lambda i: asked.ranked(i).hits)
    table: dict[str, Any] = {"default": {"ndcg@10": float(default.mean())}}
    modes: tuple[Mode, ...] = ("lexical", "dense")
    lines = {mode: asked.scores(lambda i, mode=mode: asked.ranked(i, mode=mode).hits) for mode in modes}
    by_rank = RankingSettings(fusion="reciprocal_rank")
    lines["reciprocal rank"] = asked.scores(lambda i: asked.ranked(i, by_rank).hits)
    sure = replace(asked, found=[replace(found, share=1.0) for found in asked.found])
    lines["without trust"] = sure.scores(lambda i: sure.ranked(i).hits)
    lines["without spreading"] = asked.scores(lambda i: asked.ranked(i, RankingSettings(repeat_factor=1.0)).hits)
    for threshold in _COLLAPSE:
        lines[f"collapsed at {threshold:g}"] = asked.scores(lambda i, at=threshold: _collapsed(asked, i, at))
    ranked = [asked.ranked(i) for i in range(len(asked.gold))]
    read = _read(asked, ranked, reranker, DEFAULT_RANKING.rerank_depth)
    for weight in _LATE_WEIGHTS:
        lines[f"late interaction, {weight:g}"] = asked.scores(lambda i, w=weight: rerank(ranked[i], read[i], w))
    for name, scores in lines.items():
        table[name] = _line(default, scores)

    def order(number: int, settings: RankingSettings) -> list[Hit]:
        found = asked.ranked(number, settings)
        return rerank(found, read[number], settings.rerank_weight) if settings.rerank else found.hits

    for name, with_reranker in (("learned fusion", False), ("learned", True)):
        tried = variants(DEFAULT_RANKING, reranker=with_reranker)
        grid = np.stack([asked.scores(lambda i, s=settings: order(i, s)) for settings in tried], axis=1)
        choice = cross_validate(grid)
        chosen = tried[choice.chosen]
        table[name] = {
            "ndcg@10": choice.after,
            "gain": choice.gain.value,
            "ci": [choice.gain.low, choice.gain.high],
            "chosen": {"fusion": chosen.fusion, "dense_weight": chosen.dense_weight}
            | ({"rerank_weight": chosen.rerank_weight} if chosen.rerank else {}),
        }
    return table


def _read(asked: Asked, ranked: Sequence[Ranked], reranker: Reranker, depth: int) -> list[dict[int, float]]:
    """What a reranker says of the first ``depth`` hits of each question, by key."""
    found = []
    for question, each in zip(asked.questions, ranked, strict=True):
        hits = each.hits[:depth]
        scores = reranker.score(question, [text_to_read(asked.passage(hit)) for hit in hits])
        found.append(dict(zip([hit.key for hit in hits], scores.tolist(), strict=True)))
    return found


def measure_reranking(asked: Asked, reranker: Reranker, questions: int) -> dict[str, Any]:
    """The same questions with and without reranking, by depth and weight."""
    step = max(1, len(asked.questions) // questions)
    some = replace(
        asked,
        questions=asked.questions[::step][:questions],
        gold=asked.gold[::step][:questions],
        found=asked.found[::step][:questions],
    )
    ranked = [some.ranked(i) for i in range(len(some.gold))]
    before = some.scores(lambda i: ranked[i].hits)
    table: dict[str, Any] = {"questions": len(before), "not reranked": {"ndcg@10": float(before.mean())}}
    for depth in _RERANK_DEPTHS:
        read = _read(some, ranked, reranker, depth)
        for weight in _RERANK_WEIGHTS:
            scores = some.scores(lambda i, read=read, weight=weight: rerank(ranked[i], read[i], weight))
            table[f"first {depth}, weight {weight:g}"] = _line(before, scores)
    return table


def _collapsed(asked: Asked, number: int, threshold: float) -> list[Hit]:
    hits = asked.ranked(number).hits[:100]
    shown = collapse((asked.passage(hit) for hit in hits), len(hits), threshold)
    return [Hit(int(passage.chunk_id), 0.0) for passage in shown]


def _line(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    gain = paired_difference(METRICS["ndcg@10"], before[:, None], after[:, None])
    return {"ndcg@10": float(after.mean()), "gain": gain.value, "ci": [gain.low, gain.high]}


def main() -> None:
    """Read the command line, measure each set that is there, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--rerank", type=int, default=0)
    parser.add_argument("--reranker")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    encoder = load_encoder(options.encoder)
    late = load_reranker(LATE_INTERACTION, encoder)
    reranker = load_reranker(options.reranker, encoder) or CrossEncoderScorer()
    results: dict[str, Any] = {}
    for name in options.sets.split(","):
        folder, read = SETS[name]
        if not (options.folder / folder).is_dir():
            print(f"{name:12} not there")
            continue
        asked = ask(read(options.folder), encoder)
        results[name] = {"questions": len(asked.gold), **measure(asked, late)}
        if options.rerank:
            results[name][f"reranked by {reranker.name}"] = measure_reranking(asked, reranker, options.rerank)
        _print(name, results[name])
        written = {"encoder": encoder.name, "sets": results}
        options.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def _print(name: str, table: dict[str, Any]) -> None:
    for line, scores in table.items():
        if not isinstance(scores, dict):
            continue
        if "ndcg@10" not in scores:
            _print(f"{name}, {line}", scores)
            continue
        gain = ""
        if "gain" in scores:
            gain = f" {scores['gain']:+.4f} ({scores['ci'][0]:+.4f} to {scores['ci'][1]:+.4f})"
        chosen = "".join(f" {value}" for value in scores.get("chosen", {}).values())
        print(f"{name:12} {line:24} {scores['ndcg@10']:.4f}{gain}{chosen}", flush=True)


if __name__ == "__main__":
    main()
