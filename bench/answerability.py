"""How well the score of ``retrieval.answers.answerability`` tells what passages say from what they don't, and what
the extractive answers hold.

    python bench/answerability.py DATA [--sets written,probes,company,spans,pages] [--limit N] [--fit]

DATA is the folder with the public question sets (``chunking``, ``northwind``); ``written``, ``probes`` and
``company`` need none of it. Prints a table, by set and split, beside the baseline "highest cosine of a sentence":
AUROC, the false-answer rate where 15 % of the answerable are refused, and both error rates at the threshold
in use; then the share of gold facts in answers of at most four sentences. Writes
``bench/answerability.json``. ``--fit`` fits the weights on the dev items of ``written`` and ``probes`` and
prints them; it changes nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.answerability_data import Item, company_items, load_items, with_other_nouns  # noqa: E402
from retrieval.answers.answerability import THRESHOLD, assess_readings, features  # noqa: E402
from retrieval.answers.extractive import choose  # noqa: E402
from retrieval.answers.question import parts, read_question  # noqa: E402
from retrieval.answers.reading import Reading, read_passages  # noqa: E402
from retrieval.answers.scorer import AnswerScorer, CrossEncoderScorer  # noqa: E402
from retrieval.encoders.encoder import Encoder, load_encoder  # noqa: E402

_REFUSED = 0.15
# Not the sample company, which measures the whole, and no questions that were made by rule: not all of them make sense.
_FITTED = ("written", "probes")


@dataclass(frozen=True, slots=True)
class Result:
    """One item with what was made of it. ``facts_held`` is the share of its facts in the answer, if it was
    answerable.
    """

    item: Item
    readings: tuple[Reading, ...]
    score: float
    baseline: float
    facts_held: float | None
    sentences: int
    milliseconds: float


def judge(item: Item, encoder: Encoder, scorer: AnswerScorer) -> Result:
    """Assess and answer one item."""
    started = time.perf_counter()
    readings = tuple(
        read_passages(part, item.passages, encoder, scorer) for part in parts(read_question(item.question))
    )
    score = assess_readings(readings).score
    chosen = choose(readings, item.passages)
    milliseconds = (time.perf_counter() - started) * 1000
    baseline = max((read.similarity for reading in readings for read in reading.reads), default=0.0)
    held = None
    if item.answerable and item.facts:
        answer = _plain(" ".join(item.passages[s.passage_index].text[s.start : s.end] for s in chosen))
        held = sum(_plain(fact) in answer for fact in item.facts) / len(item.facts)
    return Result(item, readings, score, baseline, held, len(chosen), milliseconds)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.replace(",", "").lower()).strip()


def rates(results: Sequence[Result]) -> dict[str, float | int]:
    """The numbers of one set and split."""
    told = np.array([r.item.answerable for r in results])
    row: dict[str, float | int] = {"answerable": int(told.sum()), "unanswerable": int((~told).sum())}
    if not told.any() or told.all():
        return row
    for name, scores in (
        ("score", np.array([r.score for r in results])),
        ("baseline", np.array([r.baseline for r in results])),
    ):
        row[f"{name}_auroc"] = round(float(roc_auc_score(told, scores)), 3)
        limit = np.quantile(scores[told], _REFUSED)
        row[f"{name}_false_answers_at_15"] = round(float((scores[~told] >= limit).mean()), 3)
    score = np.array([r.score for r in results])
    row["false_answers"] = round(float((score[~told] >= THRESHOLD).mean()), 3)
    row["over_refusal"] = round(float((score[told] < THRESHOLD).mean()), 3)
    held = [r.facts_held for r in results if r.facts_held is not None]
    if held:
        row["facts_held"] = round(float(np.mean(held)), 3)
        row["sentences"] = round(float(np.mean([r.sentences for r in results if r.facts_held is not None])), 2)
    return row


def fit(results: Sequence[Result]) -> dict[str, float]:
    """Logistic weights on the dev items of ``_FITTED``; each set counts the same, and in it both answers."""
    rows, labels, keys = [], [], []
    for result in results:
        values = features(result.readings[0]) if len(result.readings) == 1 else None
        chosen = result.item.name in _FITTED and result.item.split == "dev" and result.item.kind != "other noun"
        if chosen and values is not None:
            rows.append(values)
            labels.append(result.item.answerable)
            keys.append((result.item.name, result.item.answerable))
    size = Counter(keys)
    weight = np.array([1.0 / size[key] for key in keys])
    names = list(rows[0])
    matrix = np.array([[row[name] for name in names] for row in rows])
    model = LogisticRegression(C=10, max_iter=3000).fit(matrix, labels, sample_weight=weight * len(rows) / weight.sum())
    weights = {name: round(float(value), 2) for name, value in zip(names, model.coef_[0], strict=True)}
    return {**weights, "bias": round(float(model.intercept_[0]), 2)}


def main() -> None:
    """Run the bench."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--sets", default="written,probes,company,spans,pages")
    arguments.add_argument("--limit", type=int, default=0, help="at most so many items of a set, split and kind")
    arguments.add_argument("--fit", action="store_true")
    given = arguments.parse_args()
    encoder, scorer = load_encoder(), CrossEncoderScorer()
    sets = given.sets.split(",")
    items = load_items(given.data, encoder, [name for name in sets if name != "company"])
    items += with_other_nouns([item for item in items if item.name != "unseen"], encoder)
    if "company" in sets:
        company = list(company_items(ROOT / "evals" / "data", encoder))
        items += [replace(item, split="test" if n % 2 else "dev") for n, item in enumerate(company)]
    if given.limit:
        items = _sample(items, given.limit)
    results = [judge(item, encoder, scorer) for item in items]
    table = {}
    for key in sorted({(r.item.name, r.item.split) for r in results}):
        table["/".join(key)] = rates([r for r in results if (r.item.name, r.item.split) == key])
        print("/".join(key), json.dumps(table["/".join(key)]))
        kinds = {r.item.kind for r in results if (r.item.name, r.item.split) == key and not r.item.answerable}
        for kind in sorted(kinds):
            wrong = [
                r.score >= THRESHOLD
                for r in results
                if (r.item.name, r.item.split, r.item.kind) == (*key, kind) and not r.item.answerable
            ]
            print(f"    false answers, {kind}: {sum(wrong)} of {len(wrong)}")
    speed = [r.milliseconds for r in results]
    print(f"milliseconds a question: median {np.median(speed):.0f}, 95th percentile {np.quantile(speed, 0.95):.0f}")
    if given.fit:
        print("fitted:", json.dumps(fit(results)))
    report = {"threshold": THRESHOLD, "sets": table, "milliseconds_median": round(float(np.median(speed)), 1)}
    (ROOT / "bench" / "answerability.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _sample(items: Sequence[Item], limit: int) -> list[Item]:
    groups: dict[tuple[str, str, str], list[Item]] = defaultdict(list)
    for item in items:
        groups[item.name, item.split, item.kind].append(item)
    return [item for group in groups.values() for item in random.Random(5).sample(group, min(limit, len(group)))]


if __name__ == "__main__":
    main()
