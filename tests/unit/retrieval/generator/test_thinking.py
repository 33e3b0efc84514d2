import pytest

from retrieval.generator.thinking import ThinkingFilter, held_back, opens_reasoning_unseen


def run(thinking: ThinkingFilter, text: str, size: int) -> str:
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return "".join(thinking.feed(piece) for piece in pieces) + thinking.finish()


TAGGED = [
    ("<think>Let me see: 1 < 2.</think>\n\nDays accrue [1].", "Days accrue [1]."),
    ("<thinking>hm</thinking>Days accrue [1].", "Days accrue [1]."),
    ("<|channel>thought\nhm<channel|>Days accrue [1].", "Days accrue [1]."),
    ("[THINK]hm[/THINK]Days accrue [1].", "Days accrue [1]."),
    ("◁think▷hm◁/think▷Days accrue [1].", "Days accrue [1]."),
    (
        "<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Days accrue [1].",
        "Days accrue [1].",
    ),
    ("<think></think>Days <b>accrue</b> [1].", "Days <b>accrue</b> [1]."),
    ("<think>a</think><think>b</think>Days accrue.", "Days accrue."),
    ("Days accrue if x < think time.", "Days accrue if x < think time."),
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize(("text", "answer"), TAGGED)
def test_reasoning_goes_wherever_the_stream_is_split(text: str, answer: str, size: int) -> None:
    thinking = ThinkingFilter()
    assert run(thinking, text, size) == answer
    assert not thinking.leaked
    assert not thinking.inside


def test_text_that_cannot_be_a_tag_is_not_held_back() -> None:
    thinking = ThinkingFilter()
    assert thinking.feed("Days accrue <") == "Days accrue "
    assert thinking.feed("b>") == "<b>"


def test_reasoning_without_an_end_is_no_answer() -> None:
    thinking = ThinkingFilter()
    assert run(thinking, "<think>I never finish", 4) == ""
    assert thinking.inside
    assert thinking.thought


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_reasoning_that_the_template_opened_is_held_until_it_closes(size: int) -> None:
    thinking = ThinkingFilter(unopened=True)
    assert run(thinking, "First I look.</think>\nDays accrue.", size) == "Days accrue."
    assert not thinking.leaked


def test_a_model_expected_to_reason_that_does_not_loses_nothing() -> None:
    assert run(ThinkingFilter(unopened=True), "Days accrue.", 3) == "Days accrue."


def test_a_server_that_keeps_reasoning_apart_releases_the_text_at_once() -> None:
    thinking = ThinkingFilter(unopened=True)
    thinking.settle()
    assert thinking.feed("Days accrue.") == "Days accrue."


def test_an_unexpected_closing_tag_after_text_is_told() -> None:
    thinking = ThinkingFilter()
    run(thinking, "First I look.</think>Days accrue.", 3)
    assert thinking.leaked


def test_held_back_counts_the_longest_possible_beginning() -> None:
    assert held_back("abc</th", ("<think>", "</think>")) == 4
    assert held_back("abc", ("<think>",)) == 0
    assert held_back("<<", ("<think>",)) == 1


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", True),
        ("Qwen/QwQ-32B", True),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", True),
        ("Qwen/Qwen3-8B", False),
        ("mistralai/Mistral-7B-Instruct-v0.3", False),
        (None, False),
    ],
)
def test_models_whose_template_opens_the_reasoning(model: str | None, expected: bool) -> None:
    assert opens_reasoning_unseen(model) is expected
