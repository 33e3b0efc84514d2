"""JSON and XML as lines that a person can read and a search can find: ``name: value``."""

from __future__ import annotations

import json
from collections.abc import Iterator

import yaml
from lxml import etree

from infra.errors import Unprocessable
from ingest.block import Block
from ingest.elements import ElementKind

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_RECORD_LINES = 40


def read_json(text: str) -> list[Block]:
    """One block for each record of a JSON array, each line of NDJSON, or each member of an object."""
    try:
        value = json.loads(text)
    except ValueError as error:
        value = _json_lines(text)
        if value is None:
            raise Unprocessable(f"The file is not valid JSON: {error}.", code="malformed") from error
    if isinstance(value, dict):
        records: list[object] = [{key: each} for key, each in value.items()]
        short = all(not isinstance(each, dict | list) for each in value.values())
        records = [value] if short else records
    else:
        records = value if isinstance(value, list) else [value]
    return [Block(ElementKind.CODE, _readable(record)) for record in records]


def _json_lines(text: str) -> list[object] | None:
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return None


def _readable(value: object) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=1 << 20, default_flow_style=False
    )
    return text.removesuffix("\n...\n").rstrip("\n") if not isinstance(value, str) else value


def read_xml(data: bytes) -> list[Block]:
    """The text of XML: ``tag: value`` for a leaf, plain prose where text and tags are mixed.

    No entity is expanded and nothing is fetched.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise Unprocessable(
            f"The file is not valid XML: {' '.join(error.msg.split()).rstrip('.')}.", code="malformed"
        ) from error
    blocks: list[Block] = []
    for record in root if len(root) else [root]:
        lines = list(_lines(record))
        if len(lines) > 1 and all(": " in line for line in lines):
            blocks += [
                Block(ElementKind.CODE, "\n".join(lines[start : start + _RECORD_LINES]))
                for start in range(0, len(lines), _RECORD_LINES)
            ]
        else:
            blocks += [Block(ElementKind.PARAGRAPH, line) for line in lines]
    return blocks


def _lines(element: etree._Element) -> Iterator[str]:
    if not isinstance(element.tag, str):
        return
    name = etree.QName(element).localname
    for key, value in element.attrib.items():
        if (text := " ".join(str(value).split())) and not str(key).startswith("{"):
            yield f"{name} {key}: {text}"
    text = " ".join((element.text or "").split())
    mixed = bool(text) or any((child.tail or "").strip() for child in element)
    if len(element) and mixed:
        yield " ".join(" ".join(str(part) for part in element.itertext()).split())
        return
    if text:
        yield f"{name}: {text}"
    for child in element:
        yield from _lines(child)
