"""What a model server says of itself: its models, their context window, and whether it is up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

from retrieval.answers.writer import GeneratorUnavailable
from retrieval.generator.connection import Address


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """``model`` is the one that is served, ``None`` where the server does not say; ``window`` its context
    in tokens.
    """

    model: str | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """For readiness: ``detail`` is one sentence for a person, and there is always one when not ``ok``."""

    ok: bool
    detail: str | None = None
    model: str | None = None


async def fetch_info(
    client: httpx2.AsyncClient, address: Address, *, native: bool, model: str | None = None
) -> ServerInfo:
    """Ask ``/v1/models``, or TGI's ``/info``, about ``model`` or, without a name, the one that is served.

    A server that has no such path, or fails at it, says nothing: ``ServerInfo()``. Raises
    ``httpx2.HTTPError`` when it cannot be reached or refuses the key, ``GeneratorUnavailable`` when it
    serves several models and one must be named.
    """
    url = f"{address.native}/info" if native else f"{address.openai}/models"
    response = await client.get(url)
    if response.status_code in (401, 403):
        response.raise_for_status()
    if not response.is_success:
        return ServerInfo()
    try:
        body = response.json()
    except ValueError:
        return ServerInfo()
    if not isinstance(body, Mapping):
        return ServerInfo()
    if native:
        return ServerInfo(_text(body.get("model_id")), _count(body.get("max_total_tokens")))
    return _entry(body.get("data"), model)


def _entry(data: Any, model: str | None) -> ServerInfo:
    """The named model of a list, or its only one; adapters, which name a parent, are no models of their
    own.
    """
    entries = [e for e in data if isinstance(e, Mapping) and _text(e.get("id"))] if isinstance(data, Sequence) else []
    if model is not None:
        window = next((_count(e.get("max_model_len")) for e in entries if e["id"] == model), None)
        return ServerInfo(model, window)
    bases = [entry for entry in entries if not entry.get("parent")]
    if len(bases) > 1:
        names = ", ".join(str(entry["id"]) for entry in bases[:5])
        raise GeneratorUnavailable(
            f"The model server serves {len(bases)} models ({names}{', …' if len(bases) > 5 else ''}): "
            "set FOOTNOTE_LLM_MODEL to one of them.",
            code="generator_down",
        )
    if not bases:
        return ServerInfo()
    return ServerInfo(_text(bases[0].get("id")), _count(bases[0].get("max_model_len")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
