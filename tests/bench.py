"""Measures the workflow on the embedded stack, beside the same copies made by plain boto3: ``make bench``.

Machines differ and are shared, so what counts is the ratio in one run, not the times.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from .e2e.system import System, stack_up

T = TypeVar("T")

SINGLE_FILES = 20
BURST_FILES = 200
CLIENT_THREADS = 10
CONTENT = os.urandom(10_000)


def main() -> None:
    console = Console(highlight=False)
    with stack_up() as system, console.status("Measuring …") as status:
        # The first run of a function starts its process, on AWS as here.
        system.upload("warm-up")
        status.update("One file at a time …")
        singles = [time_to_completed(system, f"single/{number}") for number in range(SINGLE_FILES)]
        status.update("A burst …")
        keys = [f"burst/{number}" for number in range(BURST_FILES)]
        uploading, burst, lost = time_of_burst(system, keys)
        status.update("The floor …")
        floor = time_of_plain_copies(system, keys)
    console.print(results(singles, uploading, burst, lost, floor))
    if lost:
        raise SystemExit(f"{lost} of {BURST_FILES} files were lost.")


def time_to_completed(system: System, key: str) -> float:
    started = time.perf_counter()
    system.put(key, CONTENT)
    wait_until_completed(system, key)
    return time.perf_counter() - started


def time_of_burst(system: System, keys: list[str]) -> tuple[float, float, int]:
    """Seconds until all files were uploaded, seconds until all were copied, and how many were not."""
    started = time.perf_counter()
    in_threads(lambda key: system.put(key, CONTENT), keys)
    uploading = time.perf_counter() - started
    for key in keys:
        wait_until_completed(system, key)
    took = time.perf_counter() - started
    complete = sum(all(system.get(bucket, key) == CONTENT for bucket in system.destinations) for key in keys)
    return uploading, took, len(keys) - complete


def time_of_plain_copies(system: System, keys: list[str]) -> float:
    """Seconds that one client needs for the same copies with copy_object and nothing else."""
    copies = [(bucket, key) for key in keys for bucket in system.destinations]
    started = time.perf_counter()
    in_threads(
        lambda copy: system.s3.copy_object(
            Bucket=copy[0], Key=f"floor/{copy[1]}", CopySource={"Bucket": system.source, "Key": copy[1]}
        ),
        copies,
    )
    return time.perf_counter() - started


def wait_until_completed(system: System, key: str) -> None:
    def completed() -> bool | None:
        record = system.record(key)
        return True if record is not None and record.get("status") == "COMPLETED" else None

    system.wait_for(f"{key} to be completed", completed)


def in_threads(act: Callable[[T], object], items: Iterable[T]) -> None:
    with ThreadPoolExecutor(CLIENT_THREADS) as pool:
        for _ in pool.map(act, items):
            pass


def results(singles: list[float], uploading: float, burst: float, lost: int, floor: float) -> Table:
    table = Table(title=f"Embedded stack, two destinations, files of {len(CONTENT):,} bytes", title_justify="left")
    table.add_column("What", no_wrap=True)
    table.add_column("Figure", justify="right")
    table.add_row(f"upload to COMPLETED, median of {SINGLE_FILES}", f"{statistics.median(singles):.2f} s")
    table.add_row(f"upload to COMPLETED, worst of {SINGLE_FILES}", f"{max(singles):.2f} s")
    table.add_row(f"{BURST_FILES} files at once, until uploaded", f"{uploading:.1f} s")
    table.add_row(f"{BURST_FILES} files at once, until all COMPLETED", f"{burst:.1f} s")
    table.add_row("  files a second", f"{BURST_FILES / burst:.0f}")
    table.add_row("  lost", str(lost))
    table.add_row(f"floor: the same copies by boto3, {CLIENT_THREADS} threads", f"{floor:.1f} s")
    table.add_row("  files a second", f"{BURST_FILES / floor:.0f}")
    table.add_row("  the workflow takes, of the floor's time", f"{burst / floor:.1f} x")
    return table


if __name__ == "__main__":
    main()
