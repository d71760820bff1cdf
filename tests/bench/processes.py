"""Memory and processor time of the emulator's processes, as Linux tells it. Elsewhere there are no such figures."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from filecopy.embedded import stack

# Linux, Documentation/filesystems/proc.rst: "5" makes the peak the present size.
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Memory:
    """MiB that are resident. ``functions`` are the processes that the emulator runs functions in, together."""

    emulator: float
    emulator_peak: float
    functions: float


class EmulatorProcesses:
    """Of the stack's emulator, and of the processes that it has started."""

    def __init__(self, target: stack.EmbeddedStack) -> None:
        state = json.loads((stack.folder_of(target.port) / "state.json").read_text(encoding="utf-8"))
        self._pid: int = state["pid"]

    def forget_peak(self) -> None:
        """From now on the peak is of what comes."""
        _write(_proc(self._pid) / "clear_refs", _RESET_PEAK)

    def memory(self) -> Memory | None:
        if not _proc(self._pid).exists():
            return None
        own = resident(self._pid)
        return Memory(own["VmRSS"], own["VmHWM"], sum(resident(pid).get("VmRSS", 0.0) for pid in self._children()))

    def processor_seconds(self) -> float | None:
        """That they have used so far, those that have ended included."""
        if not _proc(self._pid).exists():
            return None
        return _used(self._pid, and_ended=True) + sum(_used(pid, and_ended=False) for pid in self._children())

    def _children(self) -> list[int]:
        tasks = (_proc(self._pid) / "task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]


def resident(pid: int) -> dict[str, float]:
    """``VmRSS`` and ``VmHWM``, its peak, in MiB; nothing where the process has ended."""
    try:
        lines = (_proc(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS:", "VmHWM:"))}


def _used(pid: int, *, and_ended: bool) -> float:
    """Seconds of the process, and of those of its children that have ended; none where it has itself."""
    try:
        stat = (_proc(pid) / "stat").read_text()
    except OSError:
        return 0.0
    # proc(5): behind the name, which is in brackets, comes field 3; 14 to 17 are utime, stime, cutime and cstime.
    fields = stat.rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11 : 15 if and_ended else 13]) / os.sysconf("SC_CLK_TCK")


def _proc(pid: int) -> Path:
    return Path(f"/proc/{pid}")


def _write(path: Path, text: str) -> None:
    if path.exists():
        path.write_text(text)
