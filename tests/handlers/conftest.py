"""AWS in process (moto), the events that AWS sends, and a host that serves artifacts on the loopback interface."""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote_plus

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

import handlers
from handlers import clients, log

from . import account

EVENTS = Path(__file__).parent / "events"
SOURCE = "global-builds"
DESTINATIONS = ["region-a-builds", "region-b-builds"]

Json = dict[str, Any]


def forget_everything() -> None:
    """What a container keeps between invocations: clients, the environment, the artifact host's opener, and what its
    log was about."""
    for module in pkgutil.iter_modules(handlers.__path__):
        for member in vars(importlib.import_module(f"handlers.{module.name}")).values():
            if hasattr(member, "cache_clear"):
                member.cache_clear()
    log.about()


@pytest.fixture(autouse=True)
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new container for each test, whatever the developer's own settings are."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", account.session())
    forget_everything()
    # Not the cached function itself: its session would be forgotten with what the container keeps.
    monkeypatch.setattr(clients, "session", functools.partial(account.botocore_session))
    yield
    forget_everything()


def empty_account() -> AbstractContextManager[object]:
    """A context in which every AWS call is answered in process, by an account that has nothing yet."""
    return mock_aws(config={"core": {"reset_boto3_session": False}})


def example(name: str) -> Json:
    """An event of ``events/``, a new one at each call."""
    return cast("Json", json.loads((EVENTS / name).read_text(encoding="utf-8")))


def s3_record(key: str, /, *, bucket: str = SOURCE, **members: str | int | None) -> Json:
    """A record of an S3 event; ``members`` replace those of its ``object``, and ``None`` leaves one out."""
    record = cast("Json", example("s3_object_created.json")["Records"][0])
    record["s3"]["bucket"]["name"] = bucket
    created = {**record["s3"]["object"], "key": quote_plus(key, safe="/"), **members}
    record["s3"]["object"] = {name: value for name, value in created.items() if value is not None}
    return record


def s3_event(*records: Json) -> str:
    return json.dumps({"Records": records})


def sqs_event(*bodies: str) -> Json:
    """A batch of messages with the ids ``message-0``, ``message-1``, …"""
    return {
        "Records": [
            {**example("sqs_message.json"), "messageId": f"message-{index}", "body": body}
            for index, body in enumerate(bodies)
        ]
    }


def failed(*indexes: int) -> Json:
    """What SQS is told when these messages of the batch failed."""
    return {"batchItemFailures": [{"itemIdentifier": f"message-{index}"} for index in indexes]}


def api_event(body: str | None, *, is_base64: bool = False) -> Json:
    return {**example("api_post.json"), "body": body, "isBase64Encoded": is_base64}


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "Told by a test"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


def before_call(client: Any, operation: str, do: Callable[[Json], None]) -> None:
    """Has ``do`` called with the parameters of each call of ``operation``; what it raises, the call raises."""

    def hook(params: Json, **_more: object) -> None:
        do(params)

    service = client.meta.service_model.service_id.hyphenize()
    client.meta.events.register(f"provide-client-params.{service}.{operation}", hook)


def fail_with(error: Exception, when: Callable[[Json], bool] = lambda _params: True) -> Callable[[Json], None]:
    """For ``before_call``: raises ``error`` at each call whose parameters are as ``when`` says."""

    def fail(params: Json) -> None:
        if when(params):
            raise error

    return fail


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[Json]:
    """What was logged since the last call, each line parsed."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an artifact host answers, byte for byte; the ``headers`` may promise another body than it sends."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def whole(body: bytes, status: int = 200) -> Answer:
    return Answer(status=status, headers={"Content-Length": str(len(body))}, body=body)


class ArtifactHost(socketserver.TCPServer):
    """Answers each path of ``answers``, 404 for the others, and remembers what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _AnswersFromTable)
        self.answers: dict[str, Answer] = {}
        self.requested: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _AnswersFromTable(BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self) -> None:
        host = cast("ArtifactHost", self.server)
        host.requested.append(self.path)
        answer = host.answers.get(self.path, whole(b"No such artifact", 404))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        # A client may go away in the middle of what it refuses.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(answer.body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: what was asked for is in ``requested``."""


@contextmanager
def serving_artifacts() -> Iterator[ArtifactHost]:
    with ArtifactHost() as host:
        thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()


@pytest.fixture
def artifact_host() -> Iterator[ArtifactHost]:
    with serving_artifacts() as host:
        yield host


class StateMachine:
    """A state machine whose executions can be started and looked at; moto runs none of them."""

    def __init__(self) -> None:
        self.arn = account.stepfunctions().create_state_machine(
            name="file-copy-workflow",
            definition=json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "End": True}}}),
            roleArn="arn:aws:iam::123456789012:role/file-copy-workflow",
        )["stateMachineArn"]

    def execution_arns(self) -> list[str]:
        """Oldest first."""
        found = account.stepfunctions().list_executions(stateMachineArn=self.arn)["executions"]
        return [execution["executionArn"] for execution in reversed(found)]

    def inputs(self) -> list[Json]:
        return [
            json.loads(account.stepfunctions().describe_execution(executionArn=arn)["input"])
            for arn in self.execution_arns()
        ]

    def stop_executions(self) -> None:
        for arn in self.execution_arns():
            account.stepfunctions().stop_execution(executionArn=arn)


@pytest.fixture
def state_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[StateMachine]:
    with empty_account():
        machine = StateMachine()
        monkeypatch.setenv("STATE_MACHINE_ARN", machine.arn)
        yield machine


class Notifications:
    """What was published to the topic, read back from a queue that is subscribed to it."""

    def __init__(self) -> None:
        sns, sqs = account.sns(), account.sqs()
        self.topic_arn = sns.create_topic(Name="file-copy-failures")["TopicArn"]
        self._queue_url = sqs.create_queue(QueueName="inbox")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=["QueueArn"])["Attributes"]
        sns.subscribe(TopicArn=self.topic_arn, Protocol="sqs", Endpoint=attributes["QueueArn"])

    def received(self) -> list[Json]:
        messages = account.sqs().receive_message(QueueUrl=self._queue_url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in messages.get("Messages", [])]


@pytest.fixture
def notifications() -> Iterator[Notifications]:
    with empty_account():
        yield Notifications()


def create_table(name: str) -> None:
    """The tracking table, empty."""
    account.dynamodb().create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "fileKey", "KeyType": "HASH"},
            {"AttributeName": "sourceBucket", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "fileKey", "AttributeType": "S"},
            {"AttributeName": "sourceBucket", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
