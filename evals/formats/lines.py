"""JSON files read strictly: every complaint names the file, the line and the field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from infra.errors import InvalidInput


def jsonl_files(path: Path) -> list[Path]:
    """The file itself, or the ``*.jsonl`` files of a folder in order of name."""
    if path.is_file():
        return [path]
    files = sorted(path.glob("*.jsonl"))
    if not files:
        raise InvalidInput(f"{path} holds no .jsonl file.", code="no_such_file")
    return files


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's JSON object with its place (``qa.jsonl, line 3``); blank lines are skipped."""
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path.name}, line {number}"
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901 - a byte order mark is no content
            if not line.strip():
                continue
            try:
                row = decode(line)
            except msgspec.DecodeError as error:
                raise InvalidInput(f"{where}: not valid JSON ({error}).", code="bad_json") from None
            except UnicodeDecodeError:
                raise InvalidInput(f"{where}: not valid UTF-8.", code="bad_json") from None
            if not isinstance(row, dict):
                raise InvalidInput(f"{where}: must be a JSON object.", code="bad_json")
            yield where, row


def read_document(path: Path) -> Any:
    """One JSON document that fills the file."""
    if not path.is_file():
        raise InvalidInput(f"{path} is not a file.", code="no_such_file")
    try:
        return msgspec.json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name}: not valid JSON ({error}).", code="bad_json") from None


def text_field(row: Mapping[str, Any], name: str, where: str, *, required: bool = True) -> str | None:
    """The string ``row[name]``; numbers are taken for identifiers written without quotes."""
    value = row.get(name)
    if value is None and not required:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or (required and not value.strip()):
        raise InvalidInput(
            f"{where}: {name} must be a text{' that is not blank' if required else ''}.", code="bad_gold_item"
        )
    return value


def identify(question: str, taken: set[str]) -> str:
    """An id made from the question, the same on each import, for formats that have none."""
    stem = sha256(question.encode()).hexdigest()[:12]
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name)
    return name
