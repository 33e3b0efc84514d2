"""The ledger of the indexes in Milvus: what of each is published, and who writes to it.

Milvus has neither transactions over several rows nor a way to exclude a second writer. So each row says from which
publication to which it is seen, and a row of this ledger, in a SQL database, says which publication is the last: changing
that number is the one atomic step that makes a change visible to all processes.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger as Big
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from infra.database import Database
from infra.errors import Busy
from infra.owner import is_gone, owner_name

# A writer counts its beats before every write; one that has not for this long has ended or lost its way.
EXPIRY_S = 60.0
_POLL_S = (0.005, 0.2)
_METADATA = MetaData()
_LEDGER = Table(
    "milvus_ledger",
    _METADATA,
    Column("name", String(200), primary_key=True),
    Column("stamp", Big, nullable=False),
    Column("seq", Big, nullable=False),
    Column("built", Boolean, nullable=False),
    Column("resume", Text, nullable=False),
    Column("overflow", Boolean, nullable=False),
    Column("dirty", Boolean, nullable=False),
    Column("owner", String(120)),
    Column("beat", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one index is. ``stamp`` is its last publication, ``seq`` the last change that is in it for certain.

    ``built``: every document was taken in once; until then ``resume`` says where the building goes on. ``overflow``: a document
    has more values than a row can list, so filters are evaluated on the documents' facts. ``dirty``: a write was begun after
    the last publication and may have left rows behind.
    """

    stamp: int = 0
    seq: int = 0
    built: bool = False
    resume: str = ""
    overflow: bool = False
    dirty: bool = False
    owner: str | None = None
    beat: int = 0


class LostClaim(Busy):
    """Another process has taken the writing over: nothing of this change was published."""


class Ledger:
    """The ledger of one database's indexes; each instance is one writer among many."""

    def __init__(self, engine: Engine, *, expiry_s: float = EXPIRY_S) -> None:
        self._engine = engine
        self._expiry_s = expiry_s
        self._me = f"{owner_name()}#{uuid.uuid4().hex[:12]}"
        with (
            suppress(IntegrityError),
            engine.begin() as connection,
        ):  # PostgreSQL, where two processes create it at once
            connection.execute(CreateTable(_LEDGER, if_not_exists=True))

    def read(self, name: str) -> Standing:
        """How far the index ``name`` is; all zero where nobody has begun."""
        columns = [column for column in _LEDGER.columns if column.name != "name"]
        with self._engine.connect() as connection:
            row = connection.execute(select(*columns).where(_LEDGER.c.name == name)).one_or_none()
        return Standing() if row is None else Standing(*row)

    @contextmanager
    def writing(
        self, name: str, wait_s: float, enough: Callable[[Standing], bool] | None = None
    ) -> Iterator[Standing | None]:
        """Be the one writer of ``name`` within the block; ``None`` if, while waiting, another has done what is ``enough``.

        Takes over from a writer that has ended. Raises ``Busy`` after ``wait_s`` seconds.
        """
        standing = self._claim(name, wait_s, enough)
        try:
            yield standing
        finally:
            if standing is not None:
                self._set(name, _LEDGER.c.owner == self._me, owner=None)

    def _claim(self, name: str, wait_s: float, enough: Callable[[Standing], bool] | None) -> Standing | None:
        deadline, pause = time.monotonic() + wait_s, _POLL_S[0]
        seen: tuple[str | None, int] = (None, 0)
        since = time.monotonic()
        self._ensure(name)
        while True:
            standing = self.read(name)
            if enough is not None and enough(standing):
                return None
            now = time.monotonic()
            if (standing.owner, standing.beat) != seen:
                seen, since = (standing.owner, standing.beat), now
            if standing.owner is None or now - since > self._expiry_s or _has_ended(standing.owner):
                free = (_LEDGER.c.beat == standing.beat) & (
                    _LEDGER.c.owner.is_(None) if standing.owner is None else _LEDGER.c.owner == standing.owner
                )
                # What a writer leaves behind that did not end its block is not known.
                dirty = standing.dirty or standing.owner is not None
                if self._set(name, free, owner=self._me, beat=standing.beat + 1, dirty=dirty):
                    return replace(self.read(name), owner=self._me)
            if now > deadline:
                raise Busy(f"The index {name} is being written by another process; try again.", code="index_behind")
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL_S[1])

    def beat(self, name: str) -> None:
        """Say that this writer lives, before it writes to Milvus; raises ``LostClaim`` if another has taken over."""
        if not self._set(name, _LEDGER.c.owner == self._me, beat=_LEDGER.c.beat + 1, dirty=True):
            raise LostClaim("The writing of the index was taken over by another process.", code="index_behind")

    def publish(self, name: str, before: Standing, after: Standing) -> Standing:
        """Make ``after`` the standing, in one step; raises ``LostClaim`` if that is no more ours to do."""
        mine = (_LEDGER.c.owner == self._me) & (_LEDGER.c.stamp == before.stamp)
        published = replace(after, dirty=False)
        values = {key: getattr(published, key) for key in ("stamp", "seq", "built", "resume", "overflow", "dirty")}
        if not self._set(name, mine, **values):
            raise LostClaim("The writing of the index was taken over by another process.", code="index_behind")
        return published

    def names(self) -> list[str]:
        """The indexes of this database, whoever made them."""
        with self._engine.connect() as connection:
            return list(connection.scalars(select(_LEDGER.c.name).order_by(_LEDGER.c.name)))

    def forget(self, name: str) -> None:
        """Forget an index that is dropped."""
        with self._engine.begin() as connection:
            connection.execute(delete(_LEDGER).where(_LEDGER.c.name == name))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def _ensure(self, name: str) -> None:
        if self.read(name) == Standing():
            row = {"stamp": 0, "seq": 0, "built": False, "resume": "", "overflow": False, "dirty": False, "beat": 1}
            with suppress(IntegrityError), self._engine.begin() as connection:
                connection.execute(insert(_LEDGER).values(name=name, **row))

    def _set(self, name: str, condition: ColumnElement[bool], **values: Any) -> bool:
        with self._engine.begin() as connection:
            done = connection.execute(update(_LEDGER).where(_LEDGER.c.name == name, condition).values(**values))
            return done.rowcount == 1


def open_ledger(database: Database, *, expiry_s: float = EXPIRY_S) -> Ledger:
    """The ledger beside ``database``: in the same PostgreSQL database, or for SQLite in a file next to its own.

    Not in SQLite's own file: a search that holds up commits waits for the writer of the index, who would wait for its turn.
    """
    if database.engine.dialect.name != "sqlite":
        return Ledger(create_engine(database.engine.url, pool_pre_ping=True), expiry_s=expiry_s)
    path = Path(database.engine.url.database or "footnote.db")
    engine = create_engine(f"sqlite:///{path.with_suffix('.milvus-ledger')}")
    event.listen(engine, "connect", _prepare)
    return Ledger(engine, expiry_s=expiry_s)


def resume_point(standing: Standing) -> tuple[int, str]:
    """The change to follow from once all is built, and the last document taken in; ``(-1, "")`` at the beginning."""
    seq, after = json.loads(standing.resume) if standing.resume else (-1, "")
    return seq, after


def _has_ended(owner: str) -> bool:
    return is_gone(owner.partition("#")[0]) is True


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
