import pytest

from retrieval.passage import DocumentRef, Passage
from retrieval.ranking.collapse import LOOKAHEAD, collapse, fingerprint, likeness

TEXT = "Every engineer accrues 2.25 days of leave for each month of work."


def passage(n: int, text: str, headings: tuple[str, ...] = ()) -> Passage:
    return Passage(f"c{n}", DocumentRef(f"d{n}", f"d{n}", 1), text, headings, None, 0, len(text), score=1.0 - n / 100)


def alike(one: str, other: str) -> float:
    return likeness(fingerprint(one), fingerprint(other))


@pytest.mark.parametrize(
    "other",
    [
        TEXT.upper(),
        "Every engineer\naccrues  2.25 days of *leave* for each month of work",
        "• Every engineer accrues 2.25 days of leave, for each month of work;",
    ],
)
def test_the_same_words_however_they_are_set(other):
    assert alike(TEXT, other) == 1.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (TEXT, TEXT.replace("2.25", "1.25")),
        (TEXT, TEXT.replace("2.25", "225")),
        (TEXT, TEXT.replace("accrues", "never accrues")),
        ("The load must be > 5 kg.", "The load must be < 5 kg."),
        ("The fee is $40.", "The fee is €40."),
        ("It may fall to -5 degrees.", "It may fall to 5 degrees."),
        ("", "?"),
    ],
)
def test_what_says_something_else_is_not_the_same(one, other):
    assert alike(one, other) == 0.0


def test_likeness_is_the_jaccard_coefficient_of_word_triples():
    # abc bcd cde def against abc bcd cdx dxf: 2 shared of 6
    assert alike("a b c d e f", "a b c d x f") == pytest.approx(2 / 6)
    assert alike("a b c", "d e f") == 0.0
    assert alike("a b", "a b") == 1.0


def test_another_heading_is_another_place():
    harlow, leeds = fingerprint("Open 9 to 5.", ("Sites", "Harlow")), fingerprint("Open 9 to 5.", ("Sites", "Leeds"))
    assert likeness(harlow, leeds) == 0.0
    assert likeness(harlow, fingerprint("Open 9 to 5.", ("Other", "harlow"))) == 1.0
    assert likeness(harlow, fingerprint("Open 9 to 5.")) == 1.0


def test_the_best_is_shown_with_the_others_listed_and_makes_room_for_the_next():
    results = [
        passage(1, TEXT),
        passage(2, "Parking."),
        passage(3, TEXT.lower()),
        passage(4, "Ferries."),
        passage(5, TEXT),
    ]
    shown = collapse(results, 3, 1.0)
    assert [each.chunk_id for each in shown] == ["c1", "c2", "c4"]
    assert [[each.chunk_id for each in best.duplicates] for best in shown] == [["c3", "c5"], [], []]
    assert shown[0].score == results[0].score


def test_near_duplicates_only_below_a_threshold_of_one():
    results = [passage(1, "a b c d e f g h i j"), passage(2, "a b c d e f g h i k")]  # 7 of 9 triples
    assert len(collapse(results, 5, 1.0)) == 2
    assert len(collapse(results, 5, 0.8)) == 2
    assert len(collapse(results, 5, 0.75)) == 1


def test_a_threshold_of_zero_collapses_nothing():
    assert [each.duplicates for each in collapse([passage(1, TEXT), passage(2, TEXT)], 5, 0.0)] == [(), ()]


def test_it_takes_no_more_than_it_needs():
    taken = []

    def results():
        for n in range(100):
            taken.append(n)
            yield passage(n, f"text {n}")

    assert len(collapse(results(), 4, 1.0)) == 4
    assert len(taken) == 4 + LOOKAHEAD
    taken.clear()
    assert len(collapse(results(), 4, 0.0)) == 4
    assert len(taken) == 4
