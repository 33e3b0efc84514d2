"""The same random operations on every implementation of an index give, after each of them, the answers of a model.

Documents come, change and go; generations, of the live chunks or of others, by one encoder or another, are built, promoted,
rolled back, merged and dropped; builds and readers are stopped anywhere, and files are damaged. Each time every mode of search
must answer as ``IndexModel`` does, which looks at all there is.

A longer run, of other operations: ``pytest tests/contract/test_index_operations.py --operations 5000``.
"""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from index_examples import ENCODERS
from index_machine import IndexMachine
from indexes import IMPLEMENTATIONS

# The usual run, and where each operation takes some calls to another process; ``--operations`` asks for another.
OPERATIONS, FEWER, STEPS = 500, 200, 50
# Of the first few choices of operations, the one with the fewest until all that is worth it has come about.
CHOICE = 4
SEEN = {
    "a build stopped",
    "a reader stopped",
    "promoted",
    "rolled back",
    "looked ahead",
    "rechunked",
    "rechunked by a process of another encoder",
    "other chunks",
    "another encoder",
    "another encoder's build stopped",
    "rolled back to another encoder",
    "dropped another encoder's",
    "put by a process of another encoder",
    "changed since it was built or live",
    "and embedded by another encoder",
    *(f"asked of {encoder.name}" for encoder in ENCODERS),
}
SEEN_OF_FILES = {"merged", "asked of files", "and of what changed since"}


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_same_answers_as_the_model(name, request, empty_sqlite):
    members = {
        "url": request.getfixturevalue("milvus_url") if name == "milvus-lite" else None,
        "new_database": lambda _, folder: f"sqlite:///{shutil.copyfile(empty_sqlite, folder / 'footnote.db')}",
        "drop_database": lambda *_: None,
    }
    _run(name, request, FEWER if name == "milvus-lite" else OPERATIONS, members)


def test_the_same_answers_over_postgresql(request, postgres):
    """With files, as both the database and they know which generation is live."""
    members = {"new_database": lambda *_: postgres(True), "drop_database": lambda _, url: postgres.drop(url)}
    _run("files", request, FEWER, members)


def _run(name, request, usual, members):
    asked = request.config.getoption("operations")
    own = {"implementation_type": IMPLEMENTATIONS[name], "seen": Counter(), **members}
    machine = type("Machine", (IndexMachine,), own)
    # The same operations for every implementation; another number that is asked for is another choice of them.
    choice, left = asked or CHOICE, asked or usual
    wanted = SEEN | SEEN_OF_FILES if IMPLEMENTATIONS[name].in_files else SEEN
    while left > 0:  # some examples end before all of their steps
        run_state_machine_as_test(
            seed(choice)(machine),
            settings=settings(
                max_examples=-(-left // STEPS),
                stateful_step_count=STEPS,
                database=None,
                # To find the least operations that fail takes minutes: only where a number of them was asked for.
                phases=[Phase.generate] if asked is None else [Phase.generate, Phase.shrink],
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        choice, left = choice + 1, (asked or usual) - machine.operations
        if asked is None and machine.operations < 2 * usual and any(not machine.seen[kind] for kind in wanted):
            left = max(left, STEPS)
    print(machine.operations, dict(machine.seen))
    if asked is None:
        assert {kind for kind in wanted if not machine.seen[kind]} == set()
