"""Actions that people start from a page: each runs once, however often its button is pressed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from .reader import said


@dataclass(frozen=True)
class Action:
    """What is known of the actions on one thing, such as the retries of a file."""

    number: int = 0
    """The number of actions that were started. A button names it, so that it starts only the next one."""
    is_running: bool = False
    message: str = ""
    """The result of the latest one, in one sentence."""
    has_failed: bool = False


@dataclass
class Actions:
    """The actions of this run of the console."""

    _known: dict[tuple[str, str], Action] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, kind: str, target: str) -> Action:
        return self._known.get((kind, target), Action())

    def run(self, kind: str, target: str, number: int, act: Callable[[], str]) -> Action:
        """Run an action, unless it was started already.

        Args:
            number: of the action, as the button named it.
            act: acts, and returns the result in one sentence.
        """
        with self._lock:
            known = self.of(kind, target)
            if known.is_running or known.number != number:
                return known
            started = Action(number + 1, is_running=True)
            self._known[kind, target] = started
        ended = replace(started, is_running=False, has_failed=True)
        try:
            ended = replace(ended, message=act(), has_failed=False)
        except Exception as error:  # noqa: BLE001 - said() logs it
            ended = replace(ended, message=said(error))
        finally:
            with self._lock:
                self._known[kind, target] = ended
        return ended
