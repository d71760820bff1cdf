"""Formatting of everything that commands print: styles, signs, sizes, times, and text that other people chose."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape

from filecopy.executions.model import NOT_RECORDED, Copy, Outcome, State
from filecopy.executions.names import parse_json
from handlers.text import printable

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

# The styles and signs of statuses of records, executions, states and copies. All others are failures.
_STYLES = {
    "COMPLETED": "green",
    "SUCCEEDED": "green",
    "PARTIAL_FAILURE": "yellow",
    "CAUGHT": "yellow",
    "IN_PROGRESS": "cyan",
    "RUNNING": "cyan",
    Outcome.COPIED: "green",
    Outcome.UNDER_WAY: "cyan",
    Outcome.WAITING: "",
    Outcome.NOT_TRIED: "",
    Outcome.UNKNOWN: "",
}
_SIGNS = {
    "SUCCEEDED": "✔",
    "RUNNING": "…",
    "CAUGHT": "!",
    Outcome.COPIED: "✔",
    Outcome.UNDER_WAY: "…",
    Outcome.WAITING: "…",
    Outcome.NOT_TRIED: "○",
    Outcome.UNKNOWN: "?",
}
GOOD, BAD, BUSY = "[green]✔[/]", "[red]✘[/]", "[cyan]…[/]"


# --- Text -------------------------------------------------------------------------------------------------------


def shown(text: object) -> str:
    """The text on one line, as markup, without characters that a terminal obeys. Other people choose keys."""
    return escape(printable(str(text)))


def style_of(status: str) -> str:
    return _STYLES.get(status, "red")


def sign_of(status: str) -> str:
    return _SIGNS.get(status, "✘")


def styled(status: str) -> str:
    """The status in its colour, as markup."""
    return f"[{_STYLES.get(status, 'red')}]{shown(status)}[/]"


def to_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON: numbers as numbers, times in ISO 8601."""

    def convert(other: object) -> object:
        if isinstance(other, Decimal):
            return int(other) if other == other.to_integral_value() else float(other)
        if isinstance(other, datetime):
            return other.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        raise TypeError(f"{other!r:.100} is not of JSON")

    # ASCII, so that a key has no character that a terminal obeys.
    return json.dumps(value, default=convert, indent=indent)


def pretty(text: str | None) -> str:
    """A JSON text with one member a line, without characters that a terminal obeys or that reverse text.

    Members are sorted, because AWS returns them in no particular order.
    """
    if text is None:
        return NOT_RECORDED
    document = json.dumps(parse_json(text), indent=2, ensure_ascii=False, sort_keys=True)
    return "\n".join(printable(line) for line in document.split("\n"))


# --- Numbers and times ------------------------------------------------------------------------------------------


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """The number and the noun: ``1 file``, ``2,000 files``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """A duration, such as ``0.123 s``, ``12.3 s``, ``1 min 05 s`` or ``2 h 03 min``."""
    if seconds < 60:
        return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def between(since: datetime | None, until: datetime | None) -> str:
    """The duration between two times."""
    return NOT_RECORDED if since is None or until is None else duration((until - since).total_seconds())


def size(count: float) -> str:
    """A number of bytes, such as ``12 bytes`` or ``1.2 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def local(time: datetime) -> str:
    """The time in the reader's own zone, to the second, with its offset. ``--since`` takes it in this form."""
    return time.astimezone().isoformat(" ", "seconds")


def moment(time: datetime) -> str:
    """The time in UTC, to the millisecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


# --- Copies and states ------------------------------------------------------------------------------------------


def error_text(error: str | None, cause: str | None) -> str:
    return ": ".join(part for part in (error, cause) if part)


def tries(state: State) -> str:
    """The number of attempts of a state; for a Map without recorded iterations, the calls inside it."""
    if state.calls is not None:
        return f"{counted(state.calls.scheduled, 'call')} inside, {state.calls.failed} failed"
    return str(len(state.attempts)) if state.attempts else ""


def attempts_of(copy: Copy) -> str:
    """The number of attempts of a copy, and of runs if there were several."""
    attempts = NOT_RECORDED if copy.attempts is None else str(len(copy.attempts))
    return f"{attempts}, {copy.runs} runs" if copy.runs and copy.runs > 1 else attempts


def compared_by(check: str | None) -> str:
    """The way a copy was verified; empty if there is no copy."""
    return "not compared" if check == "none" else check or ""
