"""The console as a process: its port, its server, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable

from hypercorn.asyncio import serve
from hypercorn.config import Config

from filecopy.errors import StackError
from filecopy.stack.records import IN_PROGRESS, read_page
from filecopy.stack.stack import Stack

from .app import Console
from .reader import Reader

# Seconds that open pages get to end at the end of the console.
_GRACE = 0.5


def run(stack: Stack, port: int, *, is_read_only: bool, on_ready: Callable[[str, str], None]) -> None:
    """Serve the console until Ctrl-C.

    Args:
        port: on 127.0.0.1; 0 for a free one.
        on_ready: called when the port is open, with the URL to print and a URL that works once, for a browser.

    Raises:
        StackError: the port cannot be used.
        BotoCoreError, ClientError: the stack does not answer.
    """
    reader = Reader(stack)
    # What is wrong with the stack or the credentials is said here, and not on each page.
    read_page(stack, IN_PROGRESS, 1)
    listening = _listening(port)
    console = Console(reader, listening.getsockname()[1], is_read_only)
    console.warm_up()
    # Ctrl-C may come before the server has its handler of signals.
    with contextlib.suppress(KeyboardInterrupt):
        on_ready(console.url(console.keys.token), console.url(console.keys.token_for_once()))
        # The server closes the socket.
        asyncio.run(_serve(console, listening.detach()))


def open_browser(url: str) -> None:
    """Open the URL in a browser, if there is one that has a window."""
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(url)


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        # A console that has just ended leaves connections that keep the port for a minute.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        listening.close()
        raise StackError(
            f"The console cannot use port {port}: {error.strerror}. Choose another: --port {port + 1}."
        ) from None
    listening.listen()
    return listening


async def _serve(console: Console, listening: int) -> None:
    ended = asyncio.Event()
    if os.name == "posix":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    config = Config()
    config.bind = [f"fd://{listening}"]
    config.graceful_timeout = _GRACE
    config.include_server_header = False
    config.errorlog = None
    await serve(console.app, config, shutdown_trigger=ended.wait)  # type: ignore[arg-type]  # of another protocol
