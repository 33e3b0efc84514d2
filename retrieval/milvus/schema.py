"""The collection that an index is in Milvus: its fields and their indexes."""

from __future__ import annotations

import hashlib
from typing import Any

from retrieval.milvus.connection import MilvusConnection
from retrieval.milvus.rows import MAX_GROUPS, MAX_TAGS, TERMS_BYTES

# As tantivy's, which the index in this process has.
_BM25 = {"bm25_k1": 1.2, "bm25_b": 0.75}
_PREFIX = "footnote_"
_TEXT_BYTES = 65_535

# What a row holds that is written; Milvus makes ``sparse`` of ``terms``.
WRITTEN = (
    "id",
    "chunk",
    "document",
    "place",
    "since",
    "until",
    "embedded",
    "everyone",
    "groups",
    "tags",
    "terms",
    "dense",
)


def index_name(collection_id: str, encoder: str, language: str | None, chunk_set: int = 1) -> str:
    """The name in Milvus of a collection's index of one chunk set, with the vectors of ``encoder`` and the words of ``language``.

    It has letters, digits and underscores.
    """
    kind = encoder if language is None else f"{encoder} {language}"
    if chunk_set != 1:
        kind = f"{kind} {chunk_set}"
    return f"{_PREFIX}{collection_id}_{hashlib.blake2b(kind.encode(), digest_size=6).hexdigest()}"


def collection_of(name: str) -> str:
    """The id of the collection whose index has this name."""
    return name.removeprefix(_PREFIX).rpartition("_")[0]


def open_index(connection: MilvusConnection, name: str) -> bool:
    """Have the collection loaded; false where there is none."""

    def load(client: Any) -> bool:
        there = bool(client.has_collection(name, timeout=connection.timeout_s))
        if there:
            client.load_collection(name, timeout=connection.timeout_s)
        return there

    return connection.call(load)


def create_index(connection: MilvusConnection, name: str, dim: int) -> None:
    """Create the collection, empty; only one process may do it at a time."""
    connection.call(
        lambda client: client.create_collection(
            name,
            schema=_schema(client, dim),
            index_params=_indexes(connection, client),
            consistency_level="Strong",
            timeout=connection.timeout_s,
        )
    )


def _schema(client: Any, dim: int) -> Any:
    from pymilvus import DataType, Function, FunctionType  # noqa: PLC0415 - the connection has loaded it, with care

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
    for field in ("chunk", "place", "since", "until"):
        schema.add_field(field, DataType.INT64)
    schema.add_field("document", DataType.VARCHAR, max_length=64)
    for field in ("embedded", "everyone"):
        schema.add_field(field, DataType.BOOL)
    for field, most in (("groups", MAX_GROUPS), ("tags", MAX_TAGS)):
        schema.add_field(field, DataType.ARRAY, element_type=DataType.VARCHAR, max_capacity=most, max_length=32)
    schema.add_field(
        "terms",
        DataType.VARCHAR,
        max_length=max(_TEXT_BYTES, TERMS_BYTES),
        enable_analyzer=True,
        analyzer_params={"tokenizer": "standard"},
    )
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=dim)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        Function(
            name="bm25",
            function_type=FunctionType.BM25,
            input_field_names=["terms"],
            output_field_names=["sparse"],
        )
    )
    return schema


def _indexes(connection: MilvusConnection, client: Any) -> Any:
    indexes = client.prepare_index_params()
    # Exact under any filter: a graph would lose what a strict one lets pass. The vectors have length 1: IP is the cosine.
    indexes.add_index("dense", index_type="FLAT", metric_type="IP")
    indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=_BM25)
    indexes.add_index("document", index_type="INVERTED")
    if "lite" not in client.get_server_version(timeout=connection.timeout_s):  # which has no index of lists
        for field in ("groups", "tags"):
            indexes.add_index(field, index_type="INVERTED")
    return indexes
