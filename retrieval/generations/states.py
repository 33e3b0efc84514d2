"""Generations: the builds of a collection's index, as rows.

A build belongs to one process at a time, which writes its files beside the live ones'. It becomes ``ready``, is promoted to
``live``, and when another takes its place it is ``retired``, to be promoted again or dropped (``switch``).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from infra.clock import iso, now
from infra.errors import Conflict, NotFound
from infra.ids import new_id
from infra.owner import is_dead
from infra.tables import Collection, Generation
from retrieval.generations.chunk_sets import (
    ChunkSet,
    remove_unused_sets,
)
from retrieval.store import latest_seq, note_index_change

BUILDING, READY, LIVE, RETIRED = "building", "ready", "live", "retired"


def generations(session: Session, collection: Collection) -> list[Generation]:
    """All generations of a collection, the newest first."""
    query = select(Generation).where(Generation.collection_id == collection.id)
    return list(session.scalars(query.order_by(Generation.number.desc())))


def begin_build(
    session: Session, collection: Collection, content: ChunkSet, target: Mapping[str, Any], owner: str
) -> Generation:
    """A new generation for ``owner`` to build, or the unfinished one of the same target that a dead process left behind.

    Raises ``Conflict`` while another process that lives builds one.
    """
    for row in generations(session, collection):
        if row.state != BUILDING:
            continue
        if row.owner is not None and row.owner != owner and not abandoned(row):
            raise Conflict(
                f"Generation {row.number} of collection {collection.name!r} is being built by another process: wait for it.",
                code="build_running",
            )
        if row.target == dict(target) and _holds(row, content):
            row.owner, row.heartbeat_at, row.error = owner, now(), None
            return row
        session.delete(row)
        remove_unused_sets(session, collection, row.encoder)
    session.flush()
    collection.last_generation += 1
    number = collection.last_generation
    row = Generation(
        id=new_id("gen"),
        collection_id=collection.id,
        number=number,
        revision=0,
        state=BUILDING,
        encoder=content.encoder,
        chunk_set=number if content.number is None else content.number,
        chunking=None if content.chunking is None else dict(content.chunking),
        fingerprint=content.fingerprint,
        target=dict(target),
        base_seq=latest_seq(session, collection.id),
        owner=owner,
        heartbeat_at=now(),
        created_at=now(),
    )
    session.add(row)
    session.flush()
    return row


def beat(session: Session, generation_id: str, owner: str) -> None:
    """Say that ``owner`` still builds; raises ``Conflict`` if the build was taken from it, or dropped."""
    row = session.get(Generation, generation_id)
    if row is None or row.owner != owner:
        raise Conflict("The build was taken over by another process, or dropped.", code="build_lost")
    row.heartbeat_at = now()


def finish_build(
    session: Session,
    generation_id: str,
    owner: str,
    base_seq: int,
    manifest_sha256: str | None,
    report: dict[str, Any] | None,
) -> None:
    """Note that the chunks, and any files, are complete: the generation is ready. Raises ``Conflict`` as ``beat``."""
    beat(session, generation_id, owner)
    row = session.get_one(Generation, generation_id)
    row.state, row.owner, row.heartbeat_at, row.error = READY, None, None, None
    row.base_seq, row.manifest_sha256, row.report, row.built_at = base_seq, manifest_sha256, report, now()


def begin_merge(session: Session, collection: Collection, owner: str) -> Generation | None:
    """The live generation, for ``owner`` to write its next revision; ``None`` if there is none or somebody writes one."""
    row = live_generation(session, collection)
    if row is None or (row.owner not in (None, owner) and not abandoned(row)):
        return None
    row.owner, row.heartbeat_at = owner, now()
    return row


def finish_merge(
    session: Session, generation_id: str, owner: str, base_seq: int, manifest_sha256: str, report: dict[str, Any]
) -> None:
    """Let searches use the next revision's files. Raises ``Conflict`` as ``beat``."""
    beat(session, generation_id, owner)
    row = session.get_one(Generation, generation_id)
    row.revision += 1
    row.base_seq, row.manifest_sha256, row.report, row.built_at = base_seq, manifest_sha256, report, now()
    row.owner = row.heartbeat_at = row.error = None
    note_index_change(session, row.collection_id)


def fail_build(session: Session, generation_id: str, owner: str, error: str) -> None:
    """Note why a build ended; it can be taken up again."""
    row = session.get(Generation, generation_id)
    if row is not None and row.owner == owner:
        row.owner, row.heartbeat_at, row.error = None, None, error


def live_generation(session: Session, collection: Collection) -> Generation | None:
    """The generation that searches use, if it has files."""
    return next((row for row in generations(session, collection) if row.state == LIVE), None)


def describe(row: Generation) -> dict[str, Any]:
    """A generation as JSON."""
    return {
        "generation": row.number,
        "revision": row.revision,
        "state": row.state,
        "encoder": row.encoder,
        "chunking": row.fingerprint,
        "target": row.target,
        "base_seq": row.base_seq,
        "report": row.report,
        "error": row.error,
        "created_at": iso(row.created_at),
        "built_at": iso(row.built_at),
        "promoted_at": iso(row.promoted_at),
    }


def folder_of(root: Path, collection_id: str, number: int, revision: int) -> Path:
    """Where the files of a generation's revision are, below the index folder ``root``."""
    return root / collection_id / f"{number}-{revision}"


def remove_unused(root: Path, session: Session) -> list[Path]:
    """Remove the folders that no generation has, and say which; those that another process writes are left."""
    # First the folders, then the rows: a build's row is committed before its folder is made, so none of these lacks its row.
    folders = sorted(root.glob("*/*"))
    used = set()
    for row in session.scalars(select(Generation)):
        # A reader may be about to open the revision before, and a merge has moved the next one here before it notes it.
        for revision in (row.revision - 1, row.revision, row.revision + 1):
            folder = folder_of(root, row.collection_id, row.number, revision)
            used |= {folder, folder.with_suffix(".building")}
    unused = [folder for folder in folders if folder not in used]
    for folder in unused:
        shutil.rmtree(folder, ignore_errors=True)
    return unused


def _holds(row: Generation, content: ChunkSet) -> bool:
    """Whether a generation that was begun is to have ``content``."""
    if row.encoder != content.encoder or row.fingerprint != content.fingerprint:
        return False
    return row.chunk_set == (row.number if content.number is None else content.number)


def numbered(session: Session, collection: Collection, number: int) -> Generation:
    """The generation of this number; raises ``NotFound``, naming those that there are."""
    rows = generations(session, collection)
    for row in rows:
        if row.number == number:
            return row
    there = ", ".join(str(row.number) for row in reversed(rows)) or "none"
    raise NotFound(
        f"Collection {collection.name!r} has no generation {number}; there are: {there}.", code="generation_not_found"
    )


def abandoned(row: Generation) -> bool:
    """Whether nobody that lives builds it."""
    return row.owner is None or is_dead(row.owner, row.heartbeat_at or row.created_at)
