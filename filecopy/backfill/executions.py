"""Executions that a backfill starts: their names, their pace, and when to start no more."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable
from itertools import count

from filecopy.stack.records import TrackingRecord
from filecopy.stack.stack import Stack
from handlers import arns

from .listing import Row

# Each execution that fails is a notification to people, so after so many nothing more is started.
MAX_FAILURES = 50

# A destination that fails so many times in a row, while others take their copies, gets no more copies in this run.
MAX_FAILURES_IN_A_ROW = 20


def has_lease(record: TrackingRecord | None, now: float) -> bool:
    """Whether an execution may be copying the file, or writing its record, at ``now``, in epoch seconds."""
    return record is not None and record.lease_expires > now


def execution_name(bucket: str, row: Row, destinations: Iterable[str], attempt: int) -> str:
    """The name of the one execution for this object and these copies in this state. A run at the same time, or after an
    interruption, computes the same name."""
    copies = {name: (copy and copy.etag) for name, copy in row.copies.items() if name in destinations}
    identity = [bucket, row.key, row.source.etag, row.source.modified.isoformat(), sorted(copies.items()), attempt]
    return arns.execution_name(row.key, identity, kind="backfill-")


def start(stack: Stack, row: Row, copies: Iterable[str], also: Iterable[str]) -> str:
    """Start the execution for an object, or find the one that runs for the same copies.

    Args:
        copies: the destinations that need a copy.
        also: destinations that are copied to again.

    Returns:
        The ARN of the execution.
    """
    workflow, machine = stack.clients("stepfunctions"), stack.state_machine
    job = {
        "sourceBucket": stack.source_bucket,
        "sourceKey": row.key,
        "destinationBuckets": sorted({*copies, *also}),
        # The record keeps its results for other destinations.
        "retry": True,
    }
    for attempt in count(1):
        name = execution_name(stack.source_bucket, row, copies, attempt)
        try:
            started = workflow.start_execution(stateMachineArn=machine, name=name, input=json.dumps(job))
            return str(started["executionArn"])
        except workflow.exceptions.ExecutionAlreadyExists:
            arn = arns.execution_arn(machine, name)
            if workflow.describe_execution(executionArn=arn)["status"] == "RUNNING":
                return arn
            # It has ended, and the copies are still needed.
    raise AssertionError("count never ends")


class RateLimit:
    """Lets through a number of starts a second, evenly."""

    def __init__(self, rate: float) -> None:
        self._interval, self._next, self._lock = 1 / rate, 0.0, threading.Lock()

    def wait(self, over: threading.Event) -> bool:
        """Wait for the next turn. Returns whether it came before ``over`` was set."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        return not over.wait(turn - now)


class Failures:
    """Counts failures, and decides when to start no more."""

    def __init__(self) -> None:
        self._in_a_row: Counter[str] = Counter()
        self._count = 0
        self.stopped: set[str] = set()
        """The destinations that get no more copies in this run."""

    @property
    def is_too_many(self) -> bool:
        return self._count >= MAX_FAILURES

    def note(self, copied: Iterable[str], failed: Iterable[str], *, is_notification: bool) -> None:
        """Note the end of an execution.

        Args:
            copied: the destinations of its copies.
            failed: the destinations whose copies failed.
            is_notification: people were notified of it.
        """
        copied = list(copied)
        for bucket in copied:
            self._in_a_row[bucket] = 0
        # An object that was copied nowhere says nothing about a destination: it may be the object that fails.
        for bucket in failed if copied else ():
            self._in_a_row[bucket] += 1
            if self._in_a_row[bucket] >= MAX_FAILURES_IN_A_ROW:
                self.stopped.add(bucket)
        self._count += is_notification
