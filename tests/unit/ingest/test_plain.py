"""Text that is sent as text: kept to the letter, with its structure marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Unprocessable
from ingest.plain import clean_text, parse_plain

TEXT = """# Title

A paragraph
of two lines.
- item one
  goes on
- item two
1) numbered

| a | b |
| 1 | 2 |
After the table.
```python
# not a heading

- not an item
```
## Second
"""


def kinds(text: str) -> list[tuple[str, str]]:
    parsed = parse_plain(text)
    return [(element.kind.value, parsed.text[element.start : element.end]) for element in parsed.elements]


def test_each_kind_is_found() -> None:
    assert kinds(TEXT) == [
        ("heading", "# Title"),
        ("paragraph", "A paragraph\nof two lines."),
        ("list_item", "- item one\n  goes on"),
        ("list_item", "- item two"),
        ("list_item", "1) numbered"),
        ("table", "| a | b |\n| 1 | 2 |"),
        ("paragraph", "After the table."),
        ("code", "```python\n# not a heading\n\n- not an item\n```"),
        ("heading", "## Second"),
    ]
    parsed = parse_plain(TEXT)
    assert parsed.text == TEXT
    assert [e.level for e in parsed.elements if e.level] == [1, 2]


@pytest.mark.parametrize("text", ["#no heading", "####### seven", "# ", "-no item", "1234) long", "a | b"])
def test_what_only_looks_like_structure_is_a_paragraph(text: str) -> None:
    assert kinds(text) == [("paragraph", text.rstrip() if text.strip() else text)] or kinds(text)[0][0] == "paragraph"


def test_a_fence_that_never_ends_is_code_to_the_end() -> None:
    assert kinds("Text.\n~~~\ncode\n```\nstill") == [("paragraph", "Text."), ("code", "~~~\ncode\n```\nstill")]


def test_a_table_that_follows_an_item_is_no_part_of_it() -> None:
    assert [kind for kind, _ in kinds("- item\n| a | b |\n")] == ["list_item", "table"]


@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "\r\n"])
def test_nothing_in_it(text: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        parse_plain(text)
    assert caught.value.code == "empty_file"


@pytest.mark.parametrize(
    ("text", "clean"), [("a\r\nb\rc\n", "a\nb\nc\n"), ("a\x00b", "ab"), ("a\ud800b", "a\ufffdb"), ("ä😀\t ", "ä😀\t ")]
)
def test_only_what_cannot_be_stored_is_changed(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@given(st.text(alphabet=st.sampled_from("ab #-*`~|1.\n\t\r\x0b\x0c\x85\u2028é"), max_size=80))
def test_any_text_is_kept_and_its_elements_cover_it_in_order(text: str) -> None:
    if not clean_text(text).strip():
        return
    parsed = parse_plain(text)
    assert parsed.text == clean_text(text)
    position = 0
    for element in parsed.elements:
        assert position <= element.start < element.end <= len(parsed.text)
        assert not parsed.text[position : element.start].strip()
        position = element.end
    assert not parsed.text[position:].strip()
