from pathlib import Path

import pytest

from evals.formats import READERS, read_gold
from infra.errors import InvalidInput

LINE = '{"id": "%s", "question": "Why?", "answerable": false}\n'


def test_a_folder_is_read_in_order_of_file_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(LINE % "b")
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + (LINE % "a" + "\n" + LINE % "c").encode())
    assert [item.id for item in read_gold("footnote", tmp_path).items] == ["a", "c", "b"]


def test_ids_must_differ_across_files_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(LINE % "q")
    (tmp_path / "b.jsonl").write_text(LINE % "q")
    with pytest.raises(InvalidInput, match=r"b.jsonl, line 1: the id 'q' is taken by a.jsonl, line 1"):
        read_gold("footnote", tmp_path)


def test_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes((LINE % "q").encode() + b'{"id": "\xff"}\n')
    with pytest.raises(InvalidInput, match=r"a\.jsonl, line 2: not valid"):
        read_gold("footnote", tmp_path / "a.jsonl")


def test_an_unknown_format_and_a_missing_path(tmp_path: Path) -> None:
    assert set(READERS) == {"footnote", "beir", "squad", "ragas", "northwind"}
    with pytest.raises(InvalidInput, match="'csv' is not a gold format; allowed: footnote, beir"):
        read_gold("csv", tmp_path)
    with pytest.raises(InvalidInput, match="does not exist"):
        read_gold("footnote", tmp_path / "no.jsonl")
    with pytest.raises(InvalidInput, match=r"holds no \.jsonl file"):
        read_gold("footnote", tmp_path)
