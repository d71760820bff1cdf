"""Starts and stops MiniStack, an AWS emulator that pip installs, as a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from filecopy.errors import StackError

HOST = "127.0.0.1"
START_DEADLINE = 30.0

# Whatever proxy the environment names, it is not for the loopback interface.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STOP_DEADLINE = 10.0


def endpoint(port: int) -> str:
    return f"http://{HOST}:{port}"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start(port: int, folder: Path, settings: Mapping[str, str], on_start: Callable[[int], None]) -> int:
    """Starts an emulator that listens on ``port`` of the loopback interface and keeps its files in ``folder``.

    Args:
        settings: further environment variables, such as ``SFN_WAIT_SCALE``.
        on_start: is told the process id as soon as there is one.

    Returns:
        Its process id, once it answers. It leads a process group of its own.

    Raises:
        StackError: the port is taken, or the emulator ended or did not answer.
    """
    if fixed := settings.keys() & {"GATEWAY_PORT", "BIND_HOST"}:
        raise StackError(f"{' and '.join(sorted(fixed))} cannot be set: the stack listens on {HOST} and its own port.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(
                f"Port {port} of {HOST} is taken by another program ({error.strerror}). Choose another: --port."
            ) from None
    temporary = folder / "tmp"
    temporary.mkdir()
    # Functions see the emulator's environment, so it gets none of ours: a proxy, a profile or a key of the person
    # who runs it would change what a function does.
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
        **settings,
    }
    log = folder / "emulator.log"
    with log.open("wb") as output:
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
        while not answers(port):
            if process.poll() is not None:
                raise StackError(f"The emulator ended with status {process.returncode}. Its last words: {_tail(log)}")
            if time.monotonic() > deadline:
                raise StackError(f"The emulator did not answer within {START_DEADLINE:.0f} seconds: {_tail(log)}")
            time.sleep(0.05)
    except BaseException:
        # Ctrl-C too: the emulator leads a process group of its own, so it does not get that signal.
        stop(process.pid)
        process.wait()
        raise
    return process.pid


def stop(pid: int) -> None:
    """Ends the emulator ``pid`` and every process it started. By force: it has nothing to save, and would take
    seconds to end by itself.

    Raises:
        StackError: it does not end.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_DEADLINE
    while runs(pid):
        if time.monotonic() > deadline:
            raise StackError(f"The emulator, process {pid}, does not end.")
        time.sleep(0.02)
    # Where it is a child of this process, it stays a zombie until it is waited for.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def runs(pid: int) -> bool:
    """Whether ``pid`` is an emulator, and not a process that got its number later."""
    command = Path(f"/proc/{pid}/cmdline")
    if command.parent.parent.joinpath("self").exists():
        try:
            return b"ministack" in command.read_bytes()
        except OSError:
            return False
    command_line = ["ps", "-o", "command=", "-p", str(pid)]
    listing = subprocess.run(command_line, capture_output=True, check=False)  # noqa: S603 - our own command
    return b"ministack" in listing.stdout


def answers(port: int) -> bool:
    """Whether an emulator answers on ``port``."""
    try:
        with _DIRECTLY.open(f"{endpoint(port)}/_ministack/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(lines[-3:]) or "nothing"
