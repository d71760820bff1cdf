"""The interval at which commands ask for changes. AWS bills most of these requests and limits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filecopy.stack.stack import Stack

# Seconds between two looks.
INTERVAL_ON_AWS = 1.0
INTERVAL_ON_EMULATOR = 0.1

# Requests a second of one kind. Step Functions refills GetExecutionHistory at 20 a second
# (developer guide, "Quotas"), so this leaves some to others in the account.
REQUESTS_A_SECOND_ON_AWS = 10.0


@dataclass
class Pause:
    """The pause after a look."""

    requests: int = 1
    """Number of requests of the look. After many, the pause is longer."""


@dataclass(frozen=True)
class Poller:
    """Waits between looks, always as long as the engine needs."""

    interval: float
    """Seconds."""
    requests_a_second: float | None = None
    """Limit of a look that makes several requests; ``None`` for no limit."""

    @classmethod
    def of(cls, stack: Stack) -> Poller:
        """The poller for the engine that the stack runs on."""
        if stack.clients.is_emulator:
            return cls(INTERVAL_ON_EMULATOR)
        return cls(INTERVAL_ON_AWS, REQUESTS_A_SECOND_ON_AWS)

    def looks(self, timeout: float | None = None, *, wait: Callable[[float], object] | None = None) -> Iterator[Pause]:
        """Yield once for each look that is due: at first immediately, then after each interval.

        Args:
            timeout: seconds until there are no more looks; ``None`` for no end. There is a last look after that time.
            wait: waits the seconds that it is given; there are no more looks if it returns true, as an event's
                ``wait`` does once the event is set.

        Yields:
            The pause after the look. A look that makes several requests sets their number.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            is_last = deadline is not None and time.monotonic() >= deadline
            pause = Pause()
            yield pause
            if is_last or (wait or time.sleep)(self._seconds(pause)):
                return

    def pace(self) -> None:
        """Wait after one of many requests, so that together they are not more a second than the engine allows."""
        if self.requests_a_second:
            time.sleep(1 / self.requests_a_second)

    def _seconds(self, pause: Pause) -> float:
        return max(self.interval, pause.requests / self.requests_a_second if self.requests_a_second else 0)
