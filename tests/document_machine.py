"""Random changes of a database's documents, each followed by questions to its indexes that ``IndexModel`` answers too."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from fakes import FakeWriter, fake_ingestion
from generation_model import Content, GenerationModel
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from index_examples import (
    ACCESSES,
    ENCODERS,
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
from indexes import IMPLEMENTATIONS, Implementation, killed_at, lengths_of

from infra.database import open_database
from infra.errors import NotFound
from ingest.chunking import DEFAULT_CHUNKING, read_chunking
from ingest.collections import ensure_collection, get_collection, set_language
from ingest.commit import delete_document
from ingest.document import Attributes, DocumentInput, Outcome
from ingest.pipeline import ingest_batch
from retrieval.access import EVERYTHING
from retrieval.encoders.others import OtherEncoders
from retrieval.engine import Engine
from retrieval.generations.indexing import IndexFiles
from retrieval.generations.layered_view import LayeredView
from retrieval.integrity import check_integrity
from retrieval.search import SearchQuery, search
from retrieval.store import find_collections
from retrieval.verify.verifier import DeterministicVerifier


class DocumentMachine(RuleBasedStateMachine):
    """A database whose documents are changed; ``reader`` asks after each step, ``later`` now and then."""

    implementation_type: ClassVar[type[Implementation]] = IMPLEMENTATIONS["memory"]
    url: ClassVar[str | None] = None
    # Gives the address of a new database, which may be in this folder, and removes it.
    new_database: ClassVar[Callable[[Path], str]]
    drop_database: ClassVar[Callable[[str], None]]
    operations = 0
    # How often what makes a run worth it came about.
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="footnote-operations-"))
        self.address = self.new_database(self.folder)
        self.database = open_database(self.address)
        with self.database.write() as session:
            ensure_collection(session, COLLECTION)
        # What commands and processes that begin are set to.
        self.encoder = ENCODERS[0]
        self.others = OtherEncoders({each.name.partition("@")[0]: lambda each=each: each for each in ENCODERS})
        self.index_folder = self.folder / "index"
        self.index_folder.mkdir()
        self.generations = GenerationModel({1: Content(self.encoder.name, DEFAULT_CHUNKING)})
        self.model = IndexModel(self.database, self.encoder)
        self.implementation = self.implementation_type(self.database, self.others, self.index_folder, self.url)
        self.reader, self.later = self._open(), self._open()
        self.steps = 0

    def teardown(self):
        try:
            self.check_everything()
        finally:
            self.reader.index.close()
            self.later.index.close()
            self.database.close()
            self.drop_database(self.address)
            shutil.rmtree(self.folder)

    @property
    def ingestion(self):
        return replace(fake_ingestion(self.database, self.encoder), others=self.others)

    @property
    def files(self):
        folder = self.index_folder if self.implementation.in_files else None
        return IndexFiles(self.database, self.encoder, folder)

    def _open(self):
        views, writer = self.implementation.open(self.encoder), FakeWriter()
        return Engine(self.database, self.encoder, views, writer, DeterministicVerifier(), others=self.others)

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
                self.seen["put by a process of another encoder"] += self.encoder is not self.model.encoder

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

    # Readers

    @rule(which=st.booleans())
    def begin_anew(self, which):
        """Another process takes the place of a reader; it may be set to another encoder."""
        if which:
            self.reader.index.close()
            self.reader = self._open()
        else:
            self.later.index.close()
            self.later = self._open()

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
        assert check_integrity(self.database, self.reader.index).ok

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
        for engine in (self.reader, self.later):
            for access in ACCESSES:
                for mode in MODES:
                    self._check(engine, self._question("running holiday EX-104", mode, access, None, 200))
            assert check_integrity(self.database, engine.index).ok

    def _question(self, query, mode, access, filter_, top_k):
        return Question(query, self.model.encoder.encode([query], kind="query")[0], mode, access, filter_, top_k)

    def _ask(self, engine, question):
        asked = SearchQuery(
            question.query, mode=question.mode, filter=question.filter, top_k=question.top_k, collapse=False
        )
        return search(engine, asked, question.access)

    def _view(self, engine):
        with self.database.read() as session:
            return engine.index.current(find_collections(session, [COLLECTION]))[0]

    def _check(self, engine, question):
        result = self._ask(engine, question)
        view = self._view(engine)
        self.model.check(question, result.passages, lengths_of(view), exact=self.implementation.exact)
        assert (result.index.generation, view.encoder) == (self.generations.live, self.model.encoder.name)
        live = self.implementation.live_files()
        if live is not None:
            assert isinstance(view, LayeredView)
            assert (view.base.manifest.number, view.base.manifest.revision) == live
            self.seen["asked of files"] += 1
            self.seen["and of what changed since"] += view.delta_chunks > 0

    def _holds_all(self, engine):
        view = self._view(engine)
        stored = self.model.documents.values()
        keys = sorted(chunk.key for each in stored for chunk in each.chunks.values())
        assert view.document_ids() == sorted(each.facts.id for each in stored)
        assert view.lexical_keys().tolist() == view.vector_keys().tolist() == keys
        with self.database.read() as session:
            collection = get_collection(session, COLLECTION)
            assert Content(collection.encoder, read_chunking(collection.chunking)) == self.generations.content
        self.seen[f"asked of {self.model.encoder.name}"] += 1
