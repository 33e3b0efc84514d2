"""Who is calling: from a bearer key and the delegation header to scopes and readable groups."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from api.keys import SCOPES, find_key
from infra.database import Database
from infra.errors import Forbidden, InvalidInput, Unauthenticated
from retrieval.access import EVERYTHING, Access

GROUPS_HEADER = "x-footnote-groups"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. ``name`` tells whose records and jobs are whose."""

    name: str
    scopes: frozenset[str]
    access: Access

    @property
    def is_admin(self) -> bool:
        """Whether this caller sees and may do everything (an administrator who acts for groups does not)."""
        return "admin" in self.scopes and self.access.groups is None

    @property
    def owner_filter(self) -> str | None:
        """Whose records this caller sees: ``None`` = everybody's."""
        return None if self.is_admin else self.name

    def require(self, *scopes: str) -> None:
        """Raise ``Forbidden`` unless the caller has one of ``scopes``."""
        if self.is_admin or not self.scopes.isdisjoint(scopes):
            return
        raise Forbidden(f"This call needs a key with the scope {' or '.join(scopes)}.", code="missing_scope")


def identify(database: Database, auth: str, authorization: str | None, groups: str | None) -> Caller:
    """Tell who calls; raises ``Unauthenticated`` or ``Forbidden``. A bad header is an error, never ignored."""
    caller = Caller("local", frozenset(SCOPES), EVERYTHING) if auth == "off" else _by_key(database, authorization)
    if groups is None:
        return caller
    if caller.scopes.isdisjoint({"delegate", "admin"}):
        raise Forbidden("X-Footnote-Groups needs a key with the scope delegate.", code="delegate_scope_required")
    return Caller(_delegate_name(caller.name, groups), caller.scopes - {"admin"}, Access(_parse_groups(groups)))


def _by_key(database: Database, authorization: str | None) -> Caller:
    scheme, _, secret = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("Send a key as 'Authorization: Bearer fn_…'.", code="missing_key")
    with database.read() as session:
        key = find_key(session, secret.strip())
    if key is None:
        raise Unauthenticated("This key is not known, or was revoked.", code="unknown_key")
    access = EVERYTHING if "admin" in key.scopes else Access(frozenset(key.groups))
    return Caller(key.id, frozenset(key.scopes), access)


def _parse_groups(header: str) -> frozenset[str]:
    groups = frozenset(part.strip() for part in header.split(",") if part.strip())
    if len(groups) > 200 or any(len(group) > 200 for group in groups):
        raise InvalidInput(
            "X-Footnote-Groups holds at most 200 groups of at most 200 characters.", code="invalid_groups"
        )
    return groups


def _delegate_name(name: str, header: str) -> str:
    groups = ",".join(sorted(_parse_groups(header)))
    return f"{name}/{hashlib.sha256(groups.encode()).hexdigest()[:12]}"
