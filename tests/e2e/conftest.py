"""One stack for all tests that leave it as it was, with an artifact host beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from .system import System, stack_up

# What the artifact host has, by commit.
ARTIFACTS = {"abc123": b"an artifact", "0a1b2c3d4e5f": b"x" * 20_000_000}

# Waits between retries are skipped: what is tested is that there are retries, and docs say how long they wait.
NO_WAITS = ("--emulator", "SFN_WAIT_SCALE=0")


class _Artifacts(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = ARTIFACTS.get(self.path.removeprefix("/artifacts/"))
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet: what was asked for shows in what arrives."""


@pytest.fixture(scope="session")
def artifact_base_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Artifacts) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/artifacts"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def systems(artifact_base_url: str) -> Iterator[Callable[[bool], System]]:
    """The two stacks that tests share, each brought up when a test first asks for it."""
    with ExitStack() as stacks:

        @cache
        def get(enforced: bool) -> System:
            artifacts = ("-c", f"artifactBaseUrl={artifact_base_url}")
            return stacks.enter_context(stack_up(*artifacts, *NO_WAITS, enforced=enforced))

        yield get


@pytest.fixture(params=[False, True], ids=["open", "enforced"])
def system(request: pytest.FixtureRequest, systems: Callable[[bool], System]) -> System:
    """The stack, and then one where IAM is enforced and what a person does is done by an ordinary user."""
    return systems(request.param)


@pytest.fixture
def open_system(systems: Callable[[bool], System]) -> System:
    """The stack where IAM is not enforced."""
    return systems(False)


@pytest.fixture
def enforced(systems: Callable[[bool], System]) -> System:
    """The stack where IAM is enforced."""
    return systems(True)


@pytest.fixture
def breakable() -> Iterator[System]:
    """A stack that the test may break."""
    with stack_up(*NO_WAITS) as target:
        yield target
