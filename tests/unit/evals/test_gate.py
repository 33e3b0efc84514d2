from pathlib import Path

import pytest

from evals.compare import Difference
from evals.gate import Gate, Rule, check, check_baseline, read_gate, verdict
from evals.result import Check, MetricValue
from infra.errors import InvalidInput


def metric(value: float, low: float, high: float) -> MetricValue:
    return MetricValue(value, (low, high), 50, 0.1)


def change(value: float, low: float, high: float) -> Difference:
    return Difference(before=0.5, after=0.5 + value, value=value, ci=(low, high), n=50, mde=0.1)


def outcome(rule: Rule, found: MetricValue, difference: Difference | None = None, by: str = "interval") -> str:
    changes = None if difference is None else {rule.metric: difference}
    (result,) = check(Gate((rule,), by), {rule.metric: found}, changes)  # type: ignore[arg-type]
    return result.outcome


@pytest.mark.parametrize(
    ("value", "expected"),
    [((0.95, 0.9, 0.99), "PASS"), ((0.7, 0.6, 0.85), "FAIL"), ((0.92, 0.89, 0.95), "INCONCLUSIVE")],
)
def test_min_is_decided_by_the_whole_interval(value: tuple[float, float, float], expected: str) -> None:
    assert outcome(Rule("recall@10", min=0.9), metric(*value)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [((0.05, 0.0, 0.1), "PASS"), ((0.3, 0.2, 0.4), "FAIL"), ((0.08, 0.02, 0.14), "INCONCLUSIVE")],
)
def test_max_likewise(value: tuple[float, float, float], expected: str) -> None:
    assert outcome(Rule("false_answer_rate", max=0.1), metric(*value)) == expected


def test_by_value_only_the_value_counts() -> None:
    assert outcome(Rule("recall@10", min=0.9), metric(0.92, 0.8, 1.0), by="value") == "PASS"
    assert outcome(Rule("recall@10", min=0.9), metric(0.89, 0.8, 1.0), by="value") == "FAIL"


def test_a_drop_is_a_fall_or_a_rise_where_lower_is_better() -> None:
    found = metric(0.5, 0.4, 0.6)
    assert outcome(Rule("recall@10", max_drop=0.05), found, change(-0.1, -0.15, -0.06)) == "FAIL"
    assert outcome(Rule("recall@10", max_drop=0.05), found, change(-0.01, -0.04, 0.02)) == "PASS"
    assert outcome(Rule("recall@10", max_drop=0.05), found, change(-0.01, -0.09, 0.07)) == "INCONCLUSIVE"
    assert outcome(Rule("false_answer_rate", max_drop=0.05), found, change(0.1, 0.06, 0.15)) == "FAIL"
    assert outcome(Rule("false_answer_rate", max_drop=0.05), found, change(-0.1, -0.15, -0.06)) == "PASS"
    assert outcome(Rule("recall@10", max_drop=0.05), found, change(-0.04, -0.2, 0.2), by="value") == "PASS"


def test_no_baseline_skips_and_an_unmeasured_metric_invalidates() -> None:
    assert outcome(Rule("recall@10", max_drop=0.05), metric(0.5, 0.4, 0.6)) == "SKIPPED"
    (missing,) = check(Gate((Rule("aurc", max=0.1),)), {}, None)
    assert missing.outcome == "INVALID"
    assert "no item has it" in missing.sentence


def test_a_baseline_alone_fails_certain_losses_only() -> None:
    checks = check_baseline(
        {
            "recall@10": change(-0.02, -0.03, -0.01),
            "ndcg@10": change(0.0, -0.04, 0.04),
            "answer_facts": change(0.0, -0.2, 0.2),
            "false_answer_rate": change(-0.1, -0.2, -0.05),
            "latency_p95_ms": change(500, 400, 600),
        }
    )
    assert {item.metric: item.outcome for item in checks} == {
        "recall@10": "FAIL",
        "ndcg@10": "PASS",
        "answer_facts": "INCONCLUSIVE",
        "false_answer_rate": "PASS",
    }


def test_the_worst_outcome_is_the_verdict() -> None:
    def of(*outcomes: str) -> str:
        return verdict((), [Check("m", "r", name, "s") for name in outcomes])

    assert of() == "PASS"
    assert of("PASS", "SKIPPED") == "PASS"
    assert of("PASS", "INCONCLUSIVE") == "INCONCLUSIVE"
    assert of("INCONCLUSIVE", "FAIL") == "FAIL"
    assert of("FAIL", "INVALID") == "INVALID"
    assert verdict(["stale"], []) == "INVALID"


def test_a_gate_file(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text('decide_by = "value"\n"recall@10" = { min = 0.9, max_drop = 0.03 }\naurc = { max = 1 }\n')
    assert read_gate(file) == Gate((Rule("recall@10", min=0.9, max_drop=0.03), Rule("aurc", max=1.0)), "value")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recall = { min = 1 }", "'recall' is not a metric; allowed: ndcg@10, recall@10"),
        ("aurc = { minimum = 1 }", "aurc must be a table of min, max, max_drop"),
        ("aurc = 0.5", "aurc must be a table"),
        ("aurc = {}", "aurc must be a table"),
        ('aurc = { max = "low" }', "aurc.max must be a number"),
        ("aurc = { max_drop = -1 }", "must not be negative"),
        ('decide_by = "coin"\naurc = { max = 1 }', "decide_by is 'coin'; allowed: interval, value"),
        ("", "holds no rule"),
        ("= 1", "is not valid TOML"),
    ],
)
def test_a_bad_gate_file_says_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "gate.toml").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        read_gate(tmp_path / "gate.toml")
    assert words in caught.value.detail


def test_a_missing_gate_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_gate(tmp_path / "no.toml")
