"""The history and the report of executions that really ran, and the report in a browser."""

from __future__ import annotations

import functools
import html
import json
import os
import re
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from filecopy.executions.find import read_definition, read_history
from filecopy.executions.model import Outcome
from filecopy.pages.report import headline, report_page

from .system import System

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# What a narrow telephone is wide, in CSS pixels.
NARROW = 360

HARNESS = f"""<!DOCTYPE html><meta charset="utf-8"><title>harness</title>
<iframe src="report.html" style="width: {NARROW}px; height: 800px; border: 0"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const inside = document.querySelector("iframe").contentWindow;
  const root = inside.document.documentElement;
  for (const details of inside.document.querySelectorAll("details")) details.open = true;
  document.querySelector("#found").textContent = JSON.stringify({{
    wide: root.scrollWidth, room: root.clientWidth, title: inside.document.title,
    drawn: inside.document.querySelector("svg.machine").getBoundingClientRect().width > 0,
    fetched: inside.performance.getEntriesByType("resource").map((entry) => entry.name),
  }});
}});
</script>"""


def test_a_copy_everywhere(open_system: System) -> None:
    """An upload's execution is told state by state, with every copy and its verified arrival."""
    key = open_system.key(f"{uuid.uuid4().hex}/build.zip")
    open_system.upload(key)
    (execution,) = open_system.executions_of(key)
    open_system.finish(execution)
    history = read_history(open_system.target, execution)
    assert (history.status, history.error, history.record_is_of_this_execution) == ("SUCCEEDED", None, True)
    assert [state.name for state in history.states] == open_system.states(execution)
    assert all(state.status == "SUCCEEDED" and state.exited for state in history.states)
    assert [copy.bucket for copy in history.copies] == open_system.destinations
    for copy in history.copies:
        assert (copy.outcome, copy.error) == (Outcome.COPIED, None)
        assert copy.ended
        assert history.started < copy.ended
        assert copy.arrival
        assert copy.arrival.is_verified
    definition = read_definition(open_system.target, history)
    assert {state.name for state in history.states} < set(definition["States"])
    assert headline(history).text == "Copied to all 2 destinations"
    assert report_page(history, definition).count("✔ verified") == 2
    assert json.loads(json.dumps(history.as_json()))["input"]["sourceKey"] == key


def test_a_copy_that_failed_somewhere(open_system: System) -> None:
    """The failed destination is told with its error, and as many calls as were made. The key breaks nothing."""
    key = open_system.key(f"{uuid.uuid4().hex}/<script>alert('1')</script>&amp;.zip")
    open_system.upload(key)
    missing = open_system.bucket("invalid-bucket")
    execution = open_system.run(open_system.job(key, open_system.destinations[0], missing))["executionArn"]
    history = read_history(open_system.target, execution)
    assert (history.status, history.error) == ("FAILED", "CopiesFailed")
    good, bad = history.copies
    assert (good.outcome, bad.outcome) == (Outcome.COPIED, Outcome.FAILED)
    assert (bad.error or "").endswith("NoSuchBucketException")
    # Where the calls are not recorded by destination, they are counted. This key's copies are made by copy-worker.
    counted = [state.calls.scheduled for state in history.states if state.type == "Map" and state.calls]
    made = sum(counted) if counted else sum(len(copy.attempts or ()) for copy in history.copies)
    assert made == sum(open_system.attempts(execution, action) for action in ("copyObject", "invoke"))
    assert history.states[-1].name == "SomeCopiesFailed"
    assert history.states[-1].cause == f"1 of 2 copies failed: {missing}"
    page = report_page(history, read_definition(open_system.target, history))
    assert "Partly failed: 1 of 2 copies failed" in page
    assert "<script" not in page


# --- In a browser -----------------------------------------------------------------------------------------------


@pytest.fixture
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed ({', '.join(BROWSERS)})")
    return found


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page: what the harness measured, what was asked of the server, and what was logged."""

    found: dict[str, Any]
    asked: list[str]
    logged: list[str]


@contextmanager
def served(folder: Path, asked: list[str]) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def look(browser: str, page: str, folder: Path) -> Seen:
    """Opens ``page`` as wide as a telephone, with everything folded out."""
    site = folder / "site"
    site.mkdir()
    (site / "report.html").write_text(page, encoding="utf-8")
    (site / "index.html").write_text(HARNESS, encoding="utf-8")
    options = [
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=5000",
        f"--user-data-dir={folder / 'profile'}",
        # A machine's own name service is not asked, whatever is in the page.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    asked: list[str] = []
    with served(site, asked) as url:
        done = subprocess.run(
            [browser, *options, "--dump-dom", f"{url}/index.html"],
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
    found = re.search(r'<pre id="found">(\{.*?\})</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    logged = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(json.loads(html.unescape(found[1])), asked, logged)


@pytest.mark.slow
def test_the_report_in_a_browser(open_system: System, browser: str, tmp_path: Path) -> None:
    """On a narrow screen nothing stands out of the page, with the longest of keys; nothing is fetched or complained
    of."""
    key = open_system.key(f"{uuid.uuid4().hex}/" + "very-long-name-without-a-space" * 30 + "<b>.zip")
    open_system.upload(key)
    missing = open_system.bucket("invalid-bucket")
    execution = open_system.run(open_system.job(key, open_system.destinations[0], missing))["executionArn"]
    history = read_history(open_system.target, execution)
    page = report_page(history, read_definition(open_system.target, history))
    seen = look(browser, page, tmp_path)
    assert seen.found["title"].endswith("<b>.zip")
    assert seen.found["drawn"] is True
    # A scroll bar may take some of the room.
    assert seen.found["wide"] == seen.found["room"]
    assert NARROW - 20 <= seen.found["room"] <= NARROW
    assert seen.found["fetched"] == []
    assert [path for path in seen.asked if not path.endswith("/favicon.ico")] == ["/index.html", "/report.html"]
    assert [line for line in seen.logged if "favicon" not in line] == []


@pytest.mark.slow
def test_the_look_sees_what_is_wrong(browser: str, tmp_path: Path) -> None:
    """A page that stands out, fetches something and complains is seen to: the test above would fail."""
    page = (
        "<!DOCTYPE html><title>t</title><svg class=machine width=10 height=10></svg><div style='width: 900px'>x</div>"
        "<img src='picture.png'><script>console.error('complaint')</script>"
    )
    seen = look(browser, page, tmp_path)
    assert seen.found["wide"] == 900 + 8
    assert [name.rpartition("/")[2] for name in seen.found["fetched"]] == ["picture.png"]
    assert "/picture.png" in seen.asked
    assert any("complaint" in line for line in seen.logged)
