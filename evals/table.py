"""A run and a comparison as rows of text: for the terminal, and for the table beside the JSON."""

from __future__ import annotations

from collections.abc import Sequence

from evals.compare import Comparison
from evals.result import RunResult

Row = tuple[str, ...]

_KIND_METRICS = ("recall@10", "citation_recall", "answer_facts", "false_answer_rate", "over_refusal_rate")


def metric_table(result: RunResult) -> tuple[Row, list[Row]]:
    """Header and rows: metric, value, 95 % interval, items, minimum detectable effect."""
    rows: list[Row] = [
        (name, _number(m.value), f"{_number(m.ci[0])} … {_number(m.ci[1])}", str(m.n), _number(m.mde))
        for name, m in result.metrics.items()
    ]
    return ("metric", "value", "95 % interval", "items", "detectable"), rows


def status_rows(result: RunResult) -> tuple[Row, list[Row]]:
    """Header and rows of the answered/abstained table; no rows if nothing was asked."""
    columns = ("answered", "partial", "abstained")
    return ("", *columns), [
        (name, *(str(counts[column]) for column in columns)) for name, counts in result.table.items()
    ]


def kind_rows(result: RunResult) -> tuple[Row, list[Row]]:
    """Header and rows: one line a kind of question, with the metrics that tell kinds apart best; JSON has
    all.
    """
    names = [name for name in _KIND_METRICS if any(name in line for line in result.kinds.values())]
    rows: list[Row] = [
        (kind, str(int(line["n"])), *(f"{line[name]:.3f}" if name in line else "" for name in names))
        for kind, line in result.kinds.items()
    ]
    return ("kind", "items", *names), rows


def difference_table(compared: Comparison) -> tuple[Row, list[Row]]:
    """Header and rows: metric, before, after, difference, its 95 % interval, items."""
    rows: list[Row] = [
        (
            name,
            _number(d.before),
            _number(d.after),
            f"{d.value:+.4g}",
            f"{d.ci[0]:+.4g} … {d.ci[1]:+.4g}",
            str(d.n),
        )
        for name, d in compared.metrics.items()
    ]
    return ("metric", "before", "after", "difference", "95 % interval", "items"), rows


def markdown(result: RunResult) -> str:
    """The whole run as a Markdown page, without its items."""
    parts = [
        f"# {result.goldset}: {result.verdict}",
        f"Run `{result.run}` on collection `{result.collection}`, {result.started_at}.",
        *(f"- INVALID: {problem}" for problem in result.problems),
        *(f"- {check.outcome}: {check.sentence}" for check in result.checks),
        *(f"- note: {note}" for note in result.notes),
        _markdown_table(*metric_table(result)),
        _markdown_table(*status_rows(result)),
        _markdown_table(*kind_rows(result)),
        _markdown_table(("setting", "value"), [(name, str(value)) for name, value in result.config.items()]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_table(header: Row, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.4f}"
