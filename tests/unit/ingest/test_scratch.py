"""The scratch folder loses what is old, and only that."""

from __future__ import annotations

import os
from pathlib import Path

from ingest.scratch import scratch_folder


def test_old_leftovers_go(tmp_path: Path) -> None:
    folder = scratch_folder(tmp_path)
    for name in ("old clone", "new clone"):
        (folder / name).mkdir()
        (folder / name / "file").write_text("x")
    (folder / "old file").write_text("x")
    for name in ("old clone", "old file"):
        os.utime(folder / name, (0, 0))
    assert scratch_folder(tmp_path) == folder == tmp_path / "scratch"
    assert [path.name for path in folder.iterdir()] == ["new clone"]
