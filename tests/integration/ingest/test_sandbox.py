"""The sandbox: a bad file costs itself only, and no process outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from infra.errors import Unavailable, Unprocessable, Unsupported
from ingest.sandbox import Sandbox
from ingest.table import table_text

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(timeout_s=60, memory_mb=512, workers=2) as made:
        yield made


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def children() -> list[psutil.Process]:
    """This process's own workers; servers that other tests run have theirs, further down."""
    return [each for each in psutil.Process().children() if "ingest.worker" in " ".join(each.cmdline())]


def test_parses(sandbox: Sandbox, tmp_path: Path) -> None:
    parsed = sandbox.parse(write(tmp_path, "x", "# Head\n\nText."), "notes.md")
    assert parsed.text == "Head\n\nText."
    assert parsed.title == "Head"
    assert [element.kind.value for element in parsed.elements] == ["heading", "paragraph"]


def test_passes_errors_on_as_they_are(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(Unprocessable, match="empty") as caught:
        sandbox.parse(write(tmp_path, "x", ""), "a.txt")
    assert caught.value.code == "empty_file"
    with pytest.raises(Unsupported) as unsupported:
        sandbox.parse(write(tmp_path, "y", b"\x89PNG\r\n\x1a\n" + bytes(50)), "a.png")
    assert unsupported.value.code == "unsupported_format"
    with pytest.raises(Unprocessable, match="could not be opened"):
        sandbox.parse(tmp_path / "absent", "a.txt")


def test_serves_several_threads(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{number}.txt", f"This is text number {number}.") for number in range(24)]
    with ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(lambda path: sandbox.parse(path, path.name).text, paths))
    assert texts == [f"This is text number {number}." for number in range(24)]
    assert 1 <= len(children()) <= 2


def test_a_killed_worker_costs_one_file(sandbox: Sandbox, tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "Some text.")
    sandbox.parse(path, "a.txt")
    for worker in children():
        worker.send_signal(signal.SIGSEGV)
        worker.wait(10)
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(sandbox.parse(path, "a.txt").text)
        except Unprocessable as error:
            outcomes.append(error.code)
    assert outcomes[-1] == "Some text."
    assert set(outcomes) <= {"Some text.", "malformed"}


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    rows = table_text([[f"<li>{number}</li>" * 2000] for number in range(400)])
    path = write(tmp_path, "slow.html", f"<html><ul>{rows}</ul></html>")
    small = write(tmp_path, "small.txt", "Some text.")
    with Sandbox(timeout_s=1, memory_mb=2048, workers=1) as sandbox:
        sandbox.parse(small, "small.txt")
        with pytest.raises(Unprocessable, match="longer than the 1 seconds") as caught:
            sandbox.parse(path, "slow.html")
        assert caught.value.code == "parse_timeout"
        assert sandbox.parse(small, "small.txt").text == "Some text."


def test_a_file_that_takes_too_much_memory_is_given_up(tmp_path: Path) -> None:
    path = write(tmp_path, "big.csv", b"a,b\n" + b"x,y\n" * 5_000_000)
    small = write(tmp_path, "small.txt", "Some text.")
    with Sandbox(timeout_s=120, memory_mb=128, workers=1) as sandbox:
        with pytest.raises(Unprocessable) as caught:
            sandbox.parse(path, "big.csv")
        assert caught.value.code == "parse_memory"
        assert sandbox.parse(small, "small.txt").text == "Some text."


def test_the_life_of_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOOTNOTE_LLM_API_KEY", "very-secret")
    path = write(tmp_path, "a.txt", "Some text.")
    before = {each.pid for each in children()}
    sandbox = Sandbox(timeout_s=60, memory_mb=512, workers=1)
    assert {each.pid for each in children()} == before  # none is started before it is needed
    thread = threading.Thread(target=sandbox.parse, args=(path, "a.txt"))
    thread.start()
    thread.join()
    (worker,) = [each for each in children() if each.pid not in before]
    assert "very-secret" not in worker.environ().values()
    assert worker.net_connections() == []
    assert not any("torch" in each.path for each in worker.memory_maps())
    # It outlives the thread that started it, and serves the next one.
    assert sandbox.parse(path, "a.txt").text == "Some text."
    assert worker.is_running()
    sandbox.close()
    sandbox.close()
    assert not worker.is_running()
    with pytest.raises(Unavailable):
        sandbox.parse(path, "a.txt")


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "Some text.")
    script = (
        "import sys, time; from pathlib import Path; from ingest.sandbox import Sandbox\n"
        "sandbox = Sandbox(timeout_s=60, memory_mb=512, workers=1)\n"
        f"print(sandbox.parse(Path({str(path)!r}), 'a.txt').text, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"Some text.\n"
    workers = psutil.Process(parent.pid).children()
    assert len(workers) == 1
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while workers[0].is_running() and workers[0].status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [("os._exit(3)", "malformed", "reader crashed"), ("os.kill(os.getpid(), 11)", "malformed", "reader crashed")],
)
def test_a_worker_that_ends_by_itself_is_not_said_to_want_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, code: str, says: str
) -> None:
    """Its pipe closes before it has ended: it must not be killed in between, which would be the verdict then."""
    fake = tmp_path / "python"
    fake.write_text(
        f"#!{sys.executable}\nimport os, sys, time\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from ingest.worker import Outcome, read_bytes, write_message\n"
        "write_message(sys.stdout.buffer, Outcome())\nread_bytes(sys.stdin.buffer)\n"
        f"os.close(1)\ntime.sleep(0.5)\n{ending}\n"
    )
    fake.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(fake))
    path = write(tmp_path, "a.txt", "Some text.")
    with Sandbox(timeout_s=60, memory_mb=512, workers=1) as sandbox, pytest.raises(Unprocessable, match=says) as caught:
        sandbox.parse(path, "a.txt")
    assert caught.value.code == code


def test_what_a_worker_leaves_behind_goes_with_it(tmp_path: Path) -> None:
    before = {each.pid for each in children()}
    with Sandbox(timeout_s=60, memory_mb=512, workers=1) as sandbox:
        sandbox.parse(write(tmp_path, "a.txt", "Some text."), "a.txt")
        (worker,) = [each for each in children() if each.pid not in before]
        folder = Path(worker.environ()["TMPDIR"])
        (folder / "left").write_text("x")
        worker.kill()
        worker.wait(10)
        with pytest.raises(Unprocessable):
            sandbox.parse(write(tmp_path, "a.txt", "Some text."), "a.txt")
        assert not folder.exists()


def test_converters_have_no_network_where_the_system_takes_it_away() -> None:
    """The worker's own hook does not see the programs that it starts."""
    script = (
        "import subprocess, sys; from ingest.worker import leave_network\n"
        "print(leave_network())\n"
        "inner = 'import socket; socket.create_connection((\"127.0.0.1\", 9), 5)'\n"
        "print(subprocess.run([sys.executable, '-c', inner], capture_output=True, text=True).stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    if done.stdout.startswith("False"):
        pytest.skip("this system does not let a process leave the network")
    assert "Network is unreachable" in done.stdout


def test_a_worker_has_no_network() -> None:
    refused = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys, socket; from ingest import worker; sys.addaudithook(worker._no_network)\n"
                "socket.create_connection(('127.0.0.1', 9))"
            ),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the document parser has no network" in refused.stderr
