"""The one clock: UTC, always with its zone."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def in_utc(moment: datetime) -> datetime:
    """``moment`` with its zone; databases that drop it (SQLite) hold UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def iso(moment: datetime | None) -> str | None:
    """RFC 3339 with ``Z``."""
    if moment is None:
        return None
    return in_utc(moment).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
