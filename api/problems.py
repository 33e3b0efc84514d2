"""Errors on the wire: RFC 9457 problem details, with a stable code and one clear sentence."""

from __future__ import annotations

import http
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from infra.errors import FieldError, FootnoteError

MEDIA_TYPE = "application/problem+json"
_CODES = {
    400: "invalid_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_format",
    503: "unavailable",
}
_DETAILS = {
    404: "There is nothing at this address.",
    405: "This method is not allowed here.",
    413: "The request body is larger than the server accepts.",
    503: "The server cannot answer now.",
}

log = structlog.get_logger()


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    request_id: str,
    errors: tuple[FieldError, ...] = (),
) -> dict[str, Any]:
    """A problem object; ``type`` names the code, so that it can be looked up in the documentation."""
    body: dict[str, Any] = {
        "type": f"urn:footnote:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return body


def request_id(request: Request[Any, Any, Any]) -> str:
    """The id of this request, as ``X-Request-Id`` carries it."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def error_problem(error: FootnoteError, identifier: str) -> dict[str, Any]:
    """The problem object of one of our own errors."""
    return problem(error.status, error.code, error.title, error.detail, identifier, error.errors)


def on_footnote_error(request: Request[Any, Any, Any], error: FootnoteError) -> Response[dict[str, Any]]:
    """One of our own errors: its code, its sentence."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return Response(
        error_problem(error, request_id(request)), status_code=error.status, media_type=MEDIA_TYPE, headers=headers
    )


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """The framework's own errors: routing, bodies that cannot be decoded or break a limit."""
    status = error.status_code
    title = http.HTTPStatus(status).phrase
    errors: tuple[FieldError, ...] = ()
    detail = _DETAILS.get(status, title + ".")
    if isinstance(error, ValidationException):
        errors = tuple(_field_errors(error.extra))
        first = errors[0] if errors else None
        detail = f"{first.field}: {first.message}" if first and first.field else first.message if first else detail
        detail = "The request is not valid: " + detail
    elif status == 400:
        detail = "The request body is not valid JSON for this call."
    code = _CODES.get(status, "internal_error" if status >= 500 else "invalid_request")
    body = problem(status, code, title, detail, request_id(request), errors)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(error.headers or {}))


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A defect of ours: the log gets the trace, the caller only the request's id."""
    identifier = request_id(request)
    log.error("request.crashed", request_id=identifier, path=request.url.path, exc_info=error)
    body = problem(
        500, "internal_error", "Internal error", "An internal error happened; the server's log has this request's id.",
        identifier,
    )  # fmt: skip
    return Response(body, status_code=500, media_type=MEDIA_TYPE)


def _field_errors(extra: Any) -> list[FieldError]:
    found = []
    for item in extra if isinstance(extra, list) else []:
        message = str(item.get("message", "is not valid"))
        found.append(FieldError(str(item.get("key", "")), message))
    return found
