"""The README's first command and first question, as a newcomer types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from service import free_port

ROOT = Path(__file__).parents[2]
WAIT_S = 600

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not (ROOT / ".venv/.run").exists(), reason="make has not installed into .venv: `make test` does"
    ),
    pytest.mark.skipif(shutil.which("make") is None or shutil.which("curl") is None, reason="make or curl is missing"),
]


@contextmanager
def make_run(data: Path, log: Path) -> Iterator[str]:
    """``make run`` on a free port until the block ends; gives what it printed once it serves."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FOOTNOTE_", "MAKE"))}
    command = ["make", "run", f"PORT={free_port()}", f"FOOTNOTE_DATA_DIR={data}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + WAIT_S
        while "Footnote serves on" not in (printed := log.read_text(encoding="utf-8")) or "-d '" not in printed:
            assert process.poll() is None, f"make run ended:\n{printed}"
            assert time.monotonic() < deadline, f"make run does not serve:\n{printed}"
            time.sleep(0.5)
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def ask(printed: str) -> dict[str, object]:
    """Run the command that ``make run`` printed."""
    command = re.search(r"curl -s .+?\n\s+-d '[^\n]+'", printed, re.DOTALL)
    assert command is not None, printed
    done = subprocess.run(["sh", "-c", command.group()], capture_output=True, check=True, timeout=120)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_make_run_serves_the_sample_company_and_prints_a_question_that_is_answered(tmp_path: Path) -> None:
    with make_run(tmp_path / "data", tmp_path / "first.log") as printed:
        assert "38 scanned: 38 new" in printed
        answer = ask(printed)
        assert answer["status"] == "answered"
        assert "SILENT" in str(answer["answer"])
        assert answer["citations"][0]["document"]["external_id"] == "engineering/pawl-handbook.md"  # type: ignore[index]

    with make_run(tmp_path / "data", tmp_path / "second.log") as printed:
        assert "scanned" not in printed, "a second start must not read the documents again"
        assert ask(printed)["status"] == "answered"
