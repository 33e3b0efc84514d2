"""The extractive writer: answers in the documents' own sentences, where no model server is configured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from retrieval.answers.answerability import assess_readings, score_reading
from retrieval.answers.question import parts, read_question
from retrieval.answers.reading import Read, Reading, read_passages
from retrieval.answers.scorer import AnswerScorer
from retrieval.answers.windows import CELLS, followers, stems
from retrieval.answers.writer import Task
from retrieval.encoders.encoder import Encoder
from retrieval.passage import Passage

MAX_SENTENCES = 4
# Further sentences must rank nearly as high as the best one.
_NEAR_BEST = 0.85
_PART_SCORE = 0.3
_DUPLICATE = 0.8


@dataclass(frozen=True, slots=True)
class Selected:
    """Characters ``[start:end]`` of passage number ``passage_index`` (0-based): one sentence, row or item
    of the answer.
    """

    passage_index: int
    start: int
    end: int
    score: float


def select(question: str, passages: Sequence[Passage], encoder: Encoder, scorer: AnswerScorer) -> list[Selected]:
    """Choose the sentences of ``passages`` that answer ``question``, in the order to be read; none where it
    is not answerable.

    A sentence that leans on the one before ("It costs …"), an item of a list and a row of a table bring
    that with them. At most ``MAX_SENTENCES`` are chosen, and what these bring along.
    """
    readings = [read_passages(part, passages, encoder, scorer) for part in parts(read_question(question))]
    return choose(readings, passages) if assess_readings(readings).answerable else []


def choose(readings: Sequence[Reading], passages: Sequence[Passage]) -> list[Selected]:
    """Choose from readings of a question's parts, as ``select`` does, without asking whether they answer
    it.
    """
    chosen: list[Read] = []
    room = max(1, MAX_SENTENCES // max(1, len(readings)))
    for reading in readings:
        if len(readings) == 1 or score_reading(reading) >= _PART_SCORE:
            chosen += _choose(reading, chosen, room)
    return _in_order(chosen[:MAX_SENTENCES], passages)


class ExtractiveWriter:
    """A ``Writer`` that quotes: every sentence is verbatim but for its mark."""

    def __init__(self, encoder: Encoder, scorer: AnswerScorer) -> None:
        self._encoder, self._scorer = encoder, scorer

    @property
    def kind(self) -> str:
        """See ``Writer``."""
        return "extractive"

    @property
    def model(self) -> str | None:
        """See ``Writer``: there is none."""
        return None

    async def write(self, task: Task) -> AsyncGenerator[str, None]:
        """See ``Writer``; a piece a sentence."""
        selected = await asyncio.to_thread(select, task.question, task.passages, self._encoder, self._scorer)
        last = ""
        for sentence in selected:
            text = " ".join(task.passages[sentence.passage_index].text[sentence.start : sentence.end].split())
            yield _between(last, text) + with_mark(text, sentence.passage_index + 1)
            last = text


def _between(last: str, text: str) -> str:
    """White space that keeps two sentences apart for whoever reads the draft: a blank line where no stop does."""
    if not last:
        return ""
    if CELLS in last and CELLS in text:
        return "\n"
    return " " if last.endswith((".", "!", "?")) and CELLS not in text else "\n\n"


def with_mark(sentence: str, number: int) -> str:
    """Put the mark ``[number]`` before the sentence's last stop, or at its end where it has none."""
    if sentence.endswith((".", "!", "?")) and not sentence.endswith("..."):
        return f"{sentence[:-1]} [{number}]{sentence[-1]}"
    return f"{sentence} [{number}]"


def _choose(reading: Reading, before: Sequence[Read], room: int) -> list[Read]:
    best = reading.best
    if best is None:
        return []
    chosen: list[Read] = []
    kept = [stems(read.window.text) for read in before]
    for read in reading.reads:
        if len(chosen) >= room or read.rank < _NEAR_BEST * best.rank:
            break
        own = stems(read.window.text)
        if read.window.row and best.window.row and read.coverage < best.coverage:
            continue  # another row of a table that the question asks one row of
        if own and not any(_overlap(own, other) > _DUPLICATE for other in kept):
            chosen.append(read)
            kept.append(own)
    return chosen


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the smaller set that is in the other."""
    return len(one & other) / max(1, min(len(one), len(other)))


def _in_order(chosen: Sequence[Read], passages: Sequence[Passage]) -> list[Selected]:
    """Sentences of a passage stand together in their order there; passages follow by their best sentence."""
    picked: dict[int, dict[int, Selected]] = {}
    for read in chosen:
        window = read.window
        here = picked.setdefault(window.passage, {})
        if window.leans and window.lead is not None:
            here.setdefault(window.lead.start, Selected(window.passage, window.lead.start, window.lead.end, read.rank))
        here[window.start] = Selected(window.passage, window.start, window.end, read.rank)
        for span in followers(window, passages[window.passage].text):
            here.setdefault(span.start, Selected(window.passage, span.start, span.end, read.rank))
    return [here[start] for here in picked.values() for start in sorted(here)]
