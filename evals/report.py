"""A run as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from evals.compare import is_right
from evals.result import ItemResult, RunResult
from evals.table import kind_rows, metric_table, status_rows

_ENVIRONMENT = Environment(
    loader=PackageLoader("evals"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class _Shown:
    item: ItemResult
    right: str
    evidence: tuple[str, ...]


def render(result: RunResult) -> str:
    """Render the run: verdict, metrics, tables, and every item with its answer, verdicts and gold; wrong
    ones first.
    """
    items = sorted((_shown(item) for item in result.items), key=lambda shown: _ORDER[shown.right])
    return _ENVIRONMENT.get_template("report.html.j2").render(
        result=result,
        metrics=metric_table(result),
        statuses=status_rows(result),
        kinds=kind_rows(result),
        items=items,
        wrong=sum(shown.right == "wrong" for shown in items),
        config=msgspec.to_builtins(result.config),
    )


_ORDER = {"wrong": 0, "unknown": 1, "right": 2}


def _shown(item: ItemResult) -> _Shown:
    right = is_right(item)
    places = []
    for evidence in item.gold.get("evidence", []):
        where = str(evidence["external_id"])
        if "page" in evidence:
            where += f", page {evidence['page']}"
        if "char_start" in evidence:
            where += f", characters {evidence['char_start']} to {evidence['char_end']}"
        places.append(f"{where}: “{evidence['quote']}”" if "quote" in evidence else where)
    return _Shown(item, "unknown" if right is None else "right" if right else "wrong", tuple(places))
