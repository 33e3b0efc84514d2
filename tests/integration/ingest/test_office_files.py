"""Sample files of every format, some malformed, encrypted or in odd encodings: each is read, or says why it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.errors import FootnoteError
from ingest.sandbox import Sandbox

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "office"
REASONS = {"unsupported_format", "empty_file", "encrypted", "malformed", "binary_content", "no_text"}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the sample files are not here")
@pytest.mark.timeout(600)
def test_each_sample_file_is_read_or_says_why_not() -> None:
    paths = sorted(path for path in FOLDER.rglob("*") if path.is_file())
    read, failed = 0, {}
    details: list[str] = []
    with Sandbox(timeout_s=90, memory_mb=1024, workers=2) as sandbox:
        for path in paths:
            try:
                parsed = sandbox.parse(path, path.name)
            except FootnoteError as error:
                failed[path.name] = error.code
                details.append(error.detail)
                continue
            read += 1
            assert parsed.text.strip(), path.name
            assert parsed.title, path.name
            assert all(0 <= each.start < each.end <= len(parsed.text) for each in parsed.elements), path.name
    assert set(failed.values()) <= REASONS
    assert all(detail.endswith(".") for detail in details)
    assert read >= 0.93 * len(paths)
    assert failed.get("empty.txt") == "empty_file"
    assert failed.get("password_protected.xlsx") == failed.get("fake-encrypted.eml") == "encrypted"
    assert "fake.doc" not in failed
    assert "eng_spa_mult.ppt" not in failed
