"""The same random operations on every implementation of an index give, after each of them, the answers of a model.

Documents come, change and go; generations are built, promoted, rolled back, merged and dropped; builds and readers are stopped
anywhere, and files are damaged. Each time every mode of search must answer as ``IndexModel`` does, which looks at all there is.

A longer run, of other operations: ``pytest tests/contract/test_index_operations.py --operations 5000``.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from index_machine import IndexMachine
from indexes import IMPLEMENTATIONS

# One run of the usual size, and where each takes some calls to another thread's server; ``--operations`` asks for another.
OPERATIONS, FEWER, STEPS = 500, 300, 50


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_same_answers_as_the_model(name, request):
    url = request.getfixturevalue("milvus_url") if name == "milvus-lite" else None
    asked = request.config.getoption("operations")
    operations = asked or (FEWER if name == "milvus-lite" else OPERATIONS)
    machine = type(
        "Machine", (IndexMachine,), {"implementation_type": IMPLEMENTATIONS[name], "url": url, "seen": Counter()}
    )
    # The same operations for every implementation; another number that is asked for is another choice of them.
    choice = asked or OPERATIONS
    while machine.operations < operations:  # some examples end before all of their steps
        run_state_machine_as_test(
            seed(choice)(machine),
            settings=settings(
                max_examples=-(-(operations - machine.operations) // STEPS),
                stateful_step_count=STEPS,
                database=None,
                # To find the least operations that fail takes minutes: only where a number of them was asked for.
                phases=[Phase.generate] if asked is None else [Phase.generate, Phase.shrink],
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        choice += 1
    print(machine.operations, dict(machine.seen))
    if asked is None:
        assert {"a build stopped", "a reader stopped", "promoted", "rolled back", "merged"} <= machine.seen.keys()
        assert all(machine.seen.values())
