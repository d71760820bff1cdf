"""What an operator does to a running stack: put dead letters back, try failed copies again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from components import outputs, policies
from components.names import DEAD_LETTERS_SUFFIX
from filecopy.executions.follow import Watcher, input_of
from filecopy.executions.model import History, load, load_definition
from filecopy.stack.records import read_record
from filecopy.stack.stack import Stack

from .errors import StackError

FOLLOW_DEADLINE = 3600.0


@dataclass(frozen=True)
class Retried:
    """A retry that is over: its status, such as ``SUCCEEDED`` or ``ABORTED``, its error if it has one, and the record
    after it."""

    execution_arn: str
    status: str
    error: str | None
    record: dict[str, Any]

    @property
    def has_results(self) -> bool:
        """Whether the record has the results of this retry. What else is in it is from before."""
        return (
            self.status in ("SUCCEEDED", "FAILED")
            and self.error != "TrackingFailed"
            and self.record.get("executionId") == self.execution_arn
            and "failedBuckets" in self.record
        )

    @property
    def is_superseded(self) -> bool:
        """Whether it made no copy, because the source has a newer version, which is another execution's."""
        return self.status == "SUCCEEDED" and not self.has_results


class Operations:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._outputs = stack.outputs
        self._dynamodb, self._workflow = stack.clients("dynamodb"), stack.clients("stepfunctions")

    def replay(self, queue: str) -> int:
        """Puts every dead letter of ``queue``, such as ``arrivals-eu-west-1``, back where it came from.

        A message leaves the dead-letter queue only after it is in the other: one that is interrupted in between is
        in both, and handling it twice does no harm.

        Returns:
            How many messages were put back.

        Raises:
            StackError: there is no such queue.
        """
        urls: dict[str, str] = self._outputs[outputs.DEAD_LETTER_QUEUE_URLS]
        if queue not in urls:
            raise StackError(f"There is no queue {queue!r}. The queues are {', '.join(urls)}.")
        dead_letters = urls[queue]
        source = dead_letters.removesuffix(DEAD_LETTERS_SUFFIX)
        sqs = self._stack.clients.in_region(self._stack.region_of(queue))("sqs")
        count = 0
        while messages := sqs.receive_message(QueueUrl=dead_letters, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages"
        ):
            for message in messages:
                sqs.send_message(QueueUrl=source, MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=dead_letters, ReceiptHandle=message["ReceiptHandle"])
                count += 1
        return count

    def destination_policy(self, bucket: str) -> tuple[dict[str, Any], bool]:
        """The bucket policy with which somebody else's ``bucket`` takes copies.

        Returns:
            The policy, and whether the bucket needs it: ``False`` where it is the stack's own.

        Raises:
            StackError: it is no destination of the stack.
        """
        destinations: list[str] = self._outputs[outputs.DESTINATION_BUCKETS]
        if bucket not in destinations:
            raise StackError(
                f"{bucket!r} is no destination of the stack; its destinations are {', '.join(destinations)}. Add it to"
                " the setting destinations, with existing: true, and deploy."
            )
        roles = [self._outputs[outputs.STEP_FUNCTION_ROLE_ARN], self._outputs[outputs.COPY_WORKER_ROLE_ARN]]
        # A stack of an older program does not say which are somebody else's.
        existing: list[str] = self._outputs.get(outputs.EXISTING_DESTINATION_BUCKETS, destinations)
        return policies.existing_destination(policies.bucket_arn(bucket, like=roles[0]), roles), bucket in existing

    def history(self, named: str) -> History:
        """What an execution did: one of that ARN or name, or the one that the record of a file's key is of.

        Raises:
            StackError: there is none.
        """
        described = Watcher(self._stack).find(named)
        job = input_of(described)
        key, record = job.get("sourceKey"), None
        if isinstance(key, str) and key and job.get("sourceBucket") == self._stack.source_bucket:
            record = read_record(self._dynamodb, self._outputs, key)
        return load(self._workflow, described, record)

    def definition_of(self, history: History) -> dict[str, Any]:
        """The definition that the execution runs by, which may be older than the state machine's."""
        return load_definition(self._workflow, history.execution_arn)

    def retry(self, key: str) -> Retried | None:
        """Tries the failed copies of ``key`` again, those alone, and waits for the end.

        An execution that still runs is waited for first. One that ended before it had results has none, so all its
        destinations are tried.

        Returns:
            ``None`` where no copy has failed.

        Raises:
            StackError: there is no record of ``key``, or an execution for it still runs after FOLLOW_DEADLINE seconds.
        """
        deadline = time.monotonic() + FOLLOW_DEADLINE
        while True:
            record = read_record(self._dynamodb, self._outputs, key)
            if record is None or "executionId" not in record:
                raise StackError(f"There is no record of {key!r} in {self._outputs[outputs.DYNAMODB_TABLE_NAME]}.")
            if record["status"] != "IN_PROGRESS":
                break
            if time.monotonic() > deadline:
                raise StackError(f"The execution for {key!r} still runs: {record['executionId']}.")
            time.sleep(0.1)
        copied = record.get("successfulBuckets", [])
        failed = [bucket for bucket in record["destinationBuckets"] if bucket not in copied]
        if not failed:
            return None
        job = {
            "sourceBucket": record["sourceBucket"],
            "sourceKey": key,
            "destinationBuckets": failed,
            "retry": True,
        }
        if record.get("sourceVersionId"):
            job["sourceVersionId"] = record["sourceVersionId"]
        execution = self._workflow.start_execution(
            stateMachineArn=self._outputs[outputs.STEP_FUNCTION_ARN], input=json.dumps(job)
        )["executionArn"]
        while (ended := self._workflow.describe_execution(executionArn=execution))["status"] == "RUNNING":
            if time.monotonic() > deadline:
                raise StackError(f"The retry still runs after {FOLLOW_DEADLINE:.0f} s: {execution}.")
            time.sleep(0.1)
        after = read_record(self._dynamodb, self._outputs, key)
        return Retried(execution, ended["status"], ended.get("error"), after or {})
