"""Logs and metrics: structured lines on standard error, Prometheus counters. Nothing leaves the machine."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

_REQUESTS = Counter("footnote_requests_total", "HTTP requests.", ["method", "route", "status"], registry=REGISTRY)
_SECONDS = Histogram("footnote_request_seconds", "Time to answer a request.", ["method", "route"], registry=REGISTRY)
_ANSWERS = Counter("footnote_answers_total", "Answers by status and reason.", ["status", "reason"], registry=REGISTRY)
_DEGRADED = Counter("footnote_degraded_total", "Answers given without one of their parts.", ["part"], registry=REGISTRY)
_STEP_SECONDS = Histogram(
    "footnote_answer_step_seconds", "Time of each step of answering.", ["step"], registry=REGISTRY
)
_DOCUMENTS = Counter("footnote_ingested_total", "Documents ingested, by outcome.", ["outcome"], registry=REGISTRY)
_CLIENTS_LEFT = Counter("footnote_streams_abandoned_total", "Streams whose client left early.", registry=REGISTRY)
READY = Gauge("footnote_ready", "1 when a part of the service is ready, 0 when not.", ["part"], registry=REGISTRY)


def configure_logging(log_format: str, *, level: str = "INFO") -> None:
    """Send log lines to standard error, as ``text`` for people or ``json`` for machines."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        # Plain traces: the pretty ones print local variables, and with them keys, questions and documents.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if log_format == "json" else structlog.processors.StackInfoRenderer(),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one HTTP request."""
    _REQUESTS.labels(method, route, str(status)).inc()
    _SECONDS.labels(method, route).observe(seconds)


def observe_answer(status: str, reason: str | None, degraded: tuple[str, ...], timings_ms: dict[str, float]) -> None:
    """Count one answer, the parts it lacked, and the time of its steps."""
    _ANSWERS.labels(status, reason or "").inc()
    for part in degraded:
        _DEGRADED.labels(part).inc()
    for step, milliseconds in timings_ms.items():
        _STEP_SECONDS.labels(step).observe(milliseconds / 1000)


def observe_ingested(outcome: str) -> None:
    """Count one document that ingestion has decided on."""
    _DOCUMENTS.labels(outcome).inc()


def observe_abandoned_stream() -> None:
    """Count a stream whose client left before its end."""
    _CLIENTS_LEFT.inc()


def render_metrics() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
