"""``footnote index``: the generations of a collection's index, and whether their files are whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import typer
from sqlalchemy.orm import Session

from api.cli.cluster import RAY_OPTION, on_ray
from api.cli.context import JSON_OPTION, json_object, local_services, local_settings, out, print_json, print_table
from api.cli.progress import progress_bar
from infra.database import open_database
from infra.settings import Settings
from infra.tables import Collection, Generation
from ingest.chunking import read_chunking
from ingest.collections import get_collection
from ingest.generation import build, promote, rollback
from ingest.pipeline import Ingestion
from retrieval.generations import states, switch
from retrieval.generations.indexing import IndexFiles, changed_chunks, target_of
from retrieval.generations.manifest import Damaged, damaged_files, read_manifest
from retrieval.generations.states import describe, folder_of, generations
from retrieval.generations.switch import drop
from retrieval.integrity import check_integrity
from retrieval.store import find_collections

app = typer.Typer(help="Build, promote, roll back and check the files of a collection's index.", no_args_is_help=True)
COLLECTION = typer.Option("default", "--collection", help="The collection.")
ALL = typer.Option(None, "--collection", help="Only this collection.")
NUMBER = typer.Argument(None, help="The generation; without one, the newest that is ready.")


@app.command("status")
def status(collection: str = ALL, as_json: bool = JSON_OPTION) -> None:
    """List generations: what they hold, the recall that was measured, and how many chunks changed since."""
    settings = local_settings()
    database = open_database(settings.database)
    try:
        with database.read() as session:
            names = [state.name for state in find_collections(session, [collection] if collection else None)]
            rows = [_status(session, get_collection(session, name)) for name in names]
    finally:
        database.close()
    if as_json:
        print_json(rows)
        return
    print_table(
        [
            "collection",
            "generation",
            "state",
            "encoder",
            "index",
            "recall",
            "documents",
            "chunks",
            "MiB",
            "in memory",
            "built",
        ],
        [line for row in rows for line in _lines(row)],
    )


@app.command("build")
def build_command(
    collection: str = COLLECTION,
    recall: float = typer.Option(None, "--recall", help="Recall@10 against exact search to be reached; default .99."),
    kind: str = typer.Option(
        None, "--kind", help="An index type to use, instead of the one that size and recall ask for."
    ),
    chunking: str = typer.Option(
        None,
        "--chunking",
        help='Cut the documents otherwise: a JSON object such as {"target_tokens": 200}, or "default".',
    ),
    live: bool = typer.Option(False, "--promote", help="Make it live at once."),
    ray: str = RAY_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Build a new generation beside the live one, by the present encoder; a build that was stopped goes on."""
    target = target_of(recall, kind)
    settings = None if chunking is None else read_chunking(json_object(chunking, "chunking"))
    with local_services() as local, on_ray(local, ray) as services, progress_bar() as progress:
        cutting = progress.add_task("Embedding", total=None, visible=False)
        bar = progress.add_task("Indexing", total=None)
        folder = services.settings.index_dir if services.settings.index_url is None else None
        made = build(
            services.ingestion,
            IndexFiles(services.database, services.ingestion.encoder, folder),
            collection,
            target,
            chunking=settings,
            live=live,
            filling=lambda done, total: progress.update(cutting, completed=done, total=total, visible=True),
            indexing_=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if as_json:
        print_json(made)
        return
    end = (
        "It is live."
        if live
        else f"Make it live with: footnote index promote {made['generation']} --collection {collection}"
    )
    out.print(f"Built generation {made['generation']} of {collection}: {_held(made)}. {end}", markup=False)


def _held(generation: dict[str, Any]) -> str:
    report = generation["report"]
    if report is None:
        return f"documents embedded by {generation['encoder']}"
    dense = report["dense"]
    return f"{report['chunks']} chunks, {dense['kind']}, recall@10 {dense['recall']:.3f}"


@app.command("promote")
def promote_command(number: int = NUMBER, collection: str = COLLECTION, as_json: bool = JSON_OPTION) -> None:
    """Make a generation the one that searches use, in one step."""
    _switch(
        collection,
        as_json,
        lambda session, found: switch.promotable(session, found, number),
        lambda session, found: switch.promote(session, found, number),
        lambda ingestion: promote(ingestion, collection, number),
    )


@app.command("rollback")
def rollback_command(collection: str = COLLECTION, as_json: bool = JSON_OPTION) -> None:
    """Go back to the generation that was live before."""
    _switch(collection, as_json, switch.replaced, switch.rollback, lambda ingestion: rollback(ingestion, collection))


@app.command("drop")
def drop_command(
    number: int = typer.Argument(help="The generation."), collection: str = COLLECTION, as_json: bool = JSON_OPTION
) -> None:
    """Remove a generation that is not live, with its files, and with its chunks if no other one has them."""
    settings = local_settings()
    database = open_database(settings.database)
    try:
        with database.write() as session:
            row = drop(session, get_collection(session, collection), number)
            folder = folder_of(settings.index_dir, row.collection_id, row.number, row.revision)
            dropped = describe(row)
            found = get_collection(session, collection)
            kept = {found.chunk_set, *(each.chunk_set for each in generations(session, found))}
        if settings.index_url is not None and row.chunk_set not in kept:
            from retrieval.milvus.index import drop_set  # noqa: PLC0415 - its client takes a second to load, and is an extra

            drop_set(database, settings.index_url, settings.index_token, found, row.encoder, row.chunk_set)
    finally:
        database.close()
    shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json(dropped)
    else:
        out.print(f"Dropped generation {number} of {collection}.", markup=False)


@app.command("check")
def check(collection: str = ALL, as_json: bool = JSON_OPTION) -> None:
    """Read every index file and compare it with what was built, and the index with the database; exit 1 if one is wrong."""
    with local_services() as services:
        with services.database.read() as session:
            names = [state.name for state in find_collections(session, [collection] if collection else None)]
            found = [_damage(session, services.settings, get_collection(session, name)) for name in names]
        integrity = check_integrity(services.database, services.engine.index)
    rows = {row.name: row for row in integrity.collections}
    checked: list[dict[str, Any]] = [
        {
            "collection": name,
            "damaged": damage,
            "missing": rows[name].missing,
            "orphaned": rows[name].orphaned,
            "ok": not damage and not rows[name].missing and not rows[name].orphaned,
        }
        for name, damage in zip(names, found, strict=True)
    ]
    if as_json:
        print_json(checked)
    else:
        print_table(
            ["collection", "", "missing", "orphaned", "damaged files"],
            [
                [
                    row["collection"],
                    "ok" if row["ok"] else "WRONG",
                    str(row["missing"]),
                    str(row["orphaned"]),
                    ", ".join(row["damaged"]),
                ]
                for row in checked
            ],
        )
    if not all(row["ok"] for row in checked):
        raise typer.Exit(1)


def _status(session: Session, collection: Collection) -> dict[str, Any]:
    return {
        "collection": collection.name,
        "live": collection.generation,
        "encoder": collection.encoder,
        "in_memory": changed_chunks(session, collection),
        "generations": [describe(row) for row in generations(session, collection)],
    }


def _lines(status: dict[str, Any]) -> list[list[str]]:
    """A row of the table for each generation; the live one says how much is only in memory."""
    lines = []
    for row in status["generations"]:
        report = row["report"] or {}
        dense = report.get("dense", {})
        live = row["generation"] == status["live"]
        lines.append(
            [
                status["collection"],
                str(row["generation"]) + (f".{row['revision']}" if row["revision"] else ""),
                row["state"] + (f": {row['error']}" if row["error"] else ""),
                row["encoder"],
                dense.get("kind", "in memory" if row["built_at"] is None and row["state"] != "building" else ""),
                f"{dense['recall']:.3f}" if "recall" in dense else "",
                str(report.get("documents", "")),
                str(report.get("chunks", "")),
                f"{report['bytes'] / 2**20:.1f}" if "bytes" in report else "",
                str(status["in_memory"]) if live else "",
                row["built_at"] or "",
            ]
        )
    if not any(row["generation"] == status["live"] for row in status["generations"]):
        lines.insert(
            0,
            [
                status["collection"],
                str(status["live"]),
                "live",
                status["encoder"] or "",
                "in memory",
                "",
                "",
                "",
                "",
                str(status["in_memory"]),
                "",
            ],
        )
    return lines


def _switch(
    collection: str,
    as_json: bool,
    find: Callable[[Session, Collection], Generation],
    change: Callable[[Session, Collection], Generation],
    change_chunks: Callable[[Ingestion], dict[str, Any]],
) -> None:
    made: dict[str, Any] | None = None
    database = open_database(local_settings().database)
    try:
        with database.write() as session:
            row = get_collection(session, collection)
            # With the same chunks nothing has to be cut or embedded, and no encoder is loaded.
            if find(session, row).chunk_set == row.chunk_set:
                made = states.describe(change(session, row))
    finally:
        database.close()
    if made is None:
        with local_services() as services:
            made = change_chunks(services.ingestion)
    if as_json:
        print_json(made)
    else:
        out.print(f"Generation {made['generation']} of {collection} is live.", markup=False)


def _damage(session: Session, settings: Settings, collection: Collection) -> list[str]:
    """What is wrong with the files of a collection's complete generations, by generation and file."""
    damage = []
    for row in generations(session, collection):
        if row.manifest_sha256 is None:
            continue
        folder = folder_of(settings.index_dir, collection.id, row.number, row.revision)
        try:
            bad = damaged_files(folder, read_manifest(folder, row.manifest_sha256))
        except FileNotFoundError:
            bad = ["its files are not here"]
        except Damaged as wrong:
            bad = [str(wrong)]
        damage += [f"{row.number}: {name}" for name in bad]
    return damage
