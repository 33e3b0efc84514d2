"""Everything public is documented: settings, commands, endpoints; the README's examples are those that work."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import typer

from api.app import create_app
from api.cli.main import app as cli
from infra.settings import SECRET_PREFIX, load_settings

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The page and its files are described in docs/page.md as a whole; HEAD and OPTIONS come with every call.
NOT_CALLS = ("/assets", "/schema")


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(group, click.Group) or hasattr(group, "commands"):
        for name, command in group.commands.items():  # type: ignore[attr-defined]
            yield from commands(command, (*path, name))
    else:
        yield path


def test_every_setting_is_documented_with_its_default() -> None:
    for row in load_settings(environ={}).describe():
        line = next((line for line in DOCS["settings.md"].splitlines() if f"`{row['name']}`" in line), None)
        assert line is not None, f"{row['name']} is not in docs/settings.md"
        if row["value"] is not None:
            assert f"`{row['value']}`" in line, f"docs/settings.md gives another default for {row['name']}"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {row["name"] for row in load_settings(environ={}).describe()}
    for text in (*DOCS.values(), README):
        named = set(re.findall(r"FOOTNOTE_[A-Z_]+[A-Z]", text))
        assert {name for name in named if not name.startswith(SECRET_PREFIX)} <= known


def test_every_command_is_documented() -> None:
    found = list(commands(typer.main.get_command(cli)))
    assert ("eval", "run") in found
    for path in found:
        assert f"`footnote {' '.join(path)}" in DOCS["cli.md"], f"footnote {' '.join(path)} is not in docs/cli.md"


def test_every_call_is_documented() -> None:
    application = create_app(load_settings(environ={}, overrides={"data_dir": "unused"}))
    pages = DOCS["rest.md"]
    calls = 0
    for route in application.routes:
        path = re.sub(r":\w+\}", "}", route.path)
        if path == "/" or path.startswith(NOT_CALLS):
            continue
        for method in route.methods - {"OPTIONS", "HEAD"}:  # type: ignore[attr-defined]
            calls += 1
            assert re.search(rf"`[^`\n]*{re.escape(path)}`", pages), f"{method} {path} is not in docs/rest.md"
            lines = [line for line in pages.splitlines() if re.search(rf"{re.escape(path)}`", line)]
            assert any(method in line for line in lines), f"docs/rest.md does not say {method} for {path}"
    assert calls > 25


def test_links_between_pages_lead_somewhere() -> None:
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/LOG.md")]
    pages = [*top, *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_comes_in_the_agreed_order() -> None:
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert headings == ["Two commands", "A first question", "Three uses", "Links"]
    assert README.index("![") < README.index("## Two commands")


def test_readme_names_real_make_targets() -> None:
    named = set(re.findall(r"\bmake (\w+)", README))
    assert named == {"run", "test"}
    for target in named:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_readme_asks_the_question_that_make_run_prints() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    example = re.search(r"^EXAMPLE := (.+)$", makefile, re.MULTILINE)
    assert example is not None
    assert example.group(1) in README
