"""``footnote eval``: import gold sets, run them, compare runs, write reports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.cli.context import local_services, local_settings, print_json
from api.cli.eval_output import (
    format_json,
    make_folder,
    print_comparison,
    print_fit,
    print_run,
    progress_bar,
    save,
    write_run,
)
from evals.compare import compare
from evals.evaluate import Request, evaluate
from evals.fit_ranking import fit_ranking
from evals.formats import READERS
from evals.gate import read_gate
from evals.importing import Import, import_goldset
from evals.report import render
from evals.result import EXIT_CODES, to_builtins
from evals.run import MODES
from evals.service import ServiceLoader, ServiceSubject
from evals.store import load_goldset, load_run
from infra.database import Database, open_database
from ingest.collections import get_collection, set_ranking
from ingest.generation import complete
from retrieval.ranking.settings import read_ranking

eval_app = typer.Typer(
    help="Measure against gold sets. A run exits 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID.",
    no_args_is_help=True,
)

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@eval_app.command("import")
def import_command(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {', '.join(READERS)}.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder where the format is one.")],
    name: Annotated[str | None, typer.Option(help="Name of the gold set; default: the file's.")] = None,
    collection: Annotated[
        str | None,
        typer.Option(help="Collection that it asks about; default: its name if it brings documents, else `default`."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Import a gold set; one that brings documents has them loaded first."""
    with local_services() as services, progress_bar("documents") as progress:
        done = import_goldset(
            services.database,
            ServiceSubject(services.engine),
            ServiceLoader(services.ingestion),
            Import(format_name, path, name, collection),
            progress,
        )
    if as_json:
        print_json(done)
        return
    verb = "replaced" if done.replaced else "imported"
    typer.echo(f"{verb} gold set {done.goldset}: {done.items} questions, {done.answerable} of them answerable.")
    if done.documents is not None:
        typer.echo(f"collection {done.collection}: {done.documents} documents loaded.")
    for note in done.notes:
        typer.echo(f"note: {note}.")


@eval_app.command("run")
def run_command(
    goldset: Annotated[str, typer.Argument(metavar="GOLDSET", help="Name of an imported gold set.")],
    collection: Annotated[
        str | None, typer.Option(help="Collection to ask; default: the one that it was imported for.")
    ] = None,
    mode: Annotated[str, typer.Option(help=f"How to search: {', '.join(MODES)}.")] = "hybrid",
    answers: Annotated[
        bool | None,
        typer.Option(
            "--answers/--retrieval-only",
            help="Ask, or search only; default: ask, unless the gold set only judges documents.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Run to compare with, or `last`: the newest run of this gold set that passed."),
    ] = None,
    gate: Annotated[Path | None, typer.Option(help="TOML file with thresholds that decide the verdict.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write run.json, table.md and report.html to; made if need be."),
    ] = None,
    generation: Annotated[
        int | None,
        typer.Option(min=1, help="Generation of the collection's index to ask, live or not; default: the live one."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Run only the first items.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Questions asked at a time.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Run a gold set and print its metrics."""
    rules = read_gate(gate) if gate is not None else None
    if out is not None:
        make_folder(out)
    request = Request(goldset, collection, mode, answers, baseline, rules, limit, concurrency)
    with local_services() as services, progress_bar("questions") as progress:
        engine = services.engine
        if generation is not None:
            with services.database.read() as session:
                name = collection or load_goldset(session, goldset)[0]
            complete(services.ingestion, name, generation)
            engine = replace(engine, generations={name: generation})
        result = asyncio.run(evaluate(services.database, ServiceSubject(engine), request, progress))
    if out is not None:
        write_run(result, out)
    if as_json:
        print_json(result.summary())
    else:
        print_run(result)
    raise typer.Exit(EXIT_CODES[result.verdict])


@eval_app.command("fit-ranking")
def fit_ranking_command(
    goldset: Annotated[str, typer.Argument(metavar="GOLDSET", help="Name of an imported gold set.")],
    collection: Annotated[
        str | None, typer.Option(help="Collection to fit; default: the one that it was imported for.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Let the collection rank so from now on, if that is a gain.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Choose fusion and weights for a collection by nDCG@10 on a gold set; exits 0 for a gain, 2 if there is none to be seen."""
    with local_services() as services, progress_bar("questions") as progress:
        with services.database.read() as session:
            own, items = load_goldset(session, goldset)
            name = collection or own
            current = read_ranking(get_collection(session, name).ranking)
        fit = fit_ranking(ServiceSubject(services.engine), goldset, items, name, current, progress)
        if apply and fit.verdict == "PASS":
            with services.database.write() as session:
                row = get_collection(session, name)
                set_ranking(row, {**read_ranking(row.ranking).as_json(), **fit.chosen})
            fit = msgspec.structs.replace(fit, applied=True)
    if as_json:
        print_json(fit)
    else:
        print_fit(fit)
    raise typer.Exit(EXIT_CODES[fit.verdict])


@eval_app.command("compare")
def compare_command(
    before: Annotated[str, typer.Argument(metavar="RUN", help="The earlier run.")],
    after: Annotated[str, typer.Argument(metavar="RUN", help="The later run.")],
    as_json: JsonFlag = False,
) -> None:
    """Compare two runs on the items that both have."""
    with _database() as database, database.read() as session:
        compared = compare(load_run(session, before), load_run(session, after))
    if as_json:
        print_json(compared)
    else:
        print_comparison(compared)


@eval_app.command("report")
def report_command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or `last`.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; a folder gets report.html; default: standard output.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a run as one HTML page, with every item."""
    with _database() as database, database.read() as session:
        result = load_run(session, run)
    text = format_json(to_builtins(result)) if as_json else render(result)
    if out is None:
        typer.echo(text)
        return
    file = out / ("run.json" if as_json else "report.html") if out.is_dir() or not out.suffix else out
    save(file, text)
    typer.echo(f"wrote {file}")


@contextmanager
def _database() -> Iterator[Database]:
    # Stored runs are read without loading the encoder.
    with closing(open_database(local_settings().database)) as database:
        yield database
