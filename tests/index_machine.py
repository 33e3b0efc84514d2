"""Random operations on a database and on the indexes over it: those on documents, and generations of two encoders and more."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from document_machine import DocumentMachine
from generation_model import Content
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import rule
from index_examples import CHUNKINGS, ENCODERS, IDS, documents
from index_model import COLLECTION, DEPTH
from indexes import killed_at
from sqlalchemy import select

from infra.errors import Conflict, NotFound
from infra.owner import owner_name
from infra.tables import Vector
from ingest import chunk_set, generation
from ingest.chunking import DEFAULT_CHUNKING
from ingest.collections import get_collection
from ingest.rechunk import rechunk
from retrieval.access import EVERYTHING
from retrieval.dense.report import RecallTarget
from retrieval.generations import build as building
from retrieval.generations import indexing, switch
from retrieval.generations.chunk_sets import lacking
from retrieval.generations.indexing import merge, tidy
from retrieval.generations.states import generations, numbered
from retrieval.generations.switch import drop

NO_GENERATION = 99
# Where a build may end: anywhere between two of these.
BUILD_POINTS = (
    (generation, "fill"),
    (chunk_set, "_embed"),
    (building, "write_chunks"),
    (building, "write_documents"),
    (building, "_write_step"),
    (building, "write_dense"),
    (building, "seal"),
    (building, "sync_directory"),
    (indexing, "finish_build"),
    (indexing, "finish_merge"),
    (indexing, "promote"),
    (switch, "promote"),
    (indexing, "remove_unused"),
)


class IndexMachine(DocumentMachine):
    """A database whose documents and generations are changed, by processes that may be stopped."""

    # Generations

    @rule(live=st.booleans(), encoder=st.sampled_from(ENCODERS), chunking=st.none() | st.sampled_from(CHUNKINGS))
    def build(self, live, encoder, chunking):
        """Of the live chunks, or of others that documents are cut into and embedded beside these.

        From now on commands, and processes that begin, are set to this encoder.
        """
        self.encoder = encoder
        made = generation.build(self.ingestion, self.files, COLLECTION, RecallTarget(), chunking=chunking, live=live)
        self._built(made["generation"], made["state"], self._asked(chunking))

    @rule(further=st.sampled_from([1, 2]))
    def move(self, further):
        """To another encoder, as it is done with a service that was set to one."""
        number = ENCODERS.index(self.model.encoder) + further
        self.build(live=True, encoder=ENCODERS[number % len(ENCODERS)], chunking=None)

    def _asked(self, chunking):
        """What a build makes that is asked for these settings."""
        return Content(self.encoder.name, chunking or self.generations.content.chunking)

    def _built(self, number, state, content):
        # One that was begun is taken up, or given up.
        begun = self.generations.give_up()
        assert number in {self.generations.last + 1, *begun}
        self.generations.begin(number, "ready", content)
        if state == "live":
            with self._switching():
                self.generations.promote(number)

    @rule(chunking=st.sampled_from(CHUNKINGS))
    def rechunk(self, chunking):
        """By the encoder that the collection has, whatever the command is set to."""
        counts = rechunk(self.ingestion, self.files, COLLECTION, chunking, lambda *_: None)
        assert counts == {"scanned": len(self.model.documents), "modified": len(self.model.documents)}
        with self.database.read() as session:
            live = get_collection(session, COLLECTION).generation
        self._built(live, "live", replace(self.generations.content, chunking=chunking))
        self.seen["rechunked"] += 1
        self.seen["rechunked by a process of another encoder"] += self.encoder is not self.model.encoder

    @contextmanager
    def _switching(self):
        """Have the model know of another live generation, of which the block tells it."""
        before = {key for stored in self.model.documents.values() for key in stored.chunks}
        encoder = self.generations.content.encoder
        yield
        content = self.generations.content
        (now,) = (each for each in ENCODERS if each.name == content.encoder)
        self.model.read_chunks(now, content.chunking)
        self.seen["other chunks"] += before != {key for each in self.model.documents.values() for key in each.chunks}
        self.seen["another encoder"] += content.encoder != encoder

    @rule()
    def merge(self):
        live = self.generations.live if self.generations.live in self.generations.states else None
        made = merge(self.files, COLLECTION)
        assert (made is not None) == self.implementation.in_files
        if made is None:
            return
        if live is None:
            self._built(made["generation"], made["state"], self.generations.content)
        else:
            assert (made["generation"], made["state"]) == (live, "live")
            self.seen["merged"] += 1
        assert made["encoder"] == self.generations.content.encoder

    def _one(self, which):
        """Mostly a generation that there is, else one that there is not."""
        return [*sorted(self.generations.states), NO_GENERATION][which % (len(self.generations.states) + 1)]

    @rule(which=st.none() | st.integers(0, 6))
    def promote(self, which):
        number = None if which is None else self._one(which)
        wanted = self.generations.ready() if number is None else number
        state = self.generations.states.get(wanted)
        if state is None or state == "building":
            with pytest.raises(NotFound if state is None else Conflict):
                generation.promote(self.ingestion, COLLECTION, number)
        else:
            self._note_lacking(wanted)
            assert generation.promote(self.ingestion, COLLECTION, number)["generation"] == wanted
            with self._switching():
                self.generations.promote(wanted)
            self.seen["promoted"] += 1

    def _note_lacking(self, number):
        with self.database.read() as session:
            collection = get_collection(session, COLLECTION)
            lacked = lacking(session, collection, numbered(session, collection, number).chunk_set)
        other = self.generations.contents[number].encoder != self.generations.content.encoder
        self.seen["changed since it was built or live"] += lacked > 0
        self.seen["and embedded by another encoder"] += lacked > 0 and other

    @rule()
    def rollback(self):
        wanted = self.generations.before()
        if wanted is None:
            with pytest.raises(NotFound):
                generation.rollback(self.ingestion, COLLECTION)
        else:
            self._note_lacking(wanted)
            encoder = self.model.encoder
            assert generation.rollback(self.ingestion, COLLECTION)["generation"] == wanted
            with self._switching():
                self.generations.switch(wanted)
            self.seen["rolled back"] += 1
            self.seen["rolled back to another encoder"] += self.model.encoder is not encoder

    @rule(which=st.integers(0, 6))
    def drop(self, which):
        number = self._one(which)
        state = self.generations.states.get(number)
        with self.database.write() as session:
            collection = get_collection(session, COLLECTION)
            if state is None or state == "live":
                with pytest.raises(NotFound if state is None else Conflict):
                    drop(session, collection, number)
            else:
                dropped = drop(session, collection, number)
                self.seen["dropped another encoder's"] += dropped.encoder != self.model.encoder.name
                self.generations.drop(number)
            tidy(self.files, session)
            kept = {collection.chunk_set, *(row.chunk_set for row in generations(session, collection))}
        if state not in (None, "live") and dropped.chunk_set not in kept:
            self.implementation.drop_set(dropped.encoder, dropped.chunk_set)
        with self.database.read() as session:
            embedded = set(session.scalars(select(Vector.encoder).distinct()))
            named = {row.encoder for row in generations(session, get_collection(session, COLLECTION))}
        assert embedded <= named | {self.model.encoder.name}

    @rule(which=st.integers(0, 6), made=documents, id_=st.sampled_from(IDS))
    def look_ahead(self, which, made, id_):
        """Another process asks a generation that is not live, while a document changes."""
        number = self._one(which)
        if self.generations.states.get(number) not in ("ready", "retired"):
            return
        generation.complete(self.ingestion, COLLECTION, number)
        ahead = replace(self._open(), generations={COLLECTION: number})
        question = self._question("holiday", "dense", EVERYTHING, None, DEPTH)
        result = self._ask(ahead, question)
        assert result.index.generation == number
        assert {passage.document.external_id for passage in result.passages} == self.model.documents.keys()
        self._put({id_: made})
        self._ask(ahead, question)
        ahead.index.close()
        self.seen["looked ahead"] += 1

    # Crashes

    @rule(
        live=st.booleans(),
        kind=st.sampled_from(["build", "merge", "rechunk"]),
        encoder=st.sampled_from(ENCODERS),
        chunking=st.none() | st.sampled_from(CHUNKINGS),
        call=st.integers(0, 12),
        before=st.booleans(),
        hard=st.booleans(),
    )
    def stop_a_build(self, live, kind, encoder, chunking, call, before, hard):
        """``hard``: the process has no time to say that it ends."""
        self.encoder = encoder
        content = self._asked(chunking) if kind == "build" else self.generations.content
        with pytest.MonkeyPatch.context() as patch:
            if hard:
                host, _, started = owner_name().rsplit(":", 2)
                patch.setattr(indexing, "owner_name", lambda: f"{host}:{os.getpid()}:{int(started) - 1}")
                patch.setattr(indexing, "fail_build", lambda *_: None)
            with killed_at(BUILD_POINTS, call, before=before) as called:
                if kind == "merge":
                    merge(self.files, COLLECTION)
                elif kind == "rechunk":
                    content = replace(content, chunking=chunking or DEFAULT_CHUNKING)
                    rechunk(self.ingestion, self.files, COLLECTION, content.chunking, lambda *_: None)
                else:
                    target = RecallTarget()
                    generation.build(self.ingestion, self.files, COLLECTION, target, chunking=chunking, live=live)
        note(f"called {called}")
        self.seen["a build stopped"] += len(called) > call
        self.seen["another encoder's build stopped"] += (
            len(called) > call and content.encoder != self.model.encoder.name
        )
        self._read_generations(content)

    def _read_generations(self, content):
        """What a stopped command has done: all of it or nothing, and it may have begun a build of ``content``."""
        with self.database.read() as session:
            collection = get_collection(session, COLLECTION)
            rows = {row.number: row.state for row in generations(session, collection)}
            encoders = {row.number: row.encoder for row in generations(session, collection)}
            live = collection.generation
        before = dict(self.generations.states)
        self.generations.give_up()
        contents = self.generations.contents
        for number, state in rows.items():
            assert state in {"building", "ready", "live", "retired"}
            if contents.setdefault(number, content) is not content or state != "building":
                assert contents[number].encoder == encoders[number]
        if live != self.generations.live:
            assert before.get(live) in (None, "building")
            with self._switching():
                self.generations.promote(live)
        self.generations.states = rows
        self.generations.last = max([self.generations.last, *rows])

    @rule(which=st.integers(0, 100), kind=st.sampled_from(["cut", "file", "folder", "manifest"]))
    def damage_files(self, which, kind):
        """Files are lost or cut short; whoever has them mapped goes on with them."""
        folders = [path for path in sorted(self.index_folder.glob("*/*")) if path.suffix != ".building"]
        if not folders:
            return
        folder = folders[which % len(folders)]
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
        if kind == "folder" or not paths:
            shutil.rmtree(folder)
            return
        path = folder / "manifest.json" if kind == "manifest" else paths[which % len(paths)]
        if not path.exists():
            return
        content = path.read_bytes()
        path.unlink()
        if kind == "cut":
            path.write_bytes(content[:-1])
        elif kind == "manifest":
            path.write_bytes(content + b" ")
