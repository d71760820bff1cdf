"""The schedule that calls notification-digest once a minute."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from . import functions
from .functions import Run
from .jsonata import iso
from .scheduler import START

if TYPE_CHECKING:
    from .world import World

INTERVAL = 60.0

# Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": two more attempts, the
# first after a minute, the second after two.
_ATTEMPTS = 3


class Schedule:
    """Calls the function in each minute in which its queue has messages. Other calls would do nothing."""

    def __init__(self, world: World) -> None:
        [(expression, function)] = world.stack.schedules
        assert expression == "rate(1 minute)"
        self._world, self._function = world, world.stack.functions[function]
        self._queue = self._function.environment["QUEUE_URL"].rpartition("/")[2]
        self.topic = self._function.environment["TOPIC_ARN"]
        self._is_due = False
        self.calls: dict[str, float] = {}
        """The time of the event of each run."""
        self.repeats = 0
        """How often a notification may be in more than one message: runs that failed, answers that were lost, and
        messages and calls that came twice."""

    def wake(self, queue: str) -> None:
        """Has the function be called in the next minute, if this is its queue."""
        if queue == self._queue and not self._is_due:
            self._is_due = True
            minutes = (self._world.scheduler.now - START) // INTERVAL
            self._world.scheduler.at(START + (minutes + 1) * INTERVAL, self._call)

    def _call(self) -> None:
        self._is_due = False
        if not self._world.sqs.queues[self._queue].messages:
            return
        self.wake(self._queue)
        times = 1 + self._world.faults.has("twice", "schedule")
        self.repeats += times - 1
        for _ in range(times):
            delay = self._world.message_delay("schedule")
            self._world.scheduler.after(delay, partial(self._invoke, self._world.scheduler.now))

    def _invoke(self, time: float, attempt: int = 1) -> None:
        if self._world.faults.is_unavailable("lambda", self._function.region, self._world.scheduler.now):
            return
        name = f"{self._function.name}-{len(self.calls) + 1}"
        self.calls[name] = time
        run = functions.invoke(self._function, {"time": iso(time)}, name)
        assert run.process is not None
        run.process.on_end.append(lambda: self._after(run, time, attempt))

    def _after(self, run: Run, time: float, attempt: int) -> None:
        if run.has_succeeded:
            return
        self.repeats += 1
        if attempt < _ATTEMPTS:
            self._world.scheduler.after(attempt * INTERVAL, partial(self._invoke, time, attempt + 1))
