"""What was measured, as tables for a terminal. Ratios come first: times are of this machine in this hour."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from .destinations import Destinations
from .parts import LIMIT_MIB, MIB, Large
from .prices import PRICES, Way, other_ways
from .starts import FLOOR, Start
from .throughput import CONTENT, Burst, Single, Took

# Dollars are shown for these numbers of destinations, where they were measured.
PRICED = (1, 2, 10, 100)


def of_single(single: Single) -> Table:
    table = _table(f"One file at a time, {single.files} files of {len(CONTENT):,} bytes", "upload to COMPLETED")
    table.add_row("median", f"{single.median:.2f} s")
    table.add_row("95th percentile", f"{single.p95:.2f} s")
    return table


def of_bursts(bursts: Sequence[Burst]) -> Table:
    """Of the floors, ratios of the time by the clock, and of the processor's, which other programs disturb less."""
    table = _table(
        f"Bursts, {bursts[0].destinations} destinations, files of {len(CONTENT):,} bytes",
        "files",
        "times plain copies",
        "by processor",
        "times bare executions",
        "by processor",
        "processor a file",
        "files a second",
        "lost",
    )
    for burst in bursts:
        table.add_row(
            f"{burst.files:,}",
            *_ratios(burst.completed, burst.plain_copies),
            *_ratios(burst.completed, burst.bare_executions),
            _known(burst.processor_of_a_file, lambda seconds: f"{seconds * 1000:.0f} ms"),
            f"{burst.files_per_second:.1f}",
            str(burst.lost),
        )
    return table


def of_course(bursts: Sequence[Burst]) -> Table:
    """How the bursts went. Memory is told in MiB, and where the system does not tell it, left out."""
    table = _table(
        "Course of the bursts, memory in MiB",
        "files",
        "uploaded after",
        "in the queue then",
        "COMPLETED after",
        "emulator",
        "its peak",
        "functions",
    )
    for burst in bursts:
        memory = burst.memory
        figures = (memory.emulator, memory.emulator_peak, memory.functions) if memory else ()
        table.add_row(
            f"{burst.files:,}",
            f"{burst.uploaded:.1f} s",
            f"{burst.waiting:,}",
            f"{burst.completed.seconds:.1f} s",
            *(f"{figure:,.0f}" for figure in figures),
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


def of_kept(found: Sequence[Destinations]) -> Table:
    """What is kept of a million files, and what that costs each month."""
    shown = _priced(found)
    table = _table("$ a month for a million files that were copied", "", *(f"to {one.destinations}" for one in shown))
    dollars = [one.dollars_a_month() for one in shown]
    for name in dollars[0]:
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
    table = _table(
        "Imports before a function's first event", "", "times import boto3", "processor", "memory", "package"
    )
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


def of_large(large: Large) -> Table:
    title = f"A file of {large.bytes // MIB} MiB, in {large.parts} parts by copy-worker, above {LIMIT_MIB} MiB"
    table = _table(title, "", "times one CopyObject", "time", "MiB a second")
    for name, seconds in (("in parts", large.seconds), ("one CopyObject", large.plain_copy)):
        rate = f"{large.bytes / MIB / seconds:,.0f}"
        table.add_row(name, f"{seconds / large.plain_copy:.1f}", f"{seconds:.2f} s", rate)
    table.add_row("an execution for a file of one byte", "", f"{large.small_seconds:.2f} s", "")
    return table


def _priced(found: Sequence[Destinations]) -> list[Destinations]:
    return [one for one in found if one.destinations in PRICED and one.usage]


def _ratios(took: Took, floor: Took) -> tuple[str, str]:
    processor = took.processor / floor.processor if took.processor and floor.processor else None
    return f"{took.seconds / floor.seconds:.1f}", _known(processor, "{:.1f}".format)


def _known(figure: float | None, show: Callable[[float], str]) -> str:
    return "not known" if figure is None else show(figure)


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
