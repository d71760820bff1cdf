"""Many histories, in this process or in several, and what they showed."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

from . import coverage, functions, history
from .choices import Made
from .stack import deployed
from .stepfunctions import StateMachine
from .trace import Trace

# Branches of handlers/ are counted in one of so many histories, because that takes as long as the history itself.
WATCHED_EVERY = 50
# Seeds that one process runs at a time. The search for garbage at their end takes a quarter of a second.
_CHUNK = 500


@dataclass
class Summary:
    """What some histories showed."""

    histories: int = 0
    problems: dict[int, str] = field(default_factory=dict)
    """The invariants that were broken, by seed."""
    entered: Counter[str] = field(default_factory=Counter)
    """States, catchers, retriers and rules of Choices."""
    faults: Counter[str] = field(default_factory=Counter)
    branches: Counter[coverage.Branch] = field(default_factory=Counter)
    seconds: float = 0
    """Of processor time."""

    def add(self, other: Summary) -> None:
        self.histories += other.histories
        self.problems |= other.problems
        self.entered += other.entered
        self.faults += other.faults
        self.branches += other.branches
        self.seconds += other.seconds


@cache
def machine() -> StateMachine:
    """The deployed definition, compiled. It remembers what its expressions gave, so all histories share it."""
    return StateMachine(deployed().definition)


def run_seeds(seeds: Iterable[int]) -> Summary:
    """Runs the histories of these seeds."""
    summary, began = Summary(), time.process_time()
    coverage.entered.clear()
    with functions.installed(deployed()):
        for seed in seeds:
            functions.is_watched = seed % WATCHED_EVERY == 0
            outcome = history.run(deployed(), machine(), seed=seed)
            sys.settrace(None)
            summary.histories += 1
            summary.entered += outcome.world.engine.entered
            summary.faults += outcome.world.faults.happened
            if outcome.problem:
                summary.problems[seed] = outcome.problem
            outcome.world.close()
    functions.is_watched = False
    summary.branches += coverage.entered
    summary.seconds = time.process_time() - began
    return summary


def run_in_processes(seeds: range, processes: int, show: Callable[[Summary], None] = lambda _: None) -> Summary:
    """Runs the histories of these seeds in several processes.

    Args:
        show: is called with each part of the summary as soon as it is there.
    """
    summary = Summary()
    chunks = [seeds[first : first + _CHUNK] for first in range(0, len(seeds), _CHUNK)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for found in pool.imap_unordered(run_seeds, chunks):
            summary.add(found)
            show(found)
    return summary


def story(seed: int) -> str:
    """The shortest history that breaks the same invariant as that of the seed; if it breaks none, its own."""
    with functions.installed(deployed()):
        outcome = history.run(deployed(), machine(), seed=seed)
        made = history.shortest(deployed(), machine(), outcome) if outcome.problem else outcome.made
    return told(made)


def told(made: Made) -> str:
    """The story of the history that makes these choices."""
    trace = Trace()
    with functions.installed(deployed()):
        outcome = history.run(deployed(), machine(), made=made, trace=trace)
    choices = "".join(f"    {choice!r}: {number},\n" for choice, number in made.items())
    return f"Choices: {{\n{choices}}}\n\n{trace}\n\n{outcome.problem or 'No invariant is broken.'}"
