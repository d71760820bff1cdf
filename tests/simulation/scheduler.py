"""A virtual clock, and processes that take turns: the simulation has no threads and never sleeps."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from greenlet import getcurrent, greenlet

# 2026-01-01, in seconds since 1970. Every history begins at this time, so histories repeat each other's times.
START = 1767225600.0


class Killed(BaseException):
    """The process has to end at once. It must not do anything any more."""


class Process:
    """A function that runs until it waits. An error that it raises ends the simulation."""

    def __init__(self, scheduler: Scheduler, name: str, function: Callable[[], object]) -> None:
        self.name, self.is_over, self.is_killed = name, False, False
        self.on_end: list[Callable[[], object]] = []
        self._scheduler, self._function = scheduler, function
        self._greenlet = greenlet(self._run, scheduler.hub)

    def _run(self, _: object = None) -> None:
        try:
            self._function()
        except Killed:
            self.is_killed = True
        self.is_over = True
        self._notify()

    def _notify(self) -> None:
        for notify in self.on_end:
            self._scheduler.at(self._scheduler.now, notify)
        # What is over holds nothing, so that nothing is held in a circle.
        self.on_end.clear()
        del self._function

    def resume(self, value: object = None) -> None:
        """Continues a process that waits; one that is over stays so. Only the scheduler's own turn may call it."""
        if not self.is_over:
            before, self._scheduler.running = self._scheduler.running, self
            self._greenlet.switch(value)
            self._scheduler.running = before

    def kill(self) -> None:
        """Ends the process where it waits. A call that it has made still arrives."""
        if self.is_over or self.is_killed:
            return
        self.is_killed = True
        if not self._greenlet:
            self.is_over = True
            self._notify()
            return
        before, self._scheduler.running = self._scheduler.running, self
        # What runs while the process unwinds has no effect: see Scheduler.wait.
        self._greenlet.parent = getcurrent()
        self._greenlet.throw(Killed)
        self._greenlet.parent = self._scheduler.hub
        self._scheduler.running = before


class Gate:
    """Something for which a process waits once."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler, self._process = scheduler, process
        self._is_open = self._is_waiting = False

    def open(self) -> None:
        self._is_open = True
        if self._is_waiting:
            self._is_waiting = False
            self._process.resume()

    def wait(self) -> None:
        if not self._is_open:
            self._is_waiting = True
            self._scheduler.wait()


class Scheduler:
    """Actions in the order of their times; those of the same time in the order in which they were added."""

    def __init__(self) -> None:
        self.now = START
        self.hub = getcurrent()
        self.running: Process | None = None
        self.processes: list[Process] = []
        self._actions: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()
        self._until = float("inf")

    def at(self, time: float, action: Callable[..., object], *arguments: Any) -> None:
        heappush(self._actions, (time, next(self._numbers), action, arguments))

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        heappush(self._actions, (self.now + seconds, next(self._numbers), action, arguments))

    def spawn(self, name: str, function: Callable[[], object], delay: float = 0) -> Process:
        """Starts a process after ``delay`` seconds."""
        process = Process(self, name, function)
        self.processes.append(process)
        self.after(delay, process.resume)
        return process

    def run(self, until: float = float("inf")) -> None:
        """Takes actions until none is left, or the time is reached."""
        actions, self._until = self._actions, until
        while actions and actions[0][0] <= until:
            self.now, _, action, arguments = heappop(actions)
            action(*arguments)

    def end(self) -> None:
        """Ends all processes, so that none outlives the history."""
        self._actions.clear()
        for process in self.processes:
            process.kill()
        self.processes.clear()

    # --- For processes ----------------------------------------------------------------------------------------

    def _current(self) -> Process:
        process = self.running
        if process is None or process.is_killed:
            raise Killed
        return process

    def wait(self) -> Any:
        """Lets the others run until somebody resumes this process."""
        self._current()
        return self.hub.switch()

    def _has_advanced(self, seconds: float) -> bool:
        """Moves the clock if nothing else happens until then, so that the process that runs now can go on at once."""
        time = self.now + seconds
        if time > self._until or (self._actions and self._actions[0][0] <= time):
            return False
        self.now = time
        return True

    def sleep(self, seconds: float) -> None:
        process = self._current()
        if not self._has_advanced(seconds):
            self.after(seconds, process.resume)
            self.hub.switch()

    def gate(self) -> Gate:
        """A gate for the process that runs now."""
        return Gate(self, self._current())

    def join(self, process: Process) -> None:
        """Waits until another process is over."""
        if not process.is_over:
            over = self.gate()
            process.on_end.append(over.open)
            over.wait()

    def request(self, before: float, after: float, act: Callable[[], object]) -> Any:
        """Has ``act`` done after some seconds, and waits for its result, or its error, for some more. It is done even
        if the process is killed meanwhile: nobody can take back a call.
        """
        process = self._current()
        if self._has_advanced(before):
            try:
                answer = act()
            except Exception:
                self.sleep(after)
                raise
            self.sleep(after)
            return answer
        self.after(before, self._arrive, process, after, act)
        value, error = self.hub.switch()
        if error is None:
            return value
        try:
            raise error
        finally:
            # An error whose frames hold it is not freed at once.
            del error

    def _arrive(self, process: Process, after: float, act: Callable[[], object]) -> None:
        try:
            outcome: tuple[object, Exception | None] = act(), None
        except Exception as error:  # noqa: BLE001 - it is the caller's
            outcome = None, error
        self.after(after, process.resume, outcome)
        # As above.
        del outcome
