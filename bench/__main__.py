"""All benchmarks, one after the other: ``python -m bench [--data FOLDER]``.

``--data`` names a folder of public question sets (``northwind``, ``chunking``, ``grounding``, …); without it only those
run that need none. Each writes its JSON beside its script and prints its table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

NEED_NOTHING = (
    "bench.speed",
    "bench.sync",
    "bench.edited_document",
    "bench.filters",
    "bench.lexical_index",
    "bench.dense_index",
    "bench.whole_index",
    "bench.merge",
    "bench.ray_ingest",
)
NEED_DATA = (
    "bench.retrieval",
    "bench.ablation",
    "bench.precision",
    "bench.chunking",
    "bench.reembedding",
    "bench.verifier",
    "bench.answerability",
)


def main() -> None:
    """Run each benchmark in a process of its own, so that none warms another's caches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="Folder of public question sets.")
    data = parser.parse_args().data
    commands = [[name] for name in NEED_NOTHING]
    if data is None:
        print("Only what needs no data is run; name a folder with --data for the rest.")
    else:
        commands += [[name, str(data)] for name in NEED_DATA]
        commands.append(["bench.dense_index", "--data", str(data)])
    failed = []
    for command in commands:
        print(f"\n== {' '.join(command)}", flush=True)
        if subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            failed.append(command[0])
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
