"""Errors on the wire: RFC 9457 problem details, with a stable code and one clear sentence."""

from __future__ import annotations

import http
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import DataError

from infra.errors import Busy, FieldError, FootnoteError
from infra.ids import new_id

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
    """The id of this request, as ``X-Request-Id`` carries it; what fails before the routes is given its id here."""
    state = request.scope.setdefault("state", {})
    return str(state.setdefault("request_id", new_id("req")))


def error_problem(error: FootnoteError, identifier: str) -> dict[str, Any]:
    """The problem object of one of our own errors."""
    return problem(error.status, error.code, error.title, error.detail, identifier, error.errors)


def on_footnote_error(request: Request[Any, Any, Any], error: FootnoteError) -> Response[dict[str, Any]]:
    """One of our own errors: its code, its sentence."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if isinstance(error, Busy):
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status >= 500:
        log.warning("request.failed", request_id=request_id(request), code=error.code)
    return _respond(request, error_problem(error, request_id(request)), headers)


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
        detail = f"The request is not valid: {detail.rstrip('.')}."
    elif status == 400:
        detail = "The request body is not valid JSON for this call."
    code = _CODES.get(status, "internal_error" if status >= 500 else "invalid_request")
    return _respond(
        request, problem(status, code, title, detail, request_id(request), errors), dict(error.headers or {})
    )


def on_unstorable(request: Request[Any, Any, Any], error: RecursionError | DataError) -> Response[dict[str, Any]]:
    """Values that pass the types and still cannot be held: nested too deeply, or refused by the database."""
    log.warning("request.unstorable", request_id=request_id(request), error=type(error).__name__)
    reason = (
        "it is nested too deeply" if isinstance(error, RecursionError) else "it holds a value that cannot be stored"
    )
    return _respond(
        request,
        problem(400, "invalid_request", "Bad Request", f"The request is not valid: {reason}.", request_id(request)),
    )


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A defect of ours: the log gets the trace, the caller only the request's id."""
    identifier = request_id(request)
    log.error("request.crashed", request_id=identifier, path=request.url.path, exc_info=error)
    detail = "An internal error happened; the server's log has this request's id."
    return _respond(request, problem(500, "internal_error", "Internal error", detail, identifier))


def _respond(
    request: Request[Any, Any, Any], body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response[dict[str, Any]]:
    sent = {**(headers or {}), "X-Request-Id": request_id(request)}
    return Response(body, status_code=body["status"], media_type=MEDIA_TYPE, headers=sent)


def _field_errors(extra: Any) -> list[FieldError]:
    found = []
    for item in extra if isinstance(extra, list) else []:
        message = str(item.get("message", "is not valid"))
        found.append(FieldError(str(item.get("key", "")), message))
    return found
