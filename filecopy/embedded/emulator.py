"""Starts and stops MiniStack, an AWS emulator that pip installs, as a process of its own."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from filecopy.errors import StackError

HOST = "127.0.0.1"

# Seconds. An emulator starts in one, and is busy with a copy of a gigabyte for some.
START_DEADLINE = 30.0
BUSY_DEADLINE = 60.0
STOP_DEADLINE = 10.0

# An environment variable with a process ID. The emulator ends with that process, and removes its folder. Test runs set
# it, because a test run that is killed cannot clean up.
ENDS_WITH = "FILECOPY_ENDS_WITH"

# A proxy that the environment names is not for the loopback interface.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def endpoint(port: int) -> str:
    return f"http://{HOST}:{port}"


def free_port() -> int:
    """Find a port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start(port: int, folder: Path, settings: Mapping[str, str], on_start: Callable[[int], None]) -> int:
    """Start an emulator that listens on ``port`` of the loopback interface and keeps its files in ``folder``.

    Args:
        settings: further environment variables, such as ``SFN_WAIT_SCALE``.
        on_start: is called with the process ID as soon as the process exists.

    Returns:
        The process ID, once the emulator answers. It leads a process group of its own.

    Raises:
        StackError: the port or the folder cannot be used, or the emulator ended or did not answer.
    """
    if fixed := settings.keys() & {"GATEWAY_PORT", "BIND_HOST"}:
        raise StackError(f"{' and '.join(sorted(fixed))} cannot be set: the stack listens on {HOST} and its own port.")
    _require_free(port)
    temporary = folder / "tmp"
    # Functions inherit the emulator's environment. It has no proxy, profile or key of the person who runs this: they
    # would change what a function does.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_REGION": "us-east-1",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        **({ENDS_WITH: owner} if (owner := os.environ.get(ENDS_WITH)) else {}),
        **settings,
    }
    log = folder / "emulator.log"
    with writing(folder):
        temporary.mkdir()
        output = log.open("wb")
    with output:
        process = subprocess.Popen(
            [sys.executable, "-m", "filecopy.embedded.ministack_process"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        on_start(process.pid)
        deadline = time.monotonic() + START_DEADLINE
        # What answers may be another emulator that took the port first: then this one has ended.
        while not answers(port) or process.poll() is not None:
            if process.poll() is not None:
                raise StackError(f"The emulator ended with status {process.returncode}. Its log ends: {_tail(log)}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"The emulator did not answer within {START_DEADLINE:.0f} seconds. Its log ends: {_tail(log)}"
                )
            time.sleep(0.05)
    except BaseException:
        # Also on Ctrl-C: the emulator leads a process group of its own, so it does not receive that signal.
        stop(process.pid)
        process.wait()
        raise
    return process.pid


def stop(pid: int) -> None:
    """Kill the emulator ``pid`` and every process that it started. It has nothing to save, and takes seconds to end
    by itself.

    Raises:
        StackError: it does not end.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_DEADLINE
    while runs(pid):
        if time.monotonic() > deadline:
            raise StackError(
                f"The emulator did not end within {STOP_DEADLINE:.0f} seconds. End process {pid}, then type the command"
                " again."
            )
        time.sleep(0.02)
    # A child of this process stays a zombie until it is waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def runs(pid: int) -> bool:
    """Tell if the process ``pid`` is an emulator, and not a process that got its ID later."""
    command = Path(f"/proc/{pid}/cmdline")
    if command.parent.parent.joinpath("self").exists():
        try:
            return b"ministack" in command.read_bytes()
        except OSError:
            return False
    command_line = ["ps", "-o", "command=", "-p", str(pid)]
    listing = subprocess.run(command_line, capture_output=True, check=False)  # noqa: S603 - our own command
    return b"ministack" in listing.stdout


def wait_until_it_answers(pid: int, port: int, folder: Path) -> None:
    """Wait for an emulator that is busy. It answers nothing while it copies a large file.

    Raises:
        StackError: the process has ended, or it did not answer for a minute.
    """
    again = f"'filecopy down --port {port}', then 'filecopy up --port {port}'"
    log = folder / "emulator.log"
    deadline = time.monotonic() + BUSY_DEADLINE
    while runs(pid):
        if answers(port):
            return
        if time.monotonic() > deadline:
            raise StackError(
                f"The emulator on port {port} runs, but did not answer for {BUSY_DEADLINE:.0f} seconds. It may be busy"
                f" with a large copy: try again later. If it does not recover, read its log, {log}, and run {again}."
            )
        time.sleep(0.05)
    raise StackError(f"The emulator on port {port} has died, and its files are lost. Its log is {log}. Run {again}.")


def answers(port: int) -> bool:
    """Tell if an emulator answers on ``port`` within two seconds."""
    try:
        with _DIRECTLY.open(f"{endpoint(port)}/_ministack/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Report a file that cannot be written or removed.

    Raises:
        StackError: the disk is full, or the folder is not writable.
    """
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Free some space" if is_full else "Make sure that it is a folder that you can write to"
        raise StackError(
            f"The files of the stack in {folder} cannot be changed: {error.strerror}. {advice}, then type the command"
            " again."
        ) from None


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            problem = "is taken by another program" if error.errno == errno.EADDRINUSE else "cannot be used"
            raise StackError(f"Port {port} of {HOST} {problem} ({error.strerror}). Choose another: --port.") from None


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "nothing"
