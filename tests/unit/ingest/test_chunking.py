"""Chunking settings: what is allowed, what is left out, and how documents remember them."""

from __future__ import annotations

from typing import Any

import pytest

from infra.errors import InvalidInput
from ingest.chunking import DEFAULT_CHUNKING, ChunkingSettings, cut_with, read_chunking


def test_nothing_given_is_the_default() -> None:
    assert read_chunking(None) == read_chunking({}) == DEFAULT_CHUNKING == ChunkingSettings("title", 160, 80, 0, "rows")


def test_what_is_left_out_follows_from_the_target() -> None:
    assert read_chunking({"strategy": "size", "target_tokens": 200}) == ChunkingSettings("size", 200, 100, 0, "rows")


def test_what_is_stored_is_read_back() -> None:
    settings = ChunkingSettings("size", 256, 0, 64, "whole")
    assert read_chunking(settings.as_json()) == settings


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"strategy": "page"}, "strategy", "must be one of: title, size"),
        ({"tables": None}, "tables", "must be one of: rows, whole"),
        ({"target_tokens": 31}, "target_tokens", "must be a whole number from 32 to 8192"),
        ({"target_tokens": 8193}, "target_tokens", "must be a whole number from 32 to 8192"),
        ({"target_tokens": True}, "target_tokens", "must be a whole number from 32 to 8192"),
        ({"target_tokens": "200"}, "target_tokens", "must be a whole number from 32 to 8192"),
        ({"target_tokens": 100, "minimum_tokens": 101}, "minimum_tokens", "must be a whole number from 0 to 100"),
        ({"target_tokens": 100, "overlap_tokens": 51}, "overlap_tokens", "must be a whole number from 0 to 50"),
        ({"overlap_tokens": -1}, "overlap_tokens", "must be a whole number from 0 to 80"),
        (
            {"size": 3},
            "size",
            "is not known; allowed: strategy, target_tokens, minimum_tokens, overlap_tokens, tables",
        ),
    ],
)
def test_what_is_not_allowed_is_named(given: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_chunking(given)
    assert caught.value.code == "invalid_chunking"
    assert [(error.field, error.message) for error in caught.value.errors] == [(f"chunking.{field}", message)]
    assert caught.value.detail == f"Bad chunking settings: chunking.{field} {message}."


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_chunking({"strategy": "x", "tables": "y", "target_tokens": 1})
    assert [error.field for error in caught.value.errors] == [
        "chunking.strategy",
        "chunking.tables",
        "chunking.target_tokens",
    ]


def test_each_setting_changes_the_fingerprint() -> None:
    others = [
        ChunkingSettings(),
        ChunkingSettings(strategy="size"),
        ChunkingSettings(target_tokens=200),
        ChunkingSettings(minimum_tokens=0),
        ChunkingSettings(overlap_tokens=1),
        ChunkingSettings(tables="whole"),
    ]
    assert len({each.fingerprint for each in others}) == len(others)
    assert max(len(ChunkingSettings("title", 8192, 8192, 4096, "whole").fingerprint), 0) <= 64


def test_documents_from_before_there_were_settings_have_the_first_defaults() -> None:
    assert cut_with(None) == ChunkingSettings("title", 160, 80, 0, "rows").fingerprint
    assert cut_with("size/1/1/1/rows") == "size/1/1/1/rows"
