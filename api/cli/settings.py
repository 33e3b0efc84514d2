"""``footnote settings``."""

from __future__ import annotations

from api.cli.context import JSON_OPTION, local_settings, print_json, print_table


def settings(as_json: bool = JSON_OPTION) -> None:
    """Print each setting with its value, where the value came from, and what it means."""
    rows = local_settings().describe()
    if as_json:
        print_json(rows)
        return
    print_table(
        ["setting", "value", "origin", "meaning"],
        [
            [str(r["name"]), "" if r["value"] is None else str(r["value"]), str(r["origin"]), str(r["meaning"])]
            for r in rows
        ],
    )
