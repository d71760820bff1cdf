"""``make bench`` on a small scale: that it measures, not how fast anything is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.bench import destinations, parts, starts, tables, throughput

from .system import System

pytestmark = pytest.mark.slow


def test_bursts_and_their_floors(open_system: System) -> None:
    """Every file of a burst arrives, and the workflow takes longer than its copies alone."""
    bare_machine = throughput.make_bare_machine(open_system)
    burst = throughput.measure_burst(open_system, 3, bare_machine)
    assert burst.lost == 0
    assert 0 < burst.uploaded <= burst.completed.seconds
    assert burst.completed.seconds > burst.plain_copies.seconds > 0
    assert burst.completed.processor is None or burst.completed.processor > 0
    assert burst.memory is None or 0 < burst.memory.emulator <= burst.memory.emulator_peak
    single = throughput.measure_single(open_system, 2)
    assert 0 < single.median <= single.p95
    shown = text_of(tables.of_bursts([burst]), tables.of_course([burst]), tables.of_single(single))
    assert f"{burst.files_per_second:.1f}" in shown


def test_file_that_did_not_arrive_is_lost(open_system: System) -> None:
    """A file that is missing in a destination, or is another there, is not counted as copied."""
    keys = throughput.upload(open_system, "counted", 3)
    assert throughput.complete(open_system, keys) == keys
    open_system.s3.put_object(Bucket=open_system.destinations[0], Key=keys[1], Body=b"something else")
    assert throughput.count_copied(open_system, keys) == 2


def test_transitions_and_costs_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file uses has a price. To more destinations than a stack names, it takes a transition more for each, and
    is not priced."""
    monkeypatch.setattr(destinations, "MOST_OF_A_STACK", 1)
    one, three = destinations.measure(1), destinations.measure(3)
    assert three.transitions == one.transitions + 2
    assert three.usage is None
    assert one.usage is not None
    assert one.usage["transitions"] == one.transitions
    assert one.usage["s3_writes"] == 1
    assert one.usage["lambda_requests"] > 1
    assert one.dollars()["transitions"] == pytest.approx(25 * one.transitions)
    assert one.dollars()["log_gb"] > 0
    shown = text_of(tables.of_destinations([one, three]), tables.of_costs([one, three]), tables.of_ways([one, three]))
    assert "not priced" in shown
    assert "S3 Replication, Time Control" in shown


def test_large_file_in_parts() -> None:
    """It is copied in parts, and timed beside one CopyObject of the same."""
    large = parts.measure(6 * parts.MIB)
    assert large.parts == 2
    assert min(large.seconds, large.small_seconds, large.plain_copy) > 0
    assert "in 2 parts" in text_of(tables.of_large(large))


def test_imports_of_every_function() -> None:
    """Each function is measured from its own package, beside the floors, which have none."""
    found = {start.name: start for start in starts.measure(runs=1)}
    assert {"replication-worker", "regional-sync", starts.FLOOR, starts.FLOOR_WITH_CLIENT} <= found.keys()
    assert all(start.seconds > 0 for start in found.values())
    assert {name for name, start in found.items() if start.package_bytes is None} == {
        starts.FLOOR,
        starts.FLOOR_WITH_CLIENT,
    }
    assert "times import boto3" in text_of(tables.of_starts(list(found.values())))


def text_of(*shown: object) -> str:
    written = io.StringIO()
    Console(file=written, width=200).print(*shown)
    return written.getvalue()
