"""What the pages read of a stack. What does not change any more is read once."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from filecopy.errors import StackError
from filecopy.executions.find import Listed, describe, listed, read_definition
from filecopy.executions.follow import Follower
from filecopy.executions.from_events import Event
from filecopy.executions.model import RUNNING, History
from filecopy.polling import Pace
from filecopy.stack.records import STATUSES, TrackingRecord, read_page
from filecopy.stack.stack import Stack
from filecopy.terminal import sentence
from handlers.s3_protocol import accept_any_key

T = TypeVar("T")

# What AWS, the network or the stack may answer. Any other error is a mistake of the console.
EXPECTED = (StackError, BotoCoreError, ClientError)

# Seconds for which queues, alarms and lists are as they were.
FRESH_ON_AWS, FRESH_ON_EMULATOR = 30.0, 2.0
# Executions that a page describes at once. The others follow with the next look.
DESCRIBED_ON_AWS, DESCRIBED_ON_EMULATOR = 10, 100

_MAX_KEPT = 2000
_MAX_FOLLOWED = 30


class NotFoundError(StackError):
    """The page is about something that does not exist."""


@dataclass(frozen=True)
class Part(Generic[T]):
    """A part of a page: its value, or the sentence that says why it could not be read."""

    value: T | None = None
    problem: str = ""


def part(read: Callable[[], T]) -> Part[T]:
    """Read a part of a page. The rest of the page is there without it."""
    try:
        return Part(read())
    except EXPECTED as error:
        return Part(problem=said(error))


def said(error: Exception) -> str:
    """The sentence that says why something could not be read or done."""
    if isinstance(error, EXPECTED):
        return sentence(error)
    logging.getLogger(__name__).error("The console has met an error that it does not expect", exc_info=error)
    return f"The console failed ({type(error).__name__}). Its terminal says why."


@dataclass
class _Kept(Generic[T]):
    """The latest values, by name."""

    count: int
    values: OrderedDict[Hashable, T] = field(default_factory=OrderedDict)

    def get(self, name: Hashable) -> T | None:
        # Threads share it: what is there may be gone in the next line.
        with contextlib.suppress(KeyError):
            self.values.move_to_end(name)
        return self.values.get(name)

    def put(self, name: Hashable, value: T) -> T:
        self.values[name] = value
        while len(self.values) > self.count:
            self.values.popitem(last=False)
        return value


@dataclass(frozen=True)
class ExecutionRead:
    """An execution, with its events and the definition that it runs by."""

    history: History
    events: Sequence[Event]
    definition: Mapping[str, Any]


class Reader:
    """Reads a stack for all pages of a console."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.requests = 0
        is_emulator = stack.clients.is_emulator
        self.pace = Pace.of(stack)
        self.described_at_once = DESCRIBED_ON_EMULATOR if is_emulator else DESCRIBED_ON_AWS
        self._fresh = FRESH_ON_EMULATOR if is_emulator else FRESH_ON_AWS
        self._pool = ThreadPoolExecutor(len(STATUSES))
        self._lock = threading.Lock()
        self._descriptions: _Kept[Listed] = _Kept(_MAX_KEPT)
        self._followers: _Kept[tuple[Follower, threading.Lock]] = _Kept(_MAX_FOLLOWED)
        self._definitions: _Kept[Mapping[str, Any]] = _Kept(_MAX_FOLLOWED)
        self._recent: _Kept[tuple[float, Any]] = _Kept(_MAX_KEPT)
        stack.clients.on_request(self._count)

    @cached_property
    def s3(self) -> Any:
        """A client of S3 that takes answers with any key in them."""
        client = self.stack.clients.new("s3")
        accept_any_key(client)
        return client

    def _count(self, **_request: object) -> None:
        self.requests += 1

    def recent(self, name: Hashable, read: Callable[[], T]) -> T:
        """A value that may be some seconds old."""
        known = self._recent.get(name)
        if known and time.monotonic() - known[0] < self._fresh:
            value: T = known[1]
            return value
        return self._recent.put(name, (time.monotonic(), read()))[1]  # type: ignore[no-any-return]

    def pages(
        self,
        statuses: Iterable[str],
        count: int,
        *,
        since: str | None = None,
        places: Mapping[str, Mapping[str, str]] | None = None,
    ) -> dict[str, list[TrackingRecord]]:
        """Read a page of the records with each of these statuses, all at the same time.

        Args:
            places: the places that the pages begin after, as :func:`read_page` takes them, by status.
        """

        def read(status: str) -> list[TrackingRecord]:
            return read_page(self.stack, status, count, since=since, after=(places or {}).get(status))

        wanted = list(statuses)
        return dict(zip(wanted, self._pool.map(read, wanted), strict=True))

    def list_executions(self, status: str | None, token: str | None, count: int) -> tuple[list[dict[str, Any]], str]:
        """A page of ListExecutions: the executions, the latest first, and the token of the next page, or nothing."""
        answer = self.stack.clients("stepfunctions").list_executions(
            stateMachineArn=self.stack.state_machine,
            maxResults=count,
            **({"statusFilter": status} if status else {}),
            **({"nextToken": token} if token else {}),
        )
        return answer["executions"], answer.get("nextToken", "")

    def describe(self, executions: Sequence[Mapping[str, Any]]) -> Iterator[Listed | None]:
        """Describe executions of a list. What is known already is not read again.

        Yields:
            The execution; ``None`` if it is left for the next look.
        """
        left = self.described_at_once
        for one in executions:
            arn: str = one["executionArn"]
            known = self._descriptions.get(arn)
            if known and known.status == one["status"]:
                yield known
                continue
            if not left:
                yield None
                continue
            left -= 1
            described = describe(self.stack.clients("stepfunctions"), arn)
            yield self._descriptions.put(arn, listed(described)) if described else None

    def execution(self, arn: str) -> ExecutionRead:
        """Read an execution. Events that were read are not read again.

        Raises:
            NotFoundError: there is no such execution.
        """
        with self._lock:
            follower, lock = self._followers.get(arn) or self._followers.put(
                arn, (Follower(self.stack), threading.Lock())
            )
        with lock:
            try:
                history = follower.read(arn)
            except ClientError as error:
                if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
                    raise NotFoundError(
                        "There is no such execution. Step Functions deletes executions 90 days after their end."
                    ) from None
                raise
            definition = self._definitions.get(arn) or self._definitions.put(arn, read_definition(self.stack, history))
            return ExecutionRead(history, tuple(follower.events(arn)), definition)


def upload_to_copied(one: Listed) -> float | None:
    """Seconds from the upload of a file to the end of the execution that copied it; ``None`` if that is not known."""
    if one.stopped is None or one.status == RUNNING or one.job.uploaded is None:
        return None
    return (one.stopped - one.job.uploaded).total_seconds()


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * percent // 100) - 1))]
