"""Collections over HTTP: their chunking settings, and what becomes of the rest when one thing is changed."""

from __future__ import annotations

import itertools

from clients import Client

DEFAULTS = {
    "strategy": "title",
    "target_tokens": 160,
    "minimum_tokens": 80,
    "overlap_tokens": 0,
    "tables": "rows",
}
TEXT = "# Ferries\n\n" + " ".join(f"Ferry {n} leaves quay {n} at {n % 24}:15 sharp every day." for n in range(40))


def test_a_collection_shows_the_settings_it_cuts_with(http: Client, collection: str) -> None:
    assert http.ok("GET", f"/v1/collections/{collection}")["chunking"] == DEFAULTS
    shown = http.ok("GET", "/v1/collections")["items"]
    assert all("chunking" in item for item in shown)


def test_settings_are_given_at_the_start_and_what_is_left_out_has_its_default(http: Client, collection: str) -> None:
    name = f"{collection}-sized"
    given = {"strategy": "size", "target_tokens": 64, "overlap_tokens": 32}
    made = http.ok("POST", "/v1/collections", 201, json={"name": name, "chunking": given})
    expected = {**DEFAULTS, **given, "minimum_tokens": 32}
    assert made["chunking"] == expected
    document = http.ok(
        "PUT", f"/v1/collections/{name}/documents/ferries?wait=true", json={"text": TEXT, "title": "Ferries"}
    )
    results = http.ok("POST", "/v1/search", json={"query": "ferry", "collections": [name], "top_k": 100})["results"]
    assert len(results) == document["chunks"] > 10
    places = sorted((result["char_start"], result["char_end"]) for result in results)
    overlapping = sum(later[0] < earlier[1] for earlier, later in itertools.pairwise(places))
    assert overlapping > len(places) / 2
    assert all(result["text"] == TEXT[result["char_start"] : result["char_end"]] for result in results)
    answer = http.ok("POST", "/v1/answer", json={"question": "When does ferry 17 leave?", "collections": [name]})
    assert answer["status"] == "answered", answer["answer"]
    quotes = [citation["quote"] for citation in answer["citations"]]
    assert len(quotes) == len(set(quotes))
    assert any("17:15" in quote for quote in quotes)
    assert answer["answer"].count("Ferry 17 leaves") == 1
    http.delete(f"/v1/collections/{name}")


def test_a_patch_leaves_alone_what_it_does_not_name(http: Client, collection: str) -> None:
    path = f"/v1/collections/{collection}"
    http.ok("PATCH", path, json={"description": "Timetables"})
    changed = http.ok("PATCH", path, json={"chunking": {"target_tokens": 200}})
    assert changed["description"] == "Timetables"
    assert changed["chunking"] == {**DEFAULTS, "target_tokens": 200, "minimum_tokens": 100}
    changed = http.ok("PATCH", path, json={"description": None})
    assert (changed["description"], changed["chunking"]["target_tokens"]) == (None, 200)
    assert http.ok("PATCH", path, json={"chunking": None})["chunking"] == DEFAULTS


def test_settings_that_cannot_be_are_refused_by_name(http: Client, collection: str) -> None:
    path = f"/v1/collections/{collection}"
    for given, field in (
        ({"target_tokens": 5}, "chunking.target_tokens"),
        ({"overlap_tokens": 81}, "chunking.overlap_tokens"),
        ({"strategy": "page"}, "chunking.strategy"),
        ({"sise": 1}, "chunking.sise"),
        ({"target_tokens": "200"}, "chunking.target_tokens"),
    ):
        refused = http.request("PATCH", path, json={"chunking": given})
        assert refused.status_code == 400, given
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert http.ok("GET", path)["chunking"] == DEFAULTS
    refused = http.request("POST", "/v1/collections", json={"name": f"{collection}-x", "chunking": {"tables": "cells"}})
    assert refused.status_code == 400
    assert http.request("GET", f"/v1/collections/{collection}-x").status_code == 404


def test_documents_are_cut_again_under_their_versions_and_then_the_settings_hold(http: Client, collection: str) -> None:
    path = f"/v1/collections/{collection}"
    before = http.ok("PUT", f"{path}/documents/ferries?wait=true", json={"text": TEXT})
    wanted = {"strategy": "size", "target_tokens": 64}
    told = http.ok("PATCH", path, json={"chunking": wanted})
    job = http.job(told["job_id"])
    assert (job["kind"], job["status"], job["counts"]["modified"]) == ("rechunk", "succeeded", 1)
    after = http.ok("GET", f"{path}/documents/ferries")
    assert after["version"] == before["version"] == 1
    assert after["chunks"] > before["chunks"]
    assert http.ok("GET", path)["chunking"] == {**DEFAULTS, **wanted, "minimum_tokens": 32}
    asked = {"query": "When does ferry 17 leave?", "collections": [collection], "top_k": 1}
    assert "Ferry 17 leaves" in http.ok("POST", "/v1/search", json=asked)["results"][0]["text"]
    again = http.ok("PUT", f"{path}/documents/ferries?wait=true", json={"text": TEXT})
    assert (again["version"], again["chunks"]) == (1, after["chunks"])
    assert "job_id" not in http.ok("PATCH", path, json={"chunking": wanted})


def test_words_are_analysed_in_the_collections_language(http: Client, collection: str) -> None:
    path = f"/v1/collections/{collection}"
    assert http.ok("GET", path)["language"] == "english"
    http.ok("PUT", f"{path}/documents/terms?wait=true", json={"text": "Die Kündigungsfristen stehen in den Verträgen."})

    def found() -> list[str]:
        asked = {"query": "Vertrag", "collections": [collection], "mode": "lexical"}
        return [result["document"]["external_id"] for result in http.ok("POST", "/v1/search", json=asked)["results"]]

    assert found() == []
    changed = http.ok("PATCH", path, json={"language": "german"})
    assert (changed["language"], "job_id" in changed) == ("german", False)
    assert found() == ["terms"]
    assert http.ok("PATCH", path, json={"description": "x"})["language"] == "german"
    for method, where, body in (
        ("PATCH", path, {"language": "klingon"}),
        ("POST", "/v1/collections", {"name": f"{collection}-k", "language": "klingon"}),
    ):
        refused = http.request(method, where, json=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_language")
        assert [error["field"] for error in refused.json()["errors"]] == ["language"]
        assert "german" in refused.json()["detail"]
    assert http.ok("PATCH", path, json={"language": None})["language"] == "english"
    assert found() == []
    made = http.ok("POST", "/v1/collections", 201, json={"name": f"{collection}-ja", "language": "cjk"})
    assert made["language"] == "cjk"
    http.delete(f"/v1/collections/{collection}-ja")


RANKED_BY = {
    "fusion": "min_max",
    "dense_weight": 0.5,
    "repeat_factor": 0.85,
    "recency_half_life_days": None,
    "recency_weight": 0.5,
    "recency_field": "updated_at",
    "weights": [],
    "collapse_threshold": 0.0,
    "rerank": False,
    "rerank_depth": 20,
    "rerank_weight": 0.5,
    "expand": 0,
}


def test_ranking_settings_are_given_changed_and_forgotten(http: Client, collection: str) -> None:
    path = f"/v1/collections/{collection}"
    assert http.ok("GET", path)["ranking"] == RANKED_BY
    given = {"fusion": "reciprocal_rank", "weights": [{"filter": {"site": {"$in": ["north"]}}, "weight": 3}]}
    changed = http.ok("PATCH", path, json={"ranking": given})
    assert changed["ranking"] == {**RANKED_BY, **given}
    assert "job_id" not in changed, "nothing has to be indexed again"
    assert http.ok("PATCH", path, json={"description": "x"})["ranking"] == changed["ranking"]
    assert http.ok("PATCH", path, json={"ranking": {"expand": 1}})["ranking"] == {**RANKED_BY, "expand": 1}
    made = http.ok("POST", "/v1/collections", 201, json={"name": f"{collection}-r", "ranking": {"dense_weight": 0}})
    assert made["ranking"] == {**RANKED_BY, "dense_weight": 0.0}
    assert http.ok("PATCH", path, json={"ranking": None})["ranking"] == RANKED_BY
    for wrong, field in (
        ({"dense_weight": -1}, "ranking.dense_weight"),
        ({"weights": [{"filter": {"a": {"$near": 1}}, "weight": 1}]}, "ranking.weights.0.filter.a.$near"),
        ({"boost": 1}, "ranking.boost"),
        ({"rerank": "yes"}, "ranking.rerank"),
    ):
        refused = http.request("PATCH", path, json={"ranking": wrong})
        assert refused.status_code == 400, wrong
        assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_results_that_say_the_same_are_one_and_context_comes_if_it_is_asked_for(http: Client, collection: str) -> None:
    for name in ("ferries", "copy"):
        body = {"text": TEXT, "title": "Ferries", "metadata": {"kept": name}}
        http.ok("PUT", f"/v1/collections/{collection}/documents/{name}?wait=true", json=body)
    asked = {"query": "When does ferry 17 leave?", "collections": [collection], "top_k": 3}
    results = http.ok("POST", "/v1/search", json={**asked, "collapse": True})["results"]
    assert len(results) == 3
    for result in results:
        (other,) = result["duplicates"]
        assert {result["document"]["external_id"], other["document"]["external_id"]} == {"ferries", "copy"}
        assert set(other) == {"chunk_id", "collection", "document"}
        assert other["document"]["metadata"] == {"kept": other["document"]["external_id"]}
        assert other["chunk_id"] != result["chunk_id"]
        assert "context" not in result
    apart = http.ok("POST", "/v1/search", json={**asked, "expand": 1, "top_k": 2})["results"]
    assert [each["duplicates"] for each in apart] == [[], []]
    assert {each["document"]["external_id"] for each in apart} == {"ferries", "copy"}
    for each in apart:
        context = each["context"]
        assert context["text"] == TEXT[context["char_start"] : context["char_end"]]
        assert len(context["text"]) > len(each["text"])
    answer = http.ok("POST", "/v1/answer", json={"question": asked["query"], "collections": [collection]})
    assert answer["status"] == "answered"
    for citation in answer["citations"]:
        assert citation["quote"] == TEXT[citation["char_start"] : citation["char_end"]]
    refused = http.request("POST", "/v1/search", json={**asked, "expand": 4})
    assert refused.status_code == 400
