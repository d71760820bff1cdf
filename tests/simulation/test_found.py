"""Faults of the program that the simulation found, each as the shortest history that showed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import inf
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.workflow.limits import LEASE_GRACE

from . import functions, many
from .choices import Choices
from .stack import OWN, SOURCE, deployed
from .stepfunctions import Execution
from .world import World

# A key that needs URL encoding: copy-worker makes its copies, in a round of its own.
KEY = "b c.zip"

# Words of the update of each state, and of that of the last round.
ACQUIRE, START, ROUND, LAST = "SET leaseOwner", "SET executionId", "SET #status", "completedAt = :now"

# Seconds after which a late write lands: its execution has ended, and execution-watcher knows.
LATE = 600.0


class Slow(World):
    """A world without faults but one: the first write of one state lands late."""

    def __init__(self, update: str, on_write: Callable[[Execution], None] = lambda _: None) -> None:
        """
        Args:
            update: words of the update of that state.
            on_write: called when the write is sent.
        """
        super().__init__(deployed(), many.machine(), Choices(made={}))
        self._update, self._on_write = update, on_write
        self.landed: list[str] = []
        """What became of the late write."""

    def prepare(self, who: str, arguments: Mapping[str, Any]) -> None:
        """Runs before each call."""

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
        self.prepare(who, arguments)
        execution = self.execution_of(who)
        is_chosen = operation == "UpdateItem" and self._update in arguments["UpdateExpression"]
        if not is_chosen or execution is None:
            return super().call(who, service, region, operation, arguments, timeout, patience)
        self._update = "nothing"

        def land() -> None:
            with suppress(ClientError):
                self._do(who, service, region, operation, arguments)
                self.landed.append("done")

        self.scheduler.after(LATE, land)
        self._on_write(execution)
        self.scheduler.sleep(timeout)
        raise TimeoutError


@contextmanager
def rested(world: World) -> Iterator[dict[str, Any]]:
    """Uploads a file. Gives its record when nothing happens any more."""
    with functions.installed(deployed()), functions.of_world(world):
        world.s3.call("PutObject", {"Bucket": SOURCE, "Key": KEY, "Body": b"1"})
        world.scheduler.run()
        [record] = world.records()
        yield record
        world.scheduler.end()


@pytest.mark.parametrize("update", [ACQUIRE, START, ROUND])
def test_a_write_of_a_stopped_execution_opens_its_record_no_more(update: str) -> None:
    """The execution is stopped while the write is under way, and the write lands after execution-watcher has closed the
    record. The record was in progress again, or for the first time, and its lease lasted for hours."""

    def stop(execution: Execution) -> None:
        world.scheduler.after(1.0, lambda: world.engine.stop(execution, "ABORTED"))

    world = Slow(update, stop)
    with rested(world) as record:
        [execution] = world.engine.executions.values()
        assert (execution.status, world.landed) == ("ABORTED", [])
        assert record["status"] == {"S": "FAILED"}
        assert record["leaseOwner"] == {"S": f"{execution.arn}#ended"}
        assert float(record["leaseExpiresAt"]["N"]) <= (execution.stopped or 0) + LEASE_GRACE + 60


@pytest.mark.parametrize("update", [ACQUIRE, START, LAST])
def test_a_write_that_was_retried_changes_nothing_after_the_end(update: str) -> None:
    """The write times out, is made again, and lands after the execution has completed. The record was in progress for
    ever. The last write set the end of the lease back, so that others could take a lease that had not ended when they
    asked for it: an execution that had died by then held it for hours."""
    world = Slow(update)
    with rested(world) as record:
        [execution] = world.engine.executions.values()
        assert (execution.status, world.landed) == ("SUCCEEDED", [])
        assert record["status"] == {"S": "COMPLETED"}
        assert float(record["leaseExpiresAt"]["N"]) <= (execution.stopped or 0)


def test_a_lease_is_not_taken_by_a_call_that_was_sent_before_the_end() -> None:
    """Two executions are stopped. The lease of the first ended at the time when execution-watcher began to handle that,
    and the second had asked for it later. The second took the lease after its end, and held it for hours."""

    class TwoStopped(Slow):
        def prepare(self, who: str, arguments: Mapping[str, Any]) -> None:
            executions = [*self.engine.executions.values()]
            if arguments.get("UpdateExpression") == "SET #until = :until":
                self.scheduler.sleep(10.0)
            elif self.execution_of(who) in executions[1:] and not executions[0].is_running:
                self._update = ACQUIRE

    def stop(execution: Execution) -> None:
        world.scheduler.after(0.1, lambda: world.engine.stop(execution, "ABORTED"))

    def overwrite(execution: Execution, state: str) -> None:
        if state == "ReadSource":
            world.s3.call("PutObject", {"Bucket": SOURCE, "Key": KEY, "Body": b"22"})
            world.scheduler.after(0.5, lambda: world.engine.stop(execution, "ABORTED"))

    world = TwoStopped("nothing", stop)
    world.engine.on_state = overwrite
    with rested(world) as record:
        first, second = world.engine.executions.values()
        assert (first.status, second.status, world.landed) == ("ABORTED", "ABORTED", [])
        assert record["leaseOwner"] == {"S": f"{first.arn}#ended"}


def test_an_execution_that_cannot_release_its_lease_has_not_succeeded() -> None:
    """The table is out of reach when a superseded execution would release its lease. The execution succeeded, so nobody
    closed the record that it had created, and the next execution for the file waited until the lease expired."""
    world = World(deployed(), many.machine(), Choices(made={}))

    def interfere(_execution: Execution, state: str) -> None:
        if state == "ReadSource":
            world.s3.call("PutObject", {"Bucket": SOURCE, "Key": KEY, "Body": b"22"})
        elif state == "ReleaseLease":
            world.faults.unavailable["dynamodb", None] = world.scheduler.now + 60.0

    world.engine.on_state = interfere
    with rested(world) as record:
        first, second = world.engine.executions.values()
        assert (first.error, second.error) == ("TrackingFailed", "TrackingFailed")
        assert (record["executionId"], record["status"]) == ({"S": first.arn}, {"S": "FAILED"})
        assert float(record["leaseExpiresAt"]["N"]) < (first.stopped or 0) + LATE


def test_the_last_write_may_be_made_twice() -> None:
    """The last write is done, but times out: the second one is refused, and the execution succeeds."""
    world = World(deployed(), many.machine(), Choices(made={}))
    do, lost = world._do, list[str]()

    def lose_answer(who: str, service: str, region: str, operation: str, arguments: Mapping[str, Any]) -> Any:
        answer = do(who, service, region, operation, arguments)
        if LAST in arguments.get("UpdateExpression", "") and not lost:
            lost.append(who)
            raise TimeoutError
        return answer

    world._do = lose_answer  # type: ignore[method-assign]
    with rested(world) as record:
        [execution] = world.engine.executions.values()
        assert lost == [execution.name]
        assert "UpdateDynamoDBFinal Catch 0" in execution.entered
        assert (execution.status, record["status"]) == ("SUCCEEDED", {"S": "COMPLETED"})
        assert not world.notices


def test_people_are_told_which_copies_an_execution_gave_up() -> None:
    """An execution that has lost its lease makes no further copies. Its notification did not name their buckets."""
    world = World(deployed(), many.machine(), Choices(made={}))

    def take_lease(_execution: Execution, state: str) -> None:
        if state == "CopyToMultipleBuckets":
            [record] = world.records()
            record["leaseOwner"] = {"S": "nobody"}

    world.engine.on_state = take_lease
    with rested(world):
        [notice] = world.notices
        assert f"❌ {OWN}: LeaseLost: another execution has taken over the record" in notice.message


def test_an_older_arrival_is_decided_though_a_status_change_was_lost() -> None:
    """A newer execution was stopped, and its record stays in progress. The event of an older copy became a dead letter
    again, however often somebody moved it back."""
    world = World(deployed(), many.machine(), Choices(made={}))
    notify = world.s3._notify

    def notify_late(bucket: str, event: dict[str, Any]) -> None:
        world.scheduler.after(LATE if bucket == OWN else 0, lambda: notify(bucket, event))

    def stop_the_second(execution: Execution, state: str) -> None:
        if state == "AllCopiesSuccessful":
            world.s3.call("PutObject", {"Bucket": SOURCE, "Key": KEY, "Body": b"22"})
        elif state == "CopyToMultipleBuckets" and len(world.engine.executions) > 1:
            world.scheduler.after(0, lambda: world.engine.stop(execution, "ABORTED"))

    world.s3._notify = notify_late
    world.engine.on_state = stop_the_second
    world.faults.has = lambda kind, where: kind == "missing"  # type: ignore[method-assign]  # noqa: ARG005
    with rested(world) as record:
        assert record["status"] == {"S": "IN_PROGRESS"}
        [arrivals] = [queue for queue in world.stack.queues.values() if queue.name == "file-copy-arrivals"]
        assert world.redrive(arrivals) == 1
        world.scheduler.run()
        assert not [queue for queue in world.sqs.queues.values() if queue.messages]
