"""tests/engines/session.py: a command that is run for a test leaves no process behind, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines import session

# A command that starts a process in the background, in a group of its own as the CLI's plugins are, and waits.
COMMAND = ["bash", "-c", "set -m; sleep 600 & echo $!; wait"]
DEADLINE = 20.0


def wait_for(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether the process has ended, whoever waits for it."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] in ("", "Z")


def test_a_command_that_ends_takes_along_what_it_has_started(tmp_path: Path) -> None:
    """The CLI's provider goes on when the CLI has ended; its status is the command's."""
    command = ["bash", "-c", "set -m; sleep 600 > /dev/null 2>&1 & echo $!; exit 3"]
    done = session.run(command, cwd=tmp_path, env=os.environ, timeout=DEADLINE)
    assert done.returncode == 3
    assert is_gone(int(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who started an orphan")
def test_a_command_takes_along_what_has_left_its_session(tmp_path: Path) -> None:
    """LocalStack's databases are in sessions of their own. When it is killed, it does not end them."""
    command = ["bash", "-c", "setsid sleep 600 > /dev/null 2>&1 & echo $!; exit 0"]
    done = session.run(command, cwd=tmp_path, env=os.environ, timeout=DEADLINE)
    assert is_gone(int(done.stdout))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1])
def test_a_command_that_is_ended_takes_along_what_it_has_started(how: signal.Signals, tmp_path: Path) -> None:
    """A server that is stopped, and a CLI that is killed, leave nothing either."""
    process = session.start(COMMAND, cwd=tmp_path, env=os.environ, output=subprocess.PIPE, errors=subprocess.DEVNULL)
    assert process.stdout
    with process.stdout as printed:
        pid = int(printed.readline())
        process.send_signal(how)
        assert process.wait(DEADLINE) == 128 + (signal.SIGKILL if how is signal.SIGUSR1 else signal.SIGTERM)
    wait_for("the process to end", lambda: is_gone(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says that a parent was killed")
def test_a_test_run_that_is_killed_leaves_nothing() -> None:
    """A test run that gets no chance to clean up leaves no engine of a gigabyte behind."""
    code = (
        "import os, pathlib, sys, time; from tests.engines import session;"
        f" session.start({COMMAND!r}, cwd=pathlib.Path('.'), env=os.environ, output=1, errors=2); time.sleep(600)"
    )
    root = Path(session.__file__).parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE
    )
    assert run.stdout
    with run.stdout as printed:
        pid = int(printed.readline())
        run.kill()
        run.wait()
        wait_for("the process to end", lambda: is_gone(pid))
