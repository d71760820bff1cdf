"""One history: people act and faults happen, then faults end, and everything comes to rest."""

from __future__ import annotations

from dataclasses import dataclass

from . import functions
from .choices import Choices, Made, shrink
from .invariants import Invariants, ViolationError
from .people import People
from .scheduler import START
from .stack import Stack
from .stepfunctions import StateMachine
from .trace import Trace
from .world import World

# Seconds after which faults end. Leases of the executions that died before may still hold up others.
CALM_AFTER = 6 * 3600.0


@dataclass(frozen=True)
class Outcome:
    """How a history ended: the invariant that it broke, if any, and the choices that it made."""

    problem: str | None
    made: Made
    world: World


def run(
    stack: Stack,
    machine: StateMachine,
    *,
    seed: int | None = None,
    made: Made | None = None,
    trace: Trace | None = None,
) -> Outcome:
    """Lets the history of a seed happen, or that of choices that were made."""
    choices = Choices(seed, made)
    world = World(stack, machine, choices, trace)
    people = People(world)
    invariants = Invariants(world, people)
    problem = None
    with functions.of_world(world):
        people.begin()
        try:
            world.scheduler.run(until=START + CALM_AFTER)
            people.heal()
            world.scheduler.run()
            # Operators act on alarms. What is no event fails again.
            for queue in world.stack.queues.values():
                if queue.dead_letters:
                    world.redrive(queue)
            world.scheduler.run()
            invariants.check_at_rest()
        except ViolationError as violation:
            problem = str(violation)
            world.trace("invariant", problem)
        world.scheduler.end()
    return Outcome(problem, choices.made, world)


def shortest(stack: Stack, machine: StateMachine, outcome: Outcome) -> Made:
    """The fewest choices that break the same invariant."""
    assert outcome.problem
    kind = outcome.problem.partition(":")[0]

    def fails(made: Made) -> Made | None:
        found = run(stack, machine, made=made)
        return found.made if found.problem and found.problem.partition(":")[0] == kind else None

    return shrink(outcome.made, fails)
