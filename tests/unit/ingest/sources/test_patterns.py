"""Shell patterns on the keys of a source."""

from __future__ import annotations

import pytest

from infra.errors import InvalidInput
from ingest.sources.patterns import Patterns, check_patterns, hidden, hidden_path


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("*.md", ["a.md", "x/y/a.md"], ["a.txt", "a.MD"]),
        ("drafts", ["drafts", "drafts/a.md", "drafts/x/b"], ["my/drafts/a.md", "drafts2/a.md"]),
        ("drafts/", ["drafts/a.md"], ["draft/a.md"]),
        ("/drafts", ["drafts/a.md"], ["x/drafts/a.md"]),
        ("drafts/*", ["drafts/a.md", "drafts/x/b.md"], ["drafts"]),
        ("docs/**/*.md", ["docs/a.md", "docs/x/a.md", "docs/x/y/a.md"], ["a.md", "docs.md", "docs/a.txt"]),
        ("**/old", ["old", "old/a", "x/old/a.md", "x/y/old"], ["bold", "x/older/a"]),
        ("docs/**", ["docs/a", "docs/x/b"], ["docs", "docsx/a"]),
        ("a?[0-9].md", ["ab1.md"], ["ab.md", "abc.md"]),
        ("https://h/blog", ["https://h/blog", "https://h/blog/1"], ["https://h/blogs"]),
    ],
)
def test_what_a_pattern_fits(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    assert [key in Patterns((pattern,)) for key in fits] == [True] * len(fits)
    assert [key in Patterns((pattern,)) for key in fits_not] == [False] * len(fits_not)
    assert [key in Patterns(exclude=(pattern,)) for key in fits] == [False] * len(fits)


def test_an_exclusion_wins() -> None:
    patterns = Patterns(("*.md", "docs"), ("docs/old",))
    assert [key in patterns for key in ("a.md", "docs/a.pdf", "docs/old/a.md", "a.pdf")] == [True, True, False, False]
    assert patterns.leaves_out("docs/old")
    assert patterns.leaves_out("docs/old/deep")
    assert not patterns.leaves_out("docs")
    assert "anything" in Patterns()


def test_hidden_names() -> None:
    assert [hidden(name) for name in (".git", "__pycache__", "node_modules", "a.md")] == [True, True, True, False]
    assert hidden_path("a/../b")
    assert not hidden_path("a/b.c")


@pytest.mark.parametrize("patterns", [[""], ["/"], ["x" * 501], ["**/" * 5 + "x"], ["a"] * 201])
def test_patterns_that_are_refused(patterns: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_patterns(patterns, "exclude")
    assert (caught.value.code, caught.value.errors[0].field) == ("invalid_pattern", "exclude")


def test_patterns_that_are_taken() -> None:
    check_patterns(["*.md", "**/a/**/b/**/c/**"], "include")
