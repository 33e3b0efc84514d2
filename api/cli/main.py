"""``footnote``: every command in one place, and every error as one clear line with its exit code."""

from __future__ import annotations

import sys

import typer

from api.cli import collections, documents, index, keys, sources
from api.cli.ask import ask_command
from api.cli.doctor import doctor
from api.cli.eval import eval_app
from api.cli.ingest import ingest
from api.cli.search import search_command
from api.cli.serve import serve, worker
from api.cli.settings import settings
from api.cli.verify import verify
from api.version import version
from infra.errors import FootnoteError, SettingsError
from infra.telemetry import configure_logging

app = typer.Typer(
    help="Footnote: answers from your documents, with the proving passage under every sentence.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve)
app.command("worker")(worker)
app.command("ingest")(ingest)
app.command("search")(search_command)
app.command("ask")(ask_command)
app.add_typer(collections.app, name="collections")
app.add_typer(documents.app, name="documents")
app.add_typer(sources.app, name="sources")
app.add_typer(index.app, name="index")
app.add_typer(eval_app, name="eval")
app.command("verify")(verify)
app.add_typer(keys.app, name="keys")
app.command("doctor")(doctor)
app.command("settings")(settings)


@app.callback(invoke_without_command=True)
def root(
    show_version: bool = typer.Option(False, "--version", help="Print the version."),
    verbose: bool = typer.Option(False, "--verbose", help="Log what happens to standard error."),
) -> None:
    """Footnote: answers from your documents, with the proving passage under every sentence."""
    configure_logging("text", level="INFO" if verbose else "WARNING")
    if show_version:
        typer.echo(version())
        raise typer.Exit


def main() -> None:
    """Run the command line; exit 0 done, 1 failed or gate not met, 2 wrong usage."""
    try:
        app()
    except SettingsError as error:
        print(f"footnote: {error.detail}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(2)
    except FootnoteError as error:
        print(f"footnote: {error.detail}", file=sys.stderr)  # noqa: T201
        sys.exit(2 if error.status == 400 else 1)
    except KeyboardInterrupt:
        sys.exit(130)
