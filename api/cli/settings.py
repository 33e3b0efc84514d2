"""``footnote settings``."""

from __future__ import annotations

from api.cli.context import JSON_OPTION, local_settings, out, print_json


def settings(as_json: bool = JSON_OPTION) -> None:
    """Print each setting with its value, where the value came from, and what it means."""
    rows = local_settings().describe()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        value = "(unset)" if row["value"] is None else row["value"]
        out.print(f"{row['name']} = {value}  [{row['origin']}]", markup=False, style="bold")
        out.print(f"    {row['meaning']}", markup=False)
