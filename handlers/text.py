"""Text for people, made of what other people chose."""

from __future__ import annotations

# SNS API reference, Publish: a subject is ASCII and shorter than 100 characters.
_MAX_SUBJECT_LENGTH = 99


def printable(value: str) -> str:
    """``value`` on one line: a key cannot forge a line of its own, move a terminal's cursor, or turn text around."""
    return "".join(character if character.isprintable() else "?" for character in value)


def required(value: object) -> str:
    """``value`` as a text that something can be called.

    Raises:
        TypeError: it is none, or empty.
        ValueError: it has half a character, which JSON can hold and nothing else.
    """
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r:.100} is not a text")
    value.encode()
    return value


def optional(value: object) -> str | None:
    """``value`` as :func:`required` has it, or ``None`` where it is that."""
    return None if value is None else required(value)


def subject(value: str) -> str:
    """``value`` as a subject that SNS takes."""
    return printable(value).encode("ascii", "replace").decode()[:_MAX_SUBJECT_LENGTH]
