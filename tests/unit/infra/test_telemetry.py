"""Log lines say what happened, and nothing that was asked, stored or secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from infra.telemetry import configure_logging, observe_answer, observe_request, render_metrics


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def crash(log_format: str) -> None:
    secret = "fn_" + "hidden" * 3
    configure_logging(log_format)
    try:
        raise ValueError(len(secret))
    except ValueError as error:
        structlog.get_logger().error("request.crashed", exc_info=error)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_trace_shows_no_local_variables(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    crash(log_format)
    written = capsys.readouterr()
    assert "request.crashed" in written.err
    assert "ValueError: 21" in written.err
    assert "hiddenhidden" not in written.err
    assert written.out == ""


def test_json_lines_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", level="WARNING")
    log = structlog.get_logger()
    log.info("quiet")
    log.warning("loud", number=3)
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["event"], found["level"], found["number"]) == ("loud", "warning", 3)
    assert sys.stderr is not None


def test_metrics_are_counted_by_their_labels() -> None:
    observe_request("GET", "/test-only", 200, 0.01)
    observe_answer("abstained", "no_evidence", ("generator",), {"encode": 5.0})
    text = render_metrics().decode()
    assert 'footnote_requests_total{method="GET",route="/test-only",status="200"} 1.0' in text
    assert 'footnote_answers_total{reason="no_evidence",status="abstained"}' in text
    assert 'footnote_degraded_total{part="generator"}' in text
