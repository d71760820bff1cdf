"""What was measured, as tables for a terminal. Ratios come first: times are of this machine in this hour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from .destinations import Destinations
from .prices import PRICES, Way, other_ways
from .starts import FLOOR, Start
from .throughput import CONTENT, Burst, Single

# Dollars are shown for these numbers of destinations, where they were measured.
PRICED = (1, 2, 10, 100)


def of_single(single: Single) -> Table:
    table = _table(f"One file at a time, {single.files} files of {len(CONTENT):,} bytes", "upload to COMPLETED")
    table.add_row("median", f"{single.median:.2f} s")
    table.add_row("95th percentile", f"{single.p95:.2f} s")
    return table


def of_bursts(bursts: Sequence[Burst]) -> Table:
    table = _table(
        f"Bursts, {bursts[0].destinations} destinations, files of {len(CONTENT):,} bytes",
        "files",
        "times plain copies",
        "times bare executions",
        "files a second",
        "lost",
        "COMPLETED after",
        "uploaded after",
        "queue then",
        "emulator, peak",
        "functions",
    )
    for burst in bursts:
        memory = burst.memory
        table.add_row(
            f"{burst.files:,}",
            f"{burst.times_plain_copies:.1f}",
            f"{burst.times_bare_executions:.1f}",
            f"{burst.files_per_second:.1f}",
            str(burst.lost),
            f"{burst.completed:.1f} s",
            f"{burst.uploaded:.1f} s",
            f"{burst.waiting:,}",
            f"{memory.emulator:.0f}, {memory.emulator_peak:.0f} MiB" if memory else "not known",
            f"{memory.functions:.0f} MiB" if memory else "not known",
        )
    return table


def of_destinations(found: Sequence[Destinations]) -> Table:
    table = _table(
        "One file, ever more destinations",
        "destinations",
        "times plain copies",
        "until COMPLETED",
        "a destination",
        "transitions",
        "$ a million files",
    )
    for one in found:
        way = one.way()
        table.add_row(
            str(one.destinations),
            f"{one.times_plain_copies:.1f}",
            f"{one.seconds:.2f} s",
            f"{one.seconds / one.destinations * 1000:.0f} ms",
            str(one.transitions),
            f"{way.dollars:,.0f}" if way else "not priced",
        )
    return table


def of_costs(found: Sequence[Destinations]) -> Table:
    """What a million files cost, by what is paid for, the dearest first."""
    shown = _priced(found)
    table = _table("$ a million files, by what is paid for", "", *(f"to {one.destinations}" for one in shown))
    dollars = [one.dollars() for one in shown]
    for name in sorted(dollars[-1], key=dollars[-1].__getitem__, reverse=True):
        table.add_row(PRICES[name].unit, *(f"{each[name]:,.2f}" for each in dollars))
    return table


def of_ways(found: Sequence[Destinations]) -> Table:
    """The workflow beside AWS's own ways to copy."""
    table = _table(
        "Ways to copy a million files within a region",
        "destinations",
        "way",
        "$ for the files",
        "and $ a GB",
        "the workflow costs less above",
    )
    for one in _priced(found):
        workflow = one.way()
        assert workflow is not None
        for way in (workflow, *other_ways(one.destinations)):
            table.add_row(
                str(one.destinations),
                way.name,
                f"{way.dollars:,.0f}",
                f"{way.dollars_per_gb:.3f}",
                _break_even(workflow, way),
            )
    return table


def of_starts(starts: Sequence[Start]) -> Table:
    floor = next(start.seconds for start in starts if start.name == FLOOR)
    table = _table("Imports before a function's first event", "", "times import boto3", "time", "memory", "package")
    for start in starts:
        size = "" if start.package_bytes is None else f"{start.package_bytes:,} bytes"
        table.add_row(
            start.name,
            f"{start.seconds / floor:.2f}",
            f"{start.seconds * 1000:.0f} ms",
            f"{start.peak:.0f} MiB",
            size,
        )
    return table


def _priced(found: Sequence[Destinations]) -> list[Destinations]:
    return [one for one in found if one.destinations in PRICED and one.usage]


def _break_even(workflow: Way, other: Way) -> str:
    if other is workflow:
        return ""
    size = workflow.dearer_below(other)
    return "no size" if size is None else f"{size:,.1f} MB a file"


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    if not others:
        table.add_column("", justify="right")
    return table
