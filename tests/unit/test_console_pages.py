"""filecopy/console: what each page shows, what it asks AWS for, and that nothing that others chose is obeyed."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from filecopy.console import app
from filecopy.console.overview import overview
from filecopy.console.reader import Reader, percentile
from filecopy.console.words import ago
from filecopy.pages.svg import state_id

from .consoles import ODD, Answering, Browser, by_status, console_of, item, record
from .executions import ARN, AWS_DESCRIBED, AWS_EVENTS, AWS_RECORD, DEFINITION, STARTED
from .test_report import Page

NOW = datetime.now(UTC)


def at(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def many(count: int, status: str = "COMPLETED") -> list[dict[str, Any]]:
    return [record(f"{status}-{index}.zip", status, at(index), completedAt=at(index - 0.1)) for index in range(count)]


def batch(*items: dict[str, Any]) -> Any:
    def answer(call: dict[str, Any]) -> dict[str, Any]:
        keys = [key["fileKey"] for key in call["RequestItems"]["FileCopyTracking"]["Keys"]]
        return {"Responses": {"FileCopyTracking": [each for each in items if each["fileKey"] in keys]}}

    return answer


def failed(key: str = "bad.zip", cause: str = "It is gone", **members: Any) -> dict[str, Any]:
    return record(
        key,
        "PARTIAL_FAILURE",
        at(3),
        destinationBuckets=["region-a-builds", "region-b-builds"],
        successfulBuckets=["region-a-builds"],
        failedBuckets=["region-b-builds"],
        copyResults=[
            {"destinationBucket": "region-a-builds", "success": True, "check": "ETag", "timestamp": at(2.9)},
            {"destinationBucket": "region-b-builds", "success": False, "error": "S3.NoSuchBucket", "cause": cause},
        ],
        arrivals={"region-a-builds": {"verified": True, "check": "ETag"}},
        **members,
    )


def opened(url: str, **answers: Any) -> tuple[str, Page, Answering]:
    console, aws = console_of(**answers)
    answer = Browser(console).get(url)
    assert answer.status == 200, answer.text
    return answer.text, Page(answer.text), aws


def links(text: str) -> list[str]:
    return [unescape(url) for url in re.findall(r'href="([^"]*)"', text)]


# --- Overview ---------------------------------------------------------------------------------------------------


def test_the_overview_begins_with_what_needs_a_person() -> None:
    """Alarms, dead letters and failed files come first, each with its link; then what runs, and how long files take."""
    ended = STARTED + timedelta(seconds=14)
    told = json.loads(AWS_DESCRIBED["input"]) | {"uploadedAt": STARTED.isoformat()}
    listed = {"executionArn": ARN, "status": "SUCCEEDED", "startDate": STARTED, "stopDate": ended}
    text, page, _ = opened(
        "/",
        Query=by_status(failed(), *many(2), *many(1, "IN_PROGRESS")),
        BatchGetItem=batch(failed()),
        DescribeAlarms={
            "MetricAlarms": [
                {"AlarmName": "file-copy-late", "AlarmDescription": "Files are late.\nMore", "StateValue": "ALARM"},
                {"AlarmName": "file-copy-calm", "AlarmDescription": "Calm", "StateValue": "OK"},
            ]
        },
        GetQueueAttributes={"Attributes": {"ApproximateNumberOfMessages": "3"}},
        ListExecutions={"executions": [listed]},
        DescribeExecution={**AWS_DESCRIBED, **listed, "input": json.dumps(told)},
    )
    assert "file-copy-calm" not in text
    needs = text[text.index('id="needs"') : text.index('id="numbers"')]
    shown = ["file-copy-late: Files are late.", "3 events of uploads could not", "1 file was not copied everywhere"]
    assert [needs.index(each) for each in shown] == sorted(needs.index(each) for each in shown)
    assert {"/dead-letters?queue=uploads", "/files?status=failed&since=1d"} <= set(links(needs))
    assert "region-b-builds: S3.NoSuchBucket: It is gone" in page.text
    assert "14.0 s" in page.of("dd"), "the time from the upload to the end"
    assert "/file?key=IN_PROGRESS-0.zip" in links(text)


def test_a_calm_overview_says_so() -> None:
    """Where there is nothing yet, the page says what to type."""
    _, page, _ = opened("/")
    assert "Nothing needs a person." in page.text
    assert "filecopy send FILE" in page.of("kbd")


def test_a_part_that_cannot_be_read_leaves_the_others() -> None:
    """An error of AWS is one sentence in its place, and the rest of the page is there."""
    denied = {"Error": {"Code": "AccessDenied", "Message": "Not you"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    _, page, _ = opened("/", Query=by_status(*many(1)), DescribeAlarms=denied, GetQueueAttributes=denied)
    assert page.text.count("AccessDenied") == 2
    assert "COMPLETED-0.zip" in page.text


def test_the_graph_counts_by_hour() -> None:
    """Each file is in the hour of its start, the latest hour at the right, and heights are in proportion."""
    console, _ = console_of(Query=by_status(*many(3), *many(1, "FAILED"), record("old", "COMPLETED", at(90))))
    columns = overview(console.reader, {})["columns"]
    assert len(columns) == 24
    assert [len(column.parts) for column in columns[-3:]] == [0, 1, 2]
    assert [(kind, round(low), round(height)) for kind, low, height in columns[-1].parts] == [
        ("good", 0, 75),
        ("bad", 75, 25),
    ]
    assert "1 copied" in columns[-2].title


# --- Files ------------------------------------------------------------------------------------------------------


def test_pages_of_files_read_what_they_show() -> None:
    """All files are on some page, each once, the latest first; a page asks once for each status, for no more than it
    shows, and never scans."""
    items = [*many(120), *many(70, "FAILED"), *many(1, "IN_PROGRESS")]
    console, aws = console_of(Query=by_status(*items))
    browser, url, seen = Browser(console), "/files", list[str]()
    while url:
        before = len(aws.calls)
        text = browser.get(url).text
        assert {(name, call["Limit"]) for name, call in aws.calls[before:]} == {("Query", 50)}
        assert len(aws.calls) - before <= 4
        seen += re.findall(r'href="/file\?key=([^"]*)"', text)
        url = next((each for each in links(text) if "page=" in each), "")
    starts = {each["fileKey"]["S"]: each["startTime"]["S"] for each in items}
    assert sorted(seen) == sorted(starts)
    assert [starts[key] for key in seen] == sorted(starts.values(), reverse=True)


def test_a_search_looks_at_so_many_records_and_says_so() -> None:
    """The file with exactly this key is found by its key, however old. The others are found among a bounded number of
    records, and the page says how far it looked, and goes on from there."""
    old = {**failed("COMPLETED-7"), "status": {"S": "COMPLETED"}}
    console, aws = console_of(Query=by_status(*many(300)), GetItem={"Item": old})
    browser = Browser(console)
    text = browser.get("/files?q=COMPLETED-7").text
    found = re.findall(r'href="/file\?key=([^"]*)"', text)
    assert found == ["COMPLETED-7", "COMPLETED-7.zip", *(f"COMPLETED-7{digit}.zip" for digit in range(10))]
    assert "looked at 250 records" in text
    assert {call["Limit"] for call in aws.of("Query")} == {250}
    following = next(url for url in links(text) if "page=" in url)
    assert "looked at 50 records" in browser.get(following).text
    assert len(aws.of("GetItem")) == 1
    assert "data-live" not in text, "it is not read again and again"
    assert "data-live" in browser.get("/files?status=failed").text


def test_filters_of_files() -> None:
    """Status and time are conditions of the query. A destination is read from whole records, 100 in a request."""
    items = [failed(), failed("other.zip")]
    console, aws = console_of(Query=by_status(*items, *many(2)), BatchGetItem=batch(*items))
    browser = Browser(console)
    text = browser.get("/files?status=failed&since=1h&to=region-b-builds").text
    statuses = {call["ExpressionAttributeValues"][":status"]["S"] for call in aws.of("Query")}
    assert statuses == {"FAILED", "PARTIAL_FAILURE"}
    assert all("startTime >= :since" in call["KeyConditionExpression"] for call in aws.of("Query"))
    assert re.findall(r'href="/file\?key=([^"]*)"', text) == ["bad.zip", "other.zip"]
    assert len(aws.of("BatchGetItem")) == 1
    assert "bad.zip" not in browser.get("/files?to=region-c-builds").text


@pytest.mark.parametrize("page", ["x", "e30", "bnVsbA==", quote("eyJDT01QTEVURUQiOiAxfQ=="), "%ff"])
def test_a_damaged_address_is_an_error_in_one_sentence(page: str) -> None:
    """A place that the console did not write is refused, or is the first page."""
    console, _ = console_of()
    answer = Browser(console).get(f"/files?page={page}")
    assert answer.status in (200, 502)
    assert answer.status == 200 or "damaged" in answer.text


@pytest.mark.parametrize(
    "url",
    [
        f"/file?key=k&look={'9' * 5000}",
        "/live?of=//[",
        f"/upload?keys={quote(json.dumps([chr(0xD800), 'k' * 1025, 1, 'k']))}",
        f"/files?page={urlsafe_b64encode(b'[' * 5000).decode()}",
    ],
    ids=lambda url: url[:20],
)
def test_an_address_that_no_page_has_is_no_mistake(url: str) -> None:
    """It is the page without what is wrong, or an error in one sentence."""
    console, _ = console_of(Query=by_status(record("k", "COMPLETED", at(1))))
    assert Browser(console).get(url).status < 500 or "damaged" in Browser(console).get(url).text


def test_a_key_that_no_file_has_is_not_asked_for() -> None:
    """DynamoDB refuses a request for a longer key than S3 has. A search for one finds nothing, as any other."""
    console, aws = console_of(Query=by_status(*many(1)))
    browser, key = Browser(console), "k" * 1025
    assert browser.get(f"/file?key={key}").status == 404
    assert aws.calls == []
    assert "No file matches." in browser.get(f"/files?q={key}").text
    assert {name for name, _ in aws.calls} == {"Query"}


def test_a_full_last_page_is_followed_by_an_end() -> None:
    """DynamoDB does not say that nothing follows. The page after the last one says so, and not that there is no file
    at all."""
    console, _ = console_of(Query=by_status(*many(50)))
    browser = Browser(console)
    following = next(each for each in links(browser.get("/files").text) if "page=" in each)
    text = browser.get(following).text
    assert "There is no older file." in text
    assert 'rel="next"' not in text
    assert 'href="/files?q=&amp;status=' in text, "the first page"


def test_a_mistake_of_the_console_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that no page expects is a sentence on the page, which has its headers, and on an open page."""
    console, _ = console_of()
    monkeypatch.setitem(app.PAGES, "/", replace(app.PAGES["/"], view=lambda _reader, _query: {"x": 1 // 0}))
    answer = Browser(console).get("/")
    assert answer.status == 500
    assert "The console failed (ZeroDivisionError). Its terminal says why." in answer.text
    assert "content-security-policy" in answer.headers
    assert console._change("/").problem.startswith("The console failed")


# --- A file -----------------------------------------------------------------------------------------------------


def test_a_file_in_words() -> None:
    """Its outcome, the reason, each copy, how it was verified, and each of its executions."""
    listed = {"executionArn": ARN, "status": "FAILED", "startDate": STARTED}
    told = json.dumps({"sourceBucket": "global-builds", "sourceKey": "bad.zip"})
    other = {**listed, "executionArn": f"{ARN}-other"}

    def described(call: dict[str, Any]) -> dict[str, Any]:
        is_own = call["executionArn"] == ARN
        return {**AWS_DESCRIBED, **call, "status": "FAILED", "input": told if is_own else "{}"}

    text, page, _ = opened(
        "/file?key=bad.zip",
        Query=by_status(failed()),
        ListExecutions={"executions": [listed, other]},
        DescribeExecution=described,
    )
    assert page.of("h1")[-1] == "Partly failed: 1 of 2 copies failed"
    assert "S3.NoSuchBucket: It is gone" in page.text
    assert "verified by ETag" in page.text
    executions = text[text.index('id="executions"') : text.index('id="notification"')]
    assert links(executions)[0] == "/execution?name=run"
    assert "run-other" not in executions
    assert 'action="/retry?key=bad.zip"' in text


def test_the_notification_is_shown_as_it_was_sent() -> None:
    """Its subject and text are those of the execution's events; an engine that does not record them has its number."""
    parameters = json.dumps({"Subject": "Partly failed", "Message": "⚠️ File copy\nbad.zip"})

    def with_parameters(event: Any) -> Any:
        details = event.get("taskScheduledEventDetails")
        if not details or "sns" not in details["resourceType"] + details["resource"]:
            return event
        return {**event, "taskScheduledEventDetails": {**details, "parameters": parameters}}

    events = [with_parameters(event) for event in AWS_EVENTS]
    _, page, _ = opened("/file?key=bad.zip", Query=by_status(failed()), GetExecutionHistory={"events": events[::-1]})
    assert "Partly failed" in page.of("strong")
    assert page.of("pre") == ["⚠️ File copy\nbad.zip"]


def test_progress_of_a_large_copy() -> None:
    """A copy that copy-worker is making has a bar and its percentage."""
    running = record(
        "big.bin",
        "IN_PROGRESS",
        at(1),
        sourceVersionId="v",
        destinationBuckets=["region-a-builds"],
        uploads={"region-a-builds": {"of": "v", "copiedBytes": 37, "totalBytes": 100}},
    )
    text, page, _ = opened("/file?key=big.bin", Query=by_status(running))
    assert re.search(r'<progress max="100" value="37"', text)
    assert "In progress: 0 of 2 copies made so far" in page.text
    assert "/retry" not in text, "an execution runs"


@pytest.mark.parametrize(
    "url", ["/file?key=none", "/file", "/execution?name=", "/execution?name=a:b", "/dead-letters?queue=x", "/none"]
)
def test_what_does_not_exist(url: str) -> None:
    """The page says so in one sentence, with the status 404."""
    console, _ = console_of()
    answer = Browser(console).get(url)
    assert answer.status == 404
    assert "There is no" in answer.text


# --- Executions -------------------------------------------------------------------------------------------------


def test_executions_are_described_once() -> None:
    """On AWS a look describes ten at most; what has ended is not described again, and what is left comes later."""

    class OnAws(Answering):
        is_emulator = False

    listed = [{"executionArn": f"{ARN}-{index}", "status": "FAILED", "startDate": STARTED} for index in range(25)]
    console, aws = console_of(
        ListExecutions={"executions": listed}, DescribeExecution=lambda call: {**AWS_DESCRIBED, **call}
    )
    aws.__class__ = OnAws
    console.reader.described_at_once = Reader(console.reader.stack).described_at_once
    browser = Browser(console)
    left = [browser.get("/executions").text.count("is being read") for _ in range(4)]
    assert left == [15, 5, 0, 0]
    assert len(aws.of("DescribeExecution")) == 25


def test_a_page_of_an_execution() -> None:
    """The drawing's states lead to what is known of each; the error is on top; events, timeline and record follow."""
    console, _ = console_of(Query={"Items": [item(**AWS_RECORD | {"executionId": ARN})]})
    console.reader.stack.outputs["source_bucket"] = AWS_RECORD["sourceBucket"]
    text = Browser(console).get("/execution?name=run").text
    page = Page(text)
    assert page.of("h1") == [page.of("h1")[0]]
    assert text.index("CopiesFailed") < text.index('id="machine"')
    targets = set(re.findall(r'href="#([^"]*)"', text)) - {"main"}
    panels = set(re.findall(r'class="panel" id="([^"]*)"', text))
    names = {*DEFINITION["States"], "CopyToBucket", "CopyFailed", "RunCopyWorker", "AbortCopy", "CopyNotAborted"}
    assert targets == panels == {state_id(name) for name in names}
    copying = text[text.index('id="state-CopyToBucket"') : text.index('id="state-CopyFailed"')]
    assert "Please reduce your request rate" in copying
    assert copying.count("<h4>Visit") >= 4, "each copy's own input and output"
    assert 'data-chosen="state-CopyToBucket"' in text, "not AcquireLease, which only waited"
    assert "refused: another execution has the file" in page.text
    assert f"{len(AWS_EVENTS)} events" in page.text
    assert "✔ verified" in page.text, "from the record"
    assert not re.search(r"\sstyle=|<style", text)


def test_a_running_execution_shows_where_it_is() -> None:
    """Only the state that runs has its mark; it moves with the next look, and what does not change is read once."""
    running = {name: value for name, value in AWS_DESCRIBED.items() if name not in ("stopDate", "error", "cause")}
    events = AWS_EVENTS[:30]
    console, aws = console_of(
        DescribeExecution={**running, "status": "RUNNING"}, GetExecutionHistory=lambda _call: {"events": events[::-1]}
    )
    browser = Browser(console)
    places = []
    for count in (30, 40, len(AWS_EVENTS)):
        events = AWS_EVENTS[:count]
        text = browser.get("/execution?name=run").text
        places.append(re.findall(r'current"><title>(\w+)', text))
    assert [len(place) for place in places] == [1, 1, 0]
    assert len(aws.of("DescribeStateMachineForExecution")) == 1


# --- Destinations and dead letters ------------------------------------------------------------------------------


def test_destinations_count_their_copies() -> None:
    """Per bucket: how many succeeded, bytes, lag, and the last failure with its cause."""
    items = [failed(sourceSize=2000), failed("worse.zip", "No more", sourceSize=1000)]
    _, page, aws = opened("/destinations", Query=by_status(*items), BatchGetItem=batch(*items))
    assert "100 %" in page.of("td")
    assert "0 %" in page.of("td")
    assert "3.0 kB" in page.of("td")
    assert page.text.count("S3.NoSuchBucket") == 1
    assert (len(aws.of("Query")), len(aws.of("BatchGetItem"))) == (4, 1)


def test_dead_letters_stay_where_they_are() -> None:
    """The page shows what is in them, and the reason from the function's log, and removes nothing."""
    body = json.dumps({"Records": [{"s3": {"object": {"key": ODD}}}]})
    message = {"MessageId": "m-1", "Body": body, "Attributes": {"SentTimestamp": "1700000000000"}}
    text, page, aws = opened(
        "/dead-letters?queue=uploads",
        ReceiveMessage={"Messages": [message]},
        GetQueueAttributes={"Attributes": {"ApproximateNumberOfMessages": "1"}},
        FilterLogEvents={"events": [{"message": json.dumps({"messageId": "m-1", "error": "No such <b>table</b>"})}]},
    )
    assert "No such <b>table</b>" in page.text
    assert all(call["VisibilityTimeout"] == 0 for call in aws.of("ReceiveMessage"))
    [logged] = aws.of("FilterLogEvents")
    assert (logged["logGroupName"], logged["filterPattern"]) == ("/aws/lambda/replication-worker", '"m-1"')
    assert aws.of("DeleteMessage") == []
    assert "Replay uploads" in text


# --- What others chose ------------------------------------------------------------------------------------------


HOSTILE = {
    "Query": by_status(failed(ODD, ODD, problem=ODD), record(ODD, "COMPLETED", at(1))),
    "BatchGetItem": batch(failed(ODD, ODD, problem=ODD)),
    "GetItem": {"Item": failed(ODD, ODD, problem=ODD)},
    "ListExecutions": {"executions": [{"executionArn": ARN, "status": "FAILED", "startDate": STARTED}]},
    "DescribeExecution": {
        **AWS_DESCRIBED,
        "input": json.dumps({"sourceBucket": "global-builds", "sourceKey": ODD, "destinationBuckets": [ODD]}),
        "error": ODD,
        "cause": ODD,
    },
    "DescribeAlarms": {"MetricAlarms": [{"AlarmName": ODD, "AlarmDescription": ODD, "StateValue": "ALARM"}]},
    "ReceiveMessage": {"Messages": [{"MessageId": ODD, "Body": ODD}]},
}


@pytest.mark.parametrize(
    "url",
    ["/", "/files", f"/files?q={quote(ODD)}", f"/file?key={quote(ODD)}", "/executions", "/execution?name=run",
     "/destinations", "/dead-letters?queue=uploads",
     f"/upload?keys={quote(json.dumps([ODD]))}", f"/nothing/{quote(ODD)}"],
)  # fmt: skip
def test_nothing_that_others_chose_breaks_out(url: str) -> None:
    """Keys, causes and names that are written like tags, or turn text around, are shown and not obeyed; links and
    buttons lead to the same file."""
    console, _ = console_of(**HOSTILE)
    text = Browser(console).get(url).text
    page = Page(text)
    assert page.tags.count("script") == 1, "the console's own"
    assert "img" not in page.tags
    assert not {name for name, _ in page.attributes if name.startswith("on")}
    assert "\x1b" not in text
    assert "\u202e" not in text
    keys = re.findall(r'(?:href="/file|action="/retry)\?key=([^"&]*)', text)
    assert set(keys) <= {quote(ODD, safe="")}


def test_words() -> None:
    """Ages are round, so that an open page does not change every second; percentiles are values that were measured."""
    now = datetime(2026, 1, 31, tzinfo=UTC)
    ages = [(0.9, "just now"), (2, "2 min ago"), (119, "119 min ago"), (120, "2 h ago"), (3000, "2 days ago")]
    assert [ago(now - timedelta(minutes=minutes), now) for minutes, _ in ages] == [said for _, said in ages]
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, percent) for percent in (50, 95, 100)] == [50, 95, 100]
    assert percentile([7.0], 95) == 7
