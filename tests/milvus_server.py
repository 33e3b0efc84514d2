"""A Milvus server for tests: milvus-lite behind an address, shared by clients and processes as a cluster is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def milvus_url(tmp_path: Path) -> Iterator[str]:
    """The address of an empty server, which runs until the test ends."""
    pytest.importorskip("pymilvus", reason="needs pymilvus")
    server_module = pytest.importorskip("milvus_lite.adapter.grpc.server", reason="needs milvus-lite")
    server, database, port = server_module.start_server_in_thread(str(tmp_path / "milvus"))
    yield f"http://127.0.0.1:{port}"
    server.stop(grace=2).wait()
    database.close()
