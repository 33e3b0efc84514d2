"""What every answer scorer does, and what the built-in one knows."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from infra.errors import SettingsError
from retrieval.answers.scorer import CrossEncoderScorer, OverlapScorer

QUESTION = "When does unused leave lapse?"
TEXTS = [
    "Leave: Unused leave lapses on 31 March.",
    "",
    "café 😀 日本語",
    "Parking: Visitors park in bay 7. " * 40,
    "Leave: Every engineer accrues 2.25 days of leave for each month of work.",
]


@pytest.fixture(scope="module")
def builtin():
    return CrossEncoderScorer()


@pytest.fixture(params=["builtin", "overlap"])
def scorer(request):
    return request.getfixturevalue("builtin") if request.param == "builtin" else OverlapScorer()


def test_one_logit_a_text_whatever_it_is_scored_with(scorer):
    together = scorer.score(QUESTION, TEXTS)
    assert together.shape == (len(TEXTS),)
    assert together.dtype == np.float32
    alone = np.concatenate([scorer.score(QUESTION, [text]) for text in TEXTS])
    assert together == pytest.approx(alone, abs=0.15)


def test_the_answer_scores_highest(scorer):
    assert int(scorer.score(QUESTION, TEXTS).argmax()) == 0


def test_nothing_to_score(scorer):
    assert scorer.score(QUESTION, []).shape == (0,)
    assert scorer.score("", ["text"]).shape == (1,)


def test_several_threads_may_ask_at_once(scorer):
    expected = scorer.score(QUESTION, TEXTS)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(scorer.score(QUESTION, TEXTS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for logits in found:
        assert logits == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("question", "says", "only_near"),
    [
        (
            "Who may sign for parcels at reception?",
            "Reception: Only the porter on duty signs for deliveries.",
            "Reception: Parcels are kept behind the desk for five days.",
        ),
        (
            "How do I get my money back for a cancelled course?",
            "Courses: Fees of a seminar that does not take place are refunded within two weeks.",
            "Courses: A course costs 140 florins, paid in advance.",
        ),
        (
            "Is there a canteen in Harlow?",
            "Sites: The Harlow building has a canteen on the ground floor.",
            "Sites: The Leeds building has a canteen on the ground floor.",
        ),
    ],
)
def test_the_built_in_one_tells_an_answer_from_the_same_topic(builtin, question, says, only_near):
    answer, near = builtin.score(question, [says, only_near])
    assert answer > near + 1.0


def test_an_adapter_for_another_model_is_refused(tmp_path: Path):
    path = tmp_path / "other.safetensors"
    save_file({"roberta.layer|whole": torch.zeros(2)}, path, metadata={"digest": "0"})
    with pytest.raises(SettingsError, match=r"other.safetensors holds roberta.layer"):
        CrossEncoderScorer(path).score("x", ["y"])
