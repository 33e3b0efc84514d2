"""From a ticket to a question, and from an answer to a draft."""

from __future__ import annotations

from typing import Any

import pytest

from api.caller import Caller
from api.suggestions import draft_text, revision_of, scope_of, ticket_question
from api.wire import SuggestionBody, Ticket, TicketMessage
from infra.errors import InvalidInput
from retrieval.access import EVERYTHING, Access
from retrieval.answers.answer import (
    Answer,
    AnswerSentence,
    Citation,
    CitedDocument,
    GeneratorInfo,
    Grounding,
    IndexState,
    Status,
    VerifierInfo,
)
from retrieval.verify.verification import Verdict


def ticket(*messages: tuple[str, str], **options: Any) -> Ticket:
    return Ticket(id="T", messages=[TicketMessage(author=a, text=t) for a, t in messages], **options)  # type: ignore[arg-type]


def answer(status: Status = Status.ANSWERED) -> Answer:
    sentences = (
        AnswerSentence("It lapses [1].", 0, 14, Verdict.SUPPORTED, 0.9, (1,)),
        AnswerSentence("Soup is free.", 15, 28, Verdict.UNSUPPORTED, 0.1),
        AnswerSentence("Hope this helps!", 29, 45, Verdict.UNCHECKABLE, 1.0),
    )
    citation = Citation(1, "chk", CitedDocument("doc", "a", 1, None, None), (), None, 0, 3, "abc")
    return Answer(
        "ans", status, None, "It lapses [1]. Soup is free. Hope this helps!", sentences, (citation,),
        Grounding(0.5, 3, 1, 1, 1), GeneratorInfo("x", None), VerifierInfo("v", False), IndexState(1, 1), {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "question"),
    [
        ([("customer", "When does leave lapse?")], "When does leave lapse?"),
        (
            [("customer", "First of all things?"), ("agent", "Yes?"), ("customer", "> Yes?\nWhen does leave lapse?")],
            "When does leave lapse?",
        ),
        ([("customer", "When does leave lapse?"), ("agent", "Let me see.")], "When does leave lapse?"),
        ([("customer", "Any news?")], "Leave\nAny news?"),
        ([("customer", "> quoted only")], "Leave"),
    ],
)
def test_the_customers_last_words_are_the_question(messages: list[tuple[str, str]], question: str) -> None:
    assert ticket_question(ticket(*messages, subject=" Leave ")) == question


@pytest.mark.parametrize(
    ("messages", "code"),
    [([("agent", "Hi")], "no_customer_message"), ([("customer", "> only quoted\n")], "empty_question")],
)
def test_no_question(messages: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ticket_question(ticket(*messages))
    assert caught.value.code == code


def test_a_very_long_message_is_cut_at_the_limit() -> None:
    assert len(ticket_question(ticket(("customer", "word " * 5000)))) == 10_000


def test_revisions() -> None:
    assert revision_of(ticket(("customer", "x"), revision=3)) == "3"
    assert revision_of(ticket(("customer", "x"), revision="v3")) == "v3"
    made = revision_of(ticket(("customer", "x")))
    assert made.startswith("sha-")
    assert made == revision_of(ticket(("customer", "x")))
    assert made != revision_of(ticket(("customer", "y")))
    assert len(made) <= 64


def test_who_shares_a_suggestion() -> None:
    def scope(access: Access = EVERYTHING, **options: Any) -> str:
        return scope_of(SuggestionBody(ticket=ticket(("customer", "x")), **options), Caller("k", frozenset(), access))

    hr = Access(frozenset({"hr", "eng"}))
    assert scope(hr) == scope(Access(frozenset({"eng", "hr"})))
    assert scope(hr, collections=["b", "a"]) == scope(hr, collections=["a", "b"])
    different = [
        scope(),
        scope(hr),
        scope(Access(frozenset())),
        scope(hr, audience="internal"),
        scope(hr, collections=["a"]),
    ]
    assert len(set(different)) == len(different)


def test_a_customer_gets_what_is_proven_without_marks() -> None:
    assert draft_text(answer(), "customer") == "It lapses. Hope this helps!"
    assert draft_text(answer(), "internal") == "It lapses [1]. Soup is free. Hope this helps!"
    for audience in ("customer", "internal"):
        assert draft_text(answer(Status.ABSTAINED), audience) == ""
