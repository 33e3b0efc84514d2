"""``/`` and ``/assets``: the web page, which talks to the same API as everybody else."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath

from api.page_files import SECURITY_HEADERS, PageFile, load_assets, read_file
from infra.errors import NotFound

_INDEX = read_file("index.html", "text/html")
_ASSETS = load_assets()


@get("/", sync_to_thread=False, include_in_schema=False, media_type="text/html")
def index(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The page. It needs no key: what it shows comes from calls that do."""
    return _send(request, _INDEX)


@get("/assets/{file_path:path}", sync_to_thread=False, include_in_schema=False)
def asset(request: Request[Any, Any, Any], file_path: FromPath[str]) -> Response[bytes]:
    """One of the page's scripts, styles and pictures."""
    file = _ASSETS.get(file_path.lstrip("/"))
    if file is None:
        raise NotFound("There is nothing at this address.")
    return _send(request, file)


def _send(request: Request[Any, Any, Any], file: PageFile) -> Response[bytes]:
    headers = {**SECURITY_HEADERS, "ETag": file.etag, "Cache-Control": "no-cache"}
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.etag in known:
        return Response(b"", status_code=304, headers=headers, media_type=file.media_type)
    return Response(file.content, headers=headers, media_type=file.media_type)


HANDLERS = [index, asset]
