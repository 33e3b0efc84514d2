"""A list of files to ingest, with what is to be said of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from infra.errors import InvalidInput
from ingest.document import Attributes, DocumentInput


def read_manifest(manifest: Path, root: Path) -> Iterator[DocumentInput]:
    """The documents that a manifest lists; raises ``InvalidInput`` naming the line that is wrong."""
    known = {"path", "external_id", "title", "url", "metadata", "allowed_groups", "version"}
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row: dict[str, Any] = msgspec.json.decode(line.encode(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise InvalidInput(f"{manifest.name}, line {number}: not a JSON object ({error}).") from None
        if "path" not in row or not row.keys() <= known:
            raise InvalidInput(f"{manifest.name}, line {number}: needs 'path'; allowed: {', '.join(sorted(known))}.")
        path = root / row["path"]
        yield DocumentInput(
            row.get("external_id", row["path"]),
            path=path,
            filename=path.name,
            attributes=Attributes(
                title=row.get("title"),
                url=row.get("url"),
                metadata=row.get("metadata") or {},
                allowed_groups=row.get("allowed_groups"),
                version=row.get("version"),
            ),
        )
