from hashlib import sha256

from evals.anchors import Anchor, Place, Unresolved, find_quote, hits, resolve
from evals.gold import Evidence

TEXT = "Leave\n\nEmployees accrue 1.5 days\n  a month. Don’t carry over – ever. Employees accrue 1.5 days a month."


def test_quotes_are_found_across_line_breaks_and_typography_with_exact_ranges() -> None:
    ranges = find_quote(TEXT, "Employees accrue 1.5 days a month.")
    assert [TEXT[slice(*span)] for span in ranges] == [
        "Employees accrue 1.5 days\n  a month.",
        "Employees accrue 1.5 days a month.",
    ]
    (span,) = find_quote(TEXT, "Don't carry over - ever.")
    assert TEXT[slice(*span)] == "Don’t carry over – ever."
    assert find_quote(TEXT, "accrue 2.5 days") == ()


def test_a_range_with_its_quote_is_believed_and_a_moved_one_looked_up() -> None:
    start = TEXT.index("Don’t")
    right = Evidence(external_id="d", char_start=start, char_end=start + 5, quote="Don't")
    assert resolve(right, TEXT) == Anchor("d", ((start, start + 5),))
    moved = Evidence(external_id="d", char_start=0, char_end=5, quote="Don't")
    assert resolve(moved, TEXT) == Anchor("d", ((start, start + 5),))


def test_of_two_places_of_a_quote_the_range_tells_which() -> None:
    second = TEXT.rindex("Employees")
    found = resolve(Evidence(external_id="d", char_start=second, char_end=second + 9, quote="Employees"), TEXT)
    assert found == Anchor("d", ((second, second + 9),))


def test_what_cannot_be_found_says_why() -> None:
    def code(evidence: Evidence, text: str | None = TEXT) -> str:
        found = resolve(evidence, text)
        assert isinstance(found, Unresolved)
        return found.code

    assert code(Evidence(external_id="d"), None) == "missing_document"
    assert code(Evidence(external_id="d", quote="never written")) == "missing_quote"
    assert code(Evidence(external_id="d", char_start=0, char_end=10_000)) == "bad_range"
    assert code(Evidence(external_id="d", sha256="0" * 64)) == "stale_document"


def test_a_matching_hash_of_the_text_passes() -> None:
    digest = sha256(TEXT.encode()).hexdigest()
    assert resolve(Evidence(external_id="d", sha256=digest, page=3, grade=2), TEXT) == Anchor("d", (), 3, 2)


def test_overlap_must_be_half_of_the_shorter() -> None:
    anchor = Anchor("d", ((100, 200),))
    assert hits(anchor, Place("d", 0, 150))  # half of the evidence
    assert not hits(anchor, Place("d", 0, 149))
    assert hits(anchor, Place("d", 150, 160))  # a short quote from within
    assert hits(anchor, Place("d", 195, 205))  # half of the short one
    assert not hits(anchor, Place("d", 196, 206))
    assert not hits(anchor, Place("d", 200, 300))
    assert not hits(anchor, Place("other", 100, 200))


def test_pages_and_documents() -> None:
    assert hits(Anchor("d", page=2), Place("d", 0, 5, page=2))
    assert not hits(Anchor("d", page=2), Place("d", 0, 5, page=1))
    assert not hits(Anchor("d", page=2), Place("d", 0, 5))
    assert hits(Anchor("d"), Place("d", 0, 5))
