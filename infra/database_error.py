"""What a database's error means to a caller: no room, another's turn, or no database; anything else is a defect of ours."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from infra.errors import Busy, FootnoteError, StorageFull, Unavailable

# The classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
_DISK_FULL = "53100"
_POSTGRES_BUSY = ("40001", "40P01", "55P03", "57014", "53200", "53300", "53400")
_POSTGRES_AWAY = ("08", "57P", "25006", "58")
# The primary codes of https://www.sqlite.org/rescode.html: an extended code has its own in the bits above.
_SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SQLITE_AWAY = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def database_error(error: DBAPIError | PoolTimeout) -> FootnoteError | None:
    """Our own error for one of the database's, or ``None`` if it is none that passes by itself or by making room."""
    if isinstance(error, PoolTimeout):
        return _busy()
    original = error.orig
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(getattr(original, "sqlite_errorcode", 0) & 0xFF)
    state = getattr(original, "sqlstate", None)
    if state is None:
        # The driver's own: no server answered, or the connection broke.
        return _away() if error.connection_invalidated or type(original).__name__ == "OperationalError" else None
    if state == _DISK_FULL:
        return _full()
    if state in _POSTGRES_BUSY:
        return _busy()
    return _away() if state.startswith(_POSTGRES_AWAY) else None


def _of_sqlite(code: int) -> FootnoteError | None:
    if code == sqlite3.SQLITE_FULL:
        return _full()
    if code in _SQLITE_BUSY:
        return _busy()
    return _away() if code in _SQLITE_AWAY else None


def _full() -> StorageFull:
    return StorageFull("The database has no room left: nothing was stored. Make room on its disk and send this again.")


def _busy() -> Busy:
    return Busy("The database is busy with other work: nothing was changed. Try again shortly.", code="database_busy")


def _away() -> Unavailable:
    return Unavailable("The database does not answer. Try again shortly.", code="database_unavailable")
