"""Live pages: one reader for all pages that are open, which reads only while someone looks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count

from filecopy.polling import Pace

# An open page that is never closed, as after a crash of the browser, would keep the reader busy.
MAX_PAGES = 50

# Seconds between two signs of life. Without them, the server does not notice that a page was closed.
HEARTBEAT = 15.0


@dataclass(frozen=True)
class Change:
    """A change of a page: its new content, or the sentence that says why it could not be read."""

    html: str = ""
    problem: str = ""

    def as_event(self) -> str:
        """The server-sent event. JSON keeps it on one line."""
        return f"data: {json.dumps({'html': self.html, 'problem': self.problem})}\n\n"


@dataclass(eq=False)
class _Page:
    """A page that is open in a browser."""

    url: str
    loop: asyncio.AbstractEventLoop
    changes: asyncio.Queue[Change]
    last: Change | None = None

    def offer(self, change: Change) -> None:
        """Replace a change that the browser has not taken. One that stands still would get all of them later."""
        while not self.changes.empty():
            self.changes.get_nowait()
        self.changes.put_nowait(change)


@dataclass
class Live:
    """Reads the open pages in turn, in one thread, and sends each what has changed.

    Args:
        read: reads the content of the page with this URL.
        pace: how often.
        requests: the number of requests to AWS so far.
    """

    read: Callable[[str], Change]
    pace: Pace
    requests: Callable[[], int]
    _pages: list[_Page] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def follow(self, url: str) -> AsyncIterator[str]:
        """Yield the events of a page until the browser closes it."""
        page = _Page(url, asyncio.get_running_loop(), asyncio.Queue())
        with self._lock:
            self._pages.append(page)
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="console-reader", daemon=True)
                self._thread.start()
        try:
            yield ": open\n\n"
            while True:
                try:
                    yield (await asyncio.wait_for(page.changes.get(), HEARTBEAT)).as_event()
                except TimeoutError:
                    yield ": still open\n\n"
        finally:
            with self._lock:
                self._pages.remove(page)

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= MAX_PAGES

    @property
    def is_reading(self) -> bool:
        return self._thread is not None

    def _read(self) -> None:
        for turn in count():
            with self._lock:
                urls = list(dict.fromkeys(page.url for page in self._pages))
                if not urls:
                    self._thread = None
                    return
            url = urls[turn % len(urls)]
            before = self.requests()
            change = self.read(url)
            cost = self.requests() - before
            with self._lock:
                watching = [page for page in self._pages if page.url == url and page.last != change]
            for page in watching:
                page.last = change
                page.loop.call_soon_threadsafe(page.offer, change)
            self.pace.rest(cost)
