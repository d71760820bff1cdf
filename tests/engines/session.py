"""Runs a command, and then ends all processes that it started: ``python -m tests.engines.session COMMAND ...``.

The Pulumi CLI's plugins start processes and do not end them, LocalStack starts some in sessions of their own, and a
test run that is killed ends no process. So each command has a separate session (setsid). This process leads the
session, and on Linux it is the parent of all orphans of the command (prctl(2)). It ends its descendants and the other
processes of its session when the command has ended, on SIGTERM, and, by prctl(2), when the test run has ended. It
passes SIGINT to the command. SIGUSR1 kills the command.

It ends with the command's status, or with 128 and the number of the signal that ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# Linux, prctl(2): the signal that a process gets when its parent ends, however it ends; and the parent of orphans.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def start(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: IO[bytes] | int, errors: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """Starts ``command`` in a new session, which ends with the command and with this process."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), str(os.getpid()), *command],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
    )


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Runs ``command``, as ``subprocess.run`` does with captured text."""
    process = start(command, cwd=cwd, env=env, output=subprocess.PIPE, errors=subprocess.PIPE)
    try:
        printed, errors = process.communicate(timeout=timeout)
    finally:
        end(process)
    return subprocess.CompletedProcess(
        [*command], process.returncode, printed.decode(errors="replace"), errors.decode(errors="replace")
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the session, and waits for it."""
    process.terminate()
    process.wait()


def _lead(parent: int, command: Sequence[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if os.getppid() != parent:
        return 128 + signal.SIGTERM
    child: subprocess.Popen[bytes] | None = None
    received: list[int] = []

    def forward(number: int, _frame: Any) -> None:
        if child is None:
            received.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGKILL if number == signal.SIGUSR1 else number)

    def finish(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    # Before the command starts: an early signal must not end this process and leave the command running.
    signal.signal(signal.SIGINT, forward)
    signal.signal(signal.SIGUSR1, forward)
    signal.signal(signal.SIGTERM, finish)
    try:
        child = subprocess.Popen(command)
        for number in received:
            forward(number, None)
        status = child.wait()
        return status if status >= 0 else 128 - status
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_others(child)


def _end_others(child: subprocess.Popen[bytes] | None, grace: float = 20.0) -> None:
    """Ends the command, if it runs, and then kills every descendant, and every other process of this session."""
    if child and child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    # What is killed may have started something in the meantime: until there is nothing left.
    while others := _others():
        for pid in others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _others() -> list[int]:
    """The descendants of this process, and the other processes of its session."""
    listing = subprocess.Popen(["ps", "-A", "-o", "pid=,ppid=,sess=,stat="], stdout=subprocess.PIPE, text=True)
    printed, _ = listing.communicate()
    rows = [line.split() for line in printed.splitlines()]
    parents = {int(pid): int(parent) for pid, parent, *_ in rows}
    own = os.getpid()

    def is_descendant(pid: int) -> bool:
        while pid in parents and pid != own:
            pid = parents[pid]
        return pid == own

    # A zombie is only waited for by its parent.
    return [
        int(pid)
        for pid, _, session, state in rows
        if int(pid) not in (own, listing.pid)
        and not state.startswith("Z")
        and (session == str(own) or is_descendant(int(pid)))
    ]


if __name__ == "__main__":
    sys.exit(_lead(int(sys.argv[1]), sys.argv[2:]))
