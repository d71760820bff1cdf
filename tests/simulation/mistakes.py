"""Deliberate mistakes: each is a small change of the definition or of a function that somebody could make one day, and
that the simulation has to find.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import BotoCoreError, ClientError

from handlers import (
    arns,
    copy_worker,
    copying,
    execution_watcher,
    existing_copy,
    multipart,
    notification_digest,
    regional_sync,
    replication_worker,
    sqs_batch,
    tracking,
    upload_record,
)
from handlers.comparison import Verdict

from . import functions, history, many
from .stack import deployed
from .stepfunctions import StateMachine

Definition = dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """A mistake in the definition, or in a function."""

    name: str
    change: Callable[[Definition], None] | None = None
    """Changes the definition."""
    swap: Callable[[], AbstractContextManager[Any]] | None = None
    """Has a function be wrong as long as the context lasts."""

    def definition(self, right: Mapping[str, Any]) -> Definition:
        wrong: Definition = copy.deepcopy(dict(right))
        if self.change:
            self.change(wrong)
            if wrong == right:
                raise ValueError(f"{self.name} changes nothing: the definition has changed, so change the mistake.")
        return wrong

    @contextmanager
    def made(self) -> Iterator[None]:
        """Has the function be wrong in the block."""
        if self.swap is None:
            yield
        else:
            with self.swap():
                yield


# --- Changes of the definition --------------------------------------------------------------------------------------


def _replaced(state: str, pattern: str, new: str) -> Callable[[Definition], None]:
    """Replaces a text in a state's JSON, by a regular expression."""

    def change(definition: Definition) -> None:
        states = definition["States"]
        before = json.dumps(states[state], ensure_ascii=False)
        states[state] = json.loads(re.sub(pattern, lambda _: new, before))

    return change


def _set(path: str, value: Any) -> Callable[[Definition], None]:
    """Sets a field, such as ``AcquireLease.Retry.2.MaxAttempts``. ``None`` removes it."""

    def change(definition: Definition) -> None:
        *parents, name = path.split(".")
        node: Any = definition["States"]
        for parent in parents:
            node = node[int(parent)] if isinstance(node, list) else node[parent]
        if value is None:
            del node[int(name) if isinstance(node, list) else name]
        else:
            node[name] = value

    return change


def _read_source_first(definition: Definition) -> None:
    _set("ValidateInput.Next", "ReadSource")(definition)
    _set("ReadSource.Next", "AcquireLease")(definition)
    _set("ReadSource.Catch.0.Next", "AcquireLease")(definition)
    _set("AcquireLease.Next", "LogWorkflowStart")(definition)


_TO_BUCKET = "CopyToMultipleBuckets.ItemProcessor.States.CopyToBucket"
_WORKER = "CopyThroughWorker.ItemProcessor.States.RunCopyWorker"
_ANYBODY = "attribute_exists(leaseOwner)"
_VALUES = "Arguments.ExpressionAttributeValues"
_FORGOTTEN = {
    "status": "FAILED",
    "totalBuckets": 0,
    "successfulCopies": 0,
    "failedCopies": 0,
    "successfulBuckets": [],
    "failedBuckets": [],
}

IN_DEFINITION = [
    Mistake(
        "no execution waits for the lease",
        _replaced("AcquireLease", "leaseExpiresAt <= :now", f"leaseExpiresAt <= :now OR {_ANYBODY}"),
    ),
    Mistake("a lease of five seconds", _replaced("AcquireLease", r"\+ \d+ \+ \d+ \*", "+ 5 + 0 *")),
    Mistake(
        "no check that the version is the newest",
        _set(f"LogWorkflowStart.{_VALUES}.:starter", {"S": "{% $executionId %}"}),
    ),
    Mistake(
        "a copy of the newest version, not of that which was read",
        _replaced("CopyToMultipleBuckets", r"& \(\$exists\(\$source\.versionId\)[^)]*\)", ""),
    ),
    Mistake("a lease that ends while a copy may still land", _set("ProcessResults.Assign.leaseUntil", 0)),
    Mistake("a retry after a copy that timed out", _set(f"{_TO_BUCKET}.Retry.2.MaxAttempts", 3)),
    Mistake("a start that failed keeps the lease", _set("LogWorkflowStart.Catch.0.Next", "CheckIfSuperseded")),
    Mistake(
        "a lease that is released to itself",
        _replaced(
            "ReleaseLease", r"leaseExpiresAt = :released", "leaseExpiresAt = if_not_exists(leaseExpiresAt, :released)"
        ),
    ),
    Mistake("no Catch for a copy by S3", _set(f"{_TO_BUCKET}.Catch", None)),
    Mistake("no Catch for a copy by copy-worker", _set(f"{_WORKER}.Catch", None)),
    Mistake("no Catch for the last update", _set("UpdateDynamoDBFinal.Catch.1", None)),
    Mistake("no Catch for the notification", _set("SendFailureNotification.Catch", None)),
    Mistake("a failure taken for a success", _set("CheckIfAllSuccessful.Choices.1.Condition", "{% true %}")),
    Mistake("a failure without a notification", _set("CheckIfAllSuccessful.Default", "SomeCopiesFailed")),
    Mistake(
        "counts of the last round only",
        _replaced(
            "ProcessResults",
            r"successfulCopies..: \$count\(\$successfulBuckets\)",
            'successfulCopies\\": $count($copied)',
        ),
    ),
    Mistake("a round that forgets the results before", _replaced("CopyThroughWorker", r"\[\$results, ", "[")),
    Mistake("a copy that needs another run is forgotten", _set("CopyThroughWorker.Assign.remaining", "{% [] %}")),
    Mistake(
        "no copies into other regions",
        _replaced("CopyToMultipleBuckets", r"\$exists\(\$lookup\(\$regions, \$bucket\)\) or ", ""),
    ),
    Mistake("a lease that is not renewed for a round", _set(f"UpdateDynamoDBFinal.{_VALUES}.:leaseUntil", {"N": "0"})),
    Mistake(
        "results written without the lease's condition",
        _set("UpdateDynamoDBFinal.Arguments.ConditionExpression", f"leaseOwner = :executionId OR {_ANYBODY}"),
    ),
    Mistake("a retry that forgets the other copies", _set("AcquireLease.Assign.summary", _FORGOTTEN)),
    Mistake("a source that cannot be read is no problem", _set("ReadSource.Catch.0.Assign", {})),
    Mistake(
        "a record that could not be written is no problem",
        _set("UpdateDynamoDBFinal.Catch.1.Next", "AllCopiesSuccessful"),
    ),
    Mistake(
        "copies that were given up are not counted",
        _set("UpdateDynamoDBFinal.Catch.0.Assign.summary", "{% $summary %}"),
    ),
    Mistake("the source is read before the lease is taken", _read_source_first),
]


# --- Changes of functions -------------------------------------------------------------------------------------------


def _instead(module: Any, name: str, replacement: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.object(module, name, replacement)


def _swallow(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` without its errors."""

    def quiet(*arguments: Any, **named: Any) -> Any:
        with suppress(ClientError, BotoCoreError):
            return function(*arguments, **named)

    return quiet


def _all_succeeded(event: dict[str, Any], handle: Callable[[str], None]) -> dict[str, Any]:
    _process(event, handle)
    return {"batchItemFailures": []}


def _name_by_key(upload: Any) -> str:
    return arns.execution_name(upload.key, [upload.bucket, upload.key])


def _update_of_anybody(condition: str, **arguments: Any) -> tracking.Update:
    return _update_if(condition.replace(_OWNER, f"({_OWNER} OR {_ANYBODY})"), **arguments)


def _of_this_version(copy: copying.Copy) -> multipart.Upload | None:
    upload = _read_upload(copy)
    return replace(upload, source_id=copy.source_id) if upload else None


def _attempt_copy(copy: copying.Copy, event: dict[str, Any], deadline: float) -> dict[str, Any]:
    return _attempt(copy, {**event, "abort": False}, deadline)


@contextmanager
def _existing_by_size() -> Iterator[None]:
    def result(copy: copying.Copy, answer: dict[str, Any], version_id: str | None, _message: str) -> dict[str, Any]:
        found = {"destinationBucket": copy.bucket, "success": True, "etag": answer["ETag"], "check": "size"}
        return {**found, "timestamp": tracking.now(), "versionId": version_id}

    with (
        patch.object(existing_copy, "verify", lambda *_: ("size", None)),
        patch.object(existing_copy, "result_of", result),
    ):
        yield


def _put_always(condition: str, **arguments: Any) -> bool:
    return _put_if(f"{condition} OR attribute_exists(arrivedAt)", **arguments)


def _take_all() -> tuple[notification_digest.Digest, list[str]]:
    digest, receipts = _receive()
    notification_digest._delete(receipts)
    return digest, receipts


_OWNER = "leaseOwner = :executionId"
_put_if = tracking.put_if
_receive = notification_digest._receive
_read_upload = upload_record.read
_attempt = copy_worker._attempt
_update_if = tracking.update_if
_process = sqs_batch.process
_shorten_lease = execution_watcher._shorten_lease
_NOT_CLOSED = tracking.Update(False, {})

IN_FUNCTIONS = [
    Mistake("an execution's name that repeats", swap=_instead(replication_worker, "execution_name", _name_by_key)),
    Mistake(
        "an upload whose execution could not be started",
        swap=_instead(replication_worker, "_start_execution", _swallow(replication_worker._start_execution)),
    ),
    Mistake("copy-worker goes on without the lease", swap=_instead(tracking, "update_if", _update_of_anybody)),
    Mistake(
        "copy-worker copies the newest version",
        swap=_instead(copying.Copy, "source", property(lambda copy: {"Bucket": copy.source_bucket, "Key": copy.key})),
    ),
    Mistake("a batch that never fails", swap=_instead(sqs_batch, "process", _all_succeeded)),
    Mistake("a stopped execution without a notification", swap=_instead(execution_watcher, "_notify", lambda _: None)),
    Mistake("people are notified twice", swap=_instead(execution_watcher, "_NOTIFIED_BY_WORKFLOW", set())),
    Mistake(
        "a notification that failed counts as sent",
        swap=_instead(
            execution_watcher,
            "_NOTIFIED_BY_WORKFLOW",
            {*execution_watcher._NOTIFIED_BY_WORKFLOW, "NotificationFailed"},
        ),
    ),
    Mistake("a record that stays open", swap=_instead(execution_watcher, "_close_record", lambda _: _NOT_CLOSED)),
    Mistake("a dead execution keeps its lease", swap=_instead(execution_watcher, "_shorten_lease", lambda *_: None)),
    Mistake(
        "a dead execution's lease ends at once",
        swap=_instead(execution_watcher, "_shorten_lease", lambda ending, _: _shorten_lease(ending, 0)),
    ),
    Mistake("parts of another version", swap=_instead(upload_record, "read", _of_this_version)),
    Mistake("each run begins an upload of its own", swap=_instead(upload_record, "read", lambda _: None)),
    Mistake("copy-worker aborts nothing", swap=_instead(multipart, "abort", lambda *_: None)),
    Mistake("copy-worker copies where it should abort", swap=_instead(copy_worker, "_attempt", _attempt_copy)),
    Mistake("an existing copy is recognized by its size", swap=_existing_by_size),
    Mistake(
        "every arrival is taken for a difference",
        swap=_instead(regional_sync, "_verify", lambda *_: Verdict(check="size", problem="It differs.")),
    ),
    Mistake("an arrival that is not written", swap=_instead(regional_sync, "_write", lambda *_: True)),
    Mistake("an arrival that replaces a later one", swap=_instead(tracking, "put_if", _put_always)),
    Mistake("an arrival of an older copy is compared", swap=_instead(regional_sync, "_was_sent_by", lambda *_: True)),
    Mistake(
        "an arrival is decided while its execution runs",
        swap=_instead(regional_sync, "_is_running", lambda _: False),
    ),
    Mistake("a difference without a notification", swap=_instead(regional_sync, "_notify", lambda *_: None)),
    Mistake("a digest that is deleted before it is sent", swap=_instead(notification_digest, "_receive", _take_all)),
    Mistake(
        "a digest of the first notification only",
        swap=_instead(notification_digest.Digest, "message", property(lambda digest: digest.shown[0][1])),
    ),
    Mistake("a digest of a call that is late", swap=_instead(notification_digest, "_INTERVAL", 1_000_000)),
    Mistake("notifications that stay in their queue", swap=_instead(notification_digest, "_delete", lambda _: None)),
]

MISTAKES = [*IN_DEFINITION, *IN_FUNCTIONS]


def seeds_to_find(mistake: Mistake, limit: int) -> tuple[int, str] | None:
    """The number of seeds that find a mistake, and the invariant that it breaks; ``None`` if ``limit`` do not."""
    stack = deployed()
    machine = StateMachine(mistake.definition(stack.definition), dict(many.machine().memories))
    with functions.installed(stack), mistake.made():
        for seed in range(limit):
            outcome = history.run(stack, machine, seed=seed)
            if outcome.problem:
                return seed + 1, outcome.problem
    return None
