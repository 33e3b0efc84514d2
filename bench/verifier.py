"""Measure the verifier: python -m bench.verifier DATA [--fit] [--limit N] [--out FILE]

DATA is a folder that holds ``grounding`` (begin_dev_*.tsv, wice_tokens_train.jsonl) and folders of Markdown
documents. Prints one row for each set and method, and writes ``bench/verifier.json``: AUROC of the response's
score, and balanced accuracy at the threshold 0.5. Each set is split into two halves by a hash of its passages;
weights are fitted (``--fit`` prints them) on the first halves only, and every number is given for the second.

Sets: ``begin`` (responses of dialogue models, attributable or not; the "generic" ones left out),
``begin+generic``, ``wice`` (claims of an encyclopedia beside a web page: the claim as written, not fully
supported, against the same claim without the words marked unsupported), ``edits`` (sentences of the Markdown
documents: reworded, shortened or merged, against the same with a number, name, negation, opposite or clause
changed, or a sentence from elsewhere).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from bench.edits import edited_examples
from retrieval.sentences import split_sentences
from retrieval.terms import content_terms
from retrieval.verify.claims import is_uncheckable
from retrieval.verify.evidence import EvidenceIndex
from retrieval.verify.findings import Claim, Findings
from retrieval.verify.scoring import features
from retrieval.verify.verifier import DeterministicVerifier

SEED = 20


@dataclass(frozen=True, slots=True)
class Example:
    """A response beside its passages; ``supported`` is what people said, or what the edit made of it."""

    group: str
    kind: str
    passages: tuple[str, ...]
    response: str
    supported: bool
    question: str | None = None

    @property
    def is_test(self) -> bool:
        """Whether it is of the second half, by the hash of its passages, so that no passage is in both."""
        return hashlib.sha256("\n".join(self.passages).encode()).digest()[0] % 2 == 1


def begin(folder: Path) -> Iterator[Example]:
    """Read the responses of dialogue models."""
    csv.field_size_limit(sys.maxsize)
    for path in sorted(folder.glob("begin_dev_*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                label = row["begin_label"]
                group = "begin+generic" if label == "Generic" else "begin"
                kind = f"{path.stem.rsplit('_', 1)[-1]}"
                yield Example(group, kind, (row["knowledge"],), row["response"], label == "Fully attributable")


def wice(folder: Path) -> Iterator[Example]:
    """Read claims with unsupported words: the whole claim is not supported, the claim without them is."""
    for line in (folder / "wice_tokens_train.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        passages = ("\n".join(row["evidence"]),)
        spans = row["non_supported_spans"]
        kept = [token for token, bad in zip(row["claim_tokens"], spans, strict=True) if not bad]
        if len(kept) < 4 or not any(spans):
            continue
        yield Example("wice", "claim", passages, row["claim"], False)
        yield Example("wice", "claim", passages, " ".join(kept), True)


def lexical(example: Example) -> float:
    """Return the share of the response's content terms that stand anywhere in the passages: the baseline."""
    terms = set(content_terms(example.response))
    pool = set(content_terms(" ".join(example.passages)))
    return len(terms & pool) / len(terms) if terms else 0.5


def report(name: str, examples: list[Example], scores: npt.NDArray[np.float64]) -> list[dict[str, object]]:
    """Return one row for each set and each kind within it."""
    rows: list[dict[str, object]] = []
    keys = sorted({(e.group, "all") for e in examples} | {(e.group, e.kind) for e in examples})
    for group, kind in keys:
        chosen = [
            i for i, e in enumerate(examples)
            if e.is_test and (e.group == group or (group == "begin+generic" and e.group == "begin"))
            and (kind in ("all", e.kind) or (group == "edits" and e.supported))
        ]  # fmt: skip
        labels = np.array([examples[i].supported for i in chosen])
        if len(set(labels.tolist())) < 2:
            continue
        values = scores[chosen]
        rows.append({
            "method": name, "set": group, "kind": kind, "n": len(chosen), "positive": int(labels.sum()),
            "auroc": round(float(roc_auc_score(labels, values)), 4),
            "balanced_accuracy": round(float(balanced_accuracy_score(labels, values >= 0.5)), 4),
        })  # fmt: skip
    return rows


def fit(verifier: DeterministicVerifier, examples: list[Example]) -> None:
    """Print a logistic model over the findings, fitted on the first halves; each set and label weighs the same."""
    rows: list[list[float]] = []
    chosen: list[Example] = []
    for example in examples:
        if not example.is_test and (found := worst_findings(verifier, example)):
            rows.append(list(features(found).values()))
            chosen.append(example)
    keys = [(example.group, example.supported) for example in chosen]
    sizes = Counter(keys)
    weights = np.array([1.0 / sizes[key] for key in keys])
    labels = [example.supported for example in chosen]
    model = LogisticRegression(max_iter=2000).fit(rows, labels, sample_weight=weights * len(weights) / weights.sum())
    print("bias", round(float(model.intercept_[0]), 2))
    for name, value in zip(features(Findings()), model.coef_[0], strict=True):
        print(name, round(float(value), 2))


def worst_findings(verifier: DeterministicVerifier, example: Example) -> Findings | None:
    """Return what the checks say of the response's least supported sentence; None if it claims nothing."""
    index = EvidenceIndex(example.passages)
    texts = [example.response[span.start : span.end] for span in split_sentences(example.response)]
    proofs = [verifier.prove(Claim(text, index), index) for text in texts if not is_uncheckable(text)]
    return min(proofs, key=lambda proof: proof.score).findings if proofs else None


def main() -> None:
    """Run the measurement named in the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--fit", action="store_true", help="print fitted weights first")
    parser.add_argument("--limit", type=int, default=600, help="how many edited sentences")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    documents = sorted(arguments.data.glob("**/*.md"))
    examples = [*begin(arguments.data / "grounding"), *wice(arguments.data / "grounding")]
    examples += [
        Example("edits", kind, passages, response, supported)
        for kind, passages, response, supported in edited_examples(documents, arguments.limit, random.Random(SEED))
    ]
    verifier = DeterministicVerifier()
    if arguments.fit:
        fit(verifier, [e for e in examples if e.group != "begin+generic"])
    methods: dict[str, Callable[[Example], float]] = {
        "lexical": lexical,
        verifier.name: lambda e: verifier.verify(e.response, e.passages, e.question).score,
    }
    rows = []
    for name, method in methods.items():
        begun = time.perf_counter()
        scores = np.array([method(example) for example in examples])
        print(f"{name}: {1000 * (time.perf_counter() - begun) / len(examples):.1f} ms a response")
        rows += report(name, examples, scores)
    for row in rows:
        print("{set:14} {kind:12} {method:18} n={n:5} auroc={auroc:.3f} balanced={balanced_accuracy:.3f}".format(**row))
    arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
