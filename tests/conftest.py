"""Fixtures of all rings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))  # the fixtures' modules lie beside this file, and are no package
# What these assert is told in full, as in a test.
pytest.register_assert_rewrite("document_machine", "index_machine", "index_model")

pytest_plugins = [
    "model_server",
    "scripted_server",
    "service",
    "databases",
    "clients",
    "web_site",
    "object_store",
    "milvus_server",
    "shelves",
    "page_reader",
    "shared_models",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a run may ask for beyond the usual."""
    parser.addoption("--all-corruptions", action="store_true", help="parse 1,000 corrupted files, not only some")
    parser.addoption("--kills", type=int, default=8, help="how often the fault run of a sync kills its process")
    parser.addoption("--switches", type=int, default=100, help="how often generations are switched under load")
    parser.addoption(
        "--operations", type=int, help="how many random operations each index has to stand, 200 or 400 if not said"
    )


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Logging as it was: a command under test points it at a stream that is closed when the test ends."""
    yield
    structlog.reset_defaults()
