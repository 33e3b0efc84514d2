"""Clients of running services: one with authentication off, one with keys."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from service import Service, running_service

from api.keys import create_key
from infra.database import open_database

_numbers = itertools.count()


class Client(httpx.Client):
    """A client of one service, for one caller."""

    def __init__(self, url: str, key: str | None = None, groups: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if groups is not None:
            headers["X-Footnote-Groups"] = groups
        super().__init__(base_url=url, headers=headers, timeout=180, trust_env=False)

    def ok(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON body of a call that must succeed."""
        response = self.request(method, path, **options)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def store(self, collection: str, external_id: str, text: str, **attributes: Any) -> Any:
        """Store a text and wait until it is searchable."""
        return self.ok("PUT", address(collection, external_id) + "?wait=true", json={"text": text, **attributes})

    def found(self, collection: str, query: str, **options: Any) -> list[str]:
        """The external ids that a search finds, best first."""
        body = {"query": query, "collections": [collection], **options}
        return [hit["document"]["external_id"] for hit in self.ok("POST", "/v1/search", json=body)["results"]]

    def job(self, job_id: str) -> Any:
        """The job, once it is finished."""
        with self.stream("GET", f"/v1/jobs/{job_id}/events") as response:
            assert response.status_code == 200
            for _ in response.iter_lines():
                pass
        return self.ok("GET", f"/v1/jobs/{job_id}")


def address(collection: str, external_id: str) -> str:
    """The path of a document."""
    return f"/v1/collections/{collection}/documents/{quote(external_id, safe='')}"


class Keyed:
    """A service with keys. ``client`` makes a key with scopes and groups, and a client that uses it."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.url = service.url
        self.service = service
        database = open_database(f"sqlite:///{folder / 'data' / 'footnote.db'}")
        with database.write() as session:
            _, secret = create_key(session, "tests", ["admin"], [])
        database.close()
        self.admin = Client(self.url, secret)
        self._clients = [self.admin]

    def client(self, *scopes: str, groups: tuple[str, ...] = (), acting_for: str | None = None) -> Client:
        """A client with a new key; ``acting_for`` is its X-Footnote-Groups."""
        made = self.admin.ok(
            "POST", "/v1/keys", 201, json={"name": "t", "scopes": list(scopes), "groups": list(groups)}
        )
        client = Client(self.url, made["secret"], acting_for)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()


@pytest.fixture(scope="session")
def http(service: Service) -> Iterator[Client]:
    """A client of the service with authentication off."""
    with Client(service.url) as client:
        yield client


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A service with keys, that accepts bodies up to 1 MiB."""
    folder = tmp_path_factory.mktemp("keyed")
    with running_service(folder, FOOTNOTE_AUTH="keys", FOOTNOTE_MAX_UPLOAD_MB="1") as service:
        made = Keyed(service, folder)
        yield made
        made.close()


def _collections(client: Client) -> Iterator[Callable[[], str]]:
    made: list[str] = []

    def create() -> str:
        made.append(f"test-{next(_numbers)}")
        client.ok("POST", "/v1/collections", 201, json={"name": made[-1]})
        return made[-1]

    yield create
    for name in made:
        client.delete(f"/v1/collections/{name}")


@pytest.fixture
def collection(http: Client) -> Iterator[str]:
    """An empty collection of the service without keys."""
    for create in _collections(http):
        yield create()


@pytest.fixture
def keyed_collection(keyed: Keyed) -> Iterator[str]:
    """An empty collection of the service with keys."""
    for create in _collections(keyed.admin):
        yield create()
