"""The embedded stack as a person brings it up and takes it down."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components import outputs
from filecopy.embedded import emulator, stack
from filecopy.embedded.configuration import PROJECT_ROOT

from .system import System, filecopy, stack_up

# A test that brings a stack up, says on which port, and never ends.
ENDLESS = """
import os, pathlib, signal
from tests.e2e.system import stack_up

def test_endless():
    with stack_up() as system:
        port = pathlib.Path(__file__).with_name("port")
        port.with_suffix(".new").write_text(str(system.stack.port))
        port.with_suffix(".new").rename(port)
        signal.pause()
"""
DEADLINE = 90.0


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that have something of ``folder`` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_up_twice_is_harmless_and_down_leaves_nothing() -> None:
    """The second up changes nothing; down leaves no process and no file, or a machine would fill up."""
    with stack_up() as first:
        folder = stack.folder_of(first.stack.port)
        first.put("kept.zip")
        again = filecopy("up", "--port", str(first.stack.port))
        assert again.returncode == 0
        assert "was up" in again.stdout
        assert first.finished_record("kept.zip")["status"] == "COMPLETED"
        assert processes_of(folder)
    assert not folder.exists()
    assert processes_of(folder) == []
    again = filecopy("down", "--port", str(first.stack.port))
    assert again.returncode == 0
    assert again.stdout.startswith(f"No stack is up on port {first.stack.port}.")


def test_two_stacks_do_not_meet(open_system: System, enforced: System) -> None:
    """A file uploaded to one stack is in no bucket and no record of another."""
    enforced.upload("only-here.zip")
    assert open_system.record("only-here.zip") is None
    assert open_system.executions_of("only-here.zip") == []


def test_outputs(open_system: System) -> None:
    """Outputs come bare for a script, and as JSON. tests/unit/test_command_line.py has the other forms."""
    bare = open_system.filecopy("outputs", outputs.STEP_FUNCTION_ARN)
    assert bare.stdout == f"{open_system.state_machine}\n"
    assert json.loads(open_system.filecopy("outputs", "--json").stdout) == open_system.outputs


@pytest.mark.slow
def test_a_test_run_that_is_killed_leaves_no_emulator(tmp_path: Path) -> None:
    """A test run that cannot clean up leaves no emulator of a gigabyte, and none of its files."""
    (tmp_path / "test_endless.py").write_text(ENDLESS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    del environment[emulator.ENDS_WITH]

    def wait_for(what: str, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not look():
            assert time.monotonic() < deadline, f"Timed out waiting for {what}."
            time.sleep(0.05)

    with subprocess.Popen(
        [*command, f"--rootdir={PROJECT_ROOT}", str(tmp_path)],
        cwd=PROJECT_ROOT,
        env={**environment, "PYTHONPATH": str(PROJECT_ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        port = tmp_path / "port"
        wait_for("the stack to come up", lambda: port.exists() or run.poll() is not None)
        folder = stack.folder_of(int(port.read_text()))
        assert processes_of(folder)
        run.kill()
    wait_for("the emulator to end", lambda: processes_of(folder) == [])
    wait_for("its files to be removed", lambda: not folder.exists())


@pytest.mark.slow
def test_settings_reach_the_stack() -> None:
    """Settings given on the command line are those of the stack: a prefix, other buckets, a key filter."""
    destinations = json.dumps([{"bucket": "only-one"}])
    with stack_up(
        "-c", "namePrefix=acme-", "-c", f"destinations={destinations}", "-c", "keyPrefix=in/", "-c", "keySuffix=.zip"
    ) as target:
        assert target.source == "acme-global-builds"
        assert target.destinations == ["acme-only-one"]
        assert target.table == "acme-FileCopyTracking"
        for key in ("out/a.zip", "in/a.txt", "in/a.zip"):
            target.put(key)
        assert target.finished_record("in/a.zip")["successfulBuckets"] == ["acme-only-one"]
        assert target.record("out/a.zip") is None
        assert target.record("in/a.txt") is None


@pytest.mark.slow
def test_demo() -> None:
    """The demonstration shows success, failure and notification, exits 0, and leaves nothing."""
    shown = filecopy("demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for line in (
        "● AllCopiesSuccessful",
        "✔ region-a-builds",
        "the same bytes",
        "● SomeCopiesFailed",
        "PARTIAL_FAILURE",
        "File copy partly failed: build-124.zip",
        "All checks passed",
    ):
        assert line in shown.stdout
    [port] = re.findall(r"Up at http://127\.0\.0\.1:(\d+)", shown.stdout)
    assert not stack.folder_of(int(port)).exists()
