"""The implementations of a collection's view, as the contract tests open, close and crash them.

To have another implementation pass the same tests, add it to ``IMPLEMENTATIONS``.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from infra.database import open_database
from retrieval.dense.report import RecallTarget
from retrieval.filters import DocumentFacts
from retrieval.generations.base import open_base
from retrieval.generations.files import silent, write_chunks, write_dense, write_documents
from retrieval.generations.layered_view import LayeredView
from retrieval.generations.manifest import Manifest, seal
from retrieval.generations.reuse import Sealed, carried_index, merge_chunks, open_sealed
from retrieval.view import IndexedChunk, new_view
from retrieval.views import View

Stored = Mapping[str, tuple[DocumentFacts, Sequence[IndexedChunk]]]
_numbers = itertools.count()


class Crashed(Exception):  # noqa: N818 - what happened, not what went wrong
    """The process ended in the middle of a change."""


class Implementation(Protocol):
    """A view with the documents ``stored``, which the test keeps up to date: the truth that a view is rebuilt from."""

    name: str
    view: View

    def __init__(self, stored: Stored, dim: int) -> None: ...

    def reopen(self) -> None:
        """Close everything and open it again, as another process would."""

    def crash(self, change: Callable[[View], Any]) -> None:
        """End in the middle of ``change``, as late as can be, and open everything again."""

    def close(self) -> None: ...


class InMemory:
    """The view in main memory: another process builds it anew."""

    name = "memory"

    def __init__(self, stored: Stored, dim: int) -> None:
        self._stored, self._dim = stored, dim
        self.reopen()

    def reopen(self) -> None:
        self.view: View = new_view("things", self._dim)
        self.view.put_documents(self._stored.values())

    def crash(self, change: Callable[[View], Any]) -> None:
        change(self.view)  # what is done in memory is lost with it
        self.reopen()

    def close(self) -> None:
        pass


class Layered:
    """Files and what changed since: another process opens the same files, and a merge writes new ones."""

    name = "files"

    def __init__(self, stored: Stored, dim: int) -> None:
        self._stored, self._dim = stored, dim
        self._folder = tempfile.TemporaryDirectory(prefix="footnote-index-")
        self._files = 0
        self._in_files: dict[str, tuple[DocumentFacts, Sequence[IndexedChunk]]] = {}
        self._merge()

    def _merge(self) -> None:
        self._files += 1
        earlier = None if self._files == 1 else Sealed(self._there, self._sha256)
        self._there = Path(self._folder.name) / str(self._files)
        self._there.mkdir()
        before = self._in_files
        self._in_files = dict(self._stored)
        ids = sorted(self._in_files)
        changed = {id_ for id_, both in self._in_files.items() if before.get(id_) != both}

        def load(part: Sequence[str]) -> dict[str, Sequence[IndexedChunk]]:
            return {id_: self._in_files[id_][1] for id_ in part}

        base = None if earlier is None else open_sealed(earlier, "e", 1, self._dim, None)
        made = merge_chunks(self._there, base, earlier.folder, ids, changed, load, silent) if base and earlier else None
        count = made.chunks if made else write_chunks(self._there, ids, load, self._dim, None, silent)
        write_documents(self._there, (self._in_files[id_][0] for id_ in ids))
        write_dense(self._there, count, self._dim, RecallTarget(), carried_index(self._there, earlier))
        manifest = Manifest("c", 1, self._files, "e", self._dim, None, len(ids), count, 0, "", {}, {})
        self._sha256 = seal(self._there, manifest)
        self._open()

    def _open(self) -> None:
        base = open_base(self._there, self._sha256)
        self.view: View = LayeredView(base, new_view("things", self._dim, lengths=base.lexical.lengths))

    def reopen(self) -> None:
        if self._files % 2:
            self._merge()
            return
        self._files += 1
        self._open()
        changed = {id_: both for id_, both in self._stored.items() if self._in_files.get(id_) != both}
        self.view.put_documents(changed.values())
        self.view.remove_documents(self._in_files.keys() - self._stored.keys())

    def crash(self, change: Callable[[View], Any]) -> None:
        change(self.view)
        self._files += 1
        self.reopen()

    def close(self) -> None:
        self._folder.cleanup()


class MilvusLite:
    """The view in Milvus, on a file of milvus-lite: another process finds it as it was."""

    name = "milvus-lite"

    def __init__(self, stored: Stored, dim: int) -> None:
        pytest.importorskip("pymilvus", reason="needs pymilvus")
        pytest.importorskip("milvus_lite", reason="needs milvus-lite")
        self._stored, self._dim = stored, dim
        self._folder = tempfile.TemporaryDirectory(prefix="footnote-milvus-")
        self._database = open_database(f"sqlite:///{self._folder.name}/footnote.db")
        self._index = f"contract_{next(_numbers)}"
        self._open()

    def _open(self) -> None:
        from retrieval.milvus.connection import MilvusConnection
        from retrieval.milvus.ledger import open_ledger
        from retrieval.milvus.schema import create_index, open_index
        from retrieval.milvus.view import MilvusView

        self.connection = MilvusConnection(str(Path(self._folder.name) / "index.db"))
        # A writer that was crashed in this very process lives, as far as its number tells.
        self.ledger = open_ledger(self._database, expiry_s=0.0)
        if not open_index(self.connection, self._index):
            create_index(self.connection, self._index, self._dim)
        self.view: View = MilvusView(
            "things",
            self._index,
            self._dim,
            self.connection,
            self.ledger,
            lambda: {id_: facts for id_, (facts, _) in self._stored.items()},
            grace_s=0.0,
        )

    def reopen(self) -> None:
        self.view.sweep()  # type: ignore[attr-defined]
        self.connection.close()
        self.ledger.close()
        self._open()

    def crash(self, change: Callable[[View], Any]) -> None:
        with pytest.MonkeyPatch.context() as patch:

            def crash(*_: object, **__: object) -> None:
                raise Crashed

            # Everything is written to Milvus; nothing says so, and nobody lets the claim go.
            patch.setattr(self.ledger, "publish", crash)
            stored = type(self.ledger)._set
            patch.setattr(
                self.ledger,
                "_set",
                lambda name, condition, **values: (
                    True
                    if "owner" in values and values["owner"] is None
                    else stored(self.ledger, name, condition, **values)
                ),
            )
            with contextlib.suppress(Crashed):
                change(self.view)
        self.connection.close()
        self.ledger.close()
        self._open()

    def close(self) -> None:
        self.connection.close()
        self.ledger.close()
        self._database.close()
        self._folder.cleanup()


IMPLEMENTATIONS: dict[str, type[Implementation]] = {"memory": InMemory, "files": Layered, "milvus-lite": MilvusLite}
