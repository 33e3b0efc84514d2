"""From a key and a header to scopes and groups."""

from __future__ import annotations

import pytest

from api.caller import Caller, identify
from api.keys import create_key, describe, find_key, list_keys, revoke_key
from infra.database import Database
from infra.errors import Forbidden, InvalidInput, NotFound, Unauthenticated
from infra.tables import ApiKey
from retrieval.access import EVERYTHING, Access


def key(database: Database, *scopes: str, groups: tuple[str, ...] = ()) -> tuple[str, str]:
    with database.write() as session:
        made, secret = create_key(session, "k", scopes, groups)
        return made.id, f"Bearer {secret}"


def test_with_auth_off_everybody_is_the_administrator(sqlite_database: Database) -> None:
    caller = identify(sqlite_database, "off", None, None)
    assert (caller.name, caller.is_admin, caller.access, caller.owner_filter) == ("local", True, EVERYTHING, None)
    narrowed = identify(sqlite_database, "off", None, "hr, eng,,hr")
    assert (narrowed.is_admin, narrowed.access) == (False, Access(frozenset({"hr", "eng"})))
    assert narrowed.owner_filter == narrowed.name != "local"
    assert identify(sqlite_database, "off", None, "").access == Access(frozenset())


def test_a_key_brings_its_scopes_and_groups(sqlite_database: Database) -> None:
    identifier, header = key(sqlite_database, "search", "answer", groups=("hr",))
    caller = identify(sqlite_database, "keys", header, None)
    assert (caller.name, caller.scopes, caller.is_admin) == (identifier, {"search", "answer"}, False)
    assert caller.access == Access(frozenset({"hr"}))
    caller.require("search")
    caller.require("ingest", "answer")
    with pytest.raises(Forbidden) as caught:
        caller.require("ingest", "admin")
    assert caught.value.code == "missing_scope"
    assert identify(sqlite_database, "keys", header.replace("Bearer", "bearer"), None).name == identifier


def test_an_administrator_may_do_everything_but_not_for_others(sqlite_database: Database) -> None:
    _, header = key(sqlite_database, "admin", groups=("hr",))
    caller = identify(sqlite_database, "keys", header, None)
    caller.require("ingest")
    assert caller.access == EVERYTHING
    acting = identify(sqlite_database, "keys", header, "eng")
    assert (acting.is_admin, acting.access) == (False, Access(frozenset({"eng"})))
    with pytest.raises(Forbidden):
        acting.require("admin")


def test_acting_for_groups(sqlite_database: Database) -> None:
    _, plain = key(sqlite_database, "search", groups=("hr",))
    identifier, delegate = key(sqlite_database, "search", "delegate", groups=("hr",))
    with pytest.raises(Forbidden) as caught:
        identify(sqlite_database, "keys", plain, "hr")
    assert caught.value.code == "delegate_scope_required"
    one, same, other = (identify(sqlite_database, "keys", delegate, groups) for groups in ("a,b", " b , a ", "a"))
    assert one.access == Access(frozenset({"a", "b"}))
    assert one.name == same.name != other.name
    assert one.name.startswith(identifier)
    assert len(one.name) <= 64
    for bad in (",".join(map(str, range(201))), "x" * 201):
        with pytest.raises(InvalidInput):
            identify(sqlite_database, "keys", delegate, bad)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic abc", "fn_abc"])
def test_no_key(sqlite_database: Database, header: str | None) -> None:
    with pytest.raises(Unauthenticated) as caught:
        identify(sqlite_database, "keys", header, None)
    assert caught.value.code == "missing_key"


def test_revoked_and_unknown_keys(sqlite_database: Database) -> None:
    identifier, header = key(sqlite_database, "search")
    with sqlite_database.write() as session:
        first = revoke_key(session, identifier).revoked_at
        assert revoke_key(session, identifier).revoked_at == first
        with pytest.raises(NotFound):
            revoke_key(session, "key_none")
    for wrong in (header, header + "x", "Bearer fn_none"):
        with pytest.raises(Unauthenticated) as caught:
            identify(sqlite_database, "keys", wrong, None)
        assert caught.value.code == "unknown_key"


def test_the_secret_is_stored_nowhere(sqlite_database: Database) -> None:
    _, header = key(sqlite_database, "search", "search", "answer")
    secret = header.removeprefix("Bearer ")
    with sqlite_database.read() as session:
        (row,) = list_keys(session)
        columns = {column.name: getattr(row, column.name) for column in ApiKey.__table__.columns}
        assert find_key(session, secret) is row
    assert secret not in str(columns)
    assert (row.scopes, row.hint) == (["answer", "search"], secret[:7] + "…")
    assert "secret" not in str(describe(row))
    assert len(secret) == 46  # fn_ and 256 bits in base64


def test_unknown_scopes_are_refused(sqlite_database: Database) -> None:
    with pytest.raises(
        InvalidInput, match="'root' is not a scope; allowed: search, answer, ingest, eval, admin, delegate"
    ):
        key(sqlite_database, "root")


def test_who_sees_whose_records() -> None:
    assert Caller("k", frozenset({"admin"}), EVERYTHING).owner_filter is None
    assert Caller("k", frozenset({"search"}), EVERYTHING).owner_filter == "k"
