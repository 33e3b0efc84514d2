"""Ingestion on several machines: documents are read, cut and embedded elsewhere, and stored here.

The seam to whatever runs the other machines. This process lists the source, decides by hash what is new, sends that, and
commits what comes back on the same way as if it had been made here (``ingest.pipeline``): the other machines see neither the
database nor the data folder. Each piece of work can be done twice without harm, as only its result is ever stored.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from infra import errors
from infra.errors import Conflict, FootnoteError, Unavailable
from ingest.chunking import ChunkingSettings
from ingest.document import DocumentInput
from ingest.pace import Pace
from ingest.pipeline import Ingestion
from ingest.prepare import Prepared
from retrieval.encoders.encoder import Encoder, Kind
from retrieval.encoders.others import OtherEncoders

# What a document's text and chunks depend on beside the encoder's tokenizer.
_LIBRARIES = ("footnote", "unstructured", "pdfminer.six", "python-docx", "python-pptx", "openpyxl", "lxml")
# More documents a batch than on one machine: a call to an encoder should fill a GPU.
_DOCUMENTS = 64
_PREPARED = 16
_MOST_BATCHES = 32
_ABSENT = "(not installed)"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Shipment:
    """A document on its way to another machine: ``item`` with its bytes in ``data`` in place of a path, or with its text."""

    item: DocumentInput
    digest: str
    settings: ChunkingSettings


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error to raise in place of a result: the class's name, code and sentence."""

    error: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What another machine would make of a document: it must be what this one would make of it."""

    host: str
    pid: int
    encoder: str
    dim: int
    max_tokens: int
    software: tuple[tuple[str, str], ...]


class Cluster(Protocol):
    """Other machines at work. May be called from several threads; each call waits for a free worker, then for its result.

    ``parsers`` and ``encoders`` are how many documents are read, and batches embedded, at the same time. Calls raise
    ``Unavailable`` when there is no worker left, and ``Conflict`` when one has joined that is not the same (``Identity``).
    """

    @property
    def parsers(self) -> int:
        """See the class."""
        ...

    @property
    def encoders(self) -> int:
        """See the class."""
        ...

    def prepare(self, shipment: Shipment) -> Prepared | Refusal:
        """Read and cut a document."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32] | Refusal:
        """Vectors of texts, as ``Encoder.encode`` gives them for documents."""
        ...


class ClusterEncoder:
    """An ``Encoder`` whose documents are embedded by ``cluster``; questions and counts of tokens are ``local``'s.

    ``dim``, ``name`` and the other properties are ``local``'s too: the cluster's are checked to be the same.
    """

    def __init__(self, local: Encoder, cluster: Cluster) -> None:
        self._local, self._cluster = local, cluster
        self.name, self.dim, self.max_tokens = local.name, local.dim, local.max_tokens
        self.precision, self.runtime = local.precision, local.runtime
        self.count_tokens = local.count_tokens

    def encode(self, texts: Sequence[str], *, kind: Kind = "document") -> NDArray[np.float32]:
        """See ``Encoder``."""
        if kind == "query" or not texts:
            return self._local.encode(texts, kind=kind)
        vectors = raised(self._cluster.encode(texts))
        if vectors.shape != (len(texts), self.dim):
            raise RuntimeError(f"{len(texts)} texts were sent, and vectors of shape {vectors.shape} came back")
        return vectors


def on_cluster(ingestion: Ingestion, cluster: Cluster) -> Ingestion:
    """``ingestion`` with the work of reading, cutting and embedding done by ``cluster``, at its pace."""

    def prepare(item: DocumentInput, digest: str, settings: ChunkingSettings) -> Prepared:
        if item.path is not None:
            item = replace(item, data=item.path.read_bytes(), path=None)
        prepared = raised(cluster.prepare(Shipment(item, digest, settings)))
        if (prepared.external_id, prepared.source_hash) != (item.external_id, digest):
            raise RuntimeError(f"{item.external_id} was sent, and {prepared.external_id} came back")
        return prepared

    return replace(
        ingestion,
        encoder=ClusterEncoder(ingestion.encoder, cluster),
        preparer=prepare,
        pace=pace_of(cluster),
        turn=threading.Lock(),
        others=OtherEncoders(),  # the cluster's machines cut and embed by one encoder
    )


def pace_of(cluster: Cluster) -> Pace:
    """Twice as many documents and batches in hand as there is work for: while some are stored, others are worked on.

    At most 2,048 documents, of which a batch's files have 8 MiB together or are a single one: the memory that this takes does
    not grow with the source.
    """
    wanted = max(-(-2 * cluster.parsers // _PREPARED), 2 * cluster.encoders, 2)
    return Pace(documents=_DOCUMENTS, prepared=_PREPARED, batches=min(wanted, _MOST_BATCHES))


def identity_of(encoder: Encoder, pid: int) -> Identity:
    """What this process would make of documents."""
    software = tuple((name, _version(name)) for name in _LIBRARIES)
    return Identity(socket.gethostname(), pid, encoder.name, encoder.dim, encoder.max_tokens, software)


def check_identity(ours: Identity, theirs: Identity) -> None:
    """Raise ``Conflict`` unless documents and vectors made there are those that would be made here."""
    if (theirs.encoder, theirs.dim, theirs.max_tokens) != (ours.encoder, ours.dim, ours.max_tokens):
        raise Conflict(
            f"The cluster's machine {theirs.host} embeds with encoder {theirs.encoder!r} (a window of {theirs.max_tokens} "
            f"tokens), and this one with {ours.encoder!r} ({ours.max_tokens}): give all of them the same model files.",
            code="encoder_mismatch",
        )
    installed, elsewhere = dict(ours.software), dict(theirs.software)
    for name in (*installed, *elsewhere):  # another version of ours may look at others
        here, there = installed.get(name, _ABSENT), elsewhere.get(name, _ABSENT)
        if here != there:
            raise Conflict(
                f"The cluster's machine {theirs.host} has {name} {there}, and this one {here}: install the same versions "
                "of everything on all of them.",
                code="cluster_mismatch",
            )


def refused(work: Callable[[], _T]) -> _T | Refusal:
    """What ``work`` gives, or how it refused, as what can be sent: for the other machines' side of the seam."""
    try:
        return work()
    except MemoryError as error:
        return Refusal("MemoryError", "out_of_memory", str(error))
    except FootnoteError as error:
        return Refusal(type(error).__name__, error.code, error.detail)
    except OSError as error:
        detail = f"A machine of the cluster could not work: {error.strerror or type(error).__name__}."
        return Refusal(Unavailable.__name__, "cluster_unavailable", detail)


def raised(result: _T | Refusal) -> _T:
    """``result``, unless it is a refusal: then its error is raised."""
    if not isinstance(result, Refusal):
        return result
    if result.error == "MemoryError":
        raise MemoryError(result.detail)
    kind = getattr(errors, result.error, Unavailable)
    raise kind(result.detail, code=result.code)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return _ABSENT
