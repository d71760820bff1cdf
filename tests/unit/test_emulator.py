"""filecopy/embedded/emulator.py with a program in MiniStack's place, which ends at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from filecopy.embedded import emulator
from filecopy.errors import StackError


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
    assert start(tmp_path, program) == f"The emulator ended with status 3. Its last words: {words}"


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
