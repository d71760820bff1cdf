"""A stack that is up, as the tests use it: what a person would do with it, and what a person would look at."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from components import outputs
from components.names import DEAD_LETTERS_SUFFIX
from filecopy import emulator, executions, stack
from filecopy.clients import Clients
from filecopy.configuration import PROJECT_ROOT
from filecopy.records import read_record

# Generous, because machines are shared; nothing waits this long unless it is broken.
DEADLINE = 90.0

# Seconds until a message whose function died comes back: minutes as deployed, longer than a test should wait.
VISIBILITY_TIMEOUT = 20

T = TypeVar("T")


def filecopy(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "filecopy", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextlib.contextmanager
def stack_up(*arguments: str) -> Iterator[System]:
    """A stack on a port of its own for as long as the block lasts."""
    port = str(emulator.free_port())
    made = filecopy("up", "--port", port, *arguments)
    assert made.returncode == 0, made.stdout + made.stderr
    try:
        system = System(stack.get(int(port)))
        system.return_messages_soon()
        yield system
    finally:
        taken_down = filecopy("down", "--port", port)
        assert taken_down.returncode == 0, taken_down.stdout + taken_down.stderr


class System:
    def __init__(self, target: stack.Stack) -> None:
        clients = Clients(target.endpoint, target.region)
        self.stack = target
        self.clients = clients
        self.s3, self.sns, self.sqs, self.dynamodb = clients("s3"), clients("sns"), clients("sqs"), clients("dynamodb")
        self.stepfunctions, self.lambda_ = clients("stepfunctions"), clients("lambda")
        self.state_machine: str = target.outputs[outputs.STEP_FUNCTION_ARN]
        self.table: str = target.outputs[outputs.DYNAMODB_TABLE_NAME]
        self.topic: str = target.outputs[outputs.SNS_TOPIC_ARN]
        self.api: str = target.outputs[outputs.API_GATEWAY_URL]
        self.source: str = target.outputs[outputs.SOURCE_BUCKET]
        self.destinations: list[str] = target.outputs[outputs.DESTINATION_BUCKETS]

    def return_messages_soon(self) -> None:
        for dead_letters in self.stack.outputs[outputs.DEAD_LETTER_QUEUE_URLS].values():
            self.sqs.set_queue_attributes(
                QueueUrl=dead_letters.removesuffix(DEAD_LETTERS_SUFFIX),
                Attributes={"VisibilityTimeout": str(VISIBILITY_TIMEOUT)},
            )

    def errors(self) -> list[str]:
        """What the functions have logged of errors, and what the engine says of those that died."""
        logs = self.clients("logs")
        lines = []
        for group in logs.describe_log_groups()["logGroups"]:
            for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]:
                if '"ERROR"' in event["message"] or "Task timed out" in event["message"]:
                    lines.append(f"{group['logGroupName']}: {event['message']}")  # noqa: PERF401
        return lines[-20:]

    def put(self, key: str, body: bytes = b"content") -> None:
        self.s3.put_object(Bucket=self.source, Key=key, Body=body)

    def upload(self, key: str, body: bytes = b"content") -> dict[str, Any]:
        """Puts a file, and waits until the workflow that this starts is through with it. Returns the record."""
        self.put(key, body)
        return self.finished_record(key)

    def get(self, bucket: str, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def job(self, key: str, *destinations: str) -> dict[str, Any]:
        return {
            "sourceBucket": self.source,
            "sourceKey": key,
            "destinationBuckets": list(destinations or self.destinations),
        }

    def start(self, job: object, state_machine: str | None = None) -> str:
        started = self.stepfunctions.start_execution(
            stateMachineArn=state_machine or self.state_machine, input=json.dumps(job)
        )
        return str(started["executionArn"])

    def finish(self, execution: str) -> dict[str, Any]:
        """Waits for the execution's end, and describes it."""

        def ended() -> dict[str, Any] | None:
            described: dict[str, Any] = self.stepfunctions.describe_execution(executionArn=execution)
            return described if described["status"] != "RUNNING" else None

        return self.wait_for("the execution's end", ended, execution)

    def run(self, job: object, state_machine: str | None = None) -> dict[str, Any]:
        return self.finish(self.start(job, state_machine))

    def attempts(self, execution: str, action: str) -> int:
        """How often the execution called ``action``, such as ``copyObject``."""
        scheduled = [
            event.get("taskScheduledEventDetails", {}) for event in executions.history(self.stepfunctions, execution)
        ]
        # AWS names the action alone; MiniStack the whole integration.
        return sum(details.get("resource", "").endswith(action) for details in scheduled)

    def states(self, execution: str) -> list[str]:
        """The names of the states entered, in order, those inside the Map left out."""
        return [state.name for state in executions.states_entered(self.stepfunctions, execution)]

    def executions_of(self, key: str) -> list[str]:
        """The ARNs of the executions for ``key``."""
        found = []
        pages = self.stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=self.state_machine)
        for execution in (execution for page in pages for execution in page["executions"]):
            described = self.stepfunctions.describe_execution(executionArn=execution["executionArn"])
            job = json.loads(described["input"])
            if isinstance(job, dict) and job.get("sourceKey") == key:
                found.append(str(execution["executionArn"]))
        return found

    def record(self, key: str) -> dict[str, Any] | None:
        return read_record(self.dynamodb, self.stack.outputs, key)

    def finished_record(self, key: str) -> dict[str, Any]:
        """The record of ``key``, once its execution has ended and every copy that the stack's own buckets took
        has been looked at by regional-sync."""

        def finished() -> dict[str, Any] | None:
            record = self.record(key)
            if record is None or "completedAt" not in record:
                return None
            is_checked = set(record["successfulBuckets"]) <= set(record["arrivals"])
            return record if is_checked else None

        return self.wait_for(f"the finished record of {key!r}", finished)

    def inbox(self) -> Callable[[str], dict[str, Any]]:
        """Subscribes to the failure topic. What is returned waits for the notification that names ``execution``."""
        queue = self.sqs.create_queue(QueueName=f"inbox-{uuid.uuid4().hex}")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        received: list[dict[str, Any]] = []

        def notification(execution: str) -> dict[str, Any]:
            def look() -> dict[str, Any] | None:
                messages = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
                received.extend(json.loads(message["Body"]) for message in messages)
                return next((found for found in received if execution in found["Message"]), None)

            return self.wait_for("the notification", look, execution)

        return notification

    def wait_for(self, what: str, look: Callable[[], T | None], execution: str | None = None) -> T:
        """Looks again and again until there is something; fails with the execution's history at the deadline."""
        deadline = time.monotonic() + DEADLINE
        while (found := look()) is None:
            if time.monotonic() > deadline:
                history = executions.history(self.stepfunctions, execution) if execution else []
                lines = "\n".join([*(json.dumps(event, default=str) for event in history), *self.errors()])
                raise AssertionError(f"Waited {DEADLINE:.0f} s in vain for {what}.\n{lines}")
            time.sleep(0.02)
        return found
