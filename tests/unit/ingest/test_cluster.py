from __future__ import annotations

import errno
from dataclasses import dataclass, replace

import pytest

from infra.errors import Conflict, InvalidInput, Unavailable, Unprocessable
from ingest.cluster import Refusal, check_identity, identity_of, pace_of, raised, refused
from ingest.pace import Pace
from retrieval.encoders.encoder import HashingEncoder

OURS = identity_of(HashingEncoder(), 1)


@dataclass
class Size:
    parsers: int
    encoders: int


@pytest.mark.parametrize(
    ("parsers", "encoders", "batches"), [(1, 1, 2), (16, 1, 2), (17, 1, 3), (64, 2, 8), (8, 8, 16), (999, 9, 32)]
)
def test_there_is_twice_the_work_in_hand_and_never_more_than_a_bound(parsers: int, encoders: int, batches: int) -> None:
    assert pace_of(Size(parsers, encoders)) == Pace(documents=64, prepared=16, batches=batches)  # type: ignore[arg-type]


def test_another_process_with_the_same_encoder_and_libraries_is_the_same() -> None:
    check_identity(OURS, replace(OURS, host="elsewhere", pid=77))
    assert dict(OURS.software)["unstructured"] != "(not installed)"


@pytest.mark.parametrize("change", [{"encoder": "hashing-65"}, {"dim": 65}, {"max_tokens": 128}])
def test_another_encoder_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Conflict, match="The cluster's machine beta embeds with encoder") as caught:
        check_identity(OURS, replace(OURS, host="beta", **change))  # type: ignore[arg-type]
    assert caught.value.code == "encoder_mismatch"


def test_other_versions_of_what_reads_documents_are_refused() -> None:
    theirs = tuple((name, "0.1" if name == "lxml" else version) for name, version in OURS.software)
    with pytest.raises(Conflict, match=r"The cluster's machine beta has lxml 0\.1, and this one \d") as caught:
        check_identity(OURS, replace(OURS, host="beta", software=theirs))
    assert caught.value.code == "cluster_mismatch"


@pytest.mark.parametrize("software", [OURS.software[:-1], (*OURS.software, ("newlib", "2.0"))])
def test_a_machine_that_looks_at_other_libraries_is_refused(software: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(Conflict, match=r"The cluster's machine beta has (lxml|newlib) .*\(not installed\)") as caught:
        check_identity(OURS, replace(OURS, host="beta", software=software))
    assert caught.value.code == "cluster_mismatch"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Unprocessable("The file is damaged.", code="malformed"), Unprocessable, "malformed"),
        (InvalidInput("No."), InvalidInput, "invalid_request"),
        (OSError(errno.ENOSPC, "No space left on device"), Unavailable, "cluster_unavailable"),
    ],
)
def test_a_refusal_is_the_same_error_on_both_sides(error: Exception, kind: type[Unavailable], code: str) -> None:
    def work() -> None:
        raise error

    with pytest.raises(kind) as caught:
        raised(refused(work))
    assert caught.value.code == code
    assert str(error) in caught.value.detail or "No space left on device" in caught.value.detail


def test_memory_that_does_not_suffice_there_does_not_suffice_here() -> None:
    def work() -> None:
        raise MemoryError

    assert refused(work) == Refusal("MemoryError", "out_of_memory", "")
    with pytest.raises(MemoryError):
        raised(refused(work))


def test_a_defect_is_no_refusal() -> None:
    def work() -> None:
        raise KeyError("defect")

    with pytest.raises(KeyError):
        refused(work)
