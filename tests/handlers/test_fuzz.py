"""Whatever comes in: generated events and requests for every handler, the same ones in each run.

AWS is answered in process by functions of this module, which refuse what AWS refuses and remember what was asked.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice, repeat
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ParamValidationError
from botocore.validate import ParamValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import build_worker, execution_watcher, http, regional_sync, replication_worker
from handlers import step_function_invoker as invoker

from .conftest import DESTINATIONS, SOURCE, Json, api_event, client_error, example, failed, s3_event, s3_record

pytestmark = pytest.mark.slow

# Stands in members that no handler needs, and must not come out anywhere.
CANARY = "canary-4b1d"
SECRET = "canary-secret-77e2"

COMMIT = "abc123"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:file-copy-workflow:1"
TOPIC = "arn:aws:sns:us-east-1:123456789012:file-copy-failures"
JOB = {
    "sourceBucket": SOURCE,
    "sourceKey": "releases/build-123.zip",
    "destinationBuckets": DESTINATIONS,
    "sourceVersionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
    "retry": False,
}
UPLOADED = {**JOB, "uploadedAt": "2026-03-14T09:26:53.589Z"}

# Step Functions developer guide, "Quotas".
MAX_EXECUTION_INPUT = 256 * 1024
# DynamoDB developer guide, "Quotas": bytes of a partition key and of a sort key.
MAX_FILE_KEY, MAX_SOURCE_BUCKET = 2048, 1024
# CloudWatch Logs takes a longer line apart.
MAX_LOG_LINE = 256 * 1024

# What an odd or hostile text may hold: nothing, lines, a terminal's escapes, other writing directions, half a
# character, what is special in URLs and S3's encoding, other scripts' digits, and too much of anything.
ODD_TEXTS = [
    *(
        "",
        " ",
        "\n",
        "forged\r\nline",
        "\x00",
        "\x07\x1b[2J\x1b[1;1H",
        "\x7f\x85\x9b31m",
        "\u2028\u2029",
        "\u202egnp.exe",
    ),
    *("\ud800", "a\udfff", "é", "📦", "\ufeff", "\u0661\u0662\u0663\u0661\u0662\u0663", "abc\n", "a" * 63),
    *("%", "%FF", "%0A%1B", "%ED%A0%80", "+", "../../x", "//x", "http://[x", "NaN", "1e999", "{}", "arn:aws:s3:::x"),
    *("k" * 1024, "k" * 1025, "é" * 1024, "📦" * 600),
    # Right elsewhere, or nearly right.
    *(SOURCE, DESTINATIONS[0], "abc12", "a" * 64, "a" * 65, "ABC123", "abc123\n", "abc123 ", "abc123/../x", "abc123?x"),
]
HUGE_TEXTS = ["é" * 70_000, "x" * 150_000]
ODD_NUMBERS = [0, -1, 1.5, 2**63, 10**39, 10**400, 1e308, float("inf"), float("nan")]
ODD_LISTS: list[Any] = [
    [],
    [None],
    ["a", {"b": []}],
    [HUGE_TEXTS[0]],
    {},
    {"": ""},
    {"\n": "\x1b[2J"},
    {HUGE_TEXTS[1]: 1},
]
ODD_VALUES: list[Any] = [None, True, False, *ODD_LISTS, *ODD_TEXTS, *HUGE_TEXTS, *ODD_NUMBERS]
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(st.characters(), max_size=20)
NUMBERS = st.integers() | st.floats() | st.sampled_from(ODD_NUMBERS)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
GARBAGE = (
    TEXTS | VALUES.map(json.dumps) | st.sampled_from(["{", "[" * 100_000, '{"Records":', "1" * 5_000, "'", "\ufeff{}"])
)


def generated(examples: int) -> settings:
    """The fixtures hold nothing that an example could leave to the next: ``run`` forgets what was asked of AWS."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each list or object of ``value`` with each of its indexes or names, those of canaries left out."""
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if inner != CANARY:
            yield value, name
        if isinstance(inner, dict | list):
            yield from places(inner)


@st.composite
def mutated(draw: st.DrawFn, valid: Any) -> Any:
    """``valid`` with one member left out, replaced, or added."""
    changed = copy.deepcopy(valid)
    holder, name = draw(st.sampled_from(list(places(changed))))
    what = draw(st.sampled_from(["leave out", "replace", "replace", "replace", "add"]))
    if what == "leave out":
        del holder[name]
    elif what == "replace":
        holder[name] = draw(VALUES)
    elif isinstance(holder, dict):
        holder[draw(TEXTS)] = draw(VALUES)
    else:
        holder.append(draw(VALUES))
    return changed


def each_mutation(valid: Any) -> Iterator[Any]:
    """``valid`` with each member left out, then with each odd value in its place, then with an odd member added."""
    for index, (holder, name) in enumerate(places(valid)):
        for value in [_LEFT_OUT, *ODD_VALUES] if isinstance(holder, dict) else ODD_VALUES:
            changed = copy.deepcopy(valid)
            changed_holder, _ = next(islice(places(changed), index, None))
            if value is _LEFT_OUT:
                del changed_holder[name]
            else:
                changed_holder[name] = value
            yield changed
    yield from ({**valid, name: CANARY} for name in [*ODD_TEXTS, *HUGE_TEXTS])


_LEFT_OUT = object()


def with_canaries(value: Json) -> Json:
    """``value`` with a member in each of its objects that nobody knows."""
    for holder in [value, *{id(holder): holder for holder, _ in places(value) if isinstance(holder, dict)}.values()]:
        holder["x-unknown"] = CANARY
    return value


class Aws:
    """Answers the calls of the handlers' clients, with what ``answers`` say of the operation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, Json]] = []
        self.answers: dict[str, Callable[[Json], Json]] = {
            "DescribeExecution": self._describe,
            "StartExecution": self._start,
            "UpdateItem": self._update,
            "PutItem": lambda _params: {},
            "Publish": lambda _params: {"MessageId": "1"},
        }

        def call(client: Any, operation: str, params: Json) -> Json:
            shape = client.meta.service_model.operation_model(operation).input_shape
            if (report := self._validator.validate(params, shape)).has_errors():
                raise ParamValidationError(report=report.generate_report())
            answer = self.answers[operation](params)
            self.calls.append((operation, params))
            return answer

        def connect(*_arguments: object, **_named: object) -> socket.socket:
            raise AssertionError("A handler tried to reach somebody.")

        # A whole call costs botocore much more time than what a handler does between two.
        self._validator = ParamValidator()
        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        monkeypatch.setattr(socket, "create_connection", connect)

    def asked(self, *operations: str) -> list[Json]:
        """The parameters of the calls of ``operations``, in order."""
        return [params for operation, params in self.calls if operation in operations]

    @staticmethod
    def _describe(params: Json) -> Json:
        if params["executionArn"] != EXECUTION:
            raise client_error("ExecutionDoesNotExist")
        job = json.dumps({**JOB, "x-unknown": CANARY})
        return {"executionArn": EXECUTION, "status": "ABORTED", "input": job, "output": CANARY}

    @staticmethod
    def _start(params: Json) -> Json:
        if len(params["input"].encode()) > MAX_EXECUTION_INPUT:
            raise client_error("ValidationException")
        return {"executionArn": EXECUTION, "startDate": datetime(2026, 3, 14, tzinfo=UTC)}

    @staticmethod
    def _update(params: Json) -> Json:
        for name, limit in {"fileKey": MAX_FILE_KEY, "sourceBucket": MAX_SOURCE_BUCKET}.items():
            # Half a character has no bytes; DynamoDB calls it a SerializationException.
            if not is_utf_8(params["Key"][name]["S"]) or len(params["Key"][name]["S"].encode()) > limit:
                raise client_error("ValidationException")
        return {}


@contextmanager
def shown(case: Any) -> Iterator[None]:
    """Names the example that fails, as hypothesis does."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(f"Failing example: {case!r:.5000}")
        raise


@dataclass(frozen=True)
class Context:
    """What the function uses of Lambda's context."""

    seconds_left: float = 900

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds_left * 1000)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in {
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": SECRET,
        "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:file-copy-workflow",
        "DESTINATION_BUCKETS": json.dumps(DESTINATIONS),
        "SOURCE_BUCKET": SOURCE,
        "TABLE_NAME": "FileCopyTracking",
        "TOPIC_ARN": TOPIC,
        "RECORD_RETENTION_DAYS": "0",
        "LEASE_GRACE_SECONDS": "600",
        "STATE_MACHINE": "file-copy-workflow",
        "ARTIFACT_BASE_URL": "http://artifacts.test/a",
        "KEY_PREFIX": "",
    }.items():
        monkeypatch.setenv(name, value)
    return Aws(monkeypatch)


def run(handler: Callable[[Any, Any], Any], event: Any, aws: Aws) -> Any:
    """What the handler answers. Whatever it is, checks what was logged and what people were told."""
    aws.calls.clear()
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            answer = handler(event, Context())
    except Exception as error:
        # Lambda logs it.
        assert_no_canary(str(error))
        raise
    finally:
        assert err.getvalue() == ""
        assert_lines(out.getvalue())
        for told in aws.asked("Publish"):
            assert_notification(told)
    assert_no_canary(json.dumps(answer))
    return answer


def assert_no_canary(text: str) -> None:
    assert CANARY not in text
    assert SECRET not in text


def assert_lines(written: str) -> None:
    """Each line is an object of standard JSON, in printable ASCII, and no copy of what came in."""
    assert_no_canary(written)
    assert written == "" or written.endswith("\n")
    for line in written.split("\n")[:-1]:
        assert line.isascii()
        assert line.isprintable()
        assert {"timestamp", "level", "function", "message"} <= json.loads(line, parse_constant=pytest.fail).keys()
        assert len(line) < MAX_LOG_LINE


def assert_notification(told: Json) -> None:
    """SNS takes the subject, and nobody but the handler makes a line of the message."""
    subject, message = told["Subject"], told["Message"]
    assert 0 < len(subject) < 100
    assert subject.isascii()
    assert subject.isprintable()
    assert all(line.isprintable() for line in message.split("\n"))
    headings = [line[0] for line in message.split("\n") if line]
    assert "".join(headings) in ("🚨📄🪣❌🔎", "🚨📄🪣❌🔎📋")
    assert len(message.encode()) <= 256 * 1024
    assert_no_canary(subject + message)


def is_utf_8(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


# What the guide says of the workflow's input and of a commit, in other words than the handlers'.


def is_bucket(value: object) -> bool:
    inner = "abcdefghijklmnopqrstuvwxyz0123456789"
    return (
        isinstance(value, str)
        and 3 <= len(value) <= 63
        and set(value) <= {*inner, ".", "-"}
        and {value[0], value[-1]} <= set(inner)
    )


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= 1024 and is_utf_8(value)


def is_key(value: object) -> bool:
    return isinstance(value, str) and is_utf_8(value) and 1 <= len(value.encode()) <= 1024


def is_job(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= JOB.keys()
        and is_bucket(value.get("sourceBucket"))
        and is_key(value.get("sourceKey"))
        and is_text(value.get("sourceVersionId", "v1"))
        and value.get("retry", False) in (True, False)
        and isinstance(value.get("retry", False), bool)
        and isinstance(value.get("destinationBuckets"), list)
        and 1 <= len(value["destinationBuckets"]) <= 1_000
        and all(is_bucket(bucket) for bucket in value["destinationBuckets"])
        and value["sourceBucket"] not in value["destinationBuckets"]
    )


def is_build(value: object) -> bool:
    commit = value.get("commit") if isinstance(value, dict) else None
    if not isinstance(value, dict) or value.keys() != {"commit"}:
        return False
    return isinstance(commit, str) and 6 <= len(commit) <= 64 and set(commit) <= set("0123456789abcdef")


# --- Queues


def batch(*bodies: str) -> Json:
    messages = [
        {
            **example("sqs_message.json"),
            "messageId": f"message-{index}",
            "body": body,
            "receiptHandle": CANARY,
            "attributes": {"SenderId": CANARY},
            "messageAttributes": {"authorization": {"stringValue": CANARY, "dataType": "String"}},
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{CANARY}",
        }
        for index, body in enumerate(bodies)
    ]
    return {"Records": messages, "x-unknown": CANARY}


def created(key: str, bucket: str) -> Json:
    """An S3 event with one record."""
    record = s3_record(key, bucket=bucket)
    record["userIdentity"] = record["s3"]["bucket"]["ownerIdentity"] = {"principalId": CANARY}
    record["requestParameters"] = {"sourceIPAddress": CANARY}
    record["responseElements"] = {"x-amz-id-2": CANARY}
    record["s3"]["object"]["owner"] = CANARY
    return with_canaries({"Records": [record]})


def ending(key: str) -> Json:
    """An event of an execution that was stopped."""
    detail = {
        "executionArn": EXECUTION,
        "stateMachineArn": CANARY,
        "name": CANARY,
        "status": "ABORTED",
        "input": json.dumps({**JOB, "sourceKey": key}),
        "output": CANARY,
        "error": "States.Runtime",
        "cause": "stopped by hand",
    }
    return with_canaries({"source": "aws.states", "account": CANARY, "resources": [CANARY], "detail": detail})


RECORD = {
    "executionId": {"S": EXECUTION},
    "status": {"S": "COMPLETED"},
    "sourceVersionId": {"S": "v1"},
    "sourceETag": {"S": "another"},
    "sourceSize": {"N": "1024"},
    "successfulBuckets": {"L": [{"S": bucket} for bucket in DESTINATIONS]},
    "copyResults": {"L": [{"M": {"destinationBucket": {"S": bucket}}} for bucket in DESTINATIONS]},
}


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A handler of a queue, and what shows that it has handled a message."""

    handler: Callable[[Any, Any], Any]
    valid: Callable[[str], Json]
    done: tuple[str, ...]
    """The calls that change something."""
    last: str
    """Of those the one that is made once for each message, last."""


REPLICATION_WORKER = Consumer(
    handler=replication_worker.handler,
    valid=lambda key: created(key, SOURCE),
    done=("StartExecution",),
    last="StartExecution",
)
REGIONAL_SYNC = Consumer(
    handler=regional_sync.handler,
    valid=lambda key: created(key, DESTINATIONS[0]),
    done=("PutItem", "Publish"),
    last="PutItem",
)
EXECUTION_WATCHER = Consumer(
    handler=execution_watcher.handler,
    valid=ending,
    done=("UpdateItem", "Publish"),
    last="Publish",
)
CONSUMERS = pytest.mark.parametrize(
    "consumer",
    [REPLICATION_WORKER, REGIONAL_SYNC, EXECUTION_WATCHER],
    ids=["replication-worker", "regional-sync", "execution-watcher"],
)


@pytest.fixture
def tracked(aws: Aws) -> Aws:
    """Every file has a record, whose copies are complete; every source is larger than what arrived."""
    aws.answers["GetItem"] = lambda _params: {"Item": RECORD}
    aws.answers["HeadObject"] = lambda _params: {"ContentLength": 2048, "ETag": '"another"'}
    return aws


@CONSUMERS
@given(garbage=GARBAGE)
@generated(200)
def test_garbage_goes_back_alone(consumer: Consumer, garbage: str, tracked: Aws) -> None:
    """A message that means nothing is reported, it alone, and nothing is done for it."""
    good = [json.dumps(consumer.valid(key)) for key in ("good-0", "good-1")]
    assert run(consumer.handler, batch(good[0], garbage, good[1]), tracked) == failed(1)
    assert len(tracked.asked(consumer.last)) == 2
    assert run(consumer.handler, batch(garbage), tracked) == failed(0)
    assert tracked.asked(*consumer.done) == []


def check_s3_event(consumer: Consumer, event: Any, aws: Aws) -> None:
    answer = run(consumer.handler, batch(json.dumps(event), json.dumps(consumer.valid("good"))), aws)
    assert answer in (failed(), failed(0))
    handled = [
        json.loads(params["input"])["sourceKey"]
        if "input" in params
        else (params.get("Key") or params["Item"])["fileKey"]["S"]
        for params in aws.asked(consumer.last)
    ]
    assert handled[-1] == "good"
    if answer == failed(0):
        assert len(handled) == 1
        assert len(aws.asked("Publish")) == (consumer is REGIONAL_SYNC)
    elif consumer is REPLICATION_WORKER:
        assert len(handled) == 2
    for started in aws.asked("StartExecution"):
        job = json.loads(started["input"])
        assert job["destinationBuckets"] == DESTINATIONS
        others = [value for name, value in job.items() if name != "destinationBuckets"]
        assert all(isinstance(value, str) and value and is_utf_8(value) for value in others)
        assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", started["name"])


S3_CONSUMERS = pytest.mark.parametrize(
    "consumer", [REPLICATION_WORKER, REGIONAL_SYNC], ids=["replication-worker", "regional-sync"]
)


@S3_CONSUMERS
def test_an_s3_event_with_an_odd_value_anywhere(consumer: Consumer, tracked: Aws) -> None:
    """One wrong member: the message is either handled or reported, never both, never neither, and its neighbours are
    handled. Nothing is started but for what an object can be called."""
    for event in each_mutation(consumer.valid("odd")):
        with shown(event):
            check_s3_event(consumer, event, tracked)


@S3_CONSUMERS
@given(data=st.data())
@generated(300)
def test_a_mutated_s3_event(consumer: Consumer, data: st.DataObject, tracked: Aws) -> None:
    """The same of values that nobody thought of."""
    check_s3_event(consumer, data.draw(mutated(consumer.valid("odd"))), tracked)


def check_ending(event: Any, aws: Aws) -> None:
    answer = run(execution_watcher.handler, batch(json.dumps(event), json.dumps(ending("good"))), aws)
    assert answer in (failed(), failed(0))
    published = aws.asked("Publish")
    assert len(published) == (1 if answer == failed(0) else 2)
    assert "📄 File: good\n" in published[-1]["Message"]
    written = {update["Key"]["fileKey"]["S"] for update in aws.asked("UpdateItem")}
    assert written <= {"odd", "good", JOB["sourceKey"]}


def test_an_ending_with_an_odd_value_anywhere(tracked: Aws) -> None:
    """One wrong member: a person is told once, or the message comes back and nothing is done for it. The next message
    is handled, and no record is touched but those of the files that the events name."""
    for event in each_mutation(ending("odd")):
        with shown(event):
            check_ending(event, tracked)


@given(event=mutated(ending("odd")))
@generated(300)
def test_a_mutated_ending(event: Json, tracked: Aws) -> None:
    """The same of values that nobody thought of."""
    check_ending(event, tracked)


def check_ending_of(job: Any, aws: Aws) -> None:
    event = ending("odd")
    event["detail"] |= {"status": "FAILED", "input": json.dumps(job)}
    assert run(execution_watcher.handler, batch(json.dumps(event)), aws) == failed()
    assert len(aws.asked("Publish")) == 1


def test_the_end_of_an_execution_with_an_odd_input_is_told(tracked: Aws) -> None:
    """Whoever starts the workflow by hand may give it anything; that it failed is told, whatever that was."""
    for job in [*ODD_VALUES, *each_mutation(JOB)]:
        with shown(job):
            check_ending_of(job, tracked)


def check_success_of(job: Any, stopped: Any, aws: Aws) -> None:
    event = ending("odd")
    output = '{"status": "COMPLETED"}'
    event["detail"] |= {"status": "SUCCEEDED", "input": json.dumps(job), "output": output, "stopDate": stopped}
    assert run(execution_watcher.handler, batch(json.dumps(event)), aws) == failed()
    assert aws.asked("UpdateItem", "Publish") == []


def test_an_execution_that_succeeded_with_an_odd_input_is_no_error(tracked: Aws) -> None:
    """Where there is nothing to measure, nothing is measured: the message is done with, whatever was started."""
    for job in [*ODD_VALUES, *each_mutation(UPLOADED)]:
        with shown(job):
            check_success_of(job, 1773480476089, tracked)
    for stopped in ODD_VALUES:
        with shown(stopped):
            check_success_of(UPLOADED, stopped, tracked)


@given(job=VALUES | mutated(UPLOADED), stopped=VALUES | st.just(1773480476089))
@generated(300)
def test_an_execution_that_succeeded_with_any_input_is_no_error(job: Any, stopped: Any, tracked: Aws) -> None:
    """The same of values that nobody thought of."""
    check_success_of(job, stopped, tracked)


@given(job=VALUES | mutated(JOB))
@generated(300)
def test_the_end_of_an_execution_with_any_input_is_told(job: Any, tracked: Aws) -> None:
    """The same of values that nobody thought of."""
    check_ending_of(job, tracked)


@given(data=st.data())
@generated(300)
def test_a_mutated_message_does_not_end_the_batch(data: st.DataObject, aws: Aws) -> None:
    """Whatever else a queue's message has or lacks, its neighbours are handled."""
    event = batch(*[s3_event(s3_record(key)) for key in ("good-0", "odd", "good-1")])
    odd = data.draw(mutated(event["Records"][1]))
    event["Records"][1] = {**odd, "messageId": "message-1"}
    assert run(replication_worker.handler, event, aws) in (failed(), failed(1))
    started = [json.loads(started["input"])["sourceKey"] for started in aws.asked("StartExecution")]
    assert {"good-0", "good-1"} <= set(started)


# --- Requests


@dataclass(frozen=True)
class Body:
    """A request's body: as API Gateway gives it to a function, and what it says."""

    given: str
    is_base64: bool
    value: Any
    """``None`` where it is no JSON."""


def plain(text: str) -> Body:
    try:
        value = json.loads(text.encode()) if len(text.encode()) <= http.MAX_BODY_BYTES else None
    except (ValueError, RecursionError):
        value = None
    return Body(text, False, value)


def encoded(body: bytes) -> Body:
    try:
        value = json.loads(body) if len(body) <= http.MAX_BODY_BYTES else None
    except (ValueError, RecursionError):
        value = None
    return Body(base64.b64encode(body).decode(), True, value)


def bodies(valid: Any) -> st.SearchStrategy[Body]:
    """Anything at all, and ``valid`` with one thing wrong, as text and encoded."""
    json_texts = mutated(valid).map(json.dumps)
    raw = mutated(valid).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return st.one_of(
        GARBAGE.map(plain),
        json_texts.map(plain),
        raw.map(encoded),
        json_texts.map(lambda text: encoded(text.encode("utf-16"))),
        st.binary(max_size=50).map(encoded),
        TEXTS.map(lambda text: Body(text, True, None)).filter(lambda body: not _is_base64(body.given)),
    )


def _is_base64(text: str) -> bool:
    return re.fullmatch(r"[0-9A-Za-z+/]*={0,2}", text) is not None


def request(body: str | None, is_base64: bool) -> Json:
    """A request whose every other member has a canary."""
    event = api_event(body, is_base64=is_base64)
    event["headers"] |= {"Authorization": CANARY, "X-Amz-Security-Token": CANARY, "Cookie": CANARY}
    event["multiValueHeaders"] |= {"Authorization": [CANARY]}
    event["queryStringParameters"] = {"X-Amz-Signature": CANARY}
    event["multiValueQueryStringParameters"] = {"X-Amz-Signature": [CANARY]}
    event["stageVariables"] = event["pathParameters"] = {"name": CANARY}
    event["requestContext"]["identity"] |= {"accessKey": CANARY, "userArn": CANARY, "sourceIp": CANARY}
    event["requestContext"]["authorizer"] = {"claims": CANARY}
    return with_canaries(event)


def with_unknown(value: Any) -> Any:
    """A body with a member that nobody knows."""
    return {**value, "x-unknown": CANARY} if isinstance(value, dict) else value


def answered(answer: Any, statuses: Iterable[int]) -> int:
    """The answer's status. Whatever it is, checks that it is an answer as API Gateway takes it."""
    assert type(answer["statusCode"]) is int
    assert answer["statusCode"] in statuses
    assert all(type(name) is type(value) is str for name, value in answer["headers"].items())
    assert answer["headers"]["Content-Type"] == "application/json"
    said = json.loads(answer["body"], parse_constant=pytest.fail)
    assert answer["body"].isascii()
    assert isinstance(said, dict)
    if answer["statusCode"] == 400:
        assert said["problems"]
    return int(answer["statusCode"])


def check_start(body: Body, aws: Aws) -> None:
    status = answered(run(invoker.handler, request(body.given, body.is_base64), aws), (202, 400))
    assert status == (202 if is_job(body.value) else 400)
    started = [json.loads(started["input"]) for started in aws.asked("StartExecution")]
    assert started == ([body.value] if status == 202 else [])


def test_a_request_to_start_with_an_odd_value_anywhere(aws: Aws) -> None:
    """A job as the guide has it is started, as it is; anything else is answered 400, and nothing is started."""
    for job in [*ODD_VALUES, *each_mutation(JOB)]:
        text = json.dumps(job, ensure_ascii=False)
        for body in (plain(json.dumps(job)), encoded(text.encode("utf-8", "surrogatepass"))):
            with shown(body):
                check_start(body, aws)


@given(body=bodies(JOB))
@generated(1_000)
def test_any_request_to_start(body: Body, aws: Aws) -> None:
    """The same of requests that nobody thought of."""
    check_start(body, aws)


@given(job=mutated(JOB) | VALUES)
@generated(500)
def test_any_job_given_directly_is_started_or_refused(job: Any, aws: Aws) -> None:
    """Invoked directly, the function raises what is wrong with its input, and nothing else."""
    if is_job(job):
        run(invoker.handler, job, aws)
    else:
        with pytest.raises(http.BadRequestError):
            run(invoker.handler, job, aws)
    assert len(aws.asked("StartExecution")) == is_job(job)


@given(job=mutated(JOB))
@generated(200)
def test_what_an_unknown_member_holds_is_not_repeated(job: Any, aws: Aws) -> None:
    """A member that was put into the wrong request is named, and its content, a secret perhaps, is not passed on."""
    for handler in (invoker.handler, build_worker.handler):
        event = request(json.dumps(with_unknown(job)), is_base64=False)
        assert answered(run(handler, event, aws), (400,)) == 400
        with pytest.raises(http.BadRequestError):
            run(handler, with_unknown(job), aws)


@pytest.mark.parametrize(
    ("handler", "valid", "statuses"),
    [
        (invoker.handler, JOB, (202, 400)),
        (build_worker.handler, {"commit": COMMIT}, (400, 503)),
    ],
    ids=["step-function-invoker", "build-worker"],
)
def test_an_api_event_with_an_odd_value_anywhere(
    handler: Any, valid: Json, statuses: tuple[int, ...], aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever API Gateway or somebody in its place sends, the answer is one that a caller can read, and 503 where
    the stack has no artifact host."""
    monkeypatch.setenv("ARTIFACT_BASE_URL", "")
    for event in each_mutation(request(json.dumps(valid), is_base64=False)):
        with shown(event):
            if "httpMethod" in event:
                status = answered(run(handler, event, aws), statuses)
                assert len(aws.asked("StartExecution")) == (status == 202)
            else:
                with pytest.raises(http.BadRequestError):
                    run(handler, event, aws)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("template", ["%s", '{"sourceKey": %s, "commit": %s}', '{"destinationBuckets": [%s]}'])
def test_a_body_nested_as_deep_as_can_be_read_is_a_bad_request(opening: str, template: str, aws: Aws) -> None:
    """What can just be parsed must also be judged and told of, without running out of stack."""
    closing = "]" if opening == "[" else "}"
    # CPython 3.11 counts its own calls as well; from 3.12 on the limit is in thousands, and fixed.
    limit = sys.getrecursionlimit() if sys.version_info < (3, 12) else 10_000
    for depth in range(limit - 120, limit + 5):
        body = template.replace("%s", opening * depth + ("" if opening == "[" else "1") + closing * depth)
        for handler in (invoker.handler, build_worker.handler):
            assert answered(run(handler, request(body, is_base64=False), aws), (400,)) == 400
    assert aws.asked("StartExecution", "PutObject") == []


# --- Artifacts


class Connections:
    """Connections to a host that sends ``answers``, one each, byte for byte, and the last one for ever."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = chain(answers, repeat(answers[-1]))
        self.requests: list[bytes] = []

    def connect(self, *_arguments: object, **_named: object) -> Any:
        answer = next(self._answers)
        return SimpleNamespace(
            sendall=self.requests.append,
            makefile=lambda *_arguments, **_named: io.BytesIO(answer),
            setsockopt=lambda *_arguments: None,
            close=lambda: None,
        )


@pytest.fixture
def storing(aws: Aws) -> Aws:
    """Objects can be put."""
    aws.answers["PutObject"] = lambda params: {"ETag": f'"{len(params["Body"].read())}"'}
    return aws


def check_fetch(body: Body, aws: Aws) -> None:
    host = Connections(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nzip")
    with pytest.MonkeyPatch.context() as network:
        network.setattr(socket, "create_connection", host.connect)
        status = answered(run(build_worker.handler, request(body.given, body.is_base64), aws), (201, 400))
        assert status == (201 if is_build(body.value) else 400)
        if status == 201:
            (stored,) = aws.asked("PutObject")
            assert (stored["Bucket"], stored["Key"]) == (SOURCE, f"{body.value['commit']}.zip")
            assert host.requests[0].startswith(b"GET /a/%b HTTP/1.1\r\n" % body.value["commit"].encode())
            return
        assert (aws.calls, host.requests) == ([], [])
        if not isinstance(body.value, dict) or "httpMethod" not in body.value:
            with pytest.raises(http.BadRequestError):
                run(build_worker.handler, body.value, aws)
        assert (aws.calls, host.requests) == ([], [])


def test_a_request_to_fetch_with_an_odd_value_anywhere(storing: Aws) -> None:
    """A commit's hash is fetched, under its name; anything else is answered 400, and neither the artifact host nor
    the bucket hears of it."""
    for value in [*ODD_VALUES, *each_mutation({"commit": COMMIT})]:
        body = plain(json.dumps(value))
        with shown(body):
            check_fetch(body, storing)


@given(body=bodies({"commit": COMMIT}))
@generated(600)
def test_any_request_to_fetch(body: Body, storing: Aws) -> None:
    """The same of requests that nobody thought of."""
    check_fetch(body, storing)


STATUSES = st.sampled_from(
    [b"200", b"206", b"204", b"302", b"301", b"307", b"404", b"500", b"100", b"999", b"-1", b"x", b""]
)
LOCATIONS = st.sampled_from(
    [
        *b"/b http://artifacts.test/b http://u:p@artifacts.test/ http://artifacts.test:x/ http://artifacts.test:99999/".split(),
        *b"http://[ //[::1 http://artifacts.test]/ http: http:///x file:///etc/passwd //other.test/ ? #".split(),
        *(b"", b"\x00", b"/\xff", b"/ a b", b"/\x1b[2J", b"http://\xe2\x84\x80.test/", b"/" + b"x" * 5_000),
    ]
) | st.binary(max_size=12)
LENGTHS = st.sampled_from(
    [b"3", b"0", b"-3", b"+3", b"4", b"99999999999999999999", b"3, 3", b"\xb2", b"0x3", b"", b"9" * 5_000]
)
CODINGS = st.sampled_from([b"chunked", b"CHUNKED", b"gzip", b"identity", b"chunked, chunked", b""])
CONTENTS = st.sampled_from(
    [
        *(b"zip", b"", b"zi", b"zip and more", b"3\r\nzip\r\n0\r\n\r\n", b"3\r\nzip\r\n", b"-3\r\nzip\r\n"),
        *(b"ffffffffffff\r\nz", b"3\r\nzipx\r\n0\r\n\r\n", b"1_0\r\nzip\r\n0\r\n\r\n", b"0\r\n\r\n", b"\xff\r\n"),
        b"3;x=" + b"y" * 70_000 + b"\r\nzip\r\n0\r\n\r\n",
    ]
) | st.binary(max_size=30)


@st.composite
def host_answers(draw: st.DrawFn) -> bytes:
    """What a server may send: nearly HTTP, or not at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    head = [draw(st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/9 ", b"HTTP/1.1"])) + draw(STATUSES) + b" said"]
    named = {
        b"Location": LOCATIONS,
        b"Content-Length": LENGTHS,
        b"Transfer-Encoding": CODINGS,
        b"X": st.binary(max_size=9),
    }
    names = draw(st.lists(st.sampled_from(sorted(named)), max_size=3))
    head += [name + draw(st.sampled_from([b": ", b":", b" "])) + draw(named[name]) for name in names]
    return b"\r\n".join(head) + b"\r\n\r\n" + draw(CONTENTS)


@given(answer=host_answers(), after_redirect=host_answers())
@generated(600)
def test_whatever_the_artifact_host_sends_is_answered(answer: bytes, after_redirect: bytes, storing: Aws) -> None:
    """A host that answers nonsense is told as its failure; nothing is stored but what came with a 200, whole."""
    host = Connections(answer, after_redirect)
    with pytest.MonkeyPatch.context() as network:
        network.setattr(socket, "create_connection", host.connect)
        event = request(json.dumps({"commit": COMMIT}), is_base64=False)
        status = answered(run(build_worker.handler, event, storing), (201, 404, 502))
    assert len(storing.asked("PutObject")) == (status == 201)
    assert b"200" in (answer + after_redirect) or status != 201
    assert all(b"\r\nHost: artifacts.test\r\n" in sent for sent in host.requests)


def test_the_environment_is_as_it_was() -> None:
    """The secrets of these tests are gone when they are."""
    assert SECRET not in os.environ.values()
