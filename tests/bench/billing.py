"""What AWS would bill for one small file, new, to destinations in the stack's own region, counted from what the engine
has recorded of it.

Counted: the transitions and calls of the execution's history; the functions' runs, their time and their lines, from
their logs; the messages, one for the upload, one for each arrival, one for the end. Computed: what writing and reading
the record and its arrivals takes, and keeping them, from their sizes. Estimated, because no emulator writes it: the
state machine's log. Not counted: what the API costs, and what a stack costs that copies nothing (idle.py).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.names import LISTED_ATTRIBUTES

KB = 1024

# Amazon SQS developer guide: sent by S3 or EventBridge, received and deleted by Lambda. Each may be shared by up to
# ten messages, so this is the most.
REQUESTS_PER_MESSAGE = 3

# CloudWatch Logs, PutLogEvents: each event counts for as many bytes more than its text.
LOG_EVENT_OVERHEAD = 26

# An estimate: the execution's ARN, a state's name, a type, two numbers and a time, without data (workflow.py).
WORKFLOW_LOG_EVENT_BYTES = 400

# X-Ray developer guide, "Configuring sampling rules": by default, the first request of each second is traced, and 5 %
# of the others. So all are traced, if there is one a second or fewer.
TRACED_AT_MOST = 1.0

# DynamoDB developer guide, "Item sizes and formats": each item is stored with as many bytes more.
ITEM_OVERHEAD = 100

# The attributes of a record that the index by status and time has (components/names.py), and its keys.
INDEXED = {*LISTED_ATTRIBUTES, "fileKey", "sourceBucket", "status", "startTime"}

_BILLED = re.compile(r"Billed Duration: (\d+) ms\tMemory Size: (\d+) MB")

Event = Mapping[str, Any]
Item = Mapping[str, Any]


def transitions(events: Iterable[Event]) -> int:
    """The transitions of an execution: each state that it entered, and each retry (Step Functions pricing: "each time
    a step of your workflow is executed", retries included). Not compared with a bill yet.

    A call beyond the first of its Task is a retry. MiniStack records no states inside a Map, but each call there
    (docs/engines.md): so a call that belongs to no Task entered is the first of a copy, or its retry, and counts alike.
    What it keeps to itself is CopyFailed, one for each copy that failed for good.
    """
    kinds = Counter(event["type"] for event in events)
    entered = sum(count for kind, count in kinds.items() if kind.endswith("StateEntered"))
    return entered + max(kinds["TaskScheduled"] - kinds["TaskStateEntered"], 0)


def calls(events: Iterable[Event]) -> Counter[str]:
    """How often an execution called each action, such as ``updateItem``. AWS names it alone, MiniStack at the end."""
    details = (event.get("taskScheduledEventDetails", {}) for event in events)
    return Counter(called["resource"].rpartition(":")[2] for called in details if called)


def item_size(value: Mapping[str, Any]) -> int:
    """Bytes of an item, or a map, in DynamoDB's types (DynamoDB developer guide, "Item sizes and formats")."""
    return sum(len(name.encode()) + _value_size(typed) for name, typed in value.items())


def _value_size(typed: Mapping[str, Any]) -> int:
    [(kind, value)] = typed.items()
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return math.ceil(len(value.replace(".", "").strip("-0")) / 2) + 1
    # A list and a map are 3 bytes, and 1 for each member.
    if kind == "L":
        return 3 + sum(1 + _value_size(member) for member in value)
    if kind == "M":
        return 3 + len(value) + item_size(value)
    return 1


def usage_of_file(
    events: Sequence[Event], items: Sequence[Item], function_logs: Sequence[str], files: int
) -> dict[str, float]:
    """What one file uses, by the names of prices.PRICES.

    Args:
        events: of its execution, which made all copies.
        items: its record, and then one for each arrival, in DynamoDB's types.
        function_logs: lines of all functions for ``files`` such files.
    """
    called = calls(events)
    copies = called["copyObject"]
    runs, gb_seconds = function_runs(function_logs)
    messages = 1 + copies + 1
    writes, reads = _capacity(called, items)
    return {
        "transitions": transitions(events),
        "s3_writes": copies,
        "s3_reads": called["headObject"],
        "dynamodb_writes": writes,
        "dynamodb_reads": reads,
        "lambda_requests": runs / files,
        "lambda_gb_seconds": gb_seconds / files,
        "sqs_requests": REQUESTS_PER_MESSAGE * messages,
        "sns_requests": called["publish"],
        "log_gb": (log_bytes(function_logs) / files + _workflow_log_bytes(events, called)) / 1e9,
        "traces": TRACED_AT_MOST * (1 + runs / files),
    }


def function_runs(lines: Iterable[str]) -> tuple[int, float]:
    """How often functions ran, and their GB-seconds, from the REPORT lines that Lambda writes."""
    found = [match for line in lines if (match := _BILLED.search(line))]
    return len(found), sum(int(match[1]) / 1000 * int(match[2]) / 1024 for match in found)


def log_bytes(lines: Iterable[str]) -> int:
    """What CloudWatch Logs counts."""
    return sum(len(line.encode()) + LOG_EVENT_OVERHEAD for line in lines)


def kept_of_file(items: Sequence[Item], log_gb: float) -> dict[str, float]:
    """What is kept of one file for a month: its items, which can be restored, and their entry in the index; and its
    logs, which are compressed, so this is the most."""
    table = sum(item_size(item) + ITEM_OVERHEAD for item in items)
    entry = {name: value for name, value in items[0].items() if name in INDEXED}
    return {
        "dynamodb_gb_months": (table + item_size(entry) + ITEM_OVERHEAD) / 1e9,
        "dynamodb_recovery_gb_months": table / 1e9,
        "log_gb_months": log_gb,
    }


def table_writes(called: Mapping[str, int], items: Sequence[Item]) -> int:
    """Write request units of the table itself, at most.

    An update takes a unit for each KB of the item, however little of it is written (DynamoDB developer guide, "Capacity
    unit consumption"). The first one of an execution finds nothing but the key, and leaves the lease.
    """
    record, *arrivals = items
    updates = 1 + (called["updateItem"] - 1) * _kilobytes(record)
    return updates + sum(_kilobytes(arrival) for arrival in arrivals)


def _capacity(called: Mapping[str, int], items: Sequence[Item]) -> tuple[int, int]:
    """Write and read request units, at most. A strongly consistent read takes a unit for each 4 KB of the item, however
    little it returns."""
    record, *arrivals = items
    # The index of states and times: an entry of a new file, its changes, and at the end, when the status changes, its
    # removal and another one.
    index = 1 + called["updateItem"]
    return table_writes(called, items) + index, len(arrivals) * math.ceil(item_size(record) / (4 * KB))


def _kilobytes(item: Item) -> int:
    return math.ceil(item_size(item) / KB)


def _workflow_log_bytes(events: Sequence[Event], called: Mapping[str, int]) -> float:
    """Of the state machine's log, a line for each event that AWS records: two of the execution, of each state, of the
    Map and of each copy's turn in it, and three of each call."""
    lines = 2 + 2 * transitions(events) + 2 + 2 * called["copyObject"] + 3 * sum(called.values())
    return lines * (WORKFLOW_LOG_EVENT_BYTES + LOG_EVENT_OVERHEAD)
