"""What commands share: the services of the data folder, a server's client, and printing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from api.services import Services, open_services
from infra.errors import InvalidInput
from infra.settings import Settings, load_settings

out = Console(highlight=False, soft_wrap=True)
# Rows stay on one line where nobody looks at a screen: in a pipe or a file.
_WIDE = 400
err = Console(stderr=True, highlight=False)

JSON_OPTION = typer.Option(False, "--json", help="Print JSON.")
SERVER_OPTION = typer.Option(None, "--server", help="Work on a running server at this address, not on the data folder.")
KEY_OPTION = typer.Option(None, "--key", help="Bearer key for --server; @FILE reads it from a file.")


@contextmanager
def local_services(**overrides: str) -> Iterator[Services]:
    """The services of the data folder that the settings name."""
    with open_services(local_settings(**overrides)) as services:
        yield services


def local_settings(**overrides: str) -> Settings:
    """The settings, with command line options on top."""
    return load_settings(overrides=overrides)


def print_json(value: Any) -> None:
    """Print ``value`` as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    typer.echo(text)


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table that is readable on a terminal and in a pipe."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        # The first names the row, for the next command: the others give way to it.
        table.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = out if out.is_terminal else Console(highlight=False, soft_wrap=True, width=_WIDE)
    console.print(table)


def fail(message: str, code: int = 1) -> NoReturn:
    """End with one line on standard error."""
    typer.echo(f"footnote: {message}", err=True)
    sys.exit(code)


def parse_filter_option(raw: str | None) -> dict[str, Any] | None:
    """The value of ``--filter``: a JSON object."""
    if raw is None:
        return None
    try:
        value = msgspec.json.decode(raw.encode())
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(
            '--filter must be a JSON object such as \'{"year": {"$gte": 2025}}\'.', code="invalid_filter"
        )
    return value


_EXAMPLES = {
    "chunking": '{"strategy": "size", "target_tokens": 200}',
    "ranking": '{"dense_weight": 0.6, "rerank": true}',
}


def json_object(raw: str | None, option: str) -> dict[str, Any] | None:
    """The settings that an option gives in JSON; ``None`` for ``default``. Raises ``InvalidInput``."""
    if raw is None or raw == "default":
        return None
    try:
        value = msgspec.json.decode(raw.encode())
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise InvalidInput(
            f"--{option} must be default or a JSON object such as '{_EXAMPLES[option]}'.", code=f"invalid_{option}"
        )
    return value
