"""``footnote doctor``: is everything there that the settings ask for?"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable

import typer

from api.cli.context import JSON_OPTION, local_settings, print_json, print_table
from api.services import open_encoder, open_index, open_writer, other_encoders
from infra.database import open_database
from infra.errors import FootnoteError
from infra.settings import Settings
from retrieval.encoders.others import encoder_of
from retrieval.generator.client import ModelWriter
from retrieval.integrity import check_integrity
from retrieval.store import find_collections

_LOW_DISK = 2**30


def doctor(as_json: bool = JSON_OPTION) -> None:
    """Check settings, data folder, database, encoder, indexes and model server; exit 1 if something is wrong."""
    settings = local_settings()
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("data folder", _data_folder),
        ("database", _database),
        ("encoder", _encoder),
        ("index", _index),
        ("integrity", _integrity),
        ("generator", _generator),
    ]
    rows = []
    for name, check in checks:
        try:
            rows.append({"check": name, "ok": True, "detail": check(settings)})
        except FootnoteError as error:
            rows.append({"check": name, "ok": False, "detail": error.detail})
        except OSError as error:
            rows.append({"check": name, "ok": False, "detail": f"{error.strerror or type(error).__name__}"})
    if as_json:
        print_json(rows)
    else:
        print_table(
            ["check", "", "detail"], [[str(r["check"]), "ok" if r["ok"] else "WRONG", str(r["detail"])] for r in rows]
        )
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def _data_folder(settings: Settings) -> str:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    probe = settings.data_dir / ".doctor"
    probe.write_bytes(b"")
    probe.unlink()
    free = shutil.disk_usage(settings.data_dir).free
    if free < _LOW_DISK:
        raise FootnoteError(f"{settings.data_dir} has only {free // 2**20} MiB left on its disk.")
    return f"{settings.data_dir} is writable, {free // 2**30} GiB free"


def _database(settings: Settings) -> str:
    database = open_database(settings.database)
    name = database.engine.dialect.name
    database.close()
    return f"{name} answers, its tables are up to date"


def _encoder(settings: Settings) -> str:
    encoder, others = open_encoder(settings), other_encoders(settings)
    database = open_database(settings.database)
    try:
        with database.read() as session:
            before = [state for state in find_collections(session, None) if state.encoder not in (None, encoder.name)]
    finally:
        database.close()
    for state in before:
        encoder_of(state, encoder, others)
    found = (
        f"{encoder.name}: {encoder.dim} dimensions, window of {encoder.max_tokens} tokens,"
        f" {encoder.precision} in {encoder.runtime}"
    )
    if before:
        found += f"; still on another one: {', '.join(f'{state.name} ({state.encoder})' for state in before)}"
    return found


def _index(settings: Settings) -> str:
    database = open_database(settings.database)
    try:
        index = open_index(settings, database, open_encoder(settings), other_encoders(settings))
        try:
            return index.check()
        finally:
            index.close()
    finally:
        database.close()


def _integrity(settings: Settings) -> str:
    database = open_database(settings.database)
    try:
        index = open_index(settings, database, open_encoder(settings), other_encoders(settings))
        try:
            result = check_integrity(database, index)
        finally:
            index.close()
    finally:
        database.close()
    wrong = [row.name for row in result.collections if row.missing or row.orphaned]
    if not result.ok:
        raise FootnoteError(f"indexes and database disagree in {', '.join(wrong) or 'stored vectors'}.")
    documents = sum(row.documents for row in result.collections)
    return f"{documents} documents, {sum(row.chunks for row in result.collections)} chunks, all indexed"


def _generator(settings: Settings) -> str:
    if settings.llm_base_url is None:
        return "extractive: answers are the documents' own sentences (set FOOTNOTE_LLM_BASE_URL for a model)"
    return asyncio.run(_ask_server(settings))


async def _ask_server(settings: Settings) -> str:
    writer = open_writer(settings, open_encoder(settings))
    if not isinstance(writer, ModelWriter):
        raise TypeError("a model server is configured")
    health = await writer.health(10.0)
    await writer.aclose()
    if not health.ok:
        raise FootnoteError(health.detail or "the model server does not answer.")
    return f"the model server answers with {health.model or 'its model'}"
