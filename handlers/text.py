"""Strings that people read, strings that other people chose, and times in records."""

from __future__ import annotations

from datetime import UTC, datetime

# SNS API reference, Publish: a subject is ASCII and shorter than 100 characters.
_MAX_SUBJECT_LENGTH = 99


def printable(value: str) -> str:
    """``value`` on one line, so that a key cannot forge a line, move a terminal's cursor, or reverse text."""
    return "".join(character if character.isprintable() else "?" for character in value)


def iso(time: datetime) -> str:
    """A time as records have it: ISO 8601, UTC, with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def count(number: int, noun: str) -> str:
    """``1 byte``, ``2 bytes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def required(value: object) -> str:
    """``value``, if it is a string that can be a name.

    Raises:
        TypeError: it is not a string, or is empty.
        ValueError: it has half of a surrogate pair, which only JSON can hold.
    """
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r:.100} is not a string, or is empty")
    value.encode()
    return value


def optional(value: object) -> str | None:
    """``None``, or ``value`` as :func:`required` returns it."""
    return None if value is None else required(value)


def subject(value: str) -> str:
    """``value`` as a subject that SNS accepts."""
    return printable(value).encode("ascii", "replace").decode()[:_MAX_SUBJECT_LENGTH]
