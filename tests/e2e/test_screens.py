"""Each command as a person sees it: what is left on a terminal of 100 columns, and what ``--json`` prints, is what it
was. ``WRITE_SCREENS=1`` in the environment writes what is now; look at the difference before you keep it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from filecopy.cli import app
from filecopy.embedded import emulator
from filecopy.embedded.configuration import PROJECT_ROOT

from .screen import COLUMNS, KEPT, left_on_screen, on_a_terminal, settled
from .system import System, filecopy
from .test_backfill import unheard

pytestmark = pytest.mark.slow

Show = Callable[..., str]


@pytest.fixture
def show(open_system: System) -> Show:
    """Runs a command on the stack, and gives what is left on its terminal, where it ends with ``status``."""

    def run(*arguments: str, status: int = 0) -> str:
        ended, shown = on_a_terminal(*arguments, *open_system.named)
        assert ended == status, shown
        return shown

    return run


@pytest.fixture
def print_json(open_system: System) -> Show:
    """Runs a command on the stack, and gives the JSON that it prints, with its members sorted: a record has them in no
    particular order."""

    def run(*arguments: str) -> str:
        printed = open_system.filecopy(*arguments, "--json")
        assert printed.returncode == 0, printed.stderr
        return json.dumps(json.loads(printed.stdout), indent=2, ensure_ascii=False, sort_keys=True) + "\n"

    return run


def check(name: str, shown: str) -> None:
    """Compares what is shown with the screen that is kept under this name."""
    file, now = KEPT / name, settled(shown)
    if os.environ.get("WRITE_SCREENS"):
        file.write_text(now, encoding="utf-8")
    assert now == file.read_text(encoding="utf-8")


def half_copied(system: System, key: str) -> str:
    """A file of which one of two copies fails. Returns the execution's ARN."""
    system.upload(key)
    execution = str(system.run(system.job(key, system.destinations[0], "not-there"))["executionArn"])
    system.finished_record(key)
    return execution


def test_up_outputs_and_down() -> None:
    """A stack comes up, tells its outputs, and goes."""
    port = ("--port", str(emulator.free_port()))
    try:
        status, shown = on_a_terminal("up", *port)
        assert status == 0, shown
        check("up.txt", shown)
        check("up-again.txt", on_a_terminal("up", *port)[1])
        check("outputs.txt", on_a_terminal("outputs", *port)[1])
        check("outputs.json", filecopy("outputs", "--json", *port).stdout)
    finally:
        down = on_a_terminal("down", *port)
    check("down.txt", down[1])
    assert down[0] == 0


def test_send(show: Show, open_system: System, tmp_path: Path) -> None:
    """Of one file a line for the upload and one for its copies; of many, one for all. No bar stays."""
    (tmp_path / "screen.zip").write_bytes(b"sent")
    check("send.txt", show("send", str(tmp_path / "screen.zip")))
    (tmp_path / "many").mkdir()
    for number in range(12):
        (tmp_path / "many" / f"{number}.zip").write_bytes(b"x" * 1000)
    check("send-many.txt", show("send", str(tmp_path / "many"), "--key", "screens/"))
    check("send-no-wait.txt", show("send", str(tmp_path / "screen.zip"), "--no-wait"))
    open_system.finished_record("screen.zip")


def test_env(show: Show) -> None:
    """What a shell evaluates, but for the folder that this filecopy is in."""
    check("env.txt", show("env").replace(str(Path(sys.executable).parent), "BIN"))


def test_backfill(show: Show, print_json: Show, open_system: System) -> None:
    """What would be copied, and what is."""
    with unheard(open_system):
        open_system.put("screens-before/1.zip")
    check("backfill-dry-run.txt", show("backfill", "screens-before/", "--dry-run"))
    check("backfill.json", print_json("backfill", "screens-before/", "--dry-run"))
    check("backfill.txt", show("backfill", "screens-before/"))
    check("backfill-nothing.txt", show("backfill", "screens-before/"))


def test_watch(show: Show, print_json: Show, open_system: System) -> None:
    """An execution that has ended as a timeline, and what is there where none runs."""
    open_system.upload("watched-screen.zip")
    check("watch.txt", show("watch", "watched-screen.zip"))
    check("watch.json", print_json("watch", "watched-screen.zip"))
    # Below it is what other tests did on this stack in the last seconds.
    assert show("watch", "--once").startswith(
        "No execution is running. See those that have ended: filecopy executions\n"
    )


def test_status(show: Show, print_json: Show, open_system: System) -> None:
    """A record with a copy that failed."""
    half_copied(open_system, "half-screen.zip")
    check("status.txt", show("status", "half-screen.zip"))
    check("status.json", print_json("status", "half-screen.zip"))


def test_list(show: Show, print_json: Show, open_system: System) -> None:
    """The latest record, and the file's executions: that of the upload, and the one that was started by hand."""
    half_copied(open_system, "listed-screen.zip")
    check("list.txt", show("list", "--limit", "1"))
    check("list.json", print_json("list", "--limit", "1"))
    check("executions.txt", show("executions", "listed-screen.zip"))
    check("executions.json", print_json("executions", "listed-screen.zip", "--limit", "1"))


def test_history(show: Show, print_json: Show, open_system: System) -> None:
    """An execution of which one copy failed, in short and in full."""
    execution = half_copied(open_system, "told-screen.zip")
    check("history.txt", show("history", "told-screen.zip"))
    check("history-full.txt", show("history", execution, "--full"))
    check("history.json", print_json("history", execution))


def test_report_and_graph(show: Show, open_system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the page is, and the picture as text."""
    open_system.upload("page-screen.zip")
    page = tmp_path / "page.html"
    check("report.txt", show("report", "page-screen.zip", "-o", str(page)).replace(str(tmp_path), "FOLDER"))
    monkeypatch.delenv("FILECOPY_PORT", raising=False)
    check("graph.txt", on_a_terminal("graph")[1])


def test_retry_replay_and_policy(show: Show, open_system: System) -> None:
    """What an operator does: a retry of a copy that cannot be made and one without a cause, dead letters, somebody
    else's bucket."""
    half_copied(open_system, "retried-screen.zip")
    check("retry-left-out.txt", show("retry", "retried-screen.zip"))
    open_system.upload("well-screen.zip")
    check("retry-nothing.txt", show("retry", "well-screen.zip"))
    check("retry-unknown.txt", show("retry", "nobodys-screen.zip", status=1))
    check("replay.txt", show("replay", "uploads"))
    check("policy.txt", show("policy", "region-a-builds"))


def test_console(open_system: System) -> None:
    """The URL with the token, until Ctrl-C."""
    ports = ["--port", str(emulator.free_port()), "--stack-port", str(open_system.stack.port)]
    command = [sys.executable, "-m", "filecopy", "console", "--no-open", *ports]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) as console:
        assert console.stdout
        shown = console.stdout.readline() + console.stdout.readline()
        console.send_signal(signal.SIGINT)
        shown += console.stdout.read()
    assert console.returncode == 0
    check("console.txt", re.sub(r"token=[\w-]{43}", "token=TOKEN", shown))


def test_demo() -> None:
    """The demonstration, from beginning to end."""
    status, shown = on_a_terminal("demo")
    assert status == 0, shown
    # Which of the copies lands first is nobody's to say.
    copied = [line for line in settled(shown).splitlines() if line.endswith("-builds: N bytes")]
    assert sorted(line.split()[-3] for line in copied) == ["region-a-builds:", "region-b-builds:"]
    check("demo.txt", "\n".join(line for line in settled(shown).split("\n") if line not in copied))


def test_each_command_has_a_screen() -> None:
    """A command that is new gets one, and one of ``--json`` where it prints that."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    kept = {file.name for file in KEPT.iterdir()}
    for name, command in commands.items():
        assert any(file.startswith((f"{name}.txt", f"{name}-")) for file in kept), name
        if any("--json" in parameter.opts for parameter in command.params):
            assert f"{name}.json" in kept


def test_nothing_stands_out_of_the_terminal() -> None:
    """Tables fit in. What is longer is there to be copied, and a line of its own."""
    for file in KEPT.glob("*.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert len(line) <= COLUMNS or "arn:" in line or "  " not in line.strip(), f"{file.name}: {line}"


def test_what_is_drawn_over_is_gone() -> None:
    """Lines that are erased or written over are not on the screen, and a terminal is told nothing else."""
    assert left_on_screen("one\r\n\x1b[31mtwo\x1b[0m\r\n\x1b[1A\x1b[2K\x1b[?25hthree\rT") == "one\nThree\n"
    with pytest.raises(ValueError, match="2J"):
        left_on_screen("\x1b[2J")
