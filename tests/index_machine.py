"""Random operations on a database and on the indexes over it, each followed by questions that ``IndexModel`` answers too."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from fakes import FakeEncoder, FakeWriter, fake_ingestion
from generation_model import GenerationModel
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from index_examples import (
    ACCESSES,
    CHUNKINGS,
    FILTERS,
    GROUPS,
    IDS,
    LANGUAGES,
    METADATA,
    MODES,
    WORDS,
    documents,
    words,
)
from index_model import COLLECTION, IndexModel, Question
from indexes import IMPLEMENTATIONS, killed_at, lengths_of

from infra.database import open_database
from infra.errors import Conflict, NotFound
from infra.owner import owner_name
from ingest import generation
from ingest.collections import ensure_collection, get_collection, set_language
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput, Outcome
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING
from retrieval.dense.report import RecallTarget
from retrieval.engine import Engine
from retrieval.generations import build as building
from retrieval.generations import indexing, switch
from retrieval.generations.indexing import IndexFiles, merge
from retrieval.generations.layered_view import LayeredView
from retrieval.generations.states import generations, remove_unused
from retrieval.generations.switch import drop
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections
from retrieval.verify.verifier import DeterministicVerifier

NO_GENERATION = 99
# Where a build may end: anywhere between two of these.
BUILD_POINTS = (
    (generation, "fill"),
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


class IndexMachine(RuleBasedStateMachine):
    """A database whose documents and generations are changed; ``reader`` asks after each step, ``later`` now and then."""

    implementation_type = IMPLEMENTATIONS["memory"]
    url = None
    operations = 0
    # How often what makes a run worth it came about.
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="footnote-operations-"))
        self.database = open_database(f"sqlite:///{self.folder / 'footnote.db'}")
        with self.database.write() as session:
            ensure_collection(session, COLLECTION)
        # A window of few words, so that documents have several chunks.
        self.encoder = FakeEncoder(max_tokens=24)
        self.ingestion = fake_ingestion(self.database, self.encoder)
        self.files = IndexFiles(self.database, self.encoder, self.folder / "index")
        self.files.folder.mkdir()
        self.model = IndexModel(self.database, self.encoder)
        self.generations = GenerationModel()
        self.implementation = self.implementation_type(self.database, self.encoder, self.files.folder, self.url)
        self.reader, self.later = self.implementation.open(), self.implementation.open()
        self.steps = 0

    def teardown(self):
        try:
            self.check_everything()
        finally:
            self.reader.close()
            self.later.close()
            self.database.close()
            shutil.rmtree(self.folder)

    # Documents

    @initialize(made=st.lists(documents, min_size=3, max_size=3))
    def begin(self, made):
        self._put(dict(zip(IDS, made, strict=False)))

    @rule(made=st.dictionaries(st.sampled_from(IDS), documents, min_size=1, max_size=3))
    def put(self, made):
        self._put(made)

    def _put(self, made):
        items = [
            DocumentInput(
                id_,
                text="\n\n".join(f"## Part {n}\n\n{text}" for n, text in enumerate(one["parts"])),
                attributes=Attributes(title=f"Title {id_}", metadata=one["metadata"], allowed_groups=one["groups"]),
            )
            for id_, one in made.items()
        ]
        for item, result in zip(items, ingest_batch(self.ingestion, COLLECTION, items), strict=True):
            assert result.outcome in (Outcome.NEW, Outcome.MODIFIED, Outcome.UNCHANGED), result.detail
            if result.outcome is not Outcome.UNCHANGED:
                self.model.put(item)

    @rule(id_=st.sampled_from(IDS), groups=st.sampled_from(GROUPS), metadata=st.sampled_from(METADATA))
    def change_attributes(self, id_, groups, metadata):
        if id_ in self.model.documents:
            before = self.model.documents[id_]
            item = DocumentInput(
                id_,
                text=before.text,
                attributes=Attributes(title=before.facts.title, metadata=metadata, allowed_groups=groups),
            )
            (result,) = ingest_batch(self.ingestion, COLLECTION, [item])
            if result.outcome is not Outcome.UNCHANGED:
                self.model.put(item)

    @rule(id_=st.sampled_from(IDS))
    def delete(self, id_):
        with self.database.write() as session:
            collection = get_collection(session, COLLECTION)
            if id_ in self.model.documents:
                receipt = delete_document(session, collection, id_)
                assert receipt["chunks"] == len(self.model.documents[id_].chunks)
                self.model.delete(id_)
            else:
                with pytest.raises(NotFound):
                    delete_document(session, collection, id_)

    @rule(language=st.sampled_from(LANGUAGES))
    def change_language(self, language):
        with self.database.write() as session:
            set_language(session, get_collection(session, COLLECTION), language)
        self.model.speak(language)

    # Generations

    @rule(live=st.booleans(), chunking=st.none() | st.sampled_from(CHUNKINGS))
    def build(self, live, chunking):
        """Of the live chunks, or of others that documents are cut into beside these."""
        made = generation.build(self.ingestion, self.files, COLLECTION, RecallTarget(), chunking=chunking, live=live)
        self._built(made)

    def _built(self, made):
        number = made["generation"]
        # One that was begun is taken up, or given up.
        begun = self.generations.give_up()
        assert number in {self.generations.next(), *begun}
        self.generations.states[number] = "ready"
        if made["state"] == "live":
            self.generations.promote(number)
            self._switched()

    def _switched(self):
        before = {key for stored in self.model.documents.values() for key in stored.chunks}
        self.model.read_chunks()
        self.seen["other chunks"] += before != {key for each in self.model.documents.values() for key in each.chunks}

    @rule()
    def merge(self):
        live = self.generations.live if self.generations.live in self.generations.states else None
        made = merge(self.files, COLLECTION)
        assert made is not None
        if live is None:
            self._built(made)
        else:
            assert (made["generation"], made["state"]) == (live, "live")
            self.seen["merged"] += 1

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
            assert generation.promote(self.ingestion, COLLECTION, number)["generation"] == wanted
            self.generations.promote(wanted)
            self._switched()
            self.seen["promoted"] += 1

    @rule()
    def rollback(self):
        wanted = self.generations.before()
        if wanted is None:
            with pytest.raises(NotFound):
                generation.rollback(self.ingestion, COLLECTION)
        else:
            assert generation.rollback(self.ingestion, COLLECTION)["generation"] == wanted
            self.generations.switch(wanted)
            self._switched()
            self.seen["rolled back"] += 1

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
                drop(session, collection, number)
                self.generations.drop(number)
            remove_unused(self.files.folder, session)

    # Crashes

    @rule(
        live=st.booleans(),
        merging=st.booleans(),
        chunking=st.none() | st.sampled_from(CHUNKINGS),
        call=st.integers(0, 12),
        before=st.booleans(),
        hard=st.booleans(),
    )
    def stop_a_build(self, live, merging, chunking, call, before, hard):
        """``hard``: the process has no time to say that it ends."""
        with pytest.MonkeyPatch.context() as patch:
            if hard:
                host, _, started = owner_name().rsplit(":", 2)
                patch.setattr(indexing, "owner_name", lambda: f"{host}:{os.getpid()}:{int(started) - 1}")
                patch.setattr(indexing, "fail_build", lambda *_: None)
            with killed_at(BUILD_POINTS, call, before=before) as called:
                if merging:
                    merge(self.files, COLLECTION)
                else:
                    target = RecallTarget()
                    generation.build(self.ingestion, self.files, COLLECTION, target, chunking=chunking, live=live)
        note(f"called {called}")
        self.seen["a build stopped"] += len(called) > call
        self._read_generations()

    def _read_generations(self):
        """What a stopped command has done: all of it or nothing, and it may have begun a build."""
        with self.database.read() as session:
            collection = get_collection(session, COLLECTION)
            rows = {row.number: row.state for row in generations(session, collection)}
            live = collection.generation
        before = dict(self.generations.states)
        if live != self.generations.live:
            assert before.get(live) in (None, "building")
            self.generations.promote(live)
            self._switched()
        new = {number: state for number, state in rows.items() if before.get(number) != state}
        assert set(new.values()) <= {"building", "ready", "live", "retired"}
        self.generations.states = rows

    @rule(which=st.integers(0, 100), kind=st.sampled_from(["cut", "file", "folder", "manifest"]))
    def damage_files(self, which, kind):
        """Files are lost or cut short; whoever has them mapped goes on with them."""
        folders = [path for path in sorted(self.files.folder.glob("*/*")) if path.suffix != ".building"]
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

    @rule(which=st.booleans())
    def begin_anew(self, which):
        """Another process takes the place of a reader."""
        if which:
            self.reader.close()
            self.reader = self.implementation.open()
        else:
            self.later.close()
            self.later = self.implementation.open()

    @rule(call=st.integers(0, 3), before=st.booleans(), killed=st.booleans(), made=documents, id_=st.sampled_from(IDS))
    def stop_a_reader(self, call, before, killed, made, id_):
        """It ends while it takes in a change; where it was only one search that failed, it goes on as it is."""
        self._put({id_: made})
        with killed_at(self.implementation.points(), call, before=before) as called:
            self._ask(self.reader, self._question("holiday", "hybrid", EVERYTHING, None, 10))
        note(f"called {called}")
        self.seen["a reader stopped"] += len(called) > call
        if killed:
            self.begin_anew(which=True)

    # Searches

    @rule(
        query=words,
        mode=st.sampled_from(MODES),
        access=st.sampled_from(ACCESSES),
        filter_=st.sampled_from(FILTERS),
        top_k=st.sampled_from([1, 4, 200]),
        later=st.booleans(),
    )
    def search(self, query, mode, access, filter_, top_k, later):
        self._check(self.later if later else self.reader, self._question(query, mode, access, filter_, top_k))

    @rule()
    def check_integrity(self):
        assert check_integrity(self.database, self.reader).ok

    @invariant()
    def answers_as_the_model(self):
        type(self).operations += 1
        self.steps += 1
        query = " ".join(WORDS[(self.steps * 5 + n) % len(WORDS)] for n in range(3))
        access, filter_ = ACCESSES[self.steps % len(ACCESSES)], FILTERS[self.steps % len(FILTERS)]
        for mode in MODES:
            self._check(self.reader, self._question(query, mode, access, filter_, 200))
        self._holds_all(self.reader)

    def check_everything(self):
        for views in (self.reader, self.later):
            for access in ACCESSES:
                for mode in MODES:
                    self._check(views, self._question("running holiday EX-104", mode, access, None, 200))
            assert check_integrity(self.database, views).ok

    def _question(self, query, mode, access, filter_, top_k):
        return Question(query, self.encoder.encode([query], kind="query")[0], mode, access, filter_, top_k)

    def _ask(self, views, question):
        engine = Engine(self.database, self.encoder, views, FakeWriter(), DeterministicVerifier())
        asked = SearchQuery(
            question.query, mode=question.mode, filter=question.filter, top_k=question.top_k, collapse=False
        )
        return search(engine, asked, question.access)

    def _view(self, views):
        with self.database.read() as session:
            return views.current(find_collections(session, [COLLECTION]))[0]

    def _check(self, views, question):
        result = self._ask(views, question)
        view = self._view(views)
        self.model.check(question, result.passages, lengths_of(view), exact=self.implementation.exact)
        assert result.index.generation == self.generations.live
        live = self.implementation.live_files()
        if live is not None:
            assert isinstance(view, LayeredView)
            assert (view.base.manifest.number, view.base.manifest.revision) == live
            self.seen["asked of files"] += 1
            self.seen["and of what changed since"] += view.delta_chunks > 0

    def _holds_all(self, views):
        view = self._view(views)
        stored = self.model.documents.values()
        keys = sorted(chunk.key for each in stored for chunk in each.chunks.values())
        assert view.document_ids() == sorted(each.facts.id for each in stored)
        assert view.lexical_keys().tolist() == view.vector_keys().tolist() == keys
