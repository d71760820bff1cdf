"""What the embedded stack's emulator is given beyond MiniStack."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from queue import Queue

from filecopy.embedded.ministack_process import in_workers

SECONDS = 30

account: ContextVar[str] = ContextVar("account")


def test_executions_wait_for_those_before_them() -> None:
    """Only so many run at once, the next in turn as soon as one has ended, each in the account that started it."""
    began: Queue[tuple[str, str]] = Queue()
    ends = {name: threading.Event() for name in "abcd"}

    def run(name: str) -> None:
        began.put((name, account.get()))
        ends[name].wait(SECONDS)

    start = in_workers(run, 2)
    for name in ends:
        account.set(f"account of {name}")
        start(name)
    account.set("another")
    under_way = {began.get(timeout=SECONDS) for _ in range(2)}
    assert under_way == {("a", "account of a"), ("b", "account of b")}
    for ended, next_one in (("b", "c"), ("a", "d")):
        assert began.empty()
        ends[ended].set()
        assert began.get(timeout=SECONDS) == (next_one, f"account of {next_one}")
    for name in "cd":
        ends[name].set()
