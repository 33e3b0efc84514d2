"""From a draft to an answer with proof: verdicts, citations with exact quotes, and the decision to abstain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.answers.answer import AnswerSentence, Citation, CitedDocument, Grounding, Reason, Status
from retrieval.passage import Passage
from retrieval.sentences import split_sentences
from retrieval.verify.marks import Stripped, apply_marks, strip_marks
from retrieval.verify.verification import SentenceVerdict, Verdict, Verification, Verifier

# Below this share of proven among checkable sentences, an answer is not worth marking up: it abstains.
MIN_SUPPORTED = 0.5
_MAX_CITATIONS = 3


@dataclass(frozen=True, slots=True)
class Proven:
    """A checked draft: the text with its marks, what each sentence rests on, and whether it may stand."""

    status: Status
    reason: Reason | None
    text: str
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    grounding: Grounding
    truncated: bool


@dataclass(frozen=True, slots=True)
class _Quote:
    passage: int
    start: int
    end: int


def check(verifier: Verifier, draft: str, passages: Sequence[Passage], question: str) -> Verification:
    """Judge a draft without its marks; the context of a passage (headings, header row) counts as part of it."""
    plain = strip_marks(draft, len(passages)).text
    return verifier.verify(plain, [_judged_text(p) for p in passages], question)


def prove(result: Verification, draft: str, passages: Sequence[Passage]) -> Proven:
    """Turn what is proven of ``draft`` (``result`` is its ``check``) into footnotes.

    A sentence cites the characters that the verifier found, preferably in the passages that the writer named. The answer
    abstains (``low_grounding``) if fewer than half of its checkable sentences are proven, and is ``partial`` if some are not.
    """
    stripped = strip_marks(draft, len(passages))
    quotes: list[_Quote] = []
    marked: list[tuple[int, int, list[int]]] = []
    for sentence in result.sentences:
        numbers = []
        for quote in _quotes(sentence, stripped, passages):
            if quote not in quotes:
                quotes.append(quote)
            numbers.append(quotes.index(quote))
        marked.append((sentence.start, sentence.end, numbers))
    rendered = apply_marks(stripped.text, marked)
    grounding = _grounding(result)
    checkable = grounding.supported + grounding.unsupported
    if not grounding.supported or grounding.supported < MIN_SUPPORTED * checkable:
        return Proven(Status.ABSTAINED, Reason.LOW_GROUNDING, "", (), (), grounding, result.truncated)
    sentences = tuple(
        AnswerSentence(
            text=rendered.text[start:end],
            start=start,
            end=end,
            verdict=verdict.verdict,
            score=round(verdict.score, 4),
            citations=numbers,
            reason=verdict.reason,
        )
        for verdict, (start, end), numbers in zip(result.sentences, rendered.ranges, rendered.citations, strict=True)
    )
    citations = tuple(_citation(n, quotes[index], passages) for n, index in enumerate(rendered.order, start=1))
    status = Status.PARTIAL if grounding.unsupported else Status.ANSWERED
    return Proven(status, None, rendered.text, sentences, citations, grounding, result.truncated)


def _judged_text(passage: Passage) -> str:
    return f"{passage.context}\n\n{passage.text}" if passage.context else passage.text


def _quotes(sentence: SentenceVerdict, draft: Stripped, passages: Sequence[Passage]) -> list[_Quote]:
    """The places that prove a sentence, in passages' own characters."""
    if sentence.verdict is not Verdict.SUPPORTED:
        return []
    named = {n - 1 for n in draft.numbers_between(sentence.start, sentence.end)}
    found: list[_Quote] = []
    for evidence in sorted(sentence.evidence, key=lambda e: e.passage not in named):
        passage = passages[evidence.passage]
        offset = len(_judged_text(passage)) - len(passage.text)
        start, end = max(0, evidence.start - offset), evidence.end - offset
        if end <= start:
            # The proof stands in the headings around the passage: quote the passage's opening under them.
            spans = split_sentences(passage.text)
            start, end = (spans[0].start, spans[0].end) if spans else (0, len(passage.text))
        quote = _Quote(evidence.passage, start, end)
        if quote not in found:
            found.append(quote)
    return found[:_MAX_CITATIONS]


def _citation(n: int, quote: _Quote, passages: Sequence[Passage]) -> Citation:
    passage = passages[quote.passage]
    document = passage.document
    return Citation(
        n=n,
        chunk_id=passage.chunk_id,
        document=CitedDocument(document.id, document.external_id, document.version, document.title, document.url),
        heading_path=passage.heading_path,
        page=passage.page,
        char_start=passage.char_start + quote.start,
        char_end=passage.char_start + quote.end,
        quote=passage.text[quote.start : quote.end],
    )


def _grounding(result: Verification) -> Grounding:
    counts = {verdict: sum(s.verdict is verdict for s in result.sentences) for verdict in Verdict}
    return Grounding(
        score=round(result.score, 4),
        sentences=len(result.sentences),
        supported=counts[Verdict.SUPPORTED],
        unsupported=counts[Verdict.UNSUPPORTED],
        uncheckable=counts[Verdict.UNCHECKABLE],
    )
