"""Files that are broken in every way: each gets a verdict within its limits, and costs nothing but itself.

``pytest --all-corruptions`` parses 1,000 of them and prints what became of them (with ``-s``); without it, some.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from corruption import Corrupted, corrupted
from sample_files import sample_files

from infra.errors import FootnoteError
from ingest.sandbox import Sandbox

OFFICE = Path(__file__).parents[4] / "shared" / "data" / "office"
SEED = 2026
SOME, ALL = 150, 1_000
TIMEOUT_S = 20.0
GRACE_S = 20.0  # for a worker to be started anew on a busy machine: that is no file's fault
CODES = {
    "unsupported_format",
    "empty_file",
    "encrypted",
    "malformed",
    "binary_content",
    "no_text",
    "parse_timeout",
    "parse_memory",
}
A_PATH = re.compile(r"(?:/(?:tmp|home|usr|root|var|proc|private)\b|[A-Za-z]:\\|\bsite-packages\b|Traceback)")


def whole_files() -> dict[str, bytes]:
    files = dict(sample_files())
    if OFFICE.is_dir():
        paths = sorted(path for path in OFFICE.rglob("*") if path.is_file())
        files |= {str(path.relative_to(OFFICE)): path.read_bytes() for path in paths}
    return files


def check_reason(error: FootnoteError, story: str) -> None:
    assert error.code in CODES, f"{story}: {error.code}"
    assert re.fullmatch(r"[A-Z][^\n]{18,500}\.", error.detail), f"{story}: {error.detail!r}"
    assert not A_PATH.search(error.detail), f"{story}: {error.detail!r}"


@pytest.mark.timeout(7_200)
def test_every_corrupted_file_gets_a_verdict(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    count = ALL if request.config.getoption("--all-corruptions") else SOME
    files = corrupted(whole_files(), count, SEED)
    assert len(files) == count

    def verdict(numbered: tuple[int, Corrupted]) -> tuple[str, float]:
        number, file = numbered
        path = tmp_path / str(number)
        path.write_bytes(file.data)
        started = time.monotonic()
        try:
            parsed = sandbox.parse(path, file.name)
        except FootnoteError as error:
            check_reason(error, file.story)
            outcome = error.code
        else:
            assert any(map(str.isalnum, parsed.text)), file.story
            end = 0
            for element in parsed.elements:
                assert end <= element.start < element.end <= len(parsed.text), file.story
                assert element.page is None or element.page >= 1, file.story
                end = element.end
            parsed.text.encode("utf-8")
            assert "\x00" not in parsed.text, file.story
            assert parsed.title, file.story
            outcome = "read"
        path.unlink()
        return outcome, time.monotonic() - started

    with Sandbox(timeout_s=TIMEOUT_S, memory_mb=1024, workers=2) as sandbox, ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(verdict, enumerate(files)))
    assert len(verdicts) == count
    slow = sorted(((seconds, file.story) for (_, seconds), file in zip(verdicts, files, strict=True)), reverse=True)
    print(Counter(outcome for outcome, _ in verdicts), *slow[:8], sep="\n")
    assert slow[0][0] < TIMEOUT_S + GRACE_S, slow[0]
    # Most were broken past reading or barely: one verdict for all would mean that the parser is, not they.
    assert sum(outcome == "read" for outcome, _ in verdicts) > count * 0.2
    assert sum(outcome == "malformed" for outcome, _ in verdicts) > count * 0.1
    assert not [each for each in psutil.Process().children() if "ingest.worker" in " ".join(each.cmdline())]
