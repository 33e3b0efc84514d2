"""``POST /v1/search``."""

from __future__ import annotations

import time
from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.caller import Caller
from api.search_view import check_question, search_body
from api.services import Services
from api.wire import SearchBody
from retrieval.search import SearchQuery, search


@post("/v1/search", sync_to_thread=True, status_code=200, summary="Search")
def run_search(
    data: JSONBody[SearchBody], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """The best passages of what the caller may read, by words and meaning (``hybrid``) or one of the two."""
    caller.require("search")
    query = check_question(data.query, "query")
    asked = SearchQuery(
        query, data.collections, data.top_k, data.mode, data.filter, data.rerank, data.collapse, data.expand
    )
    started = time.perf_counter()
    result = search(services.engine, asked, caller.access)
    return search_body(result, (time.perf_counter() - started) * 1000)


HANDLERS = [run_search]
