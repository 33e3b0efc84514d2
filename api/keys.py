"""API keys: who calls, what they may do (scopes) and for which groups they may read."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from infra.clock import iso, now
from infra.errors import InvalidInput, NotFound
from infra.ids import new_id
from infra.tables import ApiKey

SCOPES = ("search", "answer", "ingest", "eval", "admin", "delegate")


def create_key(session: Session, name: str, scopes: Sequence[str], groups: Sequence[str]) -> tuple[ApiKey, str]:
    """Make a key and give its secret, which is kept nowhere: only its sha256 is stored (it holds 256 random bits)."""
    for scope in scopes:
        if scope not in SCOPES:
            raise InvalidInput(f"{scope!r} is not a scope; allowed: {', '.join(SCOPES)}.", code="invalid_scope")
    secret = "fn_" + secrets.token_urlsafe(32)
    key = ApiKey(
        id=new_id("key"),
        name=name,
        hint=secret[:7] + "…",
        secret_sha256=_digest(secret),
        scopes=sorted(set(scopes)),
        groups=sorted(set(groups)),
        created_at=now(),
    )
    session.add(key)
    session.flush()
    return key, secret


def find_key(session: Session, secret: str) -> ApiKey | None:
    """The living key with this secret."""
    return session.scalar(select(ApiKey).where(ApiKey.secret_sha256 == _digest(secret), ApiKey.revoked_at.is_(None)))


def list_keys(session: Session) -> list[ApiKey]:
    """All keys, newest last, revoked ones too."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)))


def revoke_key(session: Session, key_id: str) -> ApiKey:
    """End a key at once; raises ``NotFound``."""
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound("There is no such key.", code="key_not_found")
    if key.revoked_at is None:
        key.revoked_at = now()
    return key


def describe(key: ApiKey) -> dict[str, Any]:
    """A key as an administrator sees it; the secret cannot be shown again."""
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes,
        "groups": key.groups,
        "created_at": iso(key.created_at),
        "revoked_at": iso(key.revoked_at),
    }


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
