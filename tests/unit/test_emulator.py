"""filecopy/embedded/emulator.py with another program in MiniStack's place."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from filecopy.embedded import emulator
from filecopy.errors import StackError

# An emulator that answers the first question, and the later ones after as many seconds as the file "busy" says.
BUSY = """
import http.server, os, pathlib, time

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        busy = pathlib.Path("busy")
        if busy.exists():
            seconds = float(busy.read_text())
            busy.unlink()
            time.sleep(seconds)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(os.environ["GATEWAY_PORT"])), Health).serve_forever()
"""


def start(folder: Path, program: str, **settings: str) -> str:
    """What is said of an emulator that runs ``program``."""
    # A module of the folder that the emulator runs in comes before the installed package.
    (folder / "ministack.py").write_text(program, encoding="utf-8")
    with pytest.raises(StackError) as refused:
        emulator.start(emulator.free_port(), folder, settings, on_start=lambda _: None)
    return str(refused.value)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print('one\\ntwo\\nthree\\nfour'); raise SystemExit(3)", "two / three / four"),
        ("raise SystemExit(3)", "nothing"),
    ],
)
def test_an_emulator_that_ends_is_quoted(tmp_path: Path, program: str, words: str) -> None:
    """An emulator that cannot start is not waited for, and its own words say why."""
    assert start(tmp_path, program) == f"The emulator ended with status 3. Its log ends: {words}"


def test_an_emulator_gets_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions run with the emulator's environment: no profile, proxy or key of the person's reaches them."""
    for name in ("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "PYTHONPATH", "SOME_TOKEN"):
        monkeypatch.setenv(name, "secret")
    start(
        tmp_path,
        "import json, os; json.dump(dict(os.environ), open('environment.json', 'w'))",
        SFN_WAIT_SCALE="0",
    )
    environment = json.loads((tmp_path / "environment.json").read_text(encoding="utf-8"))
    assert "secret" not in environment.values()
    assert environment["BIND_HOST"] == "127.0.0.1"
    assert environment["SFN_WAIT_SCALE"] == "0"
    # What it writes stays in the stack's folder, which goes when the stack goes.
    assert {environment["HOME"], environment["TMPDIR"]} == {str(tmp_path), str(tmp_path / "tmp")}


def test_an_interrupted_start_leaves_no_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while an emulator starts ends it too: nothing would know its process id afterwards."""
    (tmp_path / "ministack.py").write_text(
        "import os, signal; open('pid', 'w').write(str(os.getpid())); signal.pause()", encoding="utf-8"
    )
    pid = tmp_path / "pid"

    def interrupted(_: int) -> bool:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt
        return False

    monkeypatch.setattr(emulator, "answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        emulator.start(emulator.free_port(), tmp_path, {}, on_start=lambda _: None)
    assert not emulator.runs(int(pid.read_text()))


# An emulator outlives the command that starts it.
STILL_RUNS = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """An emulator that is busy from now on, by its process ID and its port."""
    (tmp_path / "ministack.py").write_text(BUSY, encoding="utf-8")
    port = emulator.free_port()
    pid = emulator.start(port, tmp_path, {}, on_start=lambda _: None)
    (tmp_path / "busy").write_text("2.5")
    yield pid, port
    emulator.stop(pid)


@STILL_RUNS
def test_a_busy_emulator_is_waited_for(tmp_path: Path, busy: tuple[int, int]) -> None:
    """An emulator that copies a large file answers nothing for seconds, and its stack is not lost."""
    assert not emulator.answers(busy[1])
    emulator.wait_until_it_answers(*busy, tmp_path)
    assert emulator.answers(busy[1])


@STILL_RUNS
def test_an_emulator_that_stays_busy_has_not_died(
    tmp_path: Path, busy: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is there is not said to be gone: the advice for that would delete the stack."""
    monkeypatch.setattr(emulator, "BUSY_DEADLINE", 0.0)
    with pytest.raises(StackError) as refused:
        emulator.wait_until_it_answers(*busy, tmp_path)
    assert "runs, but did not answer for 0 seconds. It may be busy with a large copy: try again" in str(refused.value)
    assert "died" not in str(refused.value)


@STILL_RUNS
def test_an_emulator_that_has_ended_is_not_waited_for(tmp_path: Path, busy: tuple[int, int]) -> None:
    """A process that is gone is said to be gone at once, with the place of its log."""
    os.kill(busy[0], signal.SIGKILL)
    os.waitpid(busy[0], 0)
    began = time.monotonic()
    with pytest.raises(StackError) as refused:
        emulator.wait_until_it_answers(*busy, tmp_path)
    assert str(refused.value).startswith(
        f"The emulator on port {busy[1]} has died, and its files are lost. Its log is {tmp_path / 'emulator.log'}."
    )
    assert time.monotonic() - began < emulator.BUSY_DEADLINE / 2


def test_a_port_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is not taken, but not ours to use, is not said to be taken."""
    # An address of documentation, which no machine has.
    monkeypatch.setattr(emulator, "HOST", "192.0.2.1")
    with pytest.raises(
        StackError, match=r"^Port 4599 of 192\.0\.2\.1 cannot be used \(.*\)\. Choose another: --port\.$"
    ):
        emulator.start(4599, tmp_path, {}, on_start=lambda _: None)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A log that cannot be opened is a sentence, and no emulator is started."""
    (tmp_path / "emulator.log").mkdir()
    with pytest.raises(StackError) as refused:
        emulator.start(emulator.free_port(), tmp_path, {}, on_start=lambda _: pytest.fail("It was started."))
    assert str(refused.value) == (
        f"The files of the stack in {tmp_path} cannot be changed: Is a directory. Make sure that it is a"
        " folder that you can write to, then type the command again."
    )


def test_a_full_disk() -> None:
    """Whoever fills the disk is told to free some space."""
    full = pytest.raises(StackError, match=r"cannot be changed: No space left on device\. Free some space, then")
    with full, emulator.writing(Path("folder")):
        Path("/dev/full").write_text("x", encoding="utf-8")


def test_an_emulator_ends_with_its_owner_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a test run names one: a stack that a person brings up stays up."""
    report = "import os, pathlib; pathlib.Path('owner').write_text(os.environ.get('FILECOPY_ENDS_WITH', 'nobody'))"
    start(tmp_path, report)
    assert (tmp_path / "owner").read_text() == "nobody"
    (tmp_path / "tmp").rmdir()
    monkeypatch.setenv(emulator.ENDS_WITH, "4711")
    start(tmp_path, report)
    assert (tmp_path / "owner").read_text() == "4711"
