"""The console in a browser, on the embedded stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from components.names import DEAD_LETTERS_SUFFIX
from filecopy.console.dead_letters import FUNCTIONS
from filecopy.embedded import emulator
from filecopy.embedded.configuration import PROJECT_ROOT
from handlers.text import iso

from .system import System

playwright_api = pytest.importorskip("playwright.sync_api", reason="Playwright's Python package is not installed")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe's Python package is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT = 30_000
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>&\"'?#%2F../{{7*7}}.zip"


@contextmanager
def running(system: System, *options: str) -> Iterator[str]:
    """A console of the stack; its URL, with the token."""
    command = [sys.executable, "-m", "filecopy", "console", "--no-open", "--port", str(emulator.free_port()), *options]
    with subprocess.Popen(
        [*command, "--stack-port", str(system.stack.port)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser is installed ({', '.join(BROWSERS)})")
    # Chromium's sandbox does not work for root, as in a container.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    playwright_api.expect.set_options(timeout=TIMEOUT)
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def console(systems: Callable[[bool], System]) -> Iterator[str]:
    with running(systems(False)) as url:
        yield url


@dataclass
class Visitor:
    """A browser that has opened the console, and what went wrong in it."""

    page: Any
    url: str
    problems: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        parts = urlsplit(self.url)
        self.page.goto(f"{parts.scheme}://{parts.netloc}{path}")

    def heading(self, text: str) -> None:
        playwright_api.expect(self.page.locator("h1")).to_contain_text(text)


@contextmanager
def visiting(chromium: Any, url: str, **options: Any) -> Iterator[Visitor]:
    """A visitor who sees no error, no dialog, and no request to anything but the console."""
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    visitor = Visitor(page, url)
    own = urlsplit(url).netloc

    def dismiss(dialog: Any) -> None:
        visitor.problems.append(dialog.message)
        dialog.dismiss()

    def hear(said: Any) -> None:
        # The page about a file that does not exist has the status 404.
        if said.type in ("error", "warning") and "status of 404" not in said.text:
            visitor.problems.append(said.text)

    def watch(asked: Any) -> None:
        if urlsplit(asked.url).netloc != own:
            visitor.problems.append(asked.url)

    page.on("dialog", dismiss)
    page.on("pageerror", lambda error: visitor.problems.append(str(error)))
    page.on("console", hear)
    page.on("request", watch)
    page.goto(url)
    page.wait_for_url(lambda there: "token" not in there)
    try:
        yield visitor
        assert visitor.problems == []
    finally:
        context.close()


@pytest.fixture
def visitor(chromium: Any, console: str) -> Iterator[Visitor]:
    with visiting(chromium, console) as visitor:
        yield visitor


@pytest.fixture(scope="module")
def failed(systems: Callable[[bool], System]) -> tuple[str, str]:
    """A file with a hostile key, one of whose copies failed, and the name of its execution."""
    system = systems(False)
    key = f"{uuid.uuid4().hex}/{HOSTILE}"
    system.upload(key)
    done = system.run(system.job(key, system.destinations[0], f"missing-{uuid.uuid4().hex}"))
    return key, done["executionArn"].rpartition(":")[2]


@pytest.fixture(scope="module")
def pages(failed: tuple[str, str]) -> dict[str, str]:
    key, name = failed
    return {
        "overview": "/",
        "files": "/files",
        "search": f"/files?q={quote(key, safe='')}",
        "file": f"/file?key={quote(key, safe='')}",
        "executions": "/executions",
        "execution": f"/execution?name={name}",
        "destinations": "/destinations",
        "dead letters": "/dead-letters?queue=uploads",
        "upload": f"/upload?keys={quote(json.dumps([key]))}",
        "nothing": "/file?key=nothing",
    }


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not list its sockets here")
def test_it_listens_on_loopback_only(console: str) -> None:
    """No other machine reaches it."""
    port = f":{urlsplit(console).port:04X}"
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    listening = [line[1] for line in lines if line[1].endswith(port) and line[3] == "0A"]
    assert listening == [f"0100007F{port}"]


def test_a_dropped_file_travels_to_every_destination(visitor: Visitor, tmp_path: Path, open_system: System) -> None:
    """A file that is dropped goes to the source bucket; the page follows it, and leads to its execution."""
    key = f"dropped-{uuid.uuid4().hex}.bin"
    content = os.urandom(9 * 2**20)
    (tmp_path / key).write_bytes(content)
    visitor.open("/upload")
    visitor.page.fill("#prefix", "releases/")
    visitor.page.set_input_files("#choose", tmp_path / key)
    row = visitor.page.locator("#travelling tr", has_text=f"releases/{key}")
    playwright_api.expect(row).to_contain_text("copied")
    playwright_api.expect(row).to_contain_text("2 of 2")
    row.get_by_role("link", name="see it run").click()
    visitor.heading("Copied to all 2 destinations")
    for bucket in (open_system.source, *open_system.destinations):
        assert open_system.s3.get_object(Bucket=bucket, Key=f"releases/{key}")["Body"].read() == content


def test_an_open_page_shows_what_happens(visitor: Visitor, open_system: System) -> None:
    """A file that is uploaded while the page is open appears, and is copied, without a reload."""
    visitor.open("/files")
    visitor.page.evaluate("window.isTheSame = true")
    key = f"{uuid.uuid4().hex}.zip"
    open_system.upload(key)
    row = visitor.page.locator("tr", has_text=key)
    playwright_api.expect(row).to_contain_text("copied")
    assert visitor.page.evaluate("window.isTheSame")


def test_the_page_of_a_file_appears_with_its_record(visitor: Visitor, open_system: System) -> None:
    """Until then, the page has one problem: the file has no record."""
    key = f"{uuid.uuid4().hex}.zip"
    visitor.open(f"/file?key={key}")
    playwright_api.expect(visitor.page.locator("#live")).to_have_text("not up to date")
    playwright_api.expect(visitor.page.locator(".problem:visible")).to_have_count(1)
    open_system.upload(key)
    visitor.heading("Copied to all 2 destinations")
    playwright_api.expect(visitor.page.locator(".problem:visible")).to_have_count(0)


def test_a_failure_is_retried(visitor: Visitor, open_system: System) -> None:
    """The page of the file says what failed; its button starts the retry, and the page becomes that of a success."""
    key, missing = f"{uuid.uuid4().hex}/k.zip", f"later-{uuid.uuid4().hex}"
    open_system.upload(key)
    open_system.run(open_system.job(key, open_system.destinations[0], missing))
    visitor.open("/files?status=failed")
    visitor.page.get_by_role("link", name=key).click()
    visitor.heading("Partly failed: 1 of 2 copies failed")
    playwright_api.expect(visitor.page.locator(".why")).to_contain_text("NoSuchBucket")
    playwright_api.expect(visitor.page.locator("#notification pre")).to_contain_text(f"❌ {missing}: S3.NoSuchBucket")
    open_system.make_bucket(missing)
    visitor.page.get_by_role("button", name="Retry failed copies").click()
    playwright_api.expect(visitor.page.locator(".done")).to_contain_text("The retry of 1 copy has started.")
    visitor.heading("Copied to all 2 destinations")
    playwright_api.expect(visitor.page.get_by_role("button")).to_have_count(0)


def test_a_dead_letter_is_replayed(visitor: Visitor, open_system: System) -> None:
    """Its content is shown; the button moves it back into its queue, from where it is processed and does not return.
    The reason is in the log of the queue's function, which is known for each queue."""
    assert FUNCTIONS.keys() == open_system.dead_letters.keys()
    assert set(FUNCTIONS.values()) <= open_system.functions.keys()
    key = f"{uuid.uuid4().hex}/replayed.zip"
    job = json.dumps({**open_system.job(key), "sourceBucket": "elsewhere"})
    execution = open_system.state_machine.replace(":stateMachine:", ":execution:") + ":replayed"
    event = {"detail": {"executionArn": execution, "status": "SUCCEEDED", "input": job, "output": "{}"}}
    open_system.sqs.send_message(QueueUrl=open_system.dead_letters["endings"], MessageBody=json.dumps(event))
    visitor.open("/dead-letters?queue=endings")
    playwright_api.expect(visitor.page.locator(".letter")).to_contain_text(key)
    visitor.page.get_by_role("button", name="Replay endings").click()
    playwright_api.expect(visitor.page.locator(".done")).to_contain_text("back into endings")
    open_system.wait_for_no_messages(open_system.dead_letters["endings"].removesuffix(DEAD_LETTERS_SUFFIX))
    assert open_system.letters_in("endings") == 0


def test_a_state_is_chosen_with_the_mouse_and_the_keyboard(visitor: Visitor, pages: dict[str, str]) -> None:
    """First the state that failed is chosen. A click, or Enter, chooses another one, and shows its data; an update of
    the page leaves it chosen."""
    visitor.open(pages["execution"])
    shown = visitor.page.locator(".panel.selected")
    playwright_api.expect(shown).to_have_count(1)
    visitor.page.locator('.machine a[href="#state-ReadSource"]').click()
    playwright_api.expect(shown.locator("h3").first).to_contain_text("ReadSource")
    playwright_api.expect(shown).to_contain_text("took")
    playwright_api.expect(shown.locator("pre").first).to_be_visible()
    visitor.page.locator('.machine a[href="#state-AcquireLease"]').focus()
    visitor.page.keyboard.press("Enter")
    playwright_api.expect(shown.locator("h3").first).to_contain_text("AcquireLease")
    # At once, so that no update of the server is in between.
    updated = visitor.page.evaluate(
        "() => { update(main.innerHTML.replaceAll('States with a tick', 'Those with a tick'));"
        " return [document.querySelector('figcaption').textContent.slice(0, 5),"
        " document.querySelector('.panel.selected').id, document.activeElement.getAttribute('href')]; }"
    )
    assert updated == ["Those", "state-AcquireLease", "#state-AcquireLease"]


def test_a_hidden_page_costs_nothing(visitor: Visitor) -> None:
    """A hidden tab closes its connection, and opens it again when it is shown."""
    visitor.open("/")
    playwright_api.expect(visitor.page.locator("#live")).to_have_text("live")
    hide = "value => { Object.defineProperty(document, 'hidden', {value, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')); return source === null; }"
    assert visitor.page.evaluate(hide, True) is True
    assert visitor.page.evaluate(hide, False) is False


def test_an_open_page_outlives_an_engine_that_stops(visitor: Visitor) -> None:
    """It keeps what it shows, says why it is not up to date, and goes on when it can be read again."""
    visitor.open("/files")
    sign, problem = visitor.page.locator("#live"), visitor.page.locator("#live-problem")
    playwright_api.expect(sign).to_have_text("live")
    rows = visitor.page.locator("#files tr").count()
    hear = "event => source.onmessage({data: JSON.stringify(event)})"
    visitor.page.evaluate(f"source.close(); ({hear})({{html: '', problem: 'Could not connect.'}})")
    playwright_api.expect(problem).to_have_text("Could not connect.")
    playwright_api.expect(sign).to_have_text("not up to date")
    assert visitor.page.locator("#files tr").count() == rows
    visitor.page.evaluate(f"({hear})({{html: main.innerHTML, problem: ''}})")
    playwright_api.expect(problem).to_be_hidden()
    playwright_api.expect(sign).to_have_text("live")


def test_a_link_of_another_site_opens_it(chromium: Any, console: str) -> None:
    """The printed URL works also where it is a link, as in a terminal in a browser: the cookie, which no other site
    sends, comes with the next request. Then no address has the token."""
    context = chromium.new_context()
    page = context.new_page()
    try:
        page.set_content(f'<a href="{console}">open</a>')
        page.get_by_role("link").click()
        playwright_api.expect(page.locator("h1")).to_have_text("Overview")
        page.go_back()
        assert page.url == "about:blank"
    finally:
        context.close()


def test_pages_can_be_read_without_javascript(chromium: Any, console: str, pages: dict[str, str]) -> None:
    """All but uploads; a state is chosen by its link."""
    with visiting(chromium, console, java_script_enabled=False) as visitor:
        for path in pages.values():
            visitor.open(path)
            assert visitor.page.locator("h1").inner_text()
        visitor.open(pages["execution"])
        visitor.page.locator('.machine a[href="#state-ReadSource"]').click()
        playwright_api.expect(visitor.page.locator("#state-ReadSource")).to_be_visible()
        playwright_api.expect(visitor.page.locator("#state-AcquireLease")).to_be_hidden()


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_pages_are_accessible_and_fit(chromium: Any, console: str, pages: dict[str, str], theme: str) -> None:
    """axe finds nothing wrong with WCAG 2.2 AA; nothing but the drawing needs scrolling sideways, at any width; nothing
    that others chose is obeyed. The dark theme differs in its colours only."""
    rules = {
        "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        "dark": {"type": "rule", "values": ["color-contrast"]},
    }
    found: dict[str, list[object]] = {}
    with visiting(chromium, console, color_scheme=theme) as visitor:
        for name, path in pages.items():
            visitor.open(path)
            results = axe_api.Axe().run(visitor.page, options={"runOnly": rules[theme], "resultTypes": ["violations"]})
            found[name] = [
                (one["id"], node["target"], node.get("failureSummary"))
                for one in results.response["violations"]
                for node in one["nodes"][:3]
            ]
            for width in (1920, 1024, 960, 740, 360) if theme == "light" else ():
                visitor.page.set_viewport_size({"width": width, "height": 800})
                needed = visitor.page.evaluate("document.documentElement.scrollWidth")
                found[name] += [f"{needed} pixels at {width}"] if needed > width else []
            visitor.page.set_viewport_size({"width": 1280, "height": 900})
    assert {name: problems for name, problems in found.items() if problems} == {}


@pytest.mark.slow
def test_read_only(chromium: Any, open_system: System, pages: dict[str, str]) -> None:
    """It shows everything, and has no button that acts."""
    with running(open_system, "--read-only") as url, visiting(chromium, url) as visitor:
        visitor.open(pages["file"])
        visitor.heading("Partly failed")
        playwright_api.expect(visitor.page.locator('form[method="post"]')).to_have_count(0)
        playwright_api.expect(visitor.page.locator("nav").get_by_role("link", name="Upload")).to_have_count(0)


@pytest.mark.slow
def test_the_first_paint_with_a_thousand_records(chromium: Any, console: str, open_system: System) -> None:
    """Each page is painted with its records: ``pytest -s`` prints the milliseconds, the best
    of five. They are no limit, because they depend on the machine.
    """
    items = [
        {
            "fileKey": {"S": f"many/{index:04}.zip"},
            "sourceBucket": {"S": open_system.source},
            "status": {"S": "COMPLETED" if index % 10 else "PARTIAL_FAILURE"},
            "startTime": {"S": iso(datetime.now(UTC) - timedelta(minutes=index))},
            "executionId": {"S": f"{open_system.state_machine.replace(':stateMachine:', ':execution:')}:{index}"},
            "destinationBuckets": {"L": [{"S": bucket} for bucket in open_system.destinations]},
        }
        for index in range(1000)
    ]

    def write(requests: list[dict[str, Any]]) -> None:
        for start in range(0, len(requests), 25):
            batch = requests[start : start + 25]
            open_system.dynamodb.batch_write_item(RequestItems={open_system.table: batch})

    write([{"PutRequest": {"Item": each}} for each in items])
    times = {}
    with visiting(chromium, console) as visitor:
        for path in ("/", "/files", "/file?key=many%2F0001.zip", "/destinations"):
            paints = []
            for _ in range(5):
                visitor.open(path)
                paints.append(
                    visitor.page.evaluate(
                        "new Promise(done => new PerformanceObserver(list => done(list.getEntries()[0].startTime))"
                        ".observe({type: 'paint', buffered: true}))"
                    )
                )
            times[path] = min(paints)
            assert "many/" in visitor.page.content() or path == "/destinations", path
    write([{"DeleteRequest": {"Key": {name: each[name] for name in ("fileKey", "sourceBucket")}}} for each in items])
    print(times)
