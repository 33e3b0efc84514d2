"""The calls of the API, read from its OpenAPI document: what the page that lists them shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minimum": "from {}",
    "maximum": "to {}",
}
_CODE = re.compile(r"``?([^`]+)``?")


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a field of a body. ``place``: path, query, header or body; ``depth`` counts nesting."""

    name: str
    place: str
    type: str
    required: bool
    note: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call; ``description`` alternates plain text and code, beginning with text."""

    anchor: str
    method: str
    path: str
    summary: str
    description: tuple[str, ...]
    fields: tuple[Field, ...]
    success: str


@dataclass(frozen=True, slots=True)
class Group:
    """The calls whose paths begin alike."""

    name: str
    calls: tuple[Call, ...]


def group_calls(document: Schema) -> tuple[Group, ...]:
    """The calls of an OpenAPI document, in groups, in the document's order."""
    groups: dict[str, list[Call]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                groups.setdefault(_group_name(path), []).append(_call(document, path, method, item[method]))
    return tuple(Group(name, tuple(calls)) for name, calls in groups.items())


def _group_name(path: str) -> str:
    parts = [part for part in path.split("/") if part and part != "v1"]
    if not parts:
        return "page"
    if "documents" in parts:
        return "documents"
    return {"answers": "answer"}.get(parts[0], parts[0])


def _call(document: Schema, path: str, method: str, operation: Schema) -> Call:
    parameters = [_parameter(document, parameter) for parameter in operation.get("parameters", ())]
    content = operation.get("requestBody", {}).get("content", {})
    media: Schema = next(iter(content.values()), {})
    success = [code for code in operation.get("responses", {}) if code.startswith("2")]
    shown = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
    return Call(
        anchor=re.sub(r"[^a-z0-9]+", "-", f"{method}{path}".lower()).strip("-"),
        method=method.upper(),
        path=shown,
        summary=operation.get("summary") or "",
        description=tuple(_CODE.split(operation.get("description") or "")),
        fields=(*parameters, *_fields(document, media.get("schema", {}), 0, ())),
        success=", ".join(success),
    )


def _parameter(document: Schema, parameter: Schema) -> Field:
    schema = parameter.get("schema", {})
    note = parameter.get("description") or _limits(_resolve(document, schema))
    required = parameter.get("required", False)
    return Field(parameter["name"], parameter["in"], _type(document, schema), required, note)


def _fields(document: Schema, schema: Schema, depth: int, above: tuple[str, ...]) -> Iterator[Field]:
    """The fields of a body, nested ones behind their own; a type within itself is not opened again."""
    names, schema = _names(schema), _resolve(document, schema)
    if any(name in above for name in names):
        return
    required = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        yield Field(name, "body", _type(document, inner), name in required, _note(document, inner), depth)
        for part in (inner, *_members(document, inner)):
            yield from _fields(document, part, depth + 1, (*above, *names))


def _members(document: Schema, schema: Schema) -> Iterator[Schema]:
    """The schemas within alternatives and lists, at any depth."""
    schema = _resolve(document, schema)
    items = [schema["items"]] if "items" in schema else []
    for part in (*_choices(schema), *items):
        yield part
        yield from _members(document, part)


def _choices(schema: Schema) -> tuple[Schema, ...]:
    return (*schema.get("oneOf", ()), *schema.get("anyOf", ()))


def _names(schema: Schema) -> tuple[str, ...]:
    return (str(schema["$ref"]),) if "$ref" in schema else ()


def _resolve(document: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = document
        for part in str(schema["$ref"]).removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _type(document: Schema, schema: Schema) -> str:
    schema = _resolve(document, schema)
    if "enum" in schema:
        return " | ".join("null" if value is None else f'"{value}"' for value in schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    if choices := _choices(schema):
        return " | ".join(dict.fromkeys(_type(document, choice) for choice in choices))
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " | ".join(str(one) for one in kind)
    if kind == "array":
        return f"list of {_type(document, schema.get('items', {}))}"
    return str(kind)


def _note(document: Schema, schema: Schema) -> str:
    schema = _resolve(document, schema)
    parts = [_limits(schema)]
    parts += [_limits(_resolve(document, part)) for part in _choices(schema)]
    if (default := schema.get("default")) is not None:
        parts.append(f"default {default if isinstance(default, str) else json.dumps(default)}")
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _limits(schema: Schema) -> str:
    parts = []
    for name, text in _LIMITS.items():
        value = schema.get(name)
        if value == 1 and name in ("minLength", "minItems"):
            parts.append("not empty")
        elif value is not None:
            parts.append(text.format(f"{value:,.10g}"))
    return ", ".join(parts)
