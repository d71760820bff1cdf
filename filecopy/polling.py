"""When commands ask AWS for changes. AWS bills most of these requests, and limits all of them for the whole account."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filecopy.stack.stack import Stack

# Seconds between two looks.
INTERVAL_ON_AWS = 1.0
INTERVAL_ON_EMULATOR = 0.1

# Requests a second of all open pages of the console together.
PAGE_REQUESTS_ON_AWS = 2.0
# Seconds between two looks. A page of an emulator should not keep a processor busy.
PAGE_INTERVAL_ON_EMULATOR = 0.4


@dataclass(frozen=True)
class Quota:
    """A quota of an account for one action: a bucket of requests, and how many a second flow into it."""

    bucket: float
    refill: float


# Step Functions developer guide, "Step Functions service quotas": the quotas of the smallest regions. The large regions
# have up to two and a half times as much.
QUOTAS = {
    "DescribeExecution": Quota(250, 10),
    "DescribeStateMachineForExecution": Quota(200, 1),
    "GetExecutionHistory": Quota(400, 20),
    "ListExecutions": Quota(100, 2),
}

SHARE = 0.2
"""The share of a quota that one command uses. The rest is for execution-watcher, the console and other people."""


class RequestLimit:
    """Makes requests wait, so that one command uses at most its share of each quota. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}

    def watch(self, client: Any) -> None:
        """Make every request of a Step Functions client wait until it is due."""
        client.meta.events.register("before-parameter-build.sfn", lambda model, **_: self.wait(model.name))

    def wait(self, action: str) -> None:
        """Wait until the next request of this action is due. The first ones, a share of the bucket, do not wait."""
        if action not in QUOTAS:
            return
        quota = QUOTAS[action]
        with self._lock:
            now = time.monotonic()
            # A bucket that is full is as good as having waited for all of it.
            due = max(self._due.get(action, -math.inf), now - quota.bucket / quota.refill)
            self._due[action] = due + 1 / (SHARE * quota.refill)
        if due > now:
            time.sleep(due - now)


@dataclass(frozen=True)
class Poller:
    """Waits between looks, as long as the engine needs."""

    interval: float
    """Seconds."""

    @classmethod
    def of(cls, stack: Stack) -> Poller:
        """The poller for the engine that the stack runs on."""
        return cls(INTERVAL_ON_EMULATOR if stack.clients.is_emulator else INTERVAL_ON_AWS)

    def looks(self, timeout: float | None = None, *, wait: Callable[[float], object] | None = None) -> Iterator[None]:
        """Yield once for each look that is due: at first immediately, then after each interval.

        Args:
            timeout: seconds until there are no more looks; ``None`` for no end. There is a last look after that time.
            wait: waits the seconds that it is given; there are no more looks if it returns true, as an event's
                ``wait`` does once the event is set.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            is_last = deadline is not None and time.monotonic() >= deadline
            yield
            if is_last or (wait or time.sleep)(self.interval):
                return


@dataclass(frozen=True)
class Pace:
    """How often pages are read that stay open."""

    interval: float
    """Seconds between two looks."""
    requests_a_second: float | None = None
    """Limit of all looks together; ``None`` for no limit."""

    @classmethod
    def of(cls, stack: Stack) -> Pace:
        """The pace for the engine that the stack runs on."""
        return (
            cls(PAGE_INTERVAL_ON_EMULATOR) if stack.clients.is_emulator else cls(INTERVAL_ON_AWS, PAGE_REQUESTS_ON_AWS)
        )

    def pause(self, requests: int) -> float:
        """Seconds to wait after a look that made so many requests."""
        return max(self.interval, requests / self.requests_a_second if self.requests_a_second else 0)

    def rest(self, requests: int) -> None:
        """Wait after a look that made so many requests."""
        time.sleep(self.pause(requests))
