"""Drafted replies for a helpdesk: one a ticket revision, safe to send, and what became of them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from clients import Client, address

LEAVE = (
    "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work. Unused leave lapses on 31 March.\n"
)


@pytest.fixture
def body(http: Client, collection: str) -> dict[str, Any]:
    http.store(collection, "leave.md", LEAVE)
    messages = [
        {"author": "customer", "text": "Hello, I am new here."},
        {"author": "agent", "text": "Welcome! How can I help?"},
        {"author": "customer", "text": "> Welcome! How can I help?\nWhen does my unused leave lapse?"},
    ]
    ticket = {"id": uuid.uuid4().hex, "revision": 1, "subject": "Leave", "messages": messages}
    return {"ticket": ticket, "audience": "internal", "collections": [collection]}


def suggest(http: Client, body: dict[str, Any], **changes: Any) -> Any:
    ticket = {**body["ticket"], **changes.pop("ticket", {})}
    return http.ok("POST", "/v1/suggestions", json={**body, **changes, "ticket": ticket})


def test_the_same_revision_gives_the_same_suggestion(http: Client, body: dict[str, Any]) -> None:
    first = suggest(http, body)
    assert first["id"].startswith("sug_")
    assert first["status"] == "answered"
    assert "31 March" in first["draft"]
    assert "[1]" in first["draft"]
    assert first["citations"]
    assert suggest(http, body) == first
    assert suggest(http, body, ticket={"revision": 2})["id"] != first["id"]
    assert suggest(http, body, audience="customer")["id"] != first["id"]
    assert http.ok("GET", f"/v1/suggestions/{first['id']}") == first
    assert http.ok("GET", f"/v1/answers/{first['answer_id']}")["answer"] == first["answer"]


def test_without_a_revision_the_messages_decide(http: Client, body: dict[str, Any]) -> None:
    first = suggest(http, body, ticket={"revision": None})
    assert suggest(http, body, ticket={"revision": None})["id"] == first["id"]
    more = [
        *body["ticket"]["messages"],
        {"author": "customer", "text": "How many days of leave does an engineer accrue?"},
    ]
    assert suggest(http, body, ticket={"revision": None, "messages": more})["id"] != first["id"]


def test_a_draft_for_a_customer_has_no_marks(http: Client, body: dict[str, Any]) -> None:
    suggestion = suggest(http, body, audience="customer")
    assert "31 March" in suggestion["draft"]
    assert "[" not in suggestion["draft"]
    assert suggestion["sentences"][0]["citations"] == [1]


def test_nothing_proven_means_an_empty_draft(http: Client, body: dict[str, Any]) -> None:
    messages = [{"author": "customer", "text": "What is the boiling point of tungsten?"}]
    suggestion = suggest(http, body, ticket={"messages": messages})
    assert (suggestion["status"], suggestion["draft"]) == ("abstained", "")


def test_the_outcome_is_kept(http: Client, body: dict[str, Any]) -> None:
    identifier = suggest(http, body)["id"]
    told = {"used": "edited", "final_text": "It lapses at the end of March."}
    assert http.ok("POST", f"/v1/suggestions/{identifier}/outcome", json=told) == {"id": identifier, **told}
    assert http.ok("GET", f"/v1/suggestions/{identifier}")["outcome"] == "edited"


def test_a_deleted_source_empties_the_draft(http: Client, body: dict[str, Any]) -> None:
    suggestion = suggest(http, body)
    http.ok("DELETE", address(body["collections"][0], "leave.md"))
    shown = http.ok("GET", f"/v1/suggestions/{suggestion['id']}")
    assert (shown["draft"], "31 March" in str(shown)) == ("", False)
    assert "31 March" not in str(suggest(http, body))
