"""A file: its record in words, each destination, its executions, and the notification of its failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from filecopy.errors import StackError
from filecopy.executions.find import Listed
from filecopy.executions.inputs import parse_object
from filecopy.retry import start
from filecopy.stack.records import TrackingRecord, read_record, read_record_and_arrivals
from filecopy.terminal import command, counted, quoted
from handlers.keys import problem_of_key

from .reader import NotFoundError, Part, Reader, part
from .words import copies_of, record_headline, why

# Executions among which a page looks for those of a file. Step Functions cannot list those of a file.
LOOKED_AT, LOOKED_FURTHER_AT = 100, 1000


@dataclass(frozen=True)
class Notification:
    """The notification of a failure, as the execution sent it."""

    message_id: str
    subject: str
    text: str
    """Empty if the engine does not record it."""


def file(reader: Reader, query: dict[str, str]) -> dict[str, Any]:
    """Read a file.

    Raises:
        NotFoundError: it has no record.
    """
    key = query.get("key", "")
    if problem := problem_of_key(key):
        raise NotFoundError(f"There is no such file: a key {problem}.")
    record = read_record_and_arrivals(reader.stack, key)
    if record is None:
        raise NotFoundError(
            f"There is no record of the file {quoted(key)} in {reader.stack.table}. A file has one as soon as its first"
            f" execution starts. To upload one, type: {command('send', key)}"
        )
    is_further = query.get("look") == "further"
    count = LOOKED_FURTHER_AT if is_further else LOOKED_AT
    arn = record.execution_arn
    return {
        "record": record,
        "headline": record_headline(record),
        "why": why(record),
        "copies": copies_of(record),
        "can_retry": record.is_over and bool(record.execution_arn) and set(record.destinations) > set(record.copied),
        "executions": part(lambda: _executions(reader, key, count)),
        "looked_at": count,
        "more": "" if is_further else f"/file?key={quote(key, safe='')}&look=further",
        "notification": part(lambda: notification_of(reader, arn)) if arn and record.failed else Part(),
    }


def _executions(reader: Reader, key: str, count: int) -> tuple[Sequence[Listed], int]:
    """The executions of a file among the latest of the stack, and how many of those are not described yet."""
    found: list[dict[str, Any]] = []
    token = ""
    while len(found) < count:
        # Some seconds old at most: all pages share it.
        page, token = reader.recent(("executions", token), partial(reader.list_executions, None, token, LOOKED_AT))
        found += page
        if not token:
            break
    described = list(reader.describe(found[:count]))
    source = reader.stack.source_bucket
    own = [one for one in described if one and (one.job.source_bucket, one.job.key) == (source, key)]
    return own, described.count(None)


def notification_of(reader: Reader, arn: str) -> Notification | None:
    """The notification that an execution sent; ``None`` if it sent none."""
    parameters, message_id = {}, ""
    for event in reader.execution(arn).events:
        scheduled, succeeded = event.get("taskScheduledEventDetails"), event.get("taskSucceededEventDetails")
        if scheduled and _is_publish(scheduled):
            parameters = dict(parse_object(scheduled.get("parameters")))
        if succeeded and _is_publish(succeeded):
            message_id = str(parse_object(succeeded.get("output")).get("MessageId", ""))
    if not message_id and not parameters:
        return None
    return Notification(message_id, str(parameters.get("Subject", "")), str(parameters.get("Message", "")))


def _is_publish(details: dict[str, Any]) -> bool:
    return details.get("resourceType") == "sns" or str(details.get("resource")).endswith("sns:publish")


def retry_failed_copies(reader: Reader, key: str) -> str:
    """Start an execution for the failed copies of a file, and return what was done.

    Raises:
        StackError: the file has no record, or an execution for it is running.
    """
    record: TrackingRecord | None = read_record(reader.stack, key)
    if record is None or record.execution_arn is None:
        raise StackError(f"There is no record of {quoted(key)}.")
    if not record.is_over:
        raise StackError("An execution for this file is running. Retry what fails after its end.")
    left_out: list[str] = []
    started = start(reader.stack, record, left_out.extend)
    said = f" {', '.join(left_out)} is not a destination of the stack, and is left out." if left_out else ""
    if started is None:
        return f"No {'other ' if left_out else ''}copy has failed, so nothing was started.{said}"
    failed = len(record.destinations) - len(record.copied) - len(left_out)
    return f"The retry of {counted(failed, 'copy', 'copies')} has started.{said}"
