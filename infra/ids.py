"""Identifiers: a prefix that says what it names, and 96 random bits."""

from __future__ import annotations

import secrets


def new_id(prefix: str) -> str:
    """Make an identifier such as ``doc_8J2k…``: URL-safe, unguessable (96 bits)."""
    return f"{prefix}_{secrets.token_hex(12)}"
