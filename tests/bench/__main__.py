"""``python -m tests.bench``: measures, shows, and writes all of it as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.embedded.emulator import ENDS_WITH
from tests.e2e.system import stack_up

from . import destinations, parts, starts, tables, throughput
from .destinations import Destinations
from .prices import PRICES
from .throughput import Burst, Single

SINGLE_FILES = 20
BURSTS = (50, 100, 200, 500, 1_000)
DESTINATIONS = (1, 2, 5, 10, 20, 50, 100)
LARGE_MIB = 256


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    # A measurement that is killed leaves no emulator behind.
    os.environ.setdefault(ENDS_WITH, str(os.getpid()))
    # In a file or a pipe, which have no width, tables are as wide as in a usual window.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    with console.status("Imports …") as status:
        started = starts.measure()
        single, bursts = _throughput(sorted(set(options.files)), status.update)
        found = []
        for number in sorted(set(options.destinations)):
            status.update(f"One file to {number} destinations …")
            found.append(destinations.measure(number))
        status.update("A large file …")
        large = parts.measure(options.large * parts.MIB) if options.large else None
    console.print(tables.of_starts(started))
    if single:
        console.print(tables.of_single(single))
        console.print(tables.of_bursts(bursts), tables.of_course(bursts))
    if found:
        console.print(tables.of_destinations(found))
        if any(one.usage for one in found):
            console.print(tables.of_costs(found), tables.of_kept(found), tables.of_ways(found))
    if large:
        console.print(tables.of_large(large))
    result = {
        **_circumstances(),
        "starts": [asdict(start) for start in started],
        "single": asdict(single) if single else None,
        "bursts": [asdict(burst) for burst in bursts],
        "prices": {name: asdict(price) for name, price in PRICES.items()},
        "destinations": [{**asdict(one), "dollars": one.dollars()} for one in found],
        "large": asdict(large) if large else None,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    console.print(f"All figures: {options.json}")
    if options.pictures:
        _draw(bursts, found, options.pictures, console)
    if lost := sum(burst.lost for burst in bursts):
        raise SystemExit(f"{lost} files were lost.")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--files", type=int, nargs="*", default=BURSTS, help="sizes of the bursts; none for no burst")
    parser.add_argument("--destinations", type=int, nargs="*", default=DESTINATIONS, help="as many as one file goes to")
    parser.add_argument("--large", type=int, default=LARGE_MIB, help="MiB that are copied in parts; 0 for none")
    parser.add_argument("--json", type=Path, default=PROJECT_ROOT / "build" / "bench.json", help="where figures go")
    parser.add_argument("--pictures", type=Path, help="a folder that growth is drawn into (requirements-bench.txt)")
    return parser.parse_args(arguments)


def _throughput(sizes: Sequence[int], tell: Any) -> tuple[Single | None, list[Burst]]:
    if not sizes:
        return None, []
    with stack_up() as system:
        tell("Warming up …")
        throughput.warm_up(system)
        tell("One file at a time …")
        single = throughput.measure_single(system, SINGLE_FILES)
        bare_machine = throughput.make_bare_machine(system)
        bursts = []
        for files in sizes:
            tell(f"A burst of {files:,} files, and its floors …")
            bursts.append(throughput.measure_burst(system, files, bare_machine))
    return single, bursts


def _circumstances() -> dict[str, Any]:
    commit = ["git", "describe", "--always", "--dirty"]
    described = subprocess.run(commit, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": described.stdout.strip() or None,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
    }


def _draw(bursts: Sequence[Burst], found: Sequence[Destinations], folder: Path, console: Console) -> None:
    # Only here: without pictures, what draws them need not be installed.
    from . import pictures

    for path in pictures.draw(bursts, found, folder):
        console.print(f"Drawn: {path}")


if __name__ == "__main__":
    main()
