"""``make simulate``: many histories, and what they entered; or the story of one.

make simulate SEEDS=100000
make simulate SEED=17
"""

from __future__ import annotations

import argparse
import sys
import time

from . import coverage, many


def main() -> int:
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="the number of histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one history, told; if it breaks an invariant, the shortest that does")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        print(many.story(arguments.seed))
        return 0
    began = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    summary = many.run_in_processes(seeds, arguments.processes, _print_problems)
    minutes = (time.monotonic() - began) / 60
    _print_summary(summary, minutes)
    if summary.problems:
        first = min(summary.problems)
        print(f"\nThe shortest history of seed {first}, which make simulate SEED={first} tells again:\n")
        print(many.story(first))
    return 1 if summary.problems else 0


def _print_problems(found: many.Summary) -> None:
    for seed, problem in found.problems.items():
        print(f"Seed {seed}: {problem}", flush=True)


def _print_summary(summary: many.Summary, minutes: float) -> None:
    print("\nStates, and their Retry, Catch and Choices, with the times that they were entered:")
    for part in many.machine().parts():
        print(f"  {summary.entered[part]:>9,}  {part}")
    print(f"\nBranches of handlers/, entered in one history of {many.WATCHED_EVERY}:")
    for branch in sorted(coverage.branches()):
        print(f"  {summary.branches[branch]:>9,}  {branch[0]}.py:{branch[1]}  {coverage.source_line(branch)[:80]}")
    print("\nFaults:")
    for fault, count in summary.faults.most_common():
        print(f"  {count:>9,}  {fault}")
    print(
        f"\n{summary.histories:,} histories in {minutes:.1f} minutes: {summary.histories / minutes:,.0f} a minute, "
        f"with {1000 * summary.seconds / summary.histories:.1f} ms of processor time each. "
        f"{len(summary.problems)} of them broke an invariant."
    )


if __name__ == "__main__":
    sys.exit(main())
