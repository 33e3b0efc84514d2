"""What ``footnote eval`` prints and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from evals.compare import Comparison
from evals.fit_ranking import Fit
from evals.report import render
from evals.result import RunResult, to_builtins
from evals.table import difference_table, kind_rows, markdown, metric_table, status_rows
from infra.errors import InvalidInput

_COLOURS = {"PASS": "green", "FAIL": "red", "INVALID": "red", "INCONCLUSIVE": "yellow", "SKIPPED": "yellow"}
_SHOWN_FLIPS = 20


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr if that is a terminal; yields a function of items done and in all."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_run(result: RunResult) -> None:
    """Print verdict, checks and tables."""
    console = Console()
    console.print(f"{result.goldset} on {result.collection}: ", end="", markup=False, highlight=False)
    console.print(result.verdict, style=f"bold {_COLOURS[result.verdict]}", end="")
    console.print(f"  ({result.run}, {result.counts['items']} items)", markup=False, highlight=False)
    for problem in result.problems:
        _line(console, "INVALID", f"{problem}.")
    for check in result.checks:
        _line(console, check.outcome, check.sentence)
    for note in result.notes:
        console.print(f"note: {note}.", markup=False, highlight=False)
    _table(console, metric_table(result))
    _table(console, status_rows(result))
    _table(console, kind_rows(result))


def print_comparison(compared: Comparison) -> None:
    """Print differences, changed settings and the items that changed sides."""
    console = Console()
    console.print(
        f"{compared.before} → {compared.after}: {compared.items} items in both", markup=False, highlight=False
    )
    for note in compared.notes:
        console.print(f"note: {note}.", markup=False, highlight=False)
    for name, (old, new) in compared.settings.items():
        console.print(f"{name}: {old} → {new}", markup=False, highlight=False)
    _table(console, difference_table(compared))
    for flip in compared.flips[:_SHOWN_FLIPS]:
        _line(
            console,
            "PASS" if flip.now == "right" else "FAIL",
            f"{flip.id}: {flip.question}",
            label=f"now {flip.now}",
        )
    if len(compared.flips) > _SHOWN_FLIPS:
        console.print(f"and {len(compared.flips) - _SHOWN_FLIPS} more; --json lists all.", markup=False)
    if not compared.flips:
        console.print("No item changed sides.")


def print_fit(fit: Fit) -> None:
    """Print what fitting a ranking found, and what that changed."""
    console = Console()
    _line(console, fit.verdict, f"{fit.goldset} on {fit.collection}, {fit.items} items: {fit.reason}.")
    for note in fit.notes:
        console.print(f"note: {note}.", markup=False, highlight=False, soft_wrap=True)
    if fit.ndcg is not None and fit.ci is not None:
        console.print(
            f"nDCG@10 {fit.ndcg[0]:.4f} now, {fit.ndcg[1]:.4f} fitted; gain {fit.gain:+.4f}"
            f" (95 % {fit.ci[0]:+.4f} to {fit.ci[1]:+.4f}), detectable from {fit.mde:.4f}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if fit.chosen != fit.current:
        for name, value in fit.chosen.items():
            console.print(f"{name}: {fit.current[name]} → {value}", markup=False, highlight=False, soft_wrap=True)
    done = "The collection ranks so from now on." if fit.applied else "Nothing was changed."
    console.print(done, markup=False, highlight=False, soft_wrap=True)


def make_folder(folder: Path) -> None:
    """Make ``folder`` if need be; raises ``InvalidInput`` if it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be made: {error.strerror}.", code="bad_output") from None


def write_run(result: RunResult, folder: Path) -> None:
    """Write ``run.json`` (items and all), ``table.md`` and ``report.html``."""
    save(folder / "run.json", format_json(to_builtins(result)) + "\n")
    save(folder / "table.md", markdown(result))
    save(folder / "report.html", render(result))


def format_json(value: Any) -> str:
    """``value`` as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def save(file: Path, text: str) -> None:
    """Write ``file``; raises ``InvalidInput`` if that cannot be done."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.", code="bad_output") from None


def _line(console: Console, outcome: str, text: str, label: str | None = None) -> None:
    console.print(label or outcome, style=_COLOURS[outcome], end=" ")
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _table(console: Console, content: tuple[Sequence[str], Sequence[Sequence[str]]]) -> None:
    header, rows = content
    if not rows:
        return
    table = Table(*header)
    for column in table.columns:
        column.overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console.print(table)
