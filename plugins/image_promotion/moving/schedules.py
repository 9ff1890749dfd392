"""When imported policies run: cron expressions of other dialects, and intervals, as cron."""

from __future__ import annotations

import re
from datetime import timedelta

EVERY_FIVE_MINUTES = "*/5 * * * *"

_HOUR_MINUTES = 60
_DAY_HOURS = 24
_WITH_SECONDS = 6

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")
_EVERY = re.compile(r"@every\s+(\S+)")
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(w|d|h|ms|m|s|us|ns)")
_GO_UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
    "ns": timedelta(),  # less than a policy can say
}
_MAX_CHARACTERS = 40


def parse_duration(text: str) -> timedelta | None:
    """Read a duration as Go writes it, or in days or weeks.

    Args:
        text: Such as ``1h30m``, ``720h0m0s`` or ``7d``.

    Returns:
        The duration; None when it is none, or is zero.

    Source: Go, ``time.ParseDuration``; days and weeks are ours.
    """
    parts = list(_GO_PART.finditer(text)) if len(text) <= _MAX_CHARACTERS else []
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    try:
        total = sum((float(part[1]) * _GO_UNITS[part[2]] for part in parts), timedelta())
    except OverflowError:
        return None
    return total or None


def cron_of_interval(interval: timedelta) -> tuple[str, bool]:
    """Return the cron expression for an interval.

    Args:
        interval: The interval.

    Returns:
        The expression, and whether it means the same; if not it runs more often: a cron expression
        begins anew each hour and each day.
    """
    minutes = max(int(interval.total_seconds()) // 60, 1)
    exact = interval == timedelta(minutes=minutes)
    if minutes < _HOUR_MINUTES:
        step = _divisor(_HOUR_MINUTES, minutes)
        expression = "* * * * *" if step == 1 else f"*/{step} * * * *"
        return expression, exact and step == minutes
    hours = minutes // _HOUR_MINUTES
    exact = exact and minutes % _HOUR_MINUTES == 0
    if hours < _DAY_HOURS:
        step = _divisor(_DAY_HOURS, hours)
        return ("0 * * * *" if step == 1 else f"0 */{step} * * *"), exact and step == hours
    return "0 0 * * *", exact and hours == _DAY_HOURS


def _divisor(whole: int, most: int) -> int:
    return next(step for step in range(most, 0, -1) if whole % step == 0)


def cron_of(text: str) -> tuple[str, str, str | None]:
    """Turn a cron expression of Go's cron library into one of ours.

    Args:
        text: Five fields, or six with the seconds first, or ``@daily`` and its like, or
            ``@every 1h``; a zone may stand before it.

    Returns:
        The expression, unchecked; the time zone; and what is different, None for nothing.

    Source: robfig/cron 3, "CRON Expression Format" and "Predefined schedules".
    """
    text = text.strip()
    zone = "UTC"
    if prefix := _ZONE.match(text):
        zone, text = prefix[1], text[prefix.end() :]
    if every := _EVERY.fullmatch(text):
        interval = parse_duration(every[1])
        if interval is None:
            return text, zone, None
        expression, exact = cron_of_interval(interval)
        return expression, zone, None if exact else f"it runs by {expression} instead"
    # A question mark is another star; of several fields, where there are six, seconds come first.
    fields = ["*" + each[1:] if each.startswith("?") else each for each in text.split()]
    said = None
    if len(fields) == _WITH_SECONDS:
        if fields[0] != "0":
            said = "seconds are not kept: it runs once in each of these minutes"
        fields = fields[1:]
    return " ".join(fields), zone, said
