"""filecopy/console/events.py and uploads.py: what open pages cost, and how files are streamed."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from filecopy.console.events import MAX_PAGES, Change, Live
from filecopy.console.reader import Reader
from filecopy.console.uploads import MAX_SIZE, PART
from filecopy.polling import Pace
from filecopy.stack.clients import Clients
from filecopy.stack.records import read_record
from filecopy.stack.stack import Stack

from .consoles import Answering, Browser, console_of, stack_of

DEADLINE = 10.0


@dataclass(frozen=True)
class Remembering(Pace):
    """Does not wait, and remembers how long it would have."""

    pauses: list[float] = field(default_factory=list)

    def rest(self, requests: int) -> None:
        self.pauses.append(self.pause(requests))
        time.sleep(0.001)


@dataclass
class Reading:
    """Pages that change at each look, and cost some requests."""

    cost: int = 1
    requests: int = 0
    urls: list[str] = field(default_factory=list)

    def read(self, url: str) -> Change:
        self.requests += self.cost
        self.urls.append(url)
        return Change(html=f"{url} {self.requests}")


def live(reading: Reading, pace: Pace) -> Live:
    return Live(reading.read, pace, lambda: reading.requests)


async def until(is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not is_true():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


async def changes(stream: AsyncIterator[str], count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        event = await asyncio.wait_for(anext(stream), DEADLINE)
        if event.startswith("data: "):
            found.append(json.loads(event.removeprefix("data: "))["html"])
    return found


def test_open_pages_share_one_reader_that_keeps_the_rate() -> None:
    """Pages are read in turn, those with the same URL once for all; after a look of many requests the pause is so
    long that together they are two a second at most."""
    reading = Reading(cost=7)
    pace = Remembering(1.0, 2.0)
    pages = live(reading, pace)

    async def watch() -> None:
        streams = [pages.follow(url) for url in ("/a", "/a", "/b")]
        found = await asyncio.gather(*(changes(stream, 3) for stream in streams))
        assert all(text.startswith(url) for texts, url in zip(found, ("/a", "/a", "/b"), strict=True) for text in texts)
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        await until(lambda: not pages.is_reading)

    asyncio.run(watch())
    settled = reading.urls[4:-4]
    assert all(one != other for one, other in pairwise(settled)), "in turn"
    assert set(pace.pauses) == {3.5}


def test_nothing_is_read_when_no_one_looks() -> None:
    """The reader ends with the last page, which a hidden tab closes, and begins again with the next one."""
    reading = Reading()
    pages = live(reading, Remembering(1.0))

    async def watch() -> None:
        assert not pages.is_reading
        for _ in range(2):
            stream = pages.follow("/a")
            await changes(stream, 1)
            assert pages.is_reading
            await stream.aclose()
            await until(lambda: not pages.is_reading)
            before = reading.requests
            await asyncio.sleep(0.02)
            assert reading.requests == before

    asyncio.run(watch())


def test_only_changes_are_sent() -> None:
    """A page that is as it was is not sent again."""
    looks = 0

    def read(_url: str) -> Change:
        nonlocal looks
        looks += 1
        return Change(html="same" if looks < 20 else "new")

    pages = Live(read, Remembering(1.0), lambda: 0)

    async def watch() -> list[str]:
        stream = pages.follow("/a")
        found = await changes(stream, 2)
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    assert asyncio.run(watch()) == ["same", "new"]


def test_a_browser_that_stands_still_gets_the_latest_change() -> None:
    """What it has not taken is replaced, and does not fill the memory."""
    reading = Reading()
    pages = live(reading, Remembering(1.0))

    async def watch() -> None:
        stream = pages.follow("/a")
        await changes(stream, 1)
        seen = reading.requests
        await until(lambda: reading.requests > seen + 20)
        assert pages._pages[0].changes.qsize() <= 1
        [late] = await changes(stream, 1)
        assert int(late.split()[1]) > seen + 10
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(watch())


def test_an_error_is_sent_as_a_sentence() -> None:
    """An open page keeps its content, and says why it is not up to date."""
    denied = {"Error": {"Code": "Denied", "Message": "no\nway"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    console, _ = console_of(Query=denied)
    change = console._change("/files")
    assert (change.html, "(Denied)" in change.problem) == ("", True)
    assert "\n" not in change.as_event().strip()


def test_only_pages_can_be_followed_and_not_too_many() -> None:
    """Other paths are refused, and so is one page more than the limit."""
    console, _ = console_of()
    browser = Browser(console)
    for path in ("/static/console.css", "/retry?key=k", "http://attacker.example/", ""):
        assert browser.get(f"/live?of={path}").status == 404
    console.live._pages.extend([None] * MAX_PAGES)  # type: ignore[list-item]
    assert browser.get("/live?of=/").status == 404


def test_every_request_counts() -> None:
    """Also one that is sent again, and one in another region; on AWS, the pace is two requests a second."""
    stack, _ = stack_of()
    clients = Clients("http://127.0.0.1:9", "us-east-1")
    reader = Reader(Stack(stack.outputs, clients))
    with pytest.raises(Exception, match="Could not connect"):
        read_record(reader.stack, "k")
    assert reader.requests > 1
    before = reader.requests
    with pytest.raises(Exception, match="Could not connect"):
        clients.in_region("eu-west-1")("sqs").list_queues()
    assert reader.requests > before

    class OnAws(Answering):
        is_emulator = False

    pace = Reader(Stack(stack.outputs, OnAws())).pace
    assert [pace.pause(requests) for requests in (0, 1, 2, 12)] == [1, 1, 1, 6]


# --- Uploads ----------------------------------------------------------------------------------------------------


def uploading(**answers: Any) -> tuple[Browser, Answering]:
    console, aws = console_of(CreateMultipartUpload={"UploadId": "u"}, UploadPart={"ETag": "e"}, **answers)
    return Browser(console, {"x-form-token": console.keys.form}), aws


def content_of(call: dict[str, Any]) -> bytes:
    body = call["Body"]
    return body if isinstance(body, bytes) else bytes(body.getvalue())


def test_a_small_file_is_written_at_once() -> None:
    """Its key is the one in the URL, and its type is that of the name."""
    browser, aws = uploading()
    answer = browser.post("/upload?key=a%20b%2F%C3%BC.zip&id=1", [b"abc", b"de"], content_length="5")
    assert (answer.status, json.loads(answer.text)) == (200, {"message": "5 bytes are in global-builds."})
    [put] = aws.of("PutObject")
    assert (put["Key"], content_of(put), put["ContentType"]) == ("a b/ü.zip", b"abcde", "application/zip")


def test_a_large_file_is_streamed() -> None:
    """It goes up in parts while it arrives: no more than a part is in memory. Its checksum is that of the whole."""
    browser, aws = uploading()
    chunk = b"x" * 2**20
    held: list[int] = []

    def body() -> Iterator[bytes]:
        for count in range(20):
            held.append(count * 2**20 - sum(len(content_of(part)) for part in aws.of("UploadPart")))
            yield chunk

    answer = browser.post("/upload?key=big.bin&id=1", body(), content_length=str(20 * 2**20))
    assert answer.status == 200, answer.text
    assert max(held) <= PART
    assert [part["PartNumber"] for part in aws.of("UploadPart")] == [1, 2, 3]
    assert b"".join(content_of(part) for part in aws.of("UploadPart")) == chunk * 20
    assert aws.of("CreateMultipartUpload")[0]["ChecksumType"] == "FULL_OBJECT"
    assert len(aws.of("CompleteMultipartUpload")[0]["MultipartUpload"]["Parts"]) == 3


@pytest.mark.parametrize(
    ("url", "chunks", "length", "said"),
    [
        ("/upload?key=k&id=1", [b"abc"], "9", "did not send the whole file"),
        ("/upload?key=k&id=1", [b"x" * PART, b"x"], str(PART + 9), "did not send the whole file"),
        ("/upload?key=k&id=1", [b"x" * PART, b"x" * PART], str(PART + 9), "more than it announced"),
        ("/upload?key=k&id=1", [b"abc"], str(MAX_SIZE + 1), "filecopy send"),
        ("/upload?key=k&id=1", [b"abc"], "", "filecopy send"),
        ("/upload?key=&id=1", [b"abc"], "3", "1 to 1024 bytes"),
        (f"/upload?key={'k' * 1025}&id=1", [b"abc"], "3", "1 to 1024 bytes"),
    ],
)
def test_what_cannot_be_uploaded_leaves_nothing(url: str, chunks: list[bytes], length: str, said: str) -> None:
    """The answer says why in one sentence, no object is written, and parts that were sent are removed."""
    browser, aws = uploading()
    answer = browser.post(url, chunks, content_length=length)
    assert answer.status == 400
    assert said in json.loads(answer.text)["problem"]
    assert aws.of("PutObject") == aws.of("CompleteMultipartUpload") == []
    assert len(aws.of("AbortMultipartUpload")) == len(aws.of("CreateMultipartUpload"))


def test_a_key_that_the_stack_does_not_copy_is_not_uploaded() -> None:
    """The answer says which keys it copies, and not what to type for another one."""
    browser, aws = uploading()
    browser.console.reader.stack.outputs.update(key_prefix="releases/", key_suffix=".zip")
    said = []
    for key in ("k.zip", "releases/k.txt"):
        answer = browser.post(f"/upload?key={key}&id={key}", [b"abc"], content_length="3")
        said.append(json.loads(answer.text)["problem"])
    assert said == [
        "The stack copies only keys that begin with releases/, not k.zip.",
        "The stack copies only keys that end in .zip, not releases/k.txt.",
    ]
    assert aws.of("PutObject") == []


def test_an_upload_runs_once() -> None:
    """A request that is sent again, with the same id, writes nothing."""
    browser, aws = uploading()
    statuses = [browser.post("/upload?key=k&id=1", [b"a"], content_length="1").status for _ in range(2)]
    assert (statuses, len(aws.of("PutObject"))) == ([200, 409], 1)


def test_the_page_shows_the_limit() -> None:
    """The page says how large a file may be, and what to type for larger ones."""
    browser, _ = uploading()
    assert re.search(r"Up to 83.9 GB .*filecopy send FILE", browser.get("/upload").text)
