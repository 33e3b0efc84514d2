"""The page's files, read once, with the headers that keep it to itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE_DIR = Path(__file__).parent / "page"

# No script or style but our own files, no other host, no markup from strings (trusted types), no frame.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file as it is sent; ``etag`` changes with its content."""

    content: bytes
    media_type: str
    etag: str


def load_assets() -> dict[str, PageFile]:
    """The files that the pages ask for, by name: scripts, styles, the icon, nothing else."""
    files = (path for path in sorted(PAGE_DIR.iterdir()) if path.suffix in _TYPES)
    return {path.name: read_file(path.name, _TYPES[path.suffix]) for path in files}


def read_file(name: str, media_type: str) -> PageFile:
    """One file of the page's folder."""
    content = (PAGE_DIR / name).read_bytes()
    return PageFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:20]}"')
