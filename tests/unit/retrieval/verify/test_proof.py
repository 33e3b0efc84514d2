"""From verdicts to footnotes, worked out by hand with a verifier that says what the test wants."""

from __future__ import annotations

from retrieval.answers.answer import Reason, Status
from retrieval.passage import DocumentRef, Passage
from retrieval.verify.proof import check, prove
from retrieval.verify.verification import Evidence, SentenceVerdict, Verdict, Verification

LEAVE = "Engineers accrue 2.25 days a month. Unused leave lapses on 31 March."
PARKING = "Visitors park in bay Zeta-7."


def passage(text: str, name: str, start: int = 0, context: str = "") -> Passage:
    document = DocumentRef(f"doc_{name}", name, 3, name.title(), None)
    return Passage(f"chk_{name}", document, text, ("Top",), 2, start, start + len(text), context=context)


PASSAGES = [passage(LEAVE, "leave", 100), passage(PARKING, "parking")]


def sentence(text: str, start: int, verdict: Verdict = Verdict.SUPPORTED, *evidence: Evidence) -> SentenceVerdict:
    return SentenceVerdict(text, start, start + len(text), verdict, 0.91239, evidence)


def judged(*sentences: SentenceVerdict, score: float = 0.9) -> Verification:
    return Verification(score, sentences)


def test_a_supported_sentence_gets_its_mark_and_exact_quote() -> None:
    draft = "Engineers accrue 2.25 days a month."
    proven = prove(judged(sentence(draft, 0, Verdict.SUPPORTED, Evidence(0, 0, 35, 0.9))), draft, PASSAGES)
    assert (proven.status, proven.reason) == (Status.ANSWERED, None)
    assert proven.text == "Engineers accrue 2.25 days a month [1]."
    (shown,) = proven.sentences
    assert (shown.start, shown.end, shown.text, shown.citations, shown.score) == (0, 39, proven.text, (1,), 0.9124)
    (citation,) = proven.citations
    assert (citation.n, citation.chunk_id, citation.document.version) == (1, "chk_leave", 3)
    assert (citation.char_start, citation.char_end) == (100, 135)
    assert citation.quote == LEAVE[:35] == draft
    assert (citation.heading_path, citation.page) == (("Top",), 2)


def test_numbers_follow_the_text_and_equal_quotes_share_one() -> None:
    draft = "Visitors park in bay Zeta-7. Engineers accrue 2.25 days a month. Park in bay Zeta-7."
    proven = prove(
        judged(
            sentence(draft[:28], 0, Verdict.SUPPORTED, Evidence(1, 0, 28, 0.9)),
            sentence(draft[29:64], 29, Verdict.SUPPORTED, Evidence(0, 0, 35, 0.9)),
            sentence(draft[65:], 65, Verdict.SUPPORTED, Evidence(1, 0, 28, 0.8)),
        ),
        draft,
        PASSAGES,
    )
    assert [s.citations for s in proven.sentences] == [(1,), (2,), (1,)]
    assert [c.quote for c in proven.citations] == [PARKING, LEAVE[:35]]
    assert proven.text == (
        "Visitors park in bay Zeta-7 [1]. Engineers accrue 2.25 days a month [2]. Park in bay Zeta-7 [1]."
    )
    for shown in proven.sentences:
        assert proven.text[shown.start : shown.end] == shown.text


def test_the_passage_that_the_writer_named_comes_first() -> None:
    draft = "It is so [2]."
    evidence = (Evidence(0, 0, 35, 0.95), Evidence(1, 0, 28, 0.90))
    proven = prove(judged(sentence("It is so.", 0, Verdict.SUPPORTED, *evidence)), draft, PASSAGES)
    assert [c.chunk_id for c in proven.citations] == ["chk_parking", "chk_leave"]
    assert proven.sentences[0].citations == (1, 2)


def test_at_most_three_citations_a_sentence() -> None:
    draft = "It is so."
    evidence = tuple(Evidence(0, n, n + 5, 0.9) for n in range(5))
    proven = prove(judged(sentence(draft, 0, Verdict.SUPPORTED, *evidence)), draft, PASSAGES)
    assert proven.sentences[0].citations == (1, 2, 3)


def test_an_unproven_sentence_is_marked_and_the_answer_partial() -> None:
    draft = "Engineers accrue 2.25 days a month. Soup is free."
    proven = prove(
        judged(
            sentence(draft[:35], 0, Verdict.SUPPORTED, Evidence(0, 0, 35, 0.9)),
            sentence(draft[36:], 36, Verdict.UNSUPPORTED, Evidence(1, 0, 5, 0.1)),
        ),
        draft,
        PASSAGES,
    )
    assert proven.status is Status.PARTIAL
    assert [s.citations for s in proven.sentences] == [(1,), ()]
    assert len(proven.citations) == 1
    assert (proven.grounding.supported, proven.grounding.unsupported, proven.grounding.sentences) == (1, 1, 2)


def test_too_little_proof_is_an_abstention_without_text() -> None:
    draft = "A is B. C is D. E is F."
    proven = prove(
        judged(
            sentence("A is B.", 0, Verdict.SUPPORTED, Evidence(0, 0, 5, 0.9)),
            sentence("C is D.", 8, Verdict.UNSUPPORTED),
            sentence("E is F.", 16, Verdict.UNSUPPORTED),
            score=0.3,
        ),
        draft,
        PASSAGES,
    )
    assert (proven.status, proven.reason) == (Status.ABSTAINED, Reason.LOW_GROUNDING)
    assert (proven.text, proven.sentences, proven.citations) == ("", (), ())
    assert (proven.grounding.score, proven.grounding.unsupported) == (0.3, 2)


def test_sentences_that_claim_nothing_are_no_proof() -> None:
    proven = prove(judged(sentence("Hello!", 0, Verdict.UNCHECKABLE)), "Hello!", PASSAGES)
    assert (proven.status, proven.reason) == (Status.ABSTAINED, Reason.LOW_GROUNDING)
    draft = "Hello! Engineers accrue 2.25 days a month."
    greeted = judged(
        sentence("Hello!", 0, Verdict.UNCHECKABLE), sentence(draft[7:], 7, Verdict.SUPPORTED, Evidence(0, 0, 35, 0.9))
    )
    assert prove(greeted, draft, PASSAGES).status is Status.ANSWERED


def test_proof_in_the_context_quotes_the_passage_and_never_the_context() -> None:
    """The verifier sees the heading before the text; ranges shift back, and never begin before the text."""
    passages = [passage(LEAVE, "leave", 50, context="Handbook > Leave")]
    offset = len("Handbook > Leave\n\n")
    draft = "It is about leave."

    def quoted(start: int, end: int) -> tuple[int, int, str]:
        (citation,) = prove(
            judged(sentence(draft, 0, Verdict.SUPPORTED, Evidence(0, start, end, 0.9))), draft, passages
        ).citations
        return citation.char_start, citation.char_end, citation.quote

    assert quoted(offset, offset + 35) == (50, 85, LEAVE[:35])
    assert quoted(3, offset + 35) == (50, 85, LEAVE[:35])
    assert quoted(0, 8) == (50, 85, LEAVE[:35])  # only the heading: the first sentence under it


def test_the_verifier_sees_the_draft_without_marks_and_passages_with_context() -> None:
    seen: list[object] = []

    class Spy:
        name = "spy"

        def verify(self, answer: str, passages: object, question: str | None = None) -> Verification:
            seen.extend([answer, passages, question])
            return judged()

    check(Spy(), "It is so [1].", [passage("Text.", "a", context="Top"), passage("More.", "b")], "Is it?")
    assert seen == ["It is so.", ["Top\n\nText.", "More."], "Is it?"]


def test_what_was_not_looked_at_is_said() -> None:
    result = Verification(0.9, (sentence("A is B.", 0, Verdict.SUPPORTED, Evidence(0, 0, 5, 0.9)),), truncated=True)
    assert prove(result, "A is B.", PASSAGES).truncated
