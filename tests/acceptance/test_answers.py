"""Answers over HTTP: proven, streamed, recorded, judged, replayed; abstained where nothing proves them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clients import Client, address

LEAVE = (
    "# Leave\n\nEvery engineer accrues 2.25 days of leave for each month of work. Unused leave lapses on 31 March.\n"
)
PARKING = "# Parking\n\nVisitors park in bay Zeta-7 behind the north depot.\n"
QUESTION = "How many days of leave does an engineer accrue each month?"


@pytest.fixture
def filled(http: Client, collection: str) -> str:
    http.store(collection, "leave.md", LEAVE, title="Leave", url="https://example.org/leave")
    http.store(collection, "parking.md", PARKING, title="Parking")
    return collection


def ask(http: Client, collection: str, question: str = QUESTION, **options: Any) -> Any:
    return http.ok("POST", "/v1/answer", json={"question": question, "collections": [collection], **options})


def events(http: Client, path: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    with http.stream("POST", path, json=body) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
    return found


def test_every_sentence_is_proven_by_the_documents_own_characters(http: Client, filled: str) -> None:
    answer = ask(http, filled)
    assert (answer["status"], answer["reason"]) == ("answered", None)
    assert "2.25" in answer["answer"]
    assert answer["id"].startswith("ans_")
    for sentence in answer["sentences"]:
        assert answer["answer"][sentence["start"] : sentence["end"]] == sentence["text"]
        assert (sentence["verdict"], bool(sentence["citations"])) == ("supported", True)
        assert 0 <= sentence["score"] <= 1
    numbers = [citation["n"] for citation in answer["citations"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {n for s in answer["sentences"] for n in s["citations"]} == set(numbers)
    for citation in answer["citations"]:
        document = citation["document"]
        text = http.get(f"/v1/documents/{document['id']}/text?version={document['version']}").text
        assert text[citation["char_start"] : citation["char_end"]] == citation["quote"]
        assert f"[{citation['n']}]" in answer["answer"]
    first = answer["citations"][0]["document"]
    assert (first["external_id"], first["title"], first["url"]) == ("leave.md", "Leave", "https://example.org/leave")
    count = len(answer["sentences"])
    grounding = answer["grounding"]
    assert (grounding["sentences"], grounding["supported"], grounding["unsupported"]) == (count, count, 0)
    assert answer["generator"] == {"kind": "extractive", "model": None}
    assert answer["verifier"]["truncated"] is False
    assert answer["index"].keys() == {"generation", "seq"}
    assert answer["timings_ms"].keys() >= {"encode", "search", "generate", "verify", "total"}


@pytest.mark.parametrize(
    "question", ["What is the boiling point of tungsten?", "Who founded the office in Montevideo?"]
)
def test_it_abstains_where_the_documents_do_not_say(http: Client, filled: str, question: str) -> None:
    answer = ask(http, filled, question)
    assert answer["status"] == "abstained"
    assert answer["reason"] in ("no_evidence", "low_grounding")
    assert (answer["sentences"], answer["citations"]) == ([], [])
    assert answer["answer"].startswith("The documents don't say")


def test_an_empty_collection_holds_no_evidence(http: Client, collection: str) -> None:
    answer = ask(http, collection)
    assert (answer["status"], answer["reason"]) == ("abstained", "no_evidence")


def test_a_filter_bounds_the_answer(http: Client, filled: str) -> None:
    assert ask(http, filled, filter={"external_id": "parking.md"})["status"] == "abstained"
    assert ask(http, filled, filter={"external_id": "leave.md"})["status"] == "answered"


def test_a_question_of_ten_thousand_characters_is_answered(http: Client, filled: str) -> None:
    question = QUESTION + " Please." * 1240
    assert len(question) <= 10_000
    assert ask(http, filled, question)["status"] in ("answered", "partial", "abstained")


def test_a_stream_tells_the_same_in_order(http: Client, filled: str) -> None:
    body = {"question": "When does unused leave lapse?", "collections": [filled], "stream": True}
    found = events(http, "/v1/answer", body)
    names = [name for name, _ in found]
    assert names[0] == "retrieval"
    assert names[-1] == "done"
    assert set(names[1:-1]) == {"delta", "sentence"}
    assert names.index("delta") < names.index("sentence")
    answer = found[-1][1]
    assert "31 March" in answer["answer"]
    assert {hit["document"]["external_id"] for hit in found[0][1]["results"]} <= {"leave.md", "parking.md"}
    assert names.count("sentence") == answer["grounding"]["sentences"]
    assert {value["verdict"] for name, value in found if name == "sentence"} == {"supported"}
    assert http.ok("GET", f"/v1/answers/{answer['id']}")["answer"] == answer["answer"]


def test_an_abstention_streams_too(http: Client, collection: str) -> None:
    found = events(http, "/v1/answer", {"question": QUESTION, "collections": [collection], "stream": True})
    assert [name for name, _ in found] == ["retrieval", "done"]
    assert found[-1][1]["status"] == "abstained"


def test_the_record_and_feedback(http: Client, filled: str) -> None:
    answer = ask(http, filled)
    record = http.ok("GET", f"/v1/answers/{answer['id']}")
    assert {name: record[name] for name in answer} == answer
    given = {"rating": "down", "comment": "wrong", "correction": "3 days"}
    kept = http.ok("POST", f"/v1/answers/{answer['id']}/feedback", 201, json=given)
    assert (kept["answer_id"], kept["rating"]) == (answer["id"], "down")


def test_a_replay_answers_from_the_recorded_version(http: Client, filled: str) -> None:
    answer = ask(http, filled)
    http.store(filled, "leave.md", LEAVE.replace("2.25", "3.75"), title="Leave")
    replay = http.ok("POST", f"/v1/answers/{answer['id']}/replay")
    assert replay["recorded"]["id"] == answer["id"]
    assert replay["diff"] == {"same": True, "status": ["answered", "answered"], "answer": [], "missing_passages": 0}
    assert "2.25" in replay["replayed"]["answer"]
    assert "3.75" in ask(http, filled)["answer"]


def test_a_deleted_source_redacts_the_record_and_its_replay(http: Client, filled: str) -> None:
    answer = ask(http, filled)
    http.ok("DELETE", address(filled, "leave.md"))
    record = http.ok("GET", f"/v1/answers/{answer['id']}")
    assert record["redacted"] is True
    assert "2.25 days" not in json.dumps(record)
    replay = http.ok("POST", f"/v1/answers/{answer['id']}/replay")
    assert "2.25 days" not in json.dumps(replay)
    assert (replay["replayed"]["status"], replay["diff"]["same"]) == ("abstained", False)


def test_earlier_turns_complete_the_question(http: Client, filled: str) -> None:
    messages = [
        {"role": "user", "content": "How many days of leave does an engineer accrue?"},
        {"role": "assistant", "content": "2.25."},
    ]
    answer = ask(http, filled, "And when does it lapse?", messages=messages)
    assert "31 March" in answer["answer"]


def test_verify(http: Client) -> None:
    def verify(text: str, *passages: Any) -> Any:
        return http.ok("POST", "/v1/verify", json={"answer": text, "passages": list(passages)})

    good = verify("Engineers accrue 2.25 days of leave each month.", {"text": LEAVE, "id": "p1"})
    (sentence,) = good["sentences"]
    assert sentence["verdict"] == "supported"
    (evidence, *_) = sentence["evidence"]
    assert (evidence["id"], LEAVE[evidence["char_start"] : evidence["char_end"]]) == ("p1", evidence["quote"])
    bad = verify("Engineers accrue 3.75 days of leave each month.", LEAVE)
    assert bad["sentences"][0]["verdict"] == "unsupported"
    assert bad["score"] < good["score"]
    assert verify("", LEAVE) == {"score": 0.0, "sentences": [], "truncated": False, "verifier": good["verifier"]}
    assert verify("Engineers accrue leave.")["sentences"][0]["verdict"] == "unsupported"


def test_the_metrics_count(http: Client, filled: str) -> None:
    ask(http, filled)
    text = http.get("/metrics").text
    assert 'footnote_answers_total{reason="",status="answered"}' in text
    assert 'route="/v1/answer"' in text
    assert QUESTION not in text
