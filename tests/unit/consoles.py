"""A console whose stack is scripted, and a browser that has opened it."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from components import outputs
from filecopy.console.app import Console
from filecopy.console.reader import Reader
from filecopy.stack.stack import Stack

from .executions import ARN, AWS_DESCRIBED, AWS_EVENTS, DEFINITION
from .scripted_aws import ScriptedClients

PORT = 8470
HOST = f"127.0.0.1:{PORT}"
MACHINE = ARN.rpartition(":")[0].replace(":execution:", ":stateMachine:")
ODD = "<script>alert(1)</script><img src=x onerror=alert(1)>&\"'\x1b[2J\u202egpj\n.zip"


class Answering(ScriptedClients):
    """An answer may be a function of the parameters. Threads may ask at the same time."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(**answers)
        self._asked = threading.local()

    def _record(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        super()._record(params, model, context)
        self._asked.params = params

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        answer = self._answers.get(model.name, {})
        if callable(answer):
            answer = answer(self._asked.params)
        return SimpleNamespace(status_code=400 if "Error" in answer else 200), answer


def item(**members: Any) -> dict[str, Any]:
    """An item as DynamoDB returns it."""
    return {name: TypeSerializer().serialize(value) for name, value in members.items()}


def record(key: str, status: str, started: str, **members: Any) -> dict[str, Any]:
    return item(
        fileKey=key,
        sourceBucket="global-builds",
        status=status,
        startTime=started,
        executionId=ARN,
        **{"successfulCopies": 1, "totalBuckets": 2, **members},
    )


def by_status(*items: dict[str, Any]) -> Any:
    """An answer of Query, as the index of the table gives it, or, for a key, the table itself."""

    def answer(call: dict[str, Any]) -> dict[str, Any]:
        if key := call["ExpressionAttributeValues"].get(":key"):
            return {"Items": [each for each in items if each["fileKey"] == key][:1]}
        status = call["ExpressionAttributeValues"][":status"]
        found = sorted(
            (each for each in items if each["status"] == status), key=lambda each: str(each["startTime"]), reverse=True
        )
        if start := call.get("ExclusiveStartKey"):
            found = [each for each in found if each["startTime"]["S"] < start["startTime"]["S"]]
        return {"Items": found[: call["Limit"]]}

    return answer


def stack_of(**answers: Any) -> tuple[Stack, Answering]:
    clients = Answering(**answers)
    told = {
        outputs.REGION: "us-east-1",
        outputs.ENDPOINT: "http://127.0.0.1:1",
        outputs.SOURCE_BUCKET: "global-builds",
        outputs.DYNAMODB_TABLE_NAME: "FileCopyTracking",
        outputs.DESTINATION_BUCKETS: ["region-a-builds", "region-b-builds"],
        outputs.STEP_FUNCTION_ARN: MACHINE,
        outputs.KEY_PREFIX: "",
        outputs.KEY_SUFFIX: "",
        outputs.DEAD_LETTER_QUEUE_URLS: {"uploads": "https://sqs.example.com/file-copy-uploads-dead-letters"},
        outputs.LAMBDA_FUNCTIONS: {"replication-worker": "arn:aws:lambda:us-east-1:1:function:replication-worker"},
    }
    return Stack(told, clients), clients


def execution_answers(described: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    """The answers that an execution is read from."""
    return {
        "DescribeExecution": described,
        "GetExecutionHistory": {"events": events[::-1]},
        "DescribeStateMachineForExecution": {"definition": json.dumps(DEFINITION)},
    }


DEFAULTS: dict[str, Any] = {
    "Query": {"Items": []},
    "ListExecutions": {"executions": []},
    "GetQueueAttributes": {"Attributes": {"ApproximateNumberOfMessages": "0"}},
    "DescribeAlarms": {"MetricAlarms": []},
    "BatchGetItem": {"Responses": {}},
    **execution_answers(AWS_DESCRIBED, AWS_EVENTS),
}


def console_of(*, is_read_only: bool = False, **answers: Any) -> tuple[Console, Answering]:
    stack, clients = stack_of(**{**DEFAULTS, **answers})
    return Console(Reader(stack), PORT, is_read_only), clients


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Browser:
    """Requests without a server. It has the cookie, unless told otherwise."""

    console: Console
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.headers = {
            "host": HOST,
            "cookie": f"filecopy-console-{PORT}={self.console.keys.session}",
            **self.headers,
        }

    def get(self, url: str, **headers: str) -> Answer:
        return self.request("GET", url, headers=headers)

    def post(self, url: str, body: Iterable[bytes] | str = "", **headers: str) -> Answer:
        return self.request("POST", url, [body.encode()] if isinstance(body, str) else body, headers)

    def form(self, number: int = 0) -> str:
        return f"token={self.console.keys.form}&number={number}"

    def request(
        self, method: str, url: str, body: Iterable[bytes] = (), headers: Mapping[str, str] | None = None
    ) -> Answer:
        path, _, query = url.partition("?")
        merged = self.headers | dict(headers or {})
        given = {name.replace("_", "-"): value for name, value in merged.items() if value}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "server": ("127.0.0.1", PORT),
            "client": ("127.0.0.1", 50000),
        }
        chunks: Iterator[dict[str, Any]] = itertools.chain(
            ({"body": chunk, "more_body": True} for chunk in body), [{"body": b""}]
        )
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            message = next(chunks, None)
            return {"type": "http.disconnect"} if message is None else {"type": "http.request", **message}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.console.app(scope, receive, send))
        headers_ = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        return Answer(sent[0]["status"], headers_, text)
