"""A whole service whose index is in Milvus, and one whose Milvus is not there."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path

import pytest
from service import running_service


def test_a_service_with_its_index_in_a_file_of_milvus_lite(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="needs milvus-lite")
    url = str(tmp_path / "index.db")
    for start in range(2):  # and again, on what the first has left
        with running_service(tmp_path, FOOTNOTE_INDEX_URL=url) as service:
            if not start:
                service.put_text("parking", "Parking permits cost 12 florins a month.", metadata={"year": 2026})
                service.put_text("old", "Parking permits cost 9 florins a month.", metadata={"year": 2024})
            asked = {"query": "What does a parking permit cost?", "filter": {"year": {"$gte": 2025}}}
            passages = service.call("POST", "/v1/search", asked)["results"]
            assert [passage["document"]["external_id"] for passage in passages] == ["parking"]
            assert service.call("GET", "/v1/integrity")["ok"]
            index = service.call("GET", "/health/ready")["parts"]["index"]
            assert index == {"ok": True, "detail": f"Milvus milvus_lite-3.2.2 at {url}"}


def test_a_service_whose_milvus_does_not_answer_says_so(tmp_path: Path) -> None:
    pytest.importorskip("pymilvus", reason="needs pymilvus")
    url = "http://127.0.0.1:9"
    with running_service(tmp_path, until="/health/live", FOOTNOTE_INDEX_URL=url) as service:
        with pytest.raises(urllib.error.HTTPError) as caught:
            service.call("POST", "/v1/search", {"query": "parking"})
        problem = json.loads(caught.value.read())
        assert (caught.value.code, problem["code"]) == (503, "index_unavailable")
        assert problem["detail"].startswith(f"The index in Milvus at {url} cannot be used: ")
        with pytest.raises(urllib.error.HTTPError) as caught:
            service.call("GET", "/health/ready")
        state = json.loads(caught.value.read())
        assert (caught.value.code, state["status"], state["parts"]["index"]["ok"]) == (503, "unavailable", False)
