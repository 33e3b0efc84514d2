"""The gate: thresholds for metrics, and what a run's intervals say about them.

A gate file is TOML, one rule a metric::

    decide_by = "interval"                       # or "value"; "interval" is the default
    "recall@10" = { min = 0.90, max_drop = 0.03 }
    false_answer_rate = { max = 0.15 }

``min`` and ``max`` bound the value; ``max_drop`` bounds how much worse than the baseline it may be (a fall,
or a rise where lower is better). By interval, a rule is met when the whole 95 % interval is on the right
side, broken when it is on the wrong side, and inconclusive when it straddles the threshold: this many items
cannot tell. By value, only the value counts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evals.compare import Difference
from evals.metrics import METRICS
from evals.result import Check, MetricValue, RunVerdict
from infra.errors import InvalidInput

# Not held to the baseline unless a gate asks for it: latency says more of the machine than of the answers.
UNGATED = "latency_p95_ms"
TOLERANCE = 0.05
_BOUNDS = ("min", "max", "max_drop")


@dataclass(frozen=True, slots=True)
class Rule:
    """The bounds of one metric."""

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules that a run must meet."""

    rules: tuple[Rule, ...]
    decide_by: Literal["interval", "value"] = "interval"


def read_gate(path: Path) -> Gate:
    """Read a gate file. Raises ``InvalidInput`` saying what is wrong and what is allowed."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InvalidInput(f"The gate file {path} cannot be read.", code="no_such_file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} is not valid TOML: {error}.", code="bad_gate") from None
    decide_by = content.pop("decide_by", "interval")
    if decide_by not in ("interval", "value"):
        raise InvalidInput(f"{path.name}: decide_by is {decide_by!r}; allowed: interval, value.", code="bad_gate")
    rules = tuple(_rule(path.name, name, bounds) for name, bounds in content.items())
    if not rules:
        raise InvalidInput(f"{path.name} holds no rule; allowed: {', '.join(METRICS)}.", code="bad_gate")
    return Gate(rules, decide_by)


def check(
    gate: Gate, metrics: Mapping[str, MetricValue], differences: Mapping[str, Difference] | None
) -> tuple[Check, ...]:
    """Check every rule.

    ``differences`` are against the baseline; ``None`` = there is none, and ``max_drop`` is not checked.
    """
    checks: list[Check] = []
    for rule in gate.rules:
        found = metrics.get(rule.metric)
        if found is None:
            checks.append(Check(rule.metric, "any", "INVALID", f"{rule.metric} was not measured: no item has it."))
            continue
        if rule.min is not None:
            checks.append(_bounded(gate, rule.metric, found, rule.min, below=False))
        if rule.max is not None:
            checks.append(_bounded(gate, rule.metric, found, rule.max, below=True))
        if rule.max_drop is not None:
            checks.append(_dropped(gate, rule.metric, rule.max_drop, differences))
    return tuple(checks)


def check_baseline(differences: Mapping[str, Difference]) -> tuple[Check, ...]:
    """Hold a run to its baseline where no gate is given.

    Worse for certain (the interval of the difference excludes 0) fails; better, or certainly not worse by
    more than 0.05, passes; anything else is inconclusive.
    """
    checks: list[Check] = []
    for name, difference in differences.items():
        if name == UNGATED:
            continue
        low, high = _gain(name, difference)
        outcome = "FAIL" if high < 0 else "PASS" if low >= -TOLERANCE else "INCONCLUSIVE"
        sentence = f"{name} changed by {_signed(difference.value)} {_interval(difference.ci)} since the baseline."
        checks.append(Check(name, "no worse than the baseline", outcome, sentence))
    return tuple(checks)


def verdict(problems: Sequence[str], checks: Sequence[Check]) -> RunVerdict:
    """The worst of them: INVALID, then FAIL, then INCONCLUSIVE; PASS when nothing speaks against it."""
    if problems:
        return "INVALID"
    outcomes = {item.outcome for item in checks}
    if "INVALID" in outcomes:
        return "INVALID"
    if "FAIL" in outcomes:
        return "FAIL"
    return "INCONCLUSIVE" if "INCONCLUSIVE" in outcomes else "PASS"


def _bounded(gate: Gate, name: str, found: MetricValue, bound: float, *, below: bool) -> Check:
    low, high = found.ci if gate.decide_by == "interval" else (found.value, found.value)
    met, broken = (high <= bound, low > bound) if below else (low >= bound, high < bound)
    rule = f"{'<=' if below else '>='} {bound:g}"
    outcome = "PASS" if met else "FAIL" if broken else "INCONCLUSIVE"
    sentence = f"{name} is {found.value:.4g} {_interval(found.ci)} over {found.n} items; the gate asks for {rule}."
    if outcome == "INCONCLUSIVE":
        sentence += f" So few items only tell differences of {found.mde:.2g} and more."
    return Check(name, rule, outcome, sentence)


def _dropped(gate: Gate, name: str, bound: float, differences: Mapping[str, Difference] | None) -> Check:
    rule = f"at most {bound:g} worse than the baseline"
    if differences is None:
        return Check(name, rule, "SKIPPED", f"{name}: no baseline was given to compare with.")
    difference = differences.get(name)
    if difference is None:
        return Check(name, rule, "INVALID", f"{name}: the run and its baseline share no items that have it.")
    low, high = _gain(name, difference)
    if gate.decide_by == "value":
        low = high = difference.value if METRICS[name].higher_is_better else -difference.value
    outcome = "PASS" if low >= -bound else "FAIL" if high < -bound else "INCONCLUSIVE"
    sentence = f"{name} changed by {_signed(difference.value)} {_interval(difference.ci)}; the gate asks for {rule}."
    return Check(name, rule, outcome, sentence)


def _gain(name: str, difference: Difference) -> tuple[float, float]:
    low, high = difference.ci
    return (low, high) if METRICS[name].higher_is_better else (-high, -low)


def _rule(file: str, name: str, bounds: Any) -> Rule:
    if name not in METRICS:
        raise InvalidInput(f"{file}: {name!r} is not a metric; allowed: {', '.join(METRICS)}.", code="bad_gate")
    if not isinstance(bounds, dict) or not bounds or not set(bounds) <= set(_BOUNDS):
        raise InvalidInput(f"{file}: {name} must be a table of {', '.join(_BOUNDS)}.", code="bad_gate")
    for bound, value in bounds.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"{file}: {name}.{bound} must be a number.", code="bad_gate")
    if bounds.get("max_drop", 0) < 0:
        raise InvalidInput(f"{file}: {name}.max_drop must not be negative.", code="bad_gate")
    return Rule(name, **{bound: float(value) for bound, value in bounds.items()})


def _interval(ci: tuple[float, float]) -> str:
    return f"[{ci[0]:.4g}, {ci[1]:.4g}]"


def _signed(value: float) -> str:
    return f"{value:+.4g}"
