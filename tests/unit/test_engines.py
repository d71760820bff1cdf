"""The list of what an engine cannot show, and how the engine of a stack is told."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e import engines

E2E = Path(engines.__file__).parent


def names() -> list[str]:
    """Every test of tests/e2e, without what is in brackets."""
    return [
        f"{file.name}::{node.name}"
        for file in E2E.glob("test_*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_the_list_names_tests_that_are_there() -> None:
    """A test that is gone, or has another name now, would run where it cannot pass, or its reason would be a lie."""
    assert engines.unknown_tests(names()) == []


def test_the_list_is_of_known_engines_and_says_why() -> None:
    """A misspelt engine would skip nothing."""
    for one in engines.LIMITS:
        assert set(one.engines) <= {engines.MINISTACK, engines.LOCALSTACK, engines.AWS}
        assert one.reason.strip()


def test_a_test_is_limited_by_its_file_or_by_its_name() -> None:
    """What is not in the list runs."""
    assert engines.limit("test_stack.py::test_demo", engines.AWS)
    assert engines.limit("test_upload.py::test_any_key_arrives_exactly[open-plain.zip]", engines.AWS) is None
    assert engines.limit("test_stack.py::test_demo", engines.EMBEDDED) is None


@contextmanager
def answering(pages: dict[str, bytes]) -> Iterator[str]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in pages else 404)
            self.end_headers()
            self.wfile.write(pages.get(self.path, b"{}"))

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", [engines.MINISTACK, engines.LOCALSTACK])
def test_an_engine_is_known_by_its_health(name: str) -> None:
    """Deadlines and reasons are those of the engine that answers."""
    health = json.dumps({"version": "2026.3.0"}).encode()
    with answering({f"/_{name.lower()}/health": health}) as endpoint:
        assert engines.engine_at(endpoint) == engines.engine(name, "2026.3.0")


@pytest.mark.parametrize("endpoint", [None, ""])
def test_a_stack_without_an_endpoint_is_on_aws(endpoint: str | None) -> None:
    """On AWS the output is empty."""
    assert engines.engine_at(endpoint).name == engines.AWS


def test_an_engine_that_nobody_knows_is_refused() -> None:
    """Its limits are not known either."""
    with answering({}) as endpoint, pytest.raises(ValueError, match="neither LocalStack nor MiniStack"):
        engines.engine_at(endpoint)
