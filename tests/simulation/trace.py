"""The story of a history, for people who read why it failed."""

from __future__ import annotations

from .scheduler import START


class Trace:
    """Lines of a history: when, who, what."""

    def __init__(self) -> None:
        self._lines: list[tuple[float, str, str]] = []

    def add(self, time: float, who: str, what: str) -> None:
        self._lines.append((time, who, what))

    def __str__(self) -> str:
        width = max((len(who) for _, who, _ in self._lines), default=0)
        return "\n".join(f"{_clock(time):>11}  {who:{width}}  {what}" for time, who, what in self._lines)


def _clock(time: float) -> str:
    """Hours, minutes and seconds since the beginning."""
    seconds = time - START
    return f"{int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{seconds % 60:04.1f}"
