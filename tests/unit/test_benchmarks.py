"""Benchmarks are run by hand and seldom: at least they must find what they measure."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "bench").rglob("*.py") if path.name != "__main__.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_can_be_imported(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    importlib.import_module(".".join(script.relative_to(ROOT).with_suffix("").parts))


def test_make_bench_runs_scripts_that_there_are() -> None:
    from bench.__main__ import NEED_DATA, NEED_NOTHING

    there = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in SCRIPTS}
    assert set(NEED_DATA + NEED_NOTHING) <= there
    assert not set(NEED_DATA) & set(NEED_NOTHING)
