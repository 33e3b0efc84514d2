"""Schedules: cron expressions, in UTC."""

from __future__ import annotations

from croniter import croniter

from infra.errors import FieldError, InvalidInput


def check_schedule(schedule: str) -> str:
    """Return ``schedule``, or raise ``InvalidInput`` if it is no cron expression (UTC; a sixth field, first, counts seconds)."""
    if not croniter.is_valid(schedule, second_at_beginning=True):
        message = "a cron expression in UTC such as '0 3 * * *' (every night at three) or '*/15 * * * *'"
        raise InvalidInput(
            f"Bad schedule {schedule!r}; allowed: {message}.",
            code="invalid_schedule",
            errors=(FieldError("schedule", message),),
        )
    return schedule
