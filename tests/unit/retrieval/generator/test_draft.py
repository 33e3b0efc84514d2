import pytest

from retrieval.generator.draft import DraftFilter


def run(text: str, size: int, stops: tuple[str, ...] = ()) -> str:
    draft = DraftFilter(stops)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return "".join(draft.feed(piece) for piece in pieces) + draft.finish()


@pytest.mark.parametrize("size", [1, 3, 8, 1000])
@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("  Days accrue [1].", "Days accrue [1]."),
        ("NOT_IN_PASSAGES", ""),
        ("NOT_IN_PASSAGES.\n\nThe passages are about something else.", ""),
        ("**NOT IN PASSAGES**", ""),
        ("The passages do not say how much parking costs.", ""),
        ("I don't know.", ""),
        ("", ""),
        ("The passages of the law apply from May [1].", "The passages of the law apply from May [1]."),
        ("I do not recommend it; HR does [1].", "I do not recommend it; HR does [1]."),
        ("Days accrue [1]. NOT_IN_PASSAGES", "Days accrue [1]."),
        ("Days accrue [1].<|im_end|>\n<|im_start|>user", "Days accrue [1]."),
        ("Days accrue [1].</s>", "Days accrue [1]."),
    ],
)
def test_what_of_a_draft_is_the_answer(text: str, answer: str, size: int) -> None:
    assert run(text, size).rstrip() == answer


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_completion_ends_at_its_stop(size: int) -> None:
    assert run(" Days accrue [1].\nQuestion: And then?", size, ("\nQuestion:",)) == "Days accrue [1]."


def test_an_ordinary_answer_is_not_held_back() -> None:
    draft = DraftFilter()
    assert draft.feed("Employees ") == "Employees "
    assert draft.feed("accrue") == "accrue"


def test_a_stop_is_told() -> None:
    draft = DraftFilter()
    draft.feed("Days.</s>more")
    assert draft.stopped
    assert draft.feed("more") == ""
    assert draft.finish() == "Days."
