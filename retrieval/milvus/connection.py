"""The connection to a Milvus server, or to a file of milvus-lite: calls with a time limit, and their failures as ours."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc

from infra.errors import SettingsError, Unavailable

# The client reads a .env file above its own folder when it is imported; only our settings read the environment.
_DOTENV = os.environ.get("PYTHON_DOTENV_DISABLED")
os.environ["PYTHON_DOTENV_DISABLED"] = "1"
try:
    from pymilvus import MilvusClient, MilvusException
except ModuleNotFoundError as error:
    raise SettingsError(
        f"FOOTNOTE_INDEX_URL names Milvus, whose client {error.name} is not installed: install footnote[milvus]."
    ) from None
finally:
    if _DOTENV is None:
        del os.environ["PYTHON_DOTENV_DISABLED"]
    else:
        os.environ["PYTHON_DOTENV_DISABLED"] = _DOTENV

# It prints the trace of every failed call; each failure is raised here, and told once.
logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)

# Seconds that one call may take; what is replaced stays readable for longer than a search's calls together.
TIMEOUT_S = 15.0
# Milvus-lite shares this process's interpreter, and moves what is written to disk while the writer waits.
LITE_TIMEOUT_S = 120.0
# Rows of one write: 500 of the longest texts and vectors stay below the 64 MiB that a Milvus server accepts.
WRITE_ROWS = 500
_PAGE = 4_000
# Milvus-lite indexes the terms of what it has not moved to disk anew at every search.
_LITE_FLUSH_ROWS = 1_000

Row = dict[str, Any]
_T = TypeVar("_T")


class MilvusConnection:
    """One client of one address, made at the first call; safe to use from several threads.

    ``url`` is ``http(s)://HOST:PORT[/DATABASE]`` or ``tcp://…``, or the path of a milvus-lite file (``….db``). Milvus-lite may
    lose sight of rows while another thread's write moves them to disk, so its calls take turns. Every call raises
    ``Unavailable`` when Milvus does not answer or refuses.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self.lite = url.endswith(".db")
        self.timeout_s = LITE_TIMEOUT_S if self.lite else TIMEOUT_S
        self._url = str(Path(url).expanduser().absolute()) if self.lite else url
        self._token = token
        self._client: Any = None
        self._unflushed: dict[str, int] = {}
        self._opening = threading.Lock()
        self._turn = threading.Lock() if self.lite else nullcontext()

    def call(self, make: Callable[[Any], _T]) -> _T:
        """``make`` applied to the client."""
        with _told_apart(self.shown):
            client = self._open()
            with self._turn:
                return make(client)

    def _open(self) -> Any:
        with self._opening:
            if self._client is None:
                if self.lite:
                    Path(self._url).parent.mkdir(parents=True, exist_ok=True)
                self._client = MilvusClient(self._url, token=self._token or "", timeout=self.timeout_s)
            return self._client

    @property
    def shown(self) -> str:
        """The address as a person may see it: without a password."""
        scheme, split, rest = self._url.rpartition("://")
        return scheme + split + rest.rpartition("@")[2]

    def query(self, name: str, where: str, fields: Sequence[str]) -> Iterator[Row]:
        """All rows of collection ``name`` that match, in no order, page by page: a server gives at most 16,384 at once."""
        if self.lite:  # its pages would each look at everything again
            yield from self.call(
                lambda client: client.query(name, filter=where, output_fields=list(fields), timeout=self.timeout_s)
            )
            return
        pages = self.call(
            lambda client: client.query_iterator(
                name,
                batch_size=_PAGE,
                filter=where,
                output_fields=list(fields),
                consistency_level="Strong",
                timeout=self.timeout_s,
            )
        )
        try:
            while page := self.call(lambda _: pages.next()):
                yield from page
        finally:
            pages.close()

    def search(
        self,
        name: str,
        data: Sequence[Any],
        *,
        field: str,
        metric: str,
        limit: int,
        where: str,
        fields: Sequence[str],
    ) -> list[list[Row]]:
        """For each of ``data`` its ``limit`` best rows that match: ``{id, distance, entity}``."""
        found = self.call(
            lambda client: client.search(
                name,
                data=list(data),
                anns_field=field,
                limit=limit,
                filter=where,
                output_fields=list(fields),
                search_params={"metric_type": metric},
                consistency_level="Strong",
                timeout=self.timeout_s,
            )
        )
        return [list(hits) for hits in found]

    def upsert(self, name: str, rows: Sequence[Row], each: Callable[[], None] = lambda: None) -> None:
        """Write rows, replacing those of the same ids; ``each`` is called before each part."""
        for start in range(0, len(rows), WRITE_ROWS):
            each()
            self.call(partial(_upsert, name, list(rows[start : start + WRITE_ROWS]), self.timeout_s))
        if self.lite:
            self._unflushed[name] = self._unflushed.get(name, 0) + len(rows)
            if self._unflushed[name] >= _LITE_FLUSH_ROWS:
                self._unflushed[name] = 0
                self.call(lambda client: client.flush(name, timeout=self.timeout_s))

    def drop(self, name: str) -> None:
        """Drop a collection, if it is there."""
        self.call(lambda client: client.drop_collection(name, timeout=self.timeout_s))

    def delete(self, name: str, where: str) -> None:
        """Delete the rows that match, as of now: deletion by expression may miss what was written a moment ago."""
        ids = [row["id"] for row in self.query(name, where, ["id"])]
        for start in range(0, len(ids), _PAGE):
            self.call(partial(_delete, name, ids[start : start + _PAGE], self.timeout_s))

    def close(self) -> None:
        """Disconnect; of milvus-lite also let the file go."""
        with self._opening:
            client, self._client = self._client, None
        if client is None:
            return
        client.close()
        if self.lite:
            from milvus_lite.server_manager import server_manager_instance  # noqa: PLC0415 - absent beside a cluster

            server_manager_instance.release_server(self._url)


def _upsert(name: str, rows: Sequence[Row], timeout_s: float, client: Any) -> None:
    client.upsert(name, rows, timeout=timeout_s)


def _delete(name: str, ids: Sequence[str], timeout_s: float, client: Any) -> None:
    client.delete(name, ids=list(ids), timeout=timeout_s)


@contextmanager
def _told_apart(address: str) -> Iterator[None]:
    try:
        yield
    except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError, OSError) as error:
        reason = getattr(error, "message", "") or getattr(error, "strerror", "") or type(error).__name__
        if isinstance(error, grpc.Call):
            reason = f"the call ended with {error.code().name}"
        elif "://" not in address:
            reason = f"{reason}; only one process can have the file open"
        raise Unavailable(
            f"The index in Milvus at {address} cannot be used: {str(reason).splitlines()[0][:300]}.",
            code="index_unavailable",
        ) from error
