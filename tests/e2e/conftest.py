"""One stack for all tests that leave it as it was, with an artifact host beside it: the embedded one, or one that is
given (``--stack``), on whatever engine it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from filecopy.errors import StackError
from filecopy.stack.stack import Stack, find_stack

from . import engines
from .engines import Engine
from .system import System, stack_up

# What the artifact host has, by the end of the commit: on a stack that is given, each run has commits of its own.
ARTIFACTS = {"abc123": b"an artifact", "0a1b2c3d4e5f": b"x" * 20_000_000}

# Waits between retries are skipped: what is tested is that there are retries, and docs say how long they wait.
NO_WAITS = ("--emulator", "SFN_WAIT_SCALE=0")


# --- A stack that is given --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    name: str
    target: Stack
    engine: Engine


_GIVEN = pytest.StashKey[Given | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("end-to-end tests")
    group.addoption(
        "--stack",
        metavar="NAME|FILE",
        help="run them on a stack that the Pulumi CLI made, by its name or by a file with what"
        " 'pulumi stack output --json' printed",
    )
    group.addoption("--results", metavar="FILE", help="write what passed, and what was skipped and why, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_GIVEN] = None
    if name := config.getoption("stack"):
        try:
            found = find_stack(0, name)
            given = Given(name, found, engines.engine_at(found.outputs.get("endpoint")))
        except (StackError, OSError, ValueError) as error:
            raise pytest.UsageError(f"--stack {name}: {error}") from None
        config.stash[_GIVEN] = given
    if config.getoption("results") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(Path(config.getoption("results")), config.stash[_GIVEN]))


def pytest_report_header(config: pytest.Config) -> str | None:
    given = config.stash.get(_GIVEN, None)
    return f"stack: {given.name}, {given.engine.name} {given.engine.version}".strip() if given else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    given = config.stash.get(_GIVEN, None)
    if given is None:
        return
    folder = Path(__file__).parent
    ours = [item for item in items if item.path.parent == folder]
    # Whether IAM is enforced there is the stack's own affair: what runs on both embedded stacks runs once.
    again = [item for item in ours if item.name.endswith(("[enforced]", "-enforced]")) or "[enforced-" in item.name]
    config.hook.pytest_deselected(items=again)
    items[:] = [item for item in items if item not in again]
    for item in ours:
        if reason := engines.limit(f"{item.path.name}::{item.name}", given.engine.name):
            item.add_marker(pytest.mark.skip(reason=reason))


class Results:
    """Writes what became of the tests, for a table."""

    def __init__(self, file: Path, given: Given | None) -> None:
        self._file = file
        self._engine = given.engine if given else engines.engine(engines.EMBEDDED)
        self._outcomes: dict[str, str] = {}
        self._skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._outcomes[report.nodeid] = "failed"
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skipped[report.nodeid] = reason.removeprefix("Skipped: ")
        elif report.when == "call":
            self._outcomes.setdefault(report.nodeid, "passed")

    def pytest_sessionfinish(self) -> None:
        outcomes = [*self._outcomes.values()]
        found: dict[str, Any] = {
            "engine": self._engine.name,
            "version": self._engine.version,
            "passed": outcomes.count("passed"),
            "failed": sorted(test for test, outcome in self._outcomes.items() if outcome == "failed"),
            "skipped": [{"test": test, "reason": reason} for test, reason in sorted(self._skipped.items())],
        }
        self._file.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def given(request: pytest.FixtureRequest) -> Given | None:
    return request.config.stash.get(_GIVEN, None)


# --- The artifact host ------------------------------------------------------------------------------------------


class _Artifacts(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        commit = self.path.split("/")[-1]
        content = next((content for end, content in ARTIFACTS.items() if commit.endswith(end)), None)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet: what was asked for shows in what arrives."""


@contextmanager
def _serving_artifacts(port: int = 0) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", port), _Artifacts) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/artifacts"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def artifact_base_url() -> Iterator[str]:
    with _serving_artifacts() as url:
        yield url


@pytest.fixture(scope="session")
def artifacts(request: pytest.FixtureRequest, given: Given | None) -> Iterator[None]:
    """The artifact host that the stack fetches from. One that is given has been told where that is."""
    if given is None:
        yield
        return
    systems: Callable[[bool], System] = request.getfixturevalue("systems")
    base = urlsplit(systems(False).variables_of("build-worker")["ARTIFACT_BASE_URL"])
    if base.hostname not in ("127.0.0.1", "localhost") or base.port is None:
        pytest.skip(
            "the stack's setting artifactBaseUrl names no port of this machine, such as http://127.0.0.1:4999/a"
        )
    with _serving_artifacts(base.port):
        yield


# --- The stacks -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def systems(request: pytest.FixtureRequest, given: Given | None) -> Iterator[Callable[[bool], System]]:
    """The two stacks that tests share, each brought up when a test first asks for it; or the one that is given."""
    with ExitStack() as stacks:

        @cache
        def get(enforced: bool) -> System:
            if given:
                return stacks.enter_context(System.given(given.name, given.target, given.engine))
            artifacts = ("-c", f"artifactBaseUrl={request.getfixturevalue('artifact_base_url')}")
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
def enforced(systems: Callable[[bool], System], given: Given | None) -> System:
    """The stack where IAM is enforced."""
    assert given is None, "Say in tests/e2e/engines.py why this test is none for a stack that is given."
    return systems(True)


@pytest.fixture
def breakable(request: pytest.FixtureRequest, given: Given | None) -> Iterator[System]:
    """A stack of the test's own. One that is given is everybody's: what a test changes there, it puts back."""
    if given:
        yield request.getfixturevalue("open_system")
        return
    with stack_up(*NO_WAITS) as own:
        yield own
