"""Whatever a caller sends to the API of a stack that is up: generated requests, the same ones in each run."""

from __future__ import annotations

import copy
import http.client
import itertools
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from .system import System

pytestmark = pytest.mark.slow

# The stage takes 200 at once and 100 a second after that.
REQUESTS = 2_000
THREADS = 4

# Goes with each request in a header, and must come back from nowhere.
CANARY = "canary-9c35"

CONTENT_TYPES = [
    *("application/json", "application/json; charset=utf-8", "application/json; charset=utf-16", "text/plain", ""),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream", "x" * 500),
]
WHITE_SPACE = " \n\t"
# Neither a bucket's name nor a list of such, a version, a commit or a boolean.
ODD: list[Any] = [None, 1, -1.5, 10**400, float("nan"), [], [[]], [None], {}, {"a": 1}, "", WHITE_SPACE, "\ud800"]
NAMES = [
    "Upper",
    "ab",
    "z" * 64,
    "abc\n",
    "../../x",
    "-abc",
    "a_b",
    "\x1b[2Jabc",
    "é📦é",
    "\u0661\u0662\u0663\u0664\u0665\u0666",
]
COMMITS = ["abc12", "a" * 65, "ABC123", "abc123 ", "abc123?x", "abc123/../x"]
MANY = [f"bucket-{number}" for number in range(1001)]
WRONG: dict[str, list[Any]] = {
    "sourceBucket": [*ODD, True, *NAMES],
    # White space is a key.
    "sourceKey": [*(value for value in ODD if value != WHITE_SPACE), True, "k" * 1025, "é" * 50_000, ["key"]],
    "destinationBuckets": [*ODD, True, *([name] for name in [*NAMES, "global-builds"]), MANY],
    "sourceVersionId": [*ODD, True, ["v1"], "é" * 50_000],
    "retry": [*ODD, "yes", "true", 0],
    "commit": [*ODD, True, *NAMES, *COMMITS],
}


@dataclass(frozen=True)
class Request:
    path: str
    content_type: str
    body: bytes


def valid(system: System, path: str) -> dict[str, Any]:
    job = {**system.job("never-there.zip"), "sourceVersionId": "v1", "retry": False}
    return job if path == "/step-function" else {"commit": "fedcba"}


def wrong_requests(system: System) -> Iterator[Request]:
    """No end of requests, of which none may be granted: each wrong value in its place, and then anything."""
    for path in ("/step-function", "/builds"):
        right = valid(system, path)
        for member in right:
            for value in WRONG[member]:
                yield Request(path, "application/json", json.dumps({**right, member: value}).encode())
    chance = random.Random(2026)  # noqa: S311 - repeatable is what it has to be
    for path in itertools.cycle(["/step-function", "/builds"]):
        body = chance.choice([_bytes, _text, _deep, _json, _mutation, _mutation, _mutation])(
            chance, valid(system, path)
        )
        yield Request(path, chance.choice(CONTENT_TYPES), body)


def _bytes(chance: random.Random, _valid: dict[str, Any]) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 2, 10, 200]))


def _text(chance: random.Random, valid: dict[str, Any]) -> bytes:
    """JSON as it is not: cut off, doubled, in another writing, too large to be read."""
    text = json.dumps(valid)
    texts = [
        *(
            text[: chance.randrange(len(text))],
            text + text,
            text.replace('"', "'"),
            f"b={text}",
            "[" * 100_000,
            "1" * 5_000,
        ),
        *(
            f"{text}\x00",
            text[:-1] + ",}",
            json.dumps(text),
            " " * 300_000 + text,
            "\x1b[2J",
            "\u2028",
        ),
    ]
    return chance.choice(texts).encode()


def _deep(chance: random.Random, _valid: dict[str, Any]) -> bytes:
    """About as deep as CPython's parser goes: what it can just read must be judged and told of as well."""
    depth = chance.randint(940, 1000)
    value = "[" * depth + "]" * depth
    return chance.choice([value, f'{{"sourceKey": {value}, "commit": {value}}}']).encode()


def _json(chance: random.Random, _valid: dict[str, Any]) -> bytes:
    return json.dumps(_value(chance, 4)).encode()


def _value(chance: random.Random, depth: int) -> Any:
    if depth and chance.random() < 0.6:
        inner = [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
        names = [*WRONG, "", "\n", "x-unknown", "httpMethod", "body"]
        return inner if chance.random() < 0.5 else {chance.choice(names): value for value in inner}
    return chance.choice([*ODD, *NAMES, True])


def _mutation(chance: random.Random, valid: dict[str, Any]) -> bytes:
    """A valid body with one thing wrong, in UTF-8 or in escapes."""
    changed = copy.deepcopy(valid)
    name = chance.choice(list(changed))
    kind = chance.choice(["replace", "replace", "replace", "leave out", "misspell"])
    if kind == "replace":
        changed[name] = chance.choice(WRONG[name])
    else:
        # What is optional may be missing, but not misspelt.
        name = chance.choice([name for name in changed if name not in ("sourceVersionId", "retry")])
        value = changed.pop(name)
        if kind == "misspell":
            changed[chance.choice([name.upper(), f"{name} ", f"{name}\n", f"\u200b{name}"])] = value
    text = json.dumps(changed, ensure_ascii=chance.random() < 0.5)
    # Half a character goes as an escape: MiniStack makes others of what is no UTF-8.
    return (json.dumps(changed) if "\ud800" in text else text).encode()


def send(system: System, requests: list[Request]) -> list[tuple[int, str, bytes]]:
    """Status, content type and body of each answer."""
    api = urlsplit(system.api)
    assert api.hostname
    answers = []
    for request in requests:
        headers = {"Content-Type": request.content_type, "Authorization": CANARY, "X-Unknown": CANARY}
        status = 429
        while status == 429:
            time.sleep(0.01)
            connection = http.client.HTTPConnection(api.hostname, api.port, timeout=60)
            connection.request("POST", f"{api.path}{request.path}", body=request.body, headers=headers)
            answer = connection.getresponse()
            status, content_type, body = answer.status, answer.getheader("Content-Type", ""), answer.read()
            connection.close()
        answers.append((status, content_type, body))
    return answers


def left_behind(system: System) -> set[str]:
    """Every execution, object version, unfinished upload and record."""
    executions = system.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=system.state_machine)
    found = {execution["executionArn"] for page in executions for execution in page["executions"]}
    for bucket in (system.source, *system.destinations):
        for page in system.s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found |= {f"{bucket}/{stored['Key']} {stored['VersionId']}" for stored in page.get("Versions", [])}
        uploads = system.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        found |= {f"{bucket}/{upload['Key']} {upload['UploadId']}" for upload in uploads}
    for page in system.dynamodb.get_paginator("scan").paginate(TableName=system.table):
        found |= {f"record {item['fileKey']['S']!r}" for item in page["Items"]}
    return found


def logged(system: System) -> list[str]:
    """What the functions behind the API have written."""
    logs = system.clients("logs")
    groups = [f"/aws/lambda/{name}" for name in ("step-function-invoker", "build-worker")]
    pages = itertools.chain.from_iterable(
        logs.get_paginator("filter_log_events").paginate(logGroupName=group) for group in groups
    )
    return [event["message"] for page in pages for event in page["events"]]


def test_wrong_requests_are_answered_and_leave_nothing(open_system: System) -> None:
    """Each wrong request is answered 400, in JSON that says what is wrong; all together start no execution, store no
    object, write no record and kill no function, and the caller's credentials are not in the logs."""
    requests = list(itertools.islice(wrong_requests(open_system), REQUESTS))
    before, logged_before = left_behind(open_system), set(logged(open_system))
    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(lambda index: send(open_system, requests[index::THREADS]), range(THREADS)))
    for index, answers in enumerate(parts):
        for request, (status, content_type, body) in zip(requests[index::THREADS], answers, strict=True):
            seen = f"{request.path} {request.content_type!r} {request.body[:300]!r}: {status} {body[:300]!r}"
            assert status == 400, seen
            assert content_type == "application/json", seen
            assert json.loads(body, parse_constant=pytest.fail)["problems"], seen
            assert CANARY.encode() not in body, seen
    assert left_behind(open_system) - before == set()
    new = [message for message in logged(open_system) if message not in logged_before]
    assert not [message for message in new if CANARY in message or "Traceback" in message]
