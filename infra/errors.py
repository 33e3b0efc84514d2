"""The errors that a caller may cause or must be told about.

    FootnoteError
    ├── InvalidInput      the request cannot be understood or breaks a rule        (400)
    ├── Unauthenticated   no key, or one that is not known                         (401)
    ├── Forbidden         the key lacks a scope                                    (403)
    ├── NotFound          absent, or not to be seen by this caller                 (404)
    ├── Conflict          it exists already, or was changed meanwhile              (409)
    ├── TooLarge          over a stated limit                                      (413)
    ├── Unsupported       a format that is not read                                (415)
    ├── Unprocessable     a supported file that could not be read                  (422)
    ├── Unavailable       a part that this needs is down                           (503)
    │   ├── Busy          too much at once; it passes by itself                    (503, with Retry-After)
    │   └── OutOfMemory   not enough memory for one text; a MemoryError too        (503)
    ├── StorageFull       a disk or the database has no room left                  (507)
    └── SettingsError     a setting is unknown or has a bad value                  (start-up)

Each carries a stable snake_case ``code`` and one clear sentence that says what was wrong and what is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a request that is wrong: its path in the body, and why."""

    field: str
    message: str


class FootnoteError(Exception):
    """Base of every error that a caller is told about.

    ``code`` is stable and snake_case, ``detail`` one sentence for a person, ``status`` the HTTP status.
    """

    status = 500
    title = "Internal error"
    default_code = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.errors = errors


class InvalidInput(FootnoteError):  # noqa: N818 - the tree above reads as a list of outcomes
    """The request cannot be understood or breaks a rule."""

    status, title, default_code = 400, "Invalid request", "invalid_request"


class Unauthenticated(FootnoteError):  # noqa: N818
    """No key was sent, or one that is not known."""

    status, title, default_code = 401, "Not authenticated", "unauthenticated"


class Forbidden(FootnoteError):  # noqa: N818
    """The caller is known, but its key lacks what this call needs."""

    status, title, default_code = 403, "Forbidden", "forbidden"


class NotFound(FootnoteError):  # noqa: N818
    """Absent, or not to be seen by this caller: the two look the same on purpose."""

    status, title, default_code = 404, "Not found", "not_found"


class Conflict(FootnoteError):  # noqa: N818
    """It exists already, or the state does not allow this now."""

    status, title, default_code = 409, "Conflict", "conflict"


class TooLarge(FootnoteError):  # noqa: N818
    """Over a stated limit."""

    status, title, default_code = 413, "Too large", "too_large"


class Unsupported(FootnoteError):  # noqa: N818
    """A format that is not read."""

    status, title, default_code = 415, "Unsupported format", "unsupported_format"


class Unprocessable(FootnoteError):  # noqa: N818
    """A file of a supported format whose content could not be read."""

    status, title, default_code = 422, "Unreadable content", "unreadable"


class Unavailable(FootnoteError):  # noqa: N818
    """A part that this call needs is down."""

    status, title, default_code = 503, "Unavailable", "unavailable"


class Busy(Unavailable):
    """Too much is asked for at once, or somebody holds what this needs: nothing was done, and the same call may be sent again.

    ``retry_after_s`` says when that makes sense.
    """

    title, default_code = "Busy", "busy"

    def __init__(self, detail: str, *, code: str | None = None, retry_after_s: int = 5) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class OutOfMemory(Unavailable, MemoryError):  # noqa: N818
    """There is not enough memory even for the smallest piece of the work."""

    default_code = "out_of_memory"


class StorageFull(FootnoteError):  # noqa: N818
    """A disk or the database has no room left: nothing was stored, and what is stored already is untouched."""

    status, title, default_code = 507, "Insufficient storage", "insufficient_storage"


class SettingsError(FootnoteError):
    """A setting is unknown or has a bad value; start-up stops with this one line."""

    title, default_code = "Bad setting", "bad_setting"
