"""The demonstration: a file that is copied everywhere, and one of which a copy fails, on a stack of its own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components import outputs
from filecopy.errors import StackError
from filecopy.executions.follow import Follower
from filecopy.executions.inputs import Job
from filecopy.polling import Poller
from filecopy.stack.clients import Clients
from filecopy.stack.records import read_record_and_arrivals
from filecopy.stack.stack import Stack

from . import emulator, stack

KEY = "releases/build-123.zip"
FAILING_KEY = "build-124.zip"
MISSING_BUCKET = "region-c-builds"
DEADLINE = 60.0

T = TypeVar("T")


class DemoError(StackError):
    """A check failed."""


def run(console: Console, port: int | None = None) -> None:
    """Bring a stack up, show both files, and take the stack down, also after an error.

    Args:
        port: of the stack; a free one if it is None.

    Raises:
        DemoError: a check failed, or the port has a stack.
        StackError: the stack could not be brought up.
    """
    port = port or emulator.free_port()
    started = time.monotonic()
    console.rule("[bold]1. A stack of its own")
    with console.status("Starting an AWS emulator and deploying the Pulumi program into it …"):
        made, is_new = stack.up(port)
    if not is_new:
        raise DemoError(f"Port {port} has a stack, and the demonstration needs its own. Choose another: --port.")
    try:
        console.print(
            f"Up at {made.endpoint} after {time.monotonic() - started:.1f} s, with the __main__.py that Pulumi deploys."
        )
        demonstration = Demonstration(console, made)
        demonstration.copy_everywhere()
        demonstration.fail_somewhere()
    finally:
        stack.down(port)
    console.rule("[bold green]All checks passed")
    console.print("The stack is down. No process and no file of it is left.")
    console.print('Next: [bold]make up[/], then [bold]make console[/] for a browser, or "Using it" in README.md.')


class Demonstration:
    def __init__(self, console: Console, target: stack.EmbeddedStack) -> None:
        clients = Clients(target.endpoint, target.region)
        self.console = console
        self.outputs = target.outputs
        self.s3, self.sns, self.sqs = clients("s3"), clients("sns"), clients("sqs")
        self.workflow = clients("stepfunctions")
        self.stack = Stack.of(target.outputs)
        self.follower, self.poller = Follower(self.stack), Poller.of(self.stack)
        self.source: str = target.outputs[outputs.SOURCE_BUCKET]
        self.destinations: list[str] = target.outputs[outputs.DESTINATION_BUCKETS]

    def copy_everywhere(self) -> None:
        self.console.rule("[bold]2. A file is uploaded, and copied to every regional bucket")
        content = make_zip(4_000_000)
        self.console.print(f"A zip of {len(content):,} bytes goes to [bold]s3://{self.source}/{KEY}[/]")
        started = time.monotonic()
        self.s3.upload_fileobj(io.BytesIO(content), self.source, KEY)
        execution = self._wait("the upload's execution", lambda: self._execution_of(KEY))
        status = self._follow(execution, KEY, self.destinations, started)
        self._expect("the execution's status", status, "SUCCEEDED")

        record = self._wait(
            "regional-sync to verify the copies",
            lambda: self._record(KEY, lambda found: len(found["arrivals"]) == len(self.destinations)),
        )
        self._show_record(record)
        self._expect("the record's status", record["status"], "COMPLETED")
        self._expect("the successful copies", int(record["successfulCopies"]), len(self.destinations))
        for bucket in self.destinations:
            self._expect(f"verified in {bucket}", record["arrivals"][bucket]["verified"], True)
        self._compare(content)

    def fail_somewhere(self) -> None:
        self.console.rule("[bold]3. One destination does not exist")
        inbox = self._subscribe()
        self.s3.put_object(Bucket=self.source, Key=FAILING_KEY, Body=make_zip(1_000))
        upload = self._wait("the upload's execution", lambda: self._execution_of(FAILING_KEY))
        self._wait("the upload's execution to end", lambda: self._status(upload) != "RUNNING")

        destinations = [self.destinations[0], MISSING_BUCKET]
        job = {"sourceBucket": self.source, "sourceKey": FAILING_KEY, "destinationBuckets": destinations}
        self.console.print(f"Started by hand with [bold]{json.dumps(job)}[/]")
        started = time.monotonic()
        execution = self.workflow.start_execution(
            stateMachineArn=self.outputs[outputs.STEP_FUNCTION_ARN], input=json.dumps(job)
        )["executionArn"]
        status = self._follow(execution, FAILING_KEY, [], started)
        self._expect("the execution's status", status, "FAILED")

        record = self._wait(
            "the record, with the verified copy",
            lambda: self._record(
                FAILING_KEY, lambda found: "completedAt" in found and found["arrivals"].keys() >= {self.destinations[0]}
            ),
        )
        self._show_record(record)
        self._expect("the record's status", record["status"], "PARTIAL_FAILURE")
        self._expect("the failed buckets", record["failedBuckets"], [MISSING_BUCKET])

        notification = self._wait("the notification", lambda: self._receive(inbox))
        self.console.print("What a subscriber of the topic receives:")
        for line in (notification["Subject"], "", *notification["Message"].strip().split("\n")):
            # Not wrapped: people copy the command in it.
            self.console.print(Text(f"  {line}".rstrip()), soft_wrap=True)
        self._expect("the notification names the bucket", MISSING_BUCKET in notification["Message"], True)
        self._expect("the notification names the execution", execution in notification["Message"], True)

    def _follow(self, execution: str, key: str, buckets: Sequence[str], started: float) -> str:
        """Print each state and each copy as it happens. Returns the final status of the execution."""
        shown, landed = 0, set[str]()
        is_copying = False

        def show_copies() -> None:
            for bucket in buckets:
                if bucket not in landed and (size := self._size(bucket, key)) is not None:
                    landed.add(bucket)
                    self._line(started, f"    [green]✔[/] {bucket}: {size:,} bytes")

        for _ in self.poller.looks(DEADLINE):
            progress = self.follower.look(execution)
            for state in progress.states[shown:]:
                shown += 1
                if state.name == "ProcessResults":
                    # Copies may have finished since the last look.
                    show_copies()
                is_copying = state.name == "CopyToMultipleBuckets"
                self._line(started, f"● {state.name}")
            if is_copying:
                show_copies()
            if progress.is_over:
                colour = "green" if progress.status == "SUCCEEDED" else "yellow"
                self._line(started, f"[{colour}]■ Execution {progress.status}[/]")
                return progress.status
        raise DemoError(f"Timed out after {DEADLINE:.0f} s waiting for the execution {execution} to end.")

    def _line(self, started: float, text: str) -> None:
        self.console.print(f"  [dim]{time.monotonic() - started:6.2f} s[/]  {text}")

    def _compare(self, content: bytes) -> None:
        expected = hashlib.sha256(content).hexdigest()
        self.console.print(f"SHA-256 of the source: {expected}")
        for bucket in self.destinations:
            copy = self.s3.get_object(Bucket=bucket, Key=KEY)["Body"].read()
            self._expect(f"the SHA-256 of the copy in {bucket}", hashlib.sha256(copy).hexdigest(), expected)
            self.console.print(f"  [green]✔[/] {bucket}: the same bytes")

    def _show_record(self, record: dict[str, Any]) -> None:
        table = Table(
            title=f"{self.outputs[outputs.DYNAMODB_TABLE_NAME]}: the record", title_justify="left", show_header=False
        )
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name in (
            "fileKey",
            "sourceBucket",
            "status",
            "startTime",
            "completedAt",
            "successfulCopies",
            "failedCopies",
        ):
            table.add_row(name, str(record[name]))
        for result in record["copyResults"]:
            bucket = result["destinationBucket"]
            arrival = record["arrivals"].get(bucket)
            checked = f", arrival verified by {arrival['check']}" if arrival and arrival["verified"] else ""
            told = (
                f"[green]✔[/] copied{checked}"
                if result["success"]
                else f"[red]✘[/] {result['error']}: {result['cause']}"
            )
            table.add_row(bucket, told)
        self.console.print(table)

    def _execution_of(self, key: str) -> str | None:
        arn = self.outputs[outputs.STEP_FUNCTION_ARN]
        for execution in self.workflow.list_executions(stateMachineArn=arn)["executions"]:
            described = self.workflow.describe_execution(executionArn=execution["executionArn"])
            if Job.parse(described["input"]).key == key:
                return str(execution["executionArn"])
        return None

    def _status(self, execution: str) -> str:
        return str(self.workflow.describe_execution(executionArn=execution)["status"])

    def _size(self, bucket: str, key: str) -> int | None:
        try:
            return int(self.s3.head_object(Bucket=bucket, Key=key)["ContentLength"])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def _record(self, key: str, is_ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        record = read_record_and_arrivals(self.stack, key)
        return dict(record.item) if record and is_ready(dict(record.item)) else None

    def _subscribe(self) -> str:
        queue: str = self.sqs.create_queue(QueueName="file-copy-demo-inbox")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.outputs[outputs.SNS_TOPIC_ARN], Protocol="sqs", Endpoint=arn)
        return queue

    def _receive(self, queue: str) -> dict[str, Any] | None:
        for message in self.sqs.receive_message(QueueUrl=queue).get("Messages", []):
            envelope: dict[str, Any] = json.loads(message["Body"])
            return envelope
        return None

    def _wait(self, what: str, look: Callable[[], T | None]) -> T:
        for _ in self.poller.looks(DEADLINE):
            if found := look():
                return found
        raise DemoError(f"Timed out after {DEADLINE:.0f} s waiting for {what}.")

    def _expect(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise DemoError(f"Expected {expected!r} as {what}, got {found!r}.")


def make_zip(size: int) -> bytes:
    """Make a zip of about ``size`` bytes that do not compress."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", "A build, made for the demonstration.\n")
        archive.writestr("build.bin", os.urandom(size))
    return buffer.getvalue()
