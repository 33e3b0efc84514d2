"""How many threads of FAISS a search gets: no more than it has queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss


@contextmanager
def threads_for(queries: int) -> Iterator[None]:
    """Have FAISS search with at most ``queries`` threads, in the thread that calls; afterwards it is as before.

    FAISS divides queries among threads, not the work of one, and its threads wait for each other by spinning. So a single query
    gains nothing by more of them, and loses where processors are busy: with two threads on two busy cores, one query on
    10,000 vectors took 19 to 24 ms of processor time instead of .7 (``bench/LOG.md``). Searches at the same time
    each have a thread of their own.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(before, queries)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
