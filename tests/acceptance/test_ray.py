"""``footnote ingest --ray``: as users run it, with the built-in encoder on a cluster that it starts by itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from preloaded import run
from service import CACHE_DIR
from sqlalchemy import func, select

from infra.database import open_database
from infra.tables import Document, Job

ROOT = Path(__file__).parents[2]
# Ten batches: when the first is stored, the interruption comes long before the last, however the two processes are scheduled.
FILES, LEFT = 640, 20
# What a shell runs in the background ignores the signal, and so does all that is started there.
PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from api.cli.main import main; main()"
)
WITHOUT = "sys.modules['ray'] = None"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("FOOTNOTE_", "RAY_"))}
    return {
        **outer,
        "FOOTNOTE_DATA_DIR": str(tmp_path / "data"),
        "FOOTNOTE_CACHE_DIR": str(CACHE_DIR),
        "HF_HUB_OFFLINE": "1",
    }


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:03}.md").write_text(f"# Note {number}\n\nThis is note {number} of the ferry's crew.\n")
    (folder / "damaged.docx").write_bytes(b"PK\x03\x04 this is no archive")
    return folder


@pytest.mark.timeout(600)
def test_an_interrupted_run_keeps_what_is_stored_and_the_next_one_goes_on(
    documents: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, "ingest", str(documents), "--ray", "local", "--json"]
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    started: list[psutil.Process] = []
    try:
        database = open_database(f"sqlite:///{tmp_path / 'data' / 'footnote.db'}")
        end = time.monotonic() + 240

        def stored() -> int:
            with database.read() as session:
                return session.scalar(select(func.count()).select_from(Document).where(Document.version > 0)) or 0

        while not stored() and running.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        started = psutil.Process(running.pid).children(recursive=True)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all that the command has started
        out, err = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
    assert (running.returncode, out, "Traceback" in err) == (130, "", False), err
    _, alive = psutil.wait_procs(started, timeout=30)
    assert not alive
    with database.read() as session:
        assert [job.status for job in session.scalars(select(Job))] == ["cancelled"]
        there = set(session.scalars(select(Document.external_id).where(Document.version > 0)))
    waiting = sorted(path for path in documents.glob("*.md") if path.name not in there)
    assert there
    assert len(waiting) > LEFT
    for path in waiting[LEFT:]:  # to read them all would prove no more
        path.unlink()
    again = run(["ingest", str(documents), "--json"], env=environment)
    assert again.returncode == 1
    told = json.loads(again.stdout)
    assert told["counts"] == {
        "scanned": len(there) + LEFT + 1,
        "new": LEFT,
        "modified": 0,
        "unchanged": len(there),
        "deleted": 0,
        "failed": 1,
    }
    assert [failure["code"] for failure in told["failures"]] == ["malformed"]
    assert stored() == len(there) + LEFT
    database.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--ray", "nowhere"], 2, "--ray is 'nowhere'; allowed: local, auto, HOST:PORT or ray://HOST:PORT."),
        (["--ray", "local", "--server", "http://127.0.0.1:1"], 2, "--ray works on the data folder, without --server."),
        (["--ray", "127.0.0.1:1"], 1, "The Ray cluster '127.0.0.1:1' could not be reached: "),
        ([WITHOUT, "--ray", "local"], 2, "Ray, which is not installed: pip install 'footnote[ray]'"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(
    documents: Path, environment: dict[str, str], arguments: list[str], code: int, said: str
) -> None:
    if arguments[0] == WITHOUT:
        program = f"import sys; {WITHOUT}; from api.cli.main import main; main()"
        command = [sys.executable, "-c", program, "ingest", str(documents), *arguments[1:]]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
    else:
        done = run(["ingest", str(documents), *arguments], env=environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("footnote: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
