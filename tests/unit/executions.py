"""Executions as AWS and as MiniStack record them, for tests of what is made of a history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from components.workflow.definition import copy_workflow_definition
from filecopy.executions.from_events import Event, history_of
from filecopy.executions.model import History
from filecopy.stack.records import TrackingRecord

ARN = "arn:aws:states:us-east-1:000000000000:execution:file-copy-workflow:run"
STARTED = datetime.fromisoformat("2026-11-23T09:33:01.423Z")
DEFINITION = copy_workflow_definition(
    partition="aws",
    table_name="FileCopyTracking",
    topic_arn="arn:aws:sns:us-east-1:000000000000:t",
    copy_worker_arn="arn:aws:lambda:us-east-1:000000000000:function:copy-worker",
    max_concurrency=10,
)


def _read(value: Any) -> Any:
    """The value with times as boto3 returns them, which JSON has as strings."""
    if isinstance(value, list):
        return [_read(member) for member in value]
    if isinstance(value, dict):
        times = ("timestamp", "startDate", "stopDate")
        return {
            name: datetime.fromisoformat(member) if name in times else _read(member) for name, member in value.items()
        }
    return value


def _load(name: str) -> tuple[dict[str, Any], list[Event], dict[str, Any]]:
    held = json.loads((Path(__file__).parent / name).read_text(encoding="utf-8"))
    return _read(held["described"]), _read(held["events"]), held["record"]


AWS_DESCRIBED, AWS_EVENTS, AWS_RECORD = _load("aws_history.json")
WORKER_DESCRIBED, WORKER_EVENTS, WORKER_RECORD = _load("aws_worker_history.json")


def record_of(item: Mapping[str, Any] | None) -> TrackingRecord | None:
    return None if item is None else TrackingRecord.of(item)


def aws(record: Mapping[str, Any] | None = AWS_RECORD) -> History:
    """A run of four destinations, two at a time, that had to wait for its turn and for a busy table. The first copy is
    made at once, the second after two retries, the third is refused four times, and the fourth's bucket is gone."""
    return history_of(AWS_DESCRIBED, AWS_EVENTS, record_of(record))


def aws_running(after: int) -> History:
    """The same one, when so many events had been recorded."""
    return _running(AWS_DESCRIBED, AWS_EVENTS[:after])


def aws_worker(record: Mapping[str, Any] | None = WORKER_RECORD) -> History:
    """A run of a large file to four destinations, two at a time, through copy-worker. The first copy takes three runs,
    the second one, after Lambda had no room for it; the third is refused four times, and cannot even be aborted, and
    of the fourth copy-worker says that the bucket is gone."""
    return history_of(WORKER_DESCRIBED, WORKER_EVENTS, record_of(record))


def aws_worker_running(after: int) -> History:
    """The same one, when so many events had been recorded."""
    return _running(WORKER_DESCRIBED, WORKER_EVENTS[:after])


def _running(described: Mapping[str, Any], events: list[Event]) -> History:
    so_far = {name: value for name, value in described.items() if name not in ("stopDate", "error", "cause")}
    return history_of({**so_far, "status": "RUNNING"}, events, None, read_at=events[-1]["timestamp"])


class MiniStack:
    """Writes down what happens as MiniStack does: no links, no parameters, and inside a Map nothing but calls."""

    def __init__(self, key: str = "k.zip", *buckets: str) -> None:
        self.buckets = buckets or ("region-a-builds", "invalid-bucket")
        self.job = {"sourceBucket": "global-builds", "sourceKey": key, "destinationBuckets": list(self.buckets)}
        self.events: list[dict[str, Any]] = []
        self.add("ExecutionStarted", executionStartedEventDetails={"input": json.dumps(self.job)})

    def time(self, milliseconds: int) -> datetime:
        return STARTED + timedelta(milliseconds=milliseconds)

    def add(self, kind: str, **details: object) -> None:
        number = len(self.events) + 1
        self.events.append({"id": number, "type": kind, "timestamp": self.time(10 * number), **details})

    def enter(self, kind: str, name: str) -> None:
        self.add(f"{kind}StateEntered", stateEnteredEventDetails={"name": name, "input": json.dumps(self.job)})

    def leave(self, kind: str, name: str, output: object = None) -> None:
        self.add(f"{kind}StateExited", stateExitedEventDetails={"name": name, "output": json.dumps(output)})

    def call(self, action: str, *errors: str) -> None:
        """Failed attempts with these errors, and one that is without."""
        resource = f"arn:aws:states:::{action}"
        for error in (*errors, ""):
            self.add("TaskScheduled", taskScheduledEventDetails={"resourceType": "states", "resource": resource})
            details = {"resource": resource, "error": error, "cause": f"{error}!"}
            if error:
                self.add("TaskFailed", taskFailedEventDetails=details)
        self.add("TaskSucceeded", taskSucceededEventDetails={"resource": resource, "output": "{}"})

    def task(self, name: str, action: str, *errors: str) -> None:
        self.enter("Task", name)
        self.call(action, *errors)
        self.leave("Task", name, {})

    def begin(self) -> None:
        """Everything before the copies."""
        self.enter("Pass", "ValidateInput")
        self.leave("Pass", "ValidateInput", self.job)
        self.task("AcquireLease", "dynamodb:updateItem")
        self.task("ReadSource", "aws-sdk:s3:headObject", "S3.S3Exception")
        self.task("LogWorkflowStart", "dynamodb:updateItem")

    def results(self, error: str = "S3.NoSuchBucketException", cause: str = "The bucket does not exist") -> list[Any]:
        """The first copy made, the others not."""
        at = f"{self.time(300):%Y-%m-%dT%H:%M:%S}.723Z"
        failed = {"success": False, "error": error, "cause": cause, "timestamp": at}
        copied = {"success": True, "etag": "e", "versionId": "v", "check": "ETag", "timestamp": at}
        return [
            {"destinationBucket": bucket, **(failed if index else copied)} for index, bucket in enumerate(self.buckets)
        ]

    def copy(self, results: list[Any]) -> None:
        """The copies, all at once, one call each."""
        self.enter("Map", "CopyToMultipleBuckets")
        resource = "arn:aws:states:::aws-sdk:s3:copyObject"
        for _ in results:
            self.add("TaskScheduled", taskScheduledEventDetails={"resourceType": "states", "resource": resource})
        for result in results:
            kind = "Succeeded" if result["success"] else "Failed"
            self.add(f"Task{kind}", **{f"task{kind}EventDetails": {"resource": resource, "error": "E", "cause": "C"}})
        self.leave("Map", "CopyToMultipleBuckets", results)

    def run(self, *results: Mapping[str, Any], errors: int = 0) -> None:
        """A round of copies through copy-worker, which answers these; so many of its calls fail before."""
        self.task("UpdateDynamoDBFinal", "dynamodb:updateItem")
        self.enter("Map", "CopyThroughWorker")
        resource = "arn:aws:states:::lambda:invoke"
        calls: list[Mapping[str, Any] | None] = [*[None] * errors, *results]
        for _ in calls:
            self.add("TaskScheduled", taskScheduledEventDetails={"resourceType": "lambda", "resource": resource})
        for result in calls:
            if result is None:
                self.add("TaskFailed", taskFailedEventDetails={"resource": resource, "error": "CopyError"})
            else:
                output = json.dumps({"StatusCode": 200, "Payload": result})
                self.add("TaskSucceeded", taskSucceededEventDetails={"resource": resource, "output": output})
        self.leave("Map", "CopyThroughWorker", results)

    def fail(self, error: str = "CopiesFailed", cause: str = "1 of 2 copies failed: invalid-bucket") -> None:
        """Everything after the copies."""
        self.task("UpdateDynamoDBFinal", "dynamodb:updateItem")
        self.task("SendFailureNotification", "sns:publish")
        self.enter("Fail", "SomeCopiesFailed")
        self.add("ExecutionFailed", executionFailedEventDetails={"error": error, "cause": cause})

    def history(self, status: str = "FAILED", record: Mapping[str, Any] | None = None, **described: object) -> History:
        at = self.events[-1]["timestamp"]
        last = {} if status == "RUNNING" else {"stopDate": at}
        whole = {
            "executionArn": ARN,
            "stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:file-copy-workflow",
            "status": status,
            "startDate": STARTED,
            "input": json.dumps(self.job),
            **last,
            **described,
        }
        return history_of(whole, self.events, record_of(record), read_at=at)


def ministack(key: str = "k.zip", error: str = "S3.NoSuchBucketException", cause: str = "It is gone") -> History:
    """A run of two destinations, one of which does not exist."""
    run = MiniStack(key)
    run.begin()
    run.copy(run.results(error, cause))
    run.fail()
    return run.history()


def ministack_worker() -> MiniStack:
    """A run of two destinations through copy-worker: one copy takes three rounds, the other two, and calls have failed
    meanwhile. It is at its last but one state."""
    run = MiniStack()
    run.begin()
    run.copy([])
    unfinished = [{"destinationBucket": bucket} for bucket in run.buckets]
    made = [{**run.results()[0], "destinationBucket": bucket, "check": "CRC64NVME"} for bucket in run.buckets]
    run.run(*unfinished)
    run.run(unfinished[0], made[1], errors=2)
    run.run(made[0])
    run.task("UpdateDynamoDBFinal", "dynamodb:updateItem")
    return run
