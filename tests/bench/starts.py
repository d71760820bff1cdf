"""What a function does before its first event: its imports, beside ``import boto3`` alone and one client made.

Each import is a new interpreter's, with the modules of the function's package as Lambda has them: without bytecode,
which cannot be kept there. What counts is the processor's time, which other programs lengthen less than the clock's,
and the best of the runs, because whatever else the machine does can only make one slower.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from components.handler_function import HANDLERS, package
from filecopy.embedded.provisioning.functions import zip_of

RUNS = 9

FLOOR = "import boto3"
FLOOR_WITH_CLIENT = "import boto3; boto3.client('stepfunctions')"

# Prints seconds of the processor, and the peak of resident memory in KiB, 0 where there is no /proc.
_MEASURED = """
import time
started = time.process_time()
{code}
took = time.process_time() - started
try:
    status = open("/proc/self/status").read()
except OSError:
    status = "VmHWM: 0 kB"
print(took, status.split("VmHWM:")[1].split()[0])
"""


@dataclass(frozen=True)
class Start:
    """The best of RUNS."""

    name: str
    seconds: float
    """Of the processor."""
    peak: float
    """MiB that were resident at most, the interpreter's own included."""
    package_bytes: int | None
    """Of the zip; ``None`` of a floor, which has none."""


def measure(runs: int = RUNS) -> list[Start]:
    """The floors and the functions, one after the other, and all of them again, so that none has a worse time."""
    with tempfile.TemporaryDirectory() as folder:
        packages = {name: zip_of(package(name)) for name in _functions()}
        for name, content in packages.items():
            zipfile.ZipFile(BytesIO(content)).extractall(Path(folder) / name)
        codes = {FLOOR: FLOOR, FLOOR_WITH_CLIENT: FLOOR_WITH_CLIENT} | {
            name: f"import handlers.{name.replace('-', '_')}" for name in packages
        }
        found: Mapping[str, list[tuple[float, float]]] = {name: [] for name in codes}
        for _ in range(runs):
            for name, code in codes.items():
                found[name].append(_run(code, Path(folder) / name))
    return [
        Start(name, min(seconds for seconds, _ in both), min(peak for _, peak in both), _size(packages.get(name)))
        for name, both in found.items()
    ]


def _functions() -> list[str]:
    modules = sorted(HANDLERS.glob("*.py"))
    return [path.stem.replace("_", "-") for path in modules if "\ndef handler(" in path.read_text(encoding="utf-8")]


def _run(code: str, folder: Path) -> tuple[float, float]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-c", _MEASURED.format(code=code)]
    # Not in the project's folder, whose modules would be found first.
    made = subprocess.run(
        command, env=environment, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=True
    )
    seconds, peak = made.stdout.split()
    return float(seconds), int(peak) / 1024


def _size(content: bytes | None) -> int | None:
    return None if content is None else len(content)
