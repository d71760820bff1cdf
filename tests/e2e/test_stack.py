"""The embedded stack as a person brings it up and takes it down."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

from components import outputs
from filecopy.embedded import emulator, stack

from .system import System, filecopy, stack_up


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


def test_two_stacks_do_not_meet(system: System) -> None:
    """A file uploaded to one stack is in no bucket and no record of another."""
    with stack_up() as other:
        other.upload("only-here.zip")
        assert system.record("only-here.zip") is None
        assert system.executions_of("only-here.zip") == []


def test_outputs(system: System) -> None:
    """Outputs come as a table, as JSON, and bare for a script."""
    port = str(system.stack.port)
    bare = filecopy("outputs", outputs.STEP_FUNCTION_ARN, "--port", port)
    assert bare.stdout == f"{system.state_machine}\n"
    assert json.loads(filecopy("outputs", "--json", "--port", port).stdout) == system.outputs
    assert json.loads(filecopy("outputs", outputs.DESTINATION_BUCKETS, "--port", port).stdout) == system.destinations
    table = filecopy("outputs", "--port", port).stdout
    assert all(name in table for name in system.outputs)
    unknown = filecopy("outputs", "arn", "--port", port)
    assert unknown.returncode == 1
    assert "There is no output 'arn'" in unknown.stderr


def test_dead_emulator_is_told_of() -> None:
    """A stack whose emulator died says so in a sentence, and can be taken down."""
    with stack_up() as target:
        folder = stack.folder_of(target.stack.port)
        pid = json.loads((folder / "state.json").read_text())["pid"]
        os.killpg(pid, signal.SIGKILL)
        for command in ("up", "outputs"):
            told = filecopy(command, "--port", str(target.stack.port))
            assert told.returncode == 1
            assert "has died or does not answer" in told.stderr
            assert len(told.stderr.strip().splitlines()) == 1


def test_busy_port_is_told_of() -> None:
    """A port that another program listens on is named, and nothing is left behind."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = filecopy("up", "--port", str(port))
    assert told.returncode == 1
    assert f"Port {port} of 127.0.0.1 is taken" in told.stderr
    assert not stack.folder_of(port).exists()


def test_wrong_setting_creates_nothing() -> None:
    """A setting that is not allowed is named with its value, and no emulator is left running."""
    port = emulator.free_port()
    told = filecopy("up", "--port", str(port), "-c", "maxConcurrency=41")
    assert told.returncode == 1
    assert 'maxConcurrency must be an integer from 1 to 40, not "41".' in told.stderr
    assert not stack.folder_of(port).exists()
    assert processes_of(stack.folder_of(port)) == []


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
        "Everything was as it should be",
    ):
        assert line in shown.stdout
    [port] = re.findall(r"Up at http://127\.0\.0\.1:(\d+)", shown.stdout)
    assert not stack.folder_of(int(port)).exists()
