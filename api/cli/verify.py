"""``footnote verify``: judge responses against their contexts, in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer

from api.cli.context import err
from infra.errors import InvalidInput
from retrieval.verify.verifier import DeterministicVerifier


class Line(msgspec.Struct, frozen=True):
    """An input line; fields that are not named here are passed over."""

    id: str | int
    context: str | list[str]
    response: str
    question: str | None = None


def verify(
    source: Path = typer.Argument(metavar="IN.jsonl", help="Lines of {id, context, response, question?}."),
    target: Path = typer.Argument(metavar="OUT.jsonl", help="Lines of {id, score, sentences}; replaced if it exists."),
) -> None:
    """Judge each response against its context, with the verifier that checks every answer."""
    if not source.is_file():
        raise InvalidInput(f"{source} does not exist.", code="no_such_path")
    verifier = DeterministicVerifier()
    count = 0
    # The output appears only when it is whole: a wrong line leaves an older one in place.
    partial = target.with_name(target.name + ".partial")
    try:
        with partial.open("wb") as file:
            for line in _lines(source):
                file.write(msgspec.json.encode(judge(verifier, line)) + b"\n")
                count += 1
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    err.print(f"{count} responses judged.")


def judge(verifier: DeterministicVerifier, line: Line) -> dict[str, Any]:
    """The output line for an input line."""
    contexts = [line.context] if isinstance(line.context, str) else line.context
    result = verifier.verify(line.response, contexts, line.question)
    return {
        "id": line.id,
        "score": round(result.score, 4),
        "sentences": [
            {
                "text": s.text,
                "start": s.start,
                "end": s.end,
                "verdict": s.verdict.value,
                "score": round(s.score, 4),
                "reason": s.reason,
            }
            for s in result.sentences
        ],
        "truncated": result.truncated,
    }


def _lines(source: Path) -> Iterator[Line]:
    with source.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                yield msgspec.json.decode(raw, type=Line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InvalidInput(
                    f"{source.name}, line {number}: {error}. Each line is a JSON object {{id, context, response, question?}}.",
                    code="invalid_line",
                ) from None
