from retrieval.answers.question import read_question
from retrieval.answers.windows import followers, shortlist, windows
from retrieval.passage import DocumentRef, Passage


def passage(text: str, heading: tuple[str, ...] = (), context: str = "", title: str | None = None) -> Passage:
    return Passage("c1", DocumentRef("d1", "d1", 1, title), text, heading, None, 0, len(text), context=context)


def test_each_sentence_is_a_window_with_its_characters_and_neighbours() -> None:
    text = "Permits cost 14 florins. They are sold at the gate. Dogs stay out."
    found = windows([passage(text, ("Parking",), title="Site")])
    assert [text[w.start : w.end] for w in found] == [w.text for w in found]
    assert [w.text for w in found] == [
        "Permits cost 14 florins.",
        "They are sold at the gate.",
        "Dogs stay out.",
    ]
    assert (found[1].lead_text, found[1].next_text, found[1].place) == (
        "Permits cost 14 florins.",
        "Dogs stay out.",
        "Site / Parking",
    )
    assert [w.leans for w in found] == [False, True, False]
    assert found[1].reading == "Parking: Permits cost 14 florins. They are sold at the gate."


def test_a_heading_in_the_text_is_marked_and_becomes_the_place_of_what_follows() -> None:
    found = windows([passage("# Parking\n\nVisitors park in bay 7.\n")])
    assert [(w.text, w.heading) for w in found] == [("Parking", True), ("Visitors park in bay 7.", False)]
    assert found[1].place == "Parking"
    assert found[1].lead is None


def test_items_of_a_list_lean_on_the_line_that_introduces_them() -> None:
    text = "Bring to the lab:\n\n- gloves\n- goggles\n\nLeave phones outside."
    found = windows([passage(text)])
    assert [(w.text, w.lead_text, w.leans) for w in found[1:3]] == [
        ("gloves", "Bring to the lab:", True),
        ("goggles", "Bring to the lab:", True),
    ]
    assert [text[s.start : s.end] for s in followers(found[0], text)] == ["gloves", "goggles"]
    assert followers(found[3], text) == []


def test_rows_of_a_table_lean_on_its_header() -> None:
    found = windows([passage("Day | Opens\nMonday | 10:00\nFriday | 12:00")])
    assert [(w.text, w.lead_text, w.leans) for w in found] == [
        ("Day | Opens", "", False),
        ("Monday | 10:00", "Day | Opens", True),
        ("Friday | 12:00", "Day | Opens", True),
    ]


def test_a_table_that_goes_on_has_its_header_in_the_context() -> None:
    found = windows([passage("Monday | ten\nFriday | noon", context="Day | Opens")])
    assert [(w.lead, w.place) for w in found] == [(None, "Day | Opens"), (None, "Day | Opens")]


def test_a_shortlist_keeps_what_shares_words_with_the_question_in_reading_order() -> None:
    text = " ".join(f"Line {n} says nothing." for n in range(20)) + " Permits cost 14 florins. Line 21 ends."
    found = windows([passage(text)])
    kept = shortlist(read_question("What do permits cost?"), found, 3)
    assert len(kept) == 3
    assert "Permits cost 14 florins." in [w.text for w in kept]
    assert [w.start for w in kept] == sorted(w.start for w in kept)


def test_a_question_in_the_text_brings_its_answer_and_the_answer_its_question() -> None:
    text = "Can I mute an alarm? No. There is no mute.\n\nCan I leave? Yes."
    found = windows([passage(text)])
    assert [text[s.start : s.end] for s in followers(found[0], text)] == ["No.", "There is no mute."]
    assert (found[1].lead_text, found[1].leans) == ("Can I mute an alarm?", True)


def test_a_short_line_of_its_own_inside_a_passage_is_a_heading_and_a_long_title_is_a_statement() -> None:
    title = "The last tram of the old type leaves service in March 2028"
    found = windows([passage(f"{title}\n\n2. What we carry\n\nWe carry freight.", (title,))])
    assert [(w.text, w.heading) for w in found] == [
        (title, False),
        ("What we carry", True),
        ("We carry freight.", False),
    ]
