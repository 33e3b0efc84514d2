"""The languages that a collection's words can be analysed in."""

from __future__ import annotations

from infra.errors import FieldError, InvalidInput

DEFAULT_LANGUAGE = "english"

# Those for which there is a stemmer, and two that are not stemmed.
STEMMED = (
    "arabic",
    "danish",
    "dutch",
    "english",
    "finnish",
    "french",
    "german",
    "greek",
    "hungarian",
    "italian",
    "norwegian",
    "portuguese",
    "romanian",
    "russian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
)
LANGUAGES = (*STEMMED, "cjk", "none")


def check_language(language: str | None) -> str | None:
    """Return ``language``, or raise ``InvalidInput`` naming those that are known; ``None`` is the default, English."""
    if language is None or language in LANGUAGES:
        return language
    allowed = ", ".join(LANGUAGES)
    raise InvalidInput(
        f"There is no language {language[:40]!r}; allowed: {allowed}.",
        code="invalid_language",
        errors=(FieldError("language", f"must be one of: {allowed}"),),
    )
