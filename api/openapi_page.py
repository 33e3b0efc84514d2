"""``/schema``: every call of the API on one page, with nothing loaded from elsewhere."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Router
from litestar.datastructures import ResponseHeader
from litestar.openapi.plugins import OpenAPIRenderPlugin

from api.openapi_calls import group_calls
from api.page_files import PAGE_DIR, SECURITY_HEADERS


class ApiPage(OpenAPIRenderPlugin):
    """Renders the page on the server: it needs no script, and no network but this service."""

    def __init__(self) -> None:
        super().__init__(path="/")
        environment = Environment(
            loader=FileSystemLoader(PAGE_DIR),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("schema.html")
        self._rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002
        """The page; it is written once, as the routes do not change while the service runs."""
        if self._rendered is None:
            html = self._template.render(info=openapi_schema["info"], groups=group_calls(openapi_schema))
            self._rendered = html.encode()
        return self._rendered

    def receive_router(self, router: Router) -> None:
        """Give everything under ``/schema`` the page's security headers."""
        headers = [ResponseHeader(name=name, value=value) for name, value in SECURITY_HEADERS.items()]
        router.response_headers = headers
