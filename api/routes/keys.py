"""``/v1/keys``: for administrators."""

from __future__ import annotations

from typing import Any

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.caller import Caller
from api.keys import create_key, describe, list_keys, revoke_key
from api.paging import Cursor, Limit, decode_cursor, page
from api.services import Services
from api.wire import NewKey
from infra.errors import Forbidden


def _only_admin(caller: Caller) -> None:
    if not caller.is_admin:
        raise Forbidden("This call needs a key with the scope admin.", code="missing_scope")


@post("/v1/keys", sync_to_thread=True, summary="Create a key")
def create(
    data: JSONBody[NewKey], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """Make a key. Its ``secret`` is in this answer and nowhere else."""
    _only_admin(caller)
    with services.database.write() as session:
        key, secret = create_key(session, data.name, data.scopes, data.groups)
        return {**describe(key), "secret": secret}


@get("/v1/keys", sync_to_thread=True, summary="List keys")
def list_all(
    services: NamedDependency[Services], caller: NamedDependency[Caller], limit: Limit = 100, cursor: Cursor = None
) -> dict[str, Any]:
    """All keys, revoked ones too, without their secrets."""
    _only_admin(caller)
    after = decode_cursor(cursor)
    with services.database.read() as session:
        rows = list_keys(session)
    ids = [key.id for key in rows]
    start = ids.index(after) + 1 if after in ids else 0
    shown = rows[start : start + limit]
    return page([describe(key) for key in shown], shown[-1].id if start + limit < len(rows) else None)


@delete("/v1/keys/{key_id:str}", sync_to_thread=True, status_code=200, summary="Revoke a key")
def revoke(
    key_id: FromPath[str], services: NamedDependency[Services], caller: NamedDependency[Caller]
) -> dict[str, Any]:
    """End a key at once."""
    _only_admin(caller)
    with services.database.write() as session:
        return describe(revoke_key(session, key_id))


HANDLERS = [create, list_all, revoke]
