"""The world: the deployed stack on simulated services, with one clock and one scheduler, and with faults in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from typing import Any
from urllib.parse import unquote_plus

from botocore.exceptions import ClientError, ReadTimeoutError

from components.workflow.limits import LEASE_GRACE
from tests.unit.mocks import ACCOUNT, REGION

from . import functions
from .choices import Choices
from .faults import Faults, lost_answer, service_error
from .jsonata import iso
from .schedule import Schedule
from .scheduler import Killed, Process, Scheduler
from .services.contents import content
from .services.dynamodb import DynamoDB, Schema, Table
from .services.s3 import S3
from .services.service import RefusedError, client_error
from .services.sns import SNS, Notification
from .services.sqs import SQS, Message, lambda_record
from .services.sqs import Queue as HeldQueue
from .stack import SOURCE, Function, Poller, Queue, Stack
from .stepfunctions import Engine, Execution, StateError, StateMachine
from .trace import Trace

# Seconds that a call or a message may take. Mostly the first.
DELAYS = (0.1, 0.5, 1.0, 5.0, 30.0, 120.0)
_USUAL = (0.0, 0.2, 0.05, 0.02, 0.005, 0.002)
_SLOW = (0.0, 0.2, 0.2, 0.2, 0.1, 0.1)

# A message that is late.
_LATE = (60.0, 600.0, 3600.0, 10_000.0)

# AWS's name of an error of S3 by its code, if the SDK has one (SDK for Java 2, package software.amazon.awssdk.services.
# s3.model). Any other is S3.S3Exception.
_S3_ERRORS = {"NoSuchBucket", "NoSuchKey", "InvalidObjectState", "NoSuchUpload", "ObjectNotInActiveTierError"}

_PREFIXES = {"dynamodb": "DynamoDB", "sns": "SNS", "sqs": "SQS", "s3": "S3", "lambda": "Lambda"}


class World:
    """One history's world. ``run`` of :mod:`history` lets it happen."""

    def __init__(self, stack: Stack, machine: StateMachine, choices: Choices, trace: Trace | None = None) -> None:
        self.stack, self.choices = stack, choices
        self.scheduler = Scheduler()
        self.faults = Faults(choices)
        self.story = trace
        self.runs: dict[Process, Function] = {}
        self.clients: dict[Process, Any] = {}
        self.observers: list[Callable[[str, str, str, Mapping[str, Any], Any], None]] = []
        """Called after each call that was done: by whom, service, operation, arguments, and the answer or the error."""
        self.s3 = S3(lambda: self.scheduler.now, self._on_bucket_event)
        # A bucket of somebody else, from which files come.
        self.s3.create_bucket("elsewhere", REGION, ACCOUNT)
        self.dynamodb = DynamoDB()
        self.sns = SNS(lambda: self.scheduler.now)
        self.sqs = SQS(lambda: self.scheduler.now)
        self.engine = Engine(
            machine, stack.state_machine, self.scheduler, choices, self._run_task, self._on_execution_end
        )
        if trace is not None:
            self.engine.on_state = lambda execution, state: self.trace(execution.name, f"→ {state}")
        self._executions = stack.state_machine.replace(":stateMachine:", ":execution:")
        self.notices: list[Notification] = []
        """What was published to the topic of failures."""
        self.mails: list[Notification] = []
        """What reached people."""
        self.damaged: set[tuple[str, str, str]] = set()
        """The copies that S3 damaged: bucket, key and version."""
        self.schedule = Schedule(self)
        self.owners: dict[str, Execution] = {}
        """The executions for which copy-worker runs, by the names of its runs."""
        self.aborting: set[str] = set()
        """The runs of copy-worker that are to abort a copy."""
        self.unheard: set[str] = set()
        """The executions whose status change was lost."""
        self.heard: dict[str, float] = {}
        """When execution-watcher was last told of the end of an execution."""
        self.repeats: Counter[str] = Counter()
        """How often more than once people may be told of an execution: lost answers, and events that came twice."""
        self.orphans: set[str | None] = set()
        """The uploads in parts whose IDs were lost."""
        self.failed_aborts: Counter[str] = Counter()
        """How many attempts to abort an upload in parts failed, by its ID."""
        self.ended_runs: set[str] = set()
        """The runs of functions that were killed, or had no time left."""
        self.polled = 0
        self._running: dict[str, int] = {}
        self._deploy()

    def _deploy(self) -> None:
        for name, (region, owner) in self.stack.buckets.items():
            is_notifying = name in self.stack.notifications
            self.s3.create_bucket(name, region, owner, versioning="Enabled", is_notifying=is_notifying)
        for name, inputs in self.stack.tables.items():
            self.dynamodb.tables[name] = Table(
                key=Schema(inputs["hashKey"], inputs.get("rangeKey")),
                indexes={index["name"]: _schema(index) for index in inputs.get("globalSecondaryIndexes", [])},
                time_to_live=inputs.get("ttl", {}).get("attributeName"),
            )
        self.sns.topics = set(self.stack.topics)
        self.sns.confirmed = Counter(topic for topic, protocol, _ in self.stack.subscriptions if protocol == "email")
        self.sns.deliver = self._on_notification
        for queue in self.stack.queues.values():
            dead = self.stack.queues[queue.dead_letters].name if queue.dead_letters else None
            self.sqs.queues[queue.name] = HeldQueue(
                visibility_timeout=queue.visibility, dead_letters=dead, max_receive_count=queue.max_receives or 1
            )

    def close(self) -> None:
        """Lets go of everything, so that it is freed without a search for garbage, which takes long."""
        vars(self).clear()

    # --- For everybody ----------------------------------------------------------------------------------------

    @property
    def is_traced(self) -> bool:
        return self.story is not None

    def trace(self, who: str, what: str) -> None:
        if self.story is not None:
            self.story.add(self.scheduler.now, who, what)

    def delay(self, what: str) -> float:
        """Seconds that something takes."""
        return DELAYS[self.choices.pick(what, _USUAL)]

    @property
    def running_function(self) -> Process:
        process = self.scheduler.running
        if process is None or process.is_killed:
            raise Killed
        return process

    def records(self) -> Iterator[dict[str, Any]]:
        """The tracking records of the files."""
        for table in self.dynamodb.tables.values():
            for item in table.items.values():
                if item.get("sourceBucket") == {"S": SOURCE}:
                    yield item

    def record(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record with this key of DynamoDB."""
        return next((one for one in self.records() if all(one.get(name) == key[name] for name in key)), None)

    def arrival(self, key: str, bucket: str) -> dict[str, Any] | None:
        """The arrival of a file that is recorded for a destination."""
        place = key, f"{SOURCE}#{bucket}"
        return next((table.items[place] for table in self.dynamodb.tables.values() if place in table.items), None)

    def execution_of(self, who: str) -> Execution | None:
        """The execution that makes a call, itself or through copy-worker."""
        return self.owners.get(who) or self.engine.executions.get(f"{self._executions}:{who}")

    def start(self, arguments: Mapping[str, Any]) -> Any:
        """Starts an execution, as a person does."""
        return self._call_engine("StartExecution", arguments)

    # --- Calls of services ------------------------------------------------------------------------------------

    def call(
        self,
        who: str,
        service: str,
        region: str,
        operation: str,
        arguments: Mapping[str, Any],
        timeout: float = 0,
        patience: float = inf,
    ) -> Any:
        """One attempt of a call by the process that runs now.

        Args:
            timeout: seconds after which a Task gives up, though the call may be done later; 0 if it is no Task.
            patience: seconds for which a client waits. A fault is what it does not wait for.

        Raises:
            ClientError: the service refuses the call, or fails.
            ReadTimeoutError: there is no answer.
            TimeoutError: the caller has given up.
        """
        fault = self.faults.of_call(service, operation, may_be_late=timeout > 0)
        # Otherwise, the caller would give up.
        longest = (timeout or patience) / 2 - 0.1
        before = min(self.delay(f"before {operation}"), longest)
        after = min(self.delay(f"after {operation}"), longest)
        if fault == "late":
            return self._call_late(who, service, region, operation, arguments, timeout)

        def act() -> Any:
            is_out_of_reach = self.faults.is_unavailable(service, region, self.scheduler.now)
            if operation == "AbortMultipartUpload" and (is_out_of_reach or fault in ("error", "throttling")):
                self.failed_aborts[arguments["UploadId"]] += 1
            if is_out_of_reach:
                raise lost_answer()
            if fault in ("error", "throttling"):
                self.trace(who, f"{_shown(operation, arguments)}: {fault}")
                raise service_error(service, operation, fault)
            answer = self._do(who, service, region, operation, arguments)
            if fault == "lost":
                self.trace(who, f"{operation}: the answer is lost")
                self._count_repeat(operation, arguments)
                self.orphans.add(answer.get("UploadId"))
                raise lost_answer()
            return answer

        return self.scheduler.request(before, after, act)

    def _call_late(
        self, who: str, service: str, region: str, operation: str, arguments: Mapping[str, Any], timeout: float
    ) -> Any:
        """A call that is done only after its caller has given up, as long as it may still be done."""
        late = self.choices.one_of(f"late {operation}", 4) * (LEASE_GRACE - 1) / 3

        def act() -> None:
            try:
                self._do(who, service, region, operation, arguments)
            except ClientError:
                self.trace(who, f"{operation}, too late, was refused")

        self.trace(who, f"{_shown(operation, arguments)}: timeout")
        self._count_repeat(operation, arguments)
        try:
            self.scheduler.sleep(timeout)
        finally:
            # If the caller is stopped meanwhile, it gives up at that time.
            self.scheduler.after(late, act)
        raise TimeoutError

    def _count_repeat(self, operation: str, arguments: Mapping[str, Any]) -> None:
        if arguments.get("TopicArn") == self.schedule.topic:
            self.schedule.repeats += 1
        elif operation == "Publish":
            for arn in self.engine.executions:
                if arn in arguments["Message"]:
                    self.repeats[arn] += 1

    def _do(self, who: str, service: str, region: str, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The work of a call."""
        try:
            answer = self._dispatch(service, region, operation, arguments)
        except ClientError as error:
            self.trace(who, f"{_shown(operation, arguments)}: {error.response['Error']['Code']}")
            self._observe(who, service, operation, arguments, error)
            raise
        if self.is_traced:
            self.trace(who, _shown(operation, arguments))
        self._observe(who, service, operation, arguments, answer)
        return answer

    def _observe(self, who: str, service: str, operation: str, arguments: Mapping[str, Any], outcome: object) -> None:
        for observe in self.observers:
            observe(who, service, operation, arguments, outcome)

    def _dispatch(self, service: str, region: str, operation: str, arguments: Mapping[str, Any]) -> Any:
        match service:
            case "s3":
                bucket = self.s3.buckets.get(arguments["Bucket"])
                if bucket and bucket.region != region:
                    raise client_error(RefusedError("PermanentRedirect", "Use another endpoint.", 301), operation)
                return self.s3.call(operation, arguments)
            case "dynamodb" if region == REGION:
                return self.dynamodb.call(operation, arguments)
            case "sns" if region == REGION:
                return self.sns.call(operation, arguments)
            case "sqs":
                return self.sqs.call(operation, arguments)
            case "stepfunctions" if region == REGION:
                return self._call_engine(operation, arguments)
        raise NotImplementedError(f"There is no {service} in {region}.")

    def _call_engine(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """Step Functions API reference: StartExecution, DescribeExecution."""
        if operation == "StartExecution":
            count = len(self.engine.executions) + 1
            name = arguments.get("name", f"by-hand-{count}")
            arn = f"{self._executions}:{name}"
            execution = self.engine.executions.get(arn)
            if execution is None:
                execution = self.engine.start(name, arguments["input"])
            elif not execution.is_running or execution.input != arguments["input"]:
                raise client_error(RefusedError("ExecutionAlreadyExists", f"It exists: {arn}"), operation)
            return {"executionArn": execution.arn, "startDate": datetime.fromtimestamp(execution.started, UTC)}
        if operation == "DescribeExecution":
            found = self.engine.executions.get(arguments["executionArn"])
            if found is None:
                raise client_error(RefusedError("ExecutionDoesNotExist", "It does not exist."), operation)
            ended = {"stopDate": datetime.fromtimestamp(found.stopped, UTC)} if found.stopped else {}
            optional = {"output": found.output, "error": found.error, "cause": found.cause}
            known = {name: value for name, value in optional.items() if value is not None}
            return {"executionArn": found.arn, "status": found.status, "input": found.input, **known, **ended}
        raise NotImplementedError(f"Step Functions has no {operation} here.")

    # --- Tasks of the workflow --------------------------------------------------------------------------------

    def _run_task(self, execution: Execution, resource: str, arguments: Any, timeout: float) -> Any:
        service, action = resource.split(":")[-2:]
        if self.faults.has("crash", f"{service} {action}"):
            self.trace(execution.name, "dies of an error that nothing catches")
            raise StateError("States.Runtime", "An internal error.")
        operation = action[0].upper() + action[1:]
        try:
            if service == "lambda":
                return self._invoke(execution, arguments)
            answer = self.call(execution.name, service, REGION, operation, arguments, timeout)
        except TimeoutError:
            raise StateError("States.Timeout", "The task timed out.") from None
        except ReadTimeoutError as error:
            raise StateError(f"{_PREFIXES[service]}.SdkClientException", str(error)) from None
        except ClientError as error:
            raise _state_error(service, error) from None
        return _as_json(answer)

    def _invoke(self, execution: Execution, arguments: Mapping[str, Any]) -> Any:
        """Lambda, as the optimized integration calls it: Lambda developer guide, "Understanding retry behavior"."""
        function = self.stack.functions[arguments["FunctionName"]]
        payload = arguments["Payload"]
        fault = self.faults.of_call("lambda", "Invoke", may_be_late=False)
        if fault in ("error", "throttling") or self.faults.is_unavailable("lambda", REGION, self.scheduler.now):
            self.trace(execution.name, f"Invoke: {fault or 'unavailable'}")
            name = "TooManyRequestsException" if fault == "throttling" else "ServiceException"
            raise StateError(f"Lambda.{name}", "Rate exceeded.")
        count = sum(1 for one in self.runs.values() if one is function) + 1
        # What the expressions gave belongs to all histories: the function gets its own.
        run = functions.invoke(function, json.loads(json.dumps(payload)), f"{function.name}-{count}")
        self.trace(execution.name, f"invokes {function.name}-{count} for {payload.get('destinationBucket')}")
        assert run.process is not None
        self.owners[f"{function.name}-{count}"] = execution
        if payload.get("abort"):
            self.aborting.add(f"{function.name}-{count}")
        self.scheduler.join(run.process)
        if fault == "lost":
            self.trace(execution.name, "Invoke: the answer is lost")
            raise StateError("Lambda.SdkClientException", "Unable to execute HTTP request")
        if run.has_timed_out:
            raise StateError(
                "Sandbox.Timedout", json.dumps({"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout"})
            )
        if run.error is not None:
            name = type(run.error).__name__
            raise StateError(name, json.dumps({"errorMessage": str(run.error), "errorType": name, "stackTrace": []}))
        if not run.has_succeeded:
            raise StateError(
                "Runtime.ExitError", json.dumps({"errorType": "Runtime.ExitError", "errorMessage": "exited"})
            )
        return {"ExecutedVersion": "$LATEST", "Payload": run.result, "StatusCode": 200}

    # --- Messages ---------------------------------------------------------------------------------------------

    def _on_bucket_event(self, bucket: str, record: dict[str, Any]) -> None:
        if bucket in self.stack.notifications and bucket != SOURCE and self.faults.has("damaged", bucket):
            self._damage(bucket, record["s3"]["object"])
        self._deliver(self.stack.queues[self.stack.notifications[bucket]], json.dumps({"Records": [record]}), "s3")

    def _damage(self, bucket: str, entry: dict[str, Any]) -> None:
        """Has other bytes be in the bucket than S3's answer to the copy says. The event shows them."""
        key = unquote_plus(entry["key"])
        version = self.s3.buckets[bucket].objects[key][-1]
        wrong = content(b"damaged", version.content.size)
        entry["eTag"] = wrong.checksum("MD5").hex()
        self.damaged.add((bucket, key, version.version_id))

        def damage() -> None:
            version.content, version.etag = wrong, entry["eTag"]

        self.scheduler.after(0, damage)
        self.trace("S3", f"damages {version.version_id}")

    def _on_execution_end(self, execution: Execution) -> None:
        """EventBridge's event: Step Functions developer guide, "Automating event delivery"."""
        self.trace(execution.name, f"{execution.status} {execution.error or ''}".rstrip())
        if execution.status == "SUCCEEDED":
            pass
        elif self.faults.has("missing", "status change"):
            self.trace(execution.name, "its status change is lost")
            self.unheard.add(execution.arn)
            return
        assert execution.stopped is not None
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": self.stack.state_machine,
            "name": execution.name,
            "status": execution.status,
            "startDate": int(execution.started * 1000),
            "stopDate": int(execution.stopped * 1000),
            "input": execution.input,
            "output": execution.output,
            "inputDetails": {"included": True},
            "outputDetails": {"included": True} if execution.output else None,
            "error": execution.error,
            "cause": execution.cause,
        }
        event = {
            "version": "0",
            "id": execution.name,
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": ACCOUNT,
            "time": iso(execution.stopped),
            "region": REGION,
            "resources": [execution.arn],
            "detail": detail,
        }
        for queue in self.stack.endings:
            self._deliver(self.stack.queues[queue], json.dumps(event), "status change")

    def _on_notification(self, notification: Notification) -> None:
        """The subscribers get what is published to a topic: the queue of failures, or people by e-mail."""
        for topic, protocol, endpoint in self.stack.subscriptions:
            if topic != notification.topic_arn:
                continue
            if protocol == "email":
                self.trace("people", f"get “{notification.subject}”")
                self.mails.append(notification)
            else:
                self.notices.append(notification)
                members = {"Type": "Notification", "MessageId": notification.id, "TopicArn": topic}
                members |= {"Subject": notification.subject or "", "Message": notification.message}
                self._deliver(self.stack.queues[endpoint], json.dumps(members), "notification")

    def _deliver(self, queue: Queue, body: str, what: str) -> None:
        """Sends a message: perhaps late, perhaps twice."""
        times = 1 + self.faults.has("twice", what)
        if what == "notification":
            self.schedule.repeats += times - 1
        for _ in range(times):
            self.scheduler.after(self.message_delay(what), lambda: self.send(queue, body))

    def message_delay(self, what: str) -> float:
        """Seconds until a message arrives."""
        delay = self.delay(f"message {what}")
        if self.faults.has("delayed", what):
            delay = _LATE[self.choices.one_of(f"delay {what}", len(_LATE))]
        return delay

    def send(self, queue: Queue, body: str) -> None:
        self.sqs.call("SendMessage", {"QueueUrl": queue.name, "MessageBody": body})
        self._wake(queue)

    def _wake(self, queue: Queue) -> None:
        """Has the function that reads the queue look for messages."""
        self.schedule.wake(queue.name)
        for poller in self.stack.mappings:
            if poller.queue == queue.arn:
                self.scheduler.after(poller.window, partial(self._poll, poller, queue))

    def _poll(self, poller: Poller, queue: Queue) -> None:
        """Lambda developer guide, "Using Lambda with Amazon SQS": messages that fail, and all of a run that fails, come
        back when their visibility timeout ends.
        """
        if self._running.get(queue.arn, 0) >= poller.concurrency:
            return
        visible = [message.id for message in self.sqs.visible(queue.name)[: poller.batch_size]]
        received = self.sqs.receive(queue.name, visible)
        if not received:
            return
        self._running[queue.arn] = self._running.get(queue.arn, 0) + 1
        self.scheduler.after(queue.visibility + 0.1, lambda: self._poll(poller, queue))
        function = self.stack.functions[poller.function]
        self.polled += 1
        name = f"{function.name}-{self.polled}"
        event = {"Records": [lambda_record(message, queue.arn) for message in received]}
        if queue.arn in self.stack.endings:
            self._note_endings(received)
        receipts = [message.receipt for message in received]
        run = functions.invoke(function, event, name)
        assert run.process is not None
        run.process.on_end.append(lambda: self._after_batch(poller, queue, run, received, receipts))

    def _note_endings(self, received: list[Message]) -> None:
        """Notes that execution-watcher is told of the ends of executions."""
        for message in received:
            for arn in self.engine.executions:
                if arn in message.body:
                    self.repeats[arn] += arn in self.heard
                    self.heard[arn] = self.scheduler.now

    def _after_batch(
        self, poller: Poller, queue: Queue, run: functions.Run, received: list[Message], receipts: list[str | None]
    ) -> None:
        self._running[queue.arn] -= 1
        if run.error is not None:
            self.trace(run.function.name, f"raised {run.error!r}")
        if run.has_succeeded:
            failed = {failure["itemIdentifier"] for failure in (run.result or {}).get("batchItemFailures", [])}
            for message, receipt in zip(received, receipts, strict=True):
                if message.id not in failed and not self.faults.has("twice", f"delete {queue.name}"):
                    self.sqs.call("DeleteMessage", {"QueueUrl": queue.name, "ReceiptHandle": receipt})
        self._poll(poller, queue)

    def redrive(self, queue: Queue) -> int:
        """Moves the dead letters back, as ``filecopy replay`` does, and returns their number."""
        assert queue.dead_letters is not None
        dead = self.sqs.queues[self.stack.queues[queue.dead_letters].name].messages
        count = len(dead)
        while dead:
            self.send(queue, dead.pop(0).body)
        return count


def _as_json(answer: Any) -> Any:
    """A service's answer with texts for times."""
    if isinstance(answer, datetime):
        return iso(answer.timestamp())
    return {name: _as_json(part) for name, part in answer.items()} if isinstance(answer, dict) else answer


def _state_error(service: str, error: ClientError) -> StateError:
    """The error as Step Functions names it."""
    response: Mapping[str, Any] = error.response
    code, status = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    name = code.removesuffix("Exception")
    if service == "s3" and name not in _S3_ERRORS:
        name = "S3"
    shown = {"s3": "S3", "dynamodb": "DynamoDb", "sns": "Sns", "sqs": "Sqs"}[service]
    cause = f"{response['Error']['Message']} (Service: {shown}, Status Code: {status}, Request ID: 1)"
    return StateError(f"{_PREFIXES[service]}.{name}Exception", cause)


def _shown(operation: str, arguments: Mapping[str, Any]) -> str:
    """A call, for the trace."""
    match operation:
        case "UpdateItem":
            what = arguments["UpdateExpression"].removeprefix("SET ")[:60]
        case "Publish":
            what = arguments.get("Subject")
        case _:
            what = " ".join(
                str(arguments[name]) for name in ("Bucket", "Key", "VersionId", "CopySource") if name in arguments
            )
    return f"{operation} {what}".rstrip()


__all__ = ["SOURCE", "World"]


def _schema(index: Mapping[str, Any]) -> Schema:
    """The key of an index, by the inputs of its resource."""
    attributes = {one["keyType"]: one["attributeName"] for one in index["keySchemas"]}
    return Schema(attributes["HASH"], attributes.get("RANGE"))
