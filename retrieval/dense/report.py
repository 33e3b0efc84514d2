"""What an index over fixed vectors is to reach, and what it reached: written beside it as ``dense.json``."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

Kind = Literal["exact", "ivf_rabitq", "ivf_sq8", "hnsw_sq8"]

FORMAT = 1
REPORT_FILE = "dense.json"

# A scan of all vectors takes 110 ns each (384 dimensions, one core), so 2.2 ms here, less than encoding a question;
# measured by bench/dense_index.py.
EXACT_BELOW = 20_000


@dataclass(frozen=True, slots=True)
class RecallTarget:
    """What a search must find: on average ``recall`` of the true ``k`` best, over ``sample`` made-up queries.

    ``kind`` forces an index type, whatever recall it reaches; without it collections of fewer than ``exact_below`` vectors
    are searched exactly, and larger ones by the first type that reaches the target. ``seed`` makes training and
    sampling repeatable. Raises ``ValueError`` for a recall outside of (0, 1], or a count below 1.
    """

    recall: float = 0.99
    k: int = 10
    sample: int = 400
    seed: int = 0
    kind: Kind | None = None
    exact_below: int = EXACT_BELOW

    def __post_init__(self) -> None:
        if not 0.0 < self.recall <= 1.0:
            raise ValueError(f"the recall target is {self.recall} and must be over 0 and at most 1")
        if self.k < 1 or self.sample < 2 or self.exact_below < 0:
            raise ValueError("k must be at least 1, the sample at least 2 and exact_below at least 0")


@dataclass(frozen=True, slots=True)
class Effort:
    """How far to search when a share ``share`` of the vectors is allowed, and the recall that was measured with it.

    ``probes`` is the number of lists visited (IVF) or the length of the queue (HNSW's efSearch); ``candidates`` are
    scored again on the stored vectors. ``recall`` is that of queries which had no part in choosing the two.
    """

    share: float
    probes: int
    candidates: int
    recall: float


@dataclass(frozen=True, slots=True)
class DenseReport:
    """What was built. ``count`` vectors of which ``empty`` are rows of zeros; ``bytes`` of all files but this report.

    ``factory`` is FAISS's description of the index, ``lists`` its number of lists (0 without). ``efforts`` go from all
    vectors allowed to the smallest share at which the index is searched; below it, allowed vectors are scanned. ``recall`` is
    recall@``target.k``, ``recall_deep`` recall@``deep`` of searches that visit no more (a search that finds too few does), both
    of ``queries`` held-out queries.
    ``rejected`` names the types that missed the target, with the recall they reached. ``trained_rows`` is how many there were
    when the lists' centres were found (0: not known), and ``trained_cost`` what a search cost then: nanoseconds a row.
    """

    format: int
    kind: Kind
    factory: str
    count: int
    empty: int
    dim: int
    lists: int
    target: RecallTarget
    efforts: tuple[Effort, ...]
    recall: float
    recall_deep: float
    deep: int
    queries: int
    rejected: dict[str, float]
    files: dict[str, int]
    bytes: int
    seconds: float
    trained_rows: int = 0
    trained_cost: float = 0.0

    @property
    def rows(self) -> int:
        """How many vectors can be found."""
        return self.count - self.empty


def write_report(folder: Path, report: DenseReport) -> None:
    """Write ``report`` into ``folder``."""
    text = json.dumps(msgspec.to_builtins(report), indent=1)
    (folder / REPORT_FILE).write_text(text + "\n", encoding="utf-8")


def read_report(folder: Path) -> DenseReport:
    """The report in ``folder``, with every file it names of the size it names.

    Raises ``ValueError`` where there is none, where it is of another format, or where a file is missing or cut.
    """
    try:
        raw = json.loads((folder / REPORT_FILE).read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder.name} holds no dense index: {REPORT_FILE} is missing") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"{REPORT_FILE} in {folder.name} cannot be read: {error}") from error
    version = raw.get("format") if isinstance(raw, dict) else None
    if version != FORMAT:
        raise ValueError(f"the dense index in {folder.name} has format {version}; this version reads format {FORMAT}")
    try:
        report = msgspec.convert(raw, DenseReport)
    except (msgspec.ValidationError, ValueError) as error:
        raise ValueError(f"{REPORT_FILE} in {folder.name} is damaged: {error}") from error
    for name, size in report.files.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            has = "is missing" if found is None else f"has {found} bytes"
            raise ValueError(f"the dense index in {folder.name} is damaged: {name} {has} and should have {size}")
    return report


def effort_for(efforts: tuple[Effort, ...], share: float) -> Effort | None:
    """The effort for a share of allowed vectors, between those measured; ``None`` below the smallest.

    Probes and candidates grow about in proportion to the logarithm of the share, so they are read off between the neighbouring
    measurements on that scale and rounded up.
    """
    if not efforts or share < efforts[-1].share:
        return None
    for wide, narrow in itertools.pairwise(efforts):
        if share >= narrow.share:
            part = (math.log(wide.share) - math.log(min(share, wide.share))) / math.log(wide.share / narrow.share)
            probes = math.ceil(wide.probes + part * max(0, narrow.probes - wide.probes))
            candidates = math.ceil(wide.candidates + part * max(0, narrow.candidates - wide.candidates))
            return Effort(share, probes, candidates, min(wide.recall, narrow.recall))
    return efforts[-1]
