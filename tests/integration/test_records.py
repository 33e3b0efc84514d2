"""The records of answers: readable while their sources are, redacted when a source is deleted, replayed on recorded versions."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fakes import FakeWriter, fake_engine, fake_ingestion
from sqlalchemy import DateTime, String, cast, select

from infra.database import Database
from infra.errors import NotFound
from infra.tables import AnswerRecord, AnswerSource, Base, Feedback, Suggestion
from ingest.collections import get_collection
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING, Access
from retrieval.answers.answering import Ask, Done, answer, answer_again
from retrieval.answers.records import (
    add_feedback,
    answer_body,
    compare_answers,
    describe,
    get_record,
    recorded_ask,
    recorded_passages,
    save_answer,
)
from retrieval.answers.writer import Turn
from retrieval.engine import Engine

LEAVE = "Engineers accrue 2.25 days of leave for each month of work."
HR = Access(frozenset({"hr"}))


def put(database: Database, external_id: str, text: str, groups: list[str] | None = None) -> None:
    item = DocumentInput(external_id, text=text, attributes=Attributes(allowed_groups=groups))
    ingest_batch(fake_ingestion(database), "default", [item])


def ask(engine: Engine, access: Access = EVERYTHING, caller: str = "me", **options: Any) -> Done:
    asked = Ask("How many days of leave do engineers accrue?", **options)
    done = asyncio.run(answer(engine, asked, access))
    with engine.database.write() as session:
        save_answer(session, done, asked, access, caller)
    return done


def record(database: Database, answer_id: str, access: Access = EVERYTHING, caller: str | None = None) -> AnswerRecord:
    with database.read() as session:
        return get_record(session, answer_id, access, caller)


def test_the_record_is_the_answer_as_it_was_given(database: Database) -> None:
    put(database, "leave", LEAVE)
    done = ask(fake_engine(database))
    assert done.answer.status == "answered"
    shown = describe(record(database, done.answer.id))
    given = json.loads(json.dumps(answer_body(done.answer)))
    assert {name: shown[name] for name in given} == given
    assert shown["created_at"].endswith("Z")
    (citation,) = shown["citations"]
    assert LEAVE[citation["char_start"] : citation["char_end"]] == citation["quote"]


def test_it_is_shown_to_its_caller_and_to_administrators_only(database: Database) -> None:
    put(database, "leave", LEAVE)
    identifier = ask(fake_engine(database)).answer.id
    assert record(database, identifier, caller="me").id == identifier
    assert record(database, identifier, caller=None).id == identifier
    for wrong in ({"caller": "you"}, {"answer_id": "ans_none"}):
        with pytest.raises(NotFound) as caught:
            record(database, **({"answer_id": identifier} | wrong))  # type: ignore[arg-type]
        assert caught.value.code == "answer_not_found"


def test_a_permission_taken_away_hides_the_record(database: Database) -> None:
    put(database, "leave", LEAVE, groups=["hr"])
    identifier = ask(fake_engine(database), HR).answer.id
    assert record(database, identifier, HR, "me").id == identifier
    put(database, "leave", LEAVE, groups=["board"])
    with pytest.raises(NotFound):
        record(database, identifier, HR, "me")
    assert record(database, identifier, EVERYTHING, None).id == identifier


def test_a_passage_that_was_not_cited_hides_the_record_too(database: Database) -> None:
    """A writer may use what it does not cite: all that it was given counts."""
    put(database, "leave", LEAVE)
    put(database, "secret", "Days of leave of the board: 90.", groups=["hr"])
    engine = fake_engine(database, writer=FakeWriter(LEAVE + " [1]"))
    done = ask(engine, HR)
    assert {c.document.external_id for c in done.answer.citations} == {"leave"}
    put(database, "secret", "Days of leave of the board: 90.", groups=["board"])
    with pytest.raises(NotFound):
        record(database, done.answer.id, HR, "me")


def test_deleting_a_source_leaves_nothing_of_its_text(database: Database) -> None:
    put(database, "leave", LEAVE)
    done = ask(fake_engine(database))
    with database.write() as session:
        session.add(
            Suggestion(
                id="sug_1", ticket_id="T", revision="1", scope="s", caller="me", answer_id=done.answer.id,
                draft=done.answer.answer, created_at=record(database, done.answer.id).created_at,
            )
        )  # fmt: skip
    with database.write() as session:
        delete_document(session, get_collection(session, "default"), "leave")
    kept = record(database, done.answer.id, caller="me")
    assert kept.redacted
    shown = describe(kept)
    assert shown["redacted"] is True
    assert shown["answer"] == "[redacted: a cited document was deleted]"
    assert (shown["status"], shown["grounding"]["supported"]) == ("answered", 1)
    assert [(c["quote"], c["document"]["title"]) for c in shown["citations"]] == [("", None)]
    with database.read() as session:
        assert session.scalars(select(AnswerSource)).all() == []
        for table in Base.metadata.tables.values():
            for column in table.columns:
                if isinstance(column.type, DateTime):  # which may read 17:24:02.25
                    continue
                values = session.scalars(select(cast(column, String))).all()
                assert not any("2.25" in (value or "") for value in values), f"{table.name}.{column.name}"


def test_feedback_is_kept_with_its_answer(database: Database) -> None:
    put(database, "leave", LEAVE)
    done = ask(fake_engine(database))
    with database.write() as session:
        add_feedback(session, get_record(session, done.answer.id, EVERYTHING, None), "down", "wrong", "2.5 days")
    with database.read() as session:
        (kept,) = session.scalars(select(Feedback)).all()
    assert (kept.answer_id, kept.rating, kept.comment, kept.correction) == (done.answer.id, "down", "wrong", "2.5 days")


def replay(engine: Engine, identifier: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with engine.database.read() as session:
        kept = get_record(session, identifier, EVERYTHING, None)
        passages, missing = recorded_passages(session, kept)
        shown, asked = describe(kept), recorded_ask(kept)
    again = answer_body(asyncio.run(answer_again(engine, asked, passages, engine_index(shown))).answer)
    return again, compare_answers(shown, again, missing)


def engine_index(shown: dict[str, Any]) -> Any:
    from retrieval.answers.answer import IndexState

    return IndexState(**shown["index"])


def test_a_replay_reads_the_recorded_version(database: Database) -> None:
    put(database, "leave", LEAVE)
    engine = fake_engine(database)
    done = ask(engine, history=(Turn("user", "Hello"),), filter={"external_id": "leave"})
    put(database, "leave", LEAVE.replace("2.25", "3.75"))
    again, diff = replay(engine, done.answer.id)
    assert diff == {"same": True, "status": ["answered", "answered"], "answer": [], "missing_passages": 0}
    assert again["citations"][0]["document"]["version"] == 1
    assert "2.25" in again["answer"]


def test_a_replay_shows_what_differs(database: Database) -> None:
    put(database, "leave", LEAVE)
    done = ask(fake_engine(database))
    other = fake_engine(database, writer=FakeWriter("Engineers accrue 2.25 days of leave [1]."))
    _, diff = replay(other, done.answer.id)
    assert diff["same"] is False
    assert diff["answer"][2:] == ["@@ -1 +1 @@", f"-{done.answer.answer}", "+Engineers accrue 2.25 days of leave [1]."]


def test_a_replay_counts_passages_that_are_gone(database: Database) -> None:
    put(database, "leave", LEAVE)
    put(database, "soup", "Days of leave of engineers end with soup.")
    engine = fake_engine(database)
    done = ask(engine)
    before = len(done.passages)
    with database.write() as session:
        kept = session.get_one(AnswerRecord, done.answer.id)
        places = json.loads(json.dumps(kept.request))
        places["sources"][0]["version"] = 99
        kept.request = places
    _, diff = replay(engine, done.answer.id)
    assert (before, diff["missing_passages"]) == (2, 1)
