"""filecopy/console/security.py: who may read a page of the console, and which requests may change something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from filecopy.console import app
from filecopy.console.app import PAGES

from .consoles import HOST, PORT, Browser, by_status, console_of, record
from .test_report import Page

STARTED = {"executionArn": "arn:aws:states:us-east-1:1:execution:m:n", "startDate": 0}
PATHS = [*PAGES, "/live?of=/", "/static/console.css", "/static/console.js", "/nothing"]


def a_failed_file() -> dict[str, Any]:
    return record(
        "k.zip",
        "PARTIAL_FAILURE",
        "2026-11-26T20:00:00.000Z",
        destinationBuckets=["region-a-builds", "region-b-builds"],
        successfulBuckets=["region-a-builds"],
        failedBuckets=["region-b-builds"],
    )


def acting() -> tuple[Browser, Any]:
    console, aws = console_of(
        GetItem={"Item": a_failed_file()}, Query=by_status(a_failed_file()), StartExecution=STARTED
    )
    return Browser(console), aws


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": ""},
        {"cookie": f"filecopy-console-{PORT}=guessed"},
        {"cookie": "filecopy-console-1=x; broken"},
        {"host": "attacker.example"},
        {"host": f"attacker.example:{PORT}"},
        {"host": "127.0.0.1:1"},
        {"host": ""},
        {"origin": "http://attacker.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_others_read_nothing(path: str, headers: dict[str, str]) -> None:
    """Without the cookie, under another name (DNS rebinding), or from another site, no path answers, and AWS is not
    asked."""
    console, aws = console_of()
    answer = Browser(console).get(path, **headers)
    assert answer.status == 403
    assert aws.calls == []
    assert console.keys.token not in answer.text
    assert console.keys.session not in json.dumps(answer.headers)


def test_the_printed_url_gives_the_cookie() -> None:
    """The token of the URL is exchanged for a cookie that no script reads and no other site sends, and leaves the
    address bar. A wrong token gives nothing."""
    console, _ = console_of()
    browser = Browser(console, {"cookie": ""})
    assert browser.get("/?token=guessed").status == 403
    assert browser.post(f"/?token={console.keys.token}").status == 403
    answer = browser.get(f"/files?q=a+b&token={console.keys.token}")
    assert (answer.status, Page(answer.text).attributes[-1]) == (200, ("href", "/files?q=a+b"))
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert browser.get("/", cookie=cookie.partition(";")[0]).status == 200


@pytest.mark.parametrize("path", ['/"><script>x', "/;url=http://attacker.example", "//attacker.example/"])
def test_the_way_to_a_page_stays_in_the_console(path: str) -> None:
    """A link with the token leads to the console's own pages, whatever else it has."""
    console, _ = console_of()
    page = Page(Browser(console, {"cookie": ""}).get(f"{path}?token={console.keys.token}&x=%22%3E%3Cb%3E").text)
    assert page.tags == ["html", "head", "meta", "title", "meta", "body", "p", "a"]
    assert re.fullmatch(r"/[^/;\"<>][^;\"<>]*\?x=%22%3E%3Cb%3E", str(page.attributes[-1][1]))


def test_a_browser_is_opened_with_a_token_that_works_once() -> None:
    """Other users can read the command line of the browser, but not use what is in it any more."""
    console, _ = console_of()
    browser, token = Browser(console, {"cookie": ""}), console.keys.token_for_once()
    assert [browser.get(f"/?token={token}").status for _ in range(2)] == [200, 403]


def test_each_run_has_secrets_of_its_own() -> None:
    """A cookie, a token or a page of an earlier run is worth nothing."""
    (one, _), (other, _) = console_of(), console_of()
    secrets = [one.keys.token, one.keys.session, one.keys.form, other.keys.token, other.keys.session, other.keys.form]
    assert len(set(secrets)) == 6
    assert min(map(len, secrets)) >= 43
    assert not any(secret in repr(one.keys) for secret in secrets)


@pytest.mark.parametrize("path", PATHS[:-4] + PATHS[-3:])
def test_every_answer_has_the_headers(path: str) -> None:
    """A page loads and runs nothing but the console's own files, no other page frames it, and no cache keeps a page."""
    console, _ = console_of()
    for answer in (Browser(console).get(path), Browser(console).get(path, host="attacker.example")):
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "script-src": "'self'",
            "img-src": "'self'",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        is_file = path.startswith("/static/") and answer.status == 200
        assert answer.headers["cache-control"] == ("private, max-age=86400, immutable" if is_file else "no-store")


def test_pages_need_no_more_than_the_policy_allows() -> None:
    """No template has a script, a style or a handler inside it, or loads something from elsewhere."""
    for path in (Path(app.__file__).parent / "templates").iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"<style|\sstyle=|\son\w+=|<script(?! src=\"{{ static\(\"console.js\"\) }}\" defer></script>)", text
        ), path
        assert not re.search(r"https?://(?!\")", text.replace('removeprefix("http://")', "")), path
    script = (Path(app.__file__).parent / "static" / "console.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", script)
    assert len(script.splitlines()) < 300


@pytest.mark.parametrize(
    ("url", "headers", "form"),
    [
        ("/retry?key=k.zip", {}, ""),
        ("/retry?key=k.zip", {}, "token=guessed&number=0"),
        ("/retry?key=k.zip", {}, "token={form}&number=x"),
        ("/retry?key=k.zip", {}, "token={form}&number=0" + " " * 5000),
        ("/retry?key=k.zip", {"origin": "http://attacker.example"}, "token={form}&number=0"),
        ("/retry?key=k.zip", {"sec_fetch_site": "cross-site"}, "token={form}&number=0"),
        ("/retry?key=k.zip", {"cookie": ""}, "token={form}&number=0"),
        ("/replay?queue=uploads", {}, "number=0"),
        ("/upload?key=k.zip&id=1", {"content_length": "1"}, "x"),
        ("/upload?key=k.zip&id=1", {"content_length": "1", "x_form_token": "guessed"}, "x"),
    ],
)
def test_an_action_needs_the_token_of_a_page(url: str, headers: dict[str, str], form: str) -> None:
    """A form or a script of another site starts nothing, even in the browser that has the cookie."""
    browser, aws = acting()
    assert browser.post(url, form.replace("{form}", browser.console.keys.form), **headers).status == 403
    assert aws.calls == []


def test_an_action_runs_once() -> None:
    """A button that is pressed twice, or a form that is sent again, starts one execution."""
    browser, aws = acting()
    for _ in range(3):
        answer = browser.post("/retry?key=k.zip", browser.form(), origin=f"http://{HOST}")
        assert (answer.status, answer.headers["location"]) == (303, "/file?key=k.zip")
    [started] = aws.of("StartExecution")
    assert json.loads(started["input"])["destinationBuckets"] == ["region-b-builds"]
    page = browser.get("/file?key=k.zip").text
    assert "The retry of 1 copy has started." in page
    assert 'name="number" value="1"' in page
    browser.post("/retry?key=k.zip", browser.form(1))
    assert len(aws.of("StartExecution")) == 2, "the next one is started by the page's new button"


def test_a_failed_action_says_so() -> None:
    """The page has AWS's error in one sentence, and nothing was started."""
    denied = {"Error": {"Code": "AccessDeniedException", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    console, _ = console_of(GetItem={"Item": a_failed_file()}, Query=by_status(a_failed_file()), StartExecution=denied)
    browser = Browser(console)
    assert browser.post("/retry?key=k.zip", browser.form()).status == 303
    page = browser.get("/file?key=k.zip").text
    assert re.search(r'class="problem" role="status">An error occurred \(AccessDeniedException\)[^<]*: no\.<', page)


def test_an_action_that_fails_unexpectedly_can_be_tried_again() -> None:
    """The page says so, and its button starts the next one."""
    browser, aws = acting()
    browser.console.reader.stack.outputs.pop("dead_letter_queue_urls")
    assert browser.post("/replay?queue=uploads", browser.form()).status == 303
    action = browser.console.actions.of("replay", "uploads")
    assert (action.is_running, action.has_failed, bool(action.message)) == (False, True, True)
    aws._answers["StartExecution"] = {}
    assert browser.post("/retry?key=k.zip", browser.form()).status == 303
    assert browser.console.actions.of("retry", "k.zip").message.startswith("The console failed (KeyError)")


def test_browsers_leave_out_port_80() -> None:
    """A console on the port of HTTP is asked without it."""
    console, _ = console_of()
    console.port = 80
    browser = Browser(console, {"cookie": f"filecopy-console-80={console.keys.session}"})
    assert browser.get("/", host="127.0.0.1").status == 200
    assert browser.get("/", host="attacker.example").status == 403


@pytest.mark.parametrize("url", ["/retry?key=k.zip", "/replay?queue=uploads", "/upload?key=k.zip&id=1"])
def test_read_only_has_no_actions(url: str) -> None:
    """There is no route that changes something, no page for uploads, and no button or token on a page."""
    item = a_failed_file()
    console, aws = console_of(is_read_only=True, GetItem={"Item": item}, Query=by_status(item), StartExecution=STARTED)
    browser = Browser(console)
    answer = browser.post(url, browser.form(), content_length="1", x_form_token=console.keys.form)
    assert answer.status in (404, 405)
    assert aws.calls == []
    assert browser.get("/upload").status == 404
    for path in ("/", "/files", "/file?key=k.zip", "/dead-letters?queue=uploads"):
        page = browser.get(path)
        assert page.status == 200
        assert console.keys.form not in page.text
        assert 'method="post"' not in page.text
    assert aws.of("StartExecution") == []
