"""One file to ever more destinations: how long it takes, and what it would be billed for.

Each number of destinations has a stack of its own, with the settings that a person would give it. A stack's policies
name each destination, which ends at about a hundred (docs/architecture.md, "Limits"). For more, an execution is started
by hand, with buckets that were made beside the stack; what arrives in those is not checked, so it is not priced.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from typing import Any

from filecopy.executions.find import read_events
from tests.e2e.system import System, stack_up

from . import billing, throughput
from .prices import MILLION, PRICES, Way, cost

# Files that are measured one after the other, after as many that are not: each is a newer version of one of those.
FILES = 3

MOST_OF_A_STACK = 100


@dataclass(frozen=True)
class Destinations:
    """One file to that many destinations."""

    destinations: int
    seconds: float
    """From the upload, or the start by hand, to COMPLETED: the median of FILES."""
    plain_copies: float
    """Seconds of the same copies by plain boto3, in ten threads: the median, each measured after one of the files."""
    transitions: int
    usage: dict[str, float] | None
    """Of one file, by the names of prices.PRICES."""
    kept: dict[str, float] | None
    """Of one file, for each month, by the names of prices.PRICES."""
    table_writes: int | None
    """Write request units of the table for one file."""

    @property
    def times_plain_copies(self) -> float:
        return self.seconds / self.plain_copies

    def way(self) -> Way | None:
        """The workflow as a way to copy a million files; ``None`` where it is not priced."""
        return Way("this workflow", MILLION * cost(self.usage), 0.0) if self.usage else None

    def dollars(self) -> dict[str, float]:
        """Of a million files, by the names of prices.PRICES; empty where it is not priced."""
        return _of_a_million(self.usage)

    def dollars_a_month(self) -> dict[str, float]:
        """What a million files cost in each month in which their records and logs are kept."""
        return _of_a_million(self.kept)


def _of_a_million(usage: dict[str, float] | None) -> dict[str, float]:
    return {name: PRICES[name].of(MILLION * amount) for name, amount in (usage or {}).items()}


def measure(number: int) -> Destinations:
    own = number if number <= MOST_OF_A_STACK else 1
    buckets = [f"destination-{index}" for index in range(number)]
    settings = json.dumps([{"bucket": bucket} for bucket in buckets[:own]])
    with stack_up("-c", f"destinations={settings}") as system:
        for bucket in buckets[own:]:
            system.s3.create_bucket(Bucket=bucket)
        system.put("floor", throughput.CONTENT)
        for index in range(FILES):
            system.upload(f"file-{index}", throughput.CONTENT)
        system.destinations = buckets
        distribute = _upload if number == own else _start_by_hand
        _wait_until_idle(system)
        since = time.time() * 1000
        seconds, floors, execution = [], [], ""
        for index in range(FILES):
            started = time.perf_counter()
            execution = distribute(system, f"file-{index}")
            seconds.append(time.perf_counter() - started)
            _wait_until_idle(system)
            started = time.perf_counter()
            throughput.copy_plainly(system, 1)
            floors.append(time.perf_counter() - started)
            _wait_until_idle(system)
        events = read_events(system.stepfunctions, execution)
        usage = kept = writes = None
        if number == own:
            items = _items(system, f"file-{FILES - 1}")
            usage = billing.usage_of_file(events, items, _function_logs(system, since), FILES)
            kept = billing.kept_of_file(items, usage["log_gb"])
            writes = billing.table_writes(billing.calls(events), items)
        return Destinations(
            destinations=number,
            seconds=statistics.median(seconds),
            plain_copies=statistics.median(floors),
            transitions=billing.transitions(events),
            usage=usage,
            kept=kept,
            table_writes=writes,
        )


def _upload(system: System, key: str) -> str:
    """Uploads a file and waits until it is COMPLETED. Returns its execution's ARN."""
    before = (system.record(key) or {})["executionId"]
    system.put(key, throughput.CONTENT)

    def completed() -> str | None:
        record = system.record(key) or {}
        is_new = record.get("executionId") != before and record.get("status") == "COMPLETED"
        return str(record["executionId"]) if is_new else None

    return system.wait_for(f"{key} to be completed", completed)


def _start_by_hand(system: System, key: str) -> str:
    execution = system.start(system.job(key))
    assert system.finish(execution)["status"] == "SUCCEEDED", execution
    return execution


def _wait_until_idle(system: System) -> None:
    """Until nothing is in any queue, and so no function runs."""

    def idle() -> bool | None:
        counts = [int(value) for queue in system.messages() for name, value in queue.items() if name != "QueueArn"]
        return True if not any(counts) else None

    system.wait_for("all queues to be empty", idle)


def _function_logs(system: System, since: float) -> list[str]:
    """The lines of all functions, from ``since`` on, in milliseconds since 1970."""
    logs = system.clients("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    pages = [
        page
        for group in groups
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
    ]
    return [event["message"] for page in pages for event in page["events"] if event["timestamp"] >= since]


def _items(system: System, key: str) -> list[dict[str, Any]]:
    """The record and the arrivals of a file, in DynamoDB's types: the record's sort key is the shortest."""
    items: list[dict[str, Any]] = system.dynamodb.query(
        TableName=system.table,
        KeyConditionExpression="fileKey = :key AND begins_with(sourceBucket, :bucket)",
        ExpressionAttributeValues={":key": {"S": key}, ":bucket": {"S": system.source}},
        ConsistentRead=True,
    )["Items"]
    return items
