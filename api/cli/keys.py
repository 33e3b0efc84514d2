"""``footnote keys``: create, list, revoke."""

from __future__ import annotations

import typer

from api.cli.context import JSON_OPTION, local_settings, out, print_json, print_table
from api.keys import create_key, describe, list_keys, revoke_key
from infra.database import open_database

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)


@app.command("create")
def create(
    name: str = typer.Argument(help="What the key is for."),
    scope: list[str] = typer.Option(
        ["search", "answer"], "--scope", help="search, answer, ingest, eval, admin, delegate."
    ),
    group: list[str] = typer.Option([], "--group", help="A group whose documents it may read (repeatable)."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a key and print its secret, once."""
    database = open_database(local_settings().database)
    with database.write() as session:
        key, secret = create_key(session, name, scope, group)
        described = {**describe(key), "secret": secret}
    database.close()
    if as_json:
        print_json(described)
    else:
        typer.echo(secret)
        typer.echo("Keep it: it is not stored and cannot be shown again.", err=True)


@app.command("list")
def list_command(as_json: bool = JSON_OPTION) -> None:
    """List all keys, without their secrets."""
    database = open_database(local_settings().database)
    with database.read() as session:
        rows = [describe(key) for key in list_keys(session)]
    database.close()
    if as_json:
        print_json(rows)
        return
    print_table(
        ["id", "name", "key", "scopes", "groups", "created", "revoked"],
        [
            [
                *(r[n] for n in ("id", "name", "hint")),
                ", ".join(r["scopes"]),
                ", ".join(r["groups"]),
                r["created_at"],
                r["revoked_at"] or "",
            ]
            for r in rows
        ],
    )


@app.command("revoke")
def revoke(key_id: str = typer.Argument(help="The key's id."), as_json: bool = JSON_OPTION) -> None:
    """End a key at once."""
    database = open_database(local_settings().database)
    with database.write() as session:
        described = describe(revoke_key(session, key_id))
    database.close()
    if as_json:
        print_json(described)
    else:
        out.print(f"Revoked {described['id']} ({described['name']}).", markup=False)
