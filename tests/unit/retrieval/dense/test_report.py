"""Targets, efforts between those measured, and reports as they lie in a folder."""

import json

import pytest

from retrieval.dense.report import (
    REPORT_FILE,
    DenseReport,
    Effort,
    RecallTarget,
    effort_for,
    read_report,
    write_report,
)

REPORT = DenseReport(
    format=1,
    kind="ivf_sq8",
    factory="IVF8,SQ8",
    count=20,
    empty=2,
    dim=4,
    lists=8,
    target=RecallTarget(sample=40, kind="ivf_sq8"),
    efforts=(Effort(1.0, 4, 30, 0.99), Effort(0.5, 8, 60, 0.995)),
    recall=0.99,
    recall_deep=0.95,
    deep=100,
    queries=20,
    rejected={"ivf_rabitq": 0.5},
    files={"vectors.npy": 3},
    bytes=3,
    seconds=1.5,
)


@pytest.mark.parametrize("wrong", [{"recall": 0}, {"recall": 1.1}, {"k": 0}, {"sample": 1}, {"exact_below": -1}])
def test_a_target_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        RecallTarget(**wrong)


def test_an_effort_lies_between_its_neighbours_on_a_logarithmic_scale():
    efforts = (Effort(1.0, 10, 100, 0.99), Effort(0.5, 20, 100, 0.992), Effort(0.125, 40, 200, 0.995))
    assert effort_for(efforts, 1.0) == Effort(1.0, 10, 100, 0.99)
    assert effort_for(efforts, 0.25) == Effort(0.25, 30, 150, 0.992)  # half way from 1/2 to 1/8
    for share, probes, candidates in ((0.5, 20, 100), (2**-0.5, 15, 100), (0.125, 40, 200), (0.95, 11, 100)):
        found = effort_for(efforts, share)
        assert found is not None
        assert (found.probes, found.candidates) == (probes, candidates)
    assert effort_for(efforts, 0.12) is None
    assert effort_for((), 1.0) is None
    assert effort_for(efforts[:1], 1.0) == efforts[0]
    assert effort_for(efforts[:1], 0.99) is None


def test_a_report_is_read_as_it_was_written(tmp_path):
    (tmp_path / "vectors.npy").write_bytes(b"abc")
    write_report(tmp_path, REPORT)
    assert read_report(tmp_path) == REPORT
    assert REPORT.rows == 18


def test_what_is_not_a_report_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"holds no dense index: dense\.json is missing"):
        read_report(tmp_path)
    (tmp_path / REPORT_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"dense\.json in .* cannot be read"):
        read_report(tmp_path)
    (tmp_path / REPORT_FILE).write_text('{"format": 2}', encoding="utf-8")
    with pytest.raises(ValueError, match="has format 2; this version reads format 1"):
        read_report(tmp_path)
    (tmp_path / REPORT_FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="has format None"):
        read_report(tmp_path)
    write_report(tmp_path, REPORT)
    raw = json.loads((tmp_path / REPORT_FILE).read_text(encoding="utf-8"))
    (tmp_path / REPORT_FILE).write_text(json.dumps({**raw, "kind": "magic"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"is damaged: .*kind"):
        read_report(tmp_path)


def test_missing_and_cut_files_are_named(tmp_path):
    write_report(tmp_path, REPORT)
    with pytest.raises(ValueError, match=r"is damaged: vectors\.npy is missing and should have 3"):
        read_report(tmp_path)
    (tmp_path / "vectors.npy").write_bytes(b"ab")
    with pytest.raises(ValueError, match=r"is damaged: vectors\.npy has 2 bytes and should have 3"):
        read_report(tmp_path)
