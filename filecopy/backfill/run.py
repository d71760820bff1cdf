"""One run of a backfill."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from typing import Any

from botocore.exceptions import ClientError

from components import outputs
from filecopy.errors import StackError
from filecopy.polling import Poller
from filecopy.stack import key_filter
from filecopy.stack.records import TrackingRecord, read_record, read_records
from filecopy.stack.stack import Stack

from .comparison import CustomerKeyError, Difference, Objects, archive_problem, differences_of, is_about
from .executions import Failures, RateLimit, has_lease, start
from .listing import Row, merge, objects_of
from .outcome import Outcome, Result, describe_failures, judge

# Executions started a second. Step Functions refills 150 a second in its smallest regions (developer guide, "Quotas"),
# so this leaves nine tenths of them to uploads, and still copies 36,000 objects an hour.
DEFAULT_RATE = 10.0

# Objects that are compared or copied at a time: as many as a client keeps connections for.
AT_ONCE = 32

# Looks at the record of an execution between two of DescribeExecution.
LOOKS_PER_DESCRIPTION = 10


@dataclass
class Started:
    """An execution that was started."""

    key: str
    execution_arn: str
    differences: Mapping[str, Difference]
    looks: int = 0
    """At the record, since the execution was described."""


class Backfill:
    """One run. ``results`` counts the objects compared so far, ``at`` is the key of the last."""

    def __init__(
        self,
        stack: Stack,
        destinations: Sequence[str],
        *,
        prefix: str,
        rate: float,
        is_dry: bool,
        retries_failed: bool = False,
    ) -> None:
        """
        Args:
            destinations: the destinations to compare.
            prefix: of the keys to compare.
            rate: executions started a second, at most.
            is_dry: compare only.
            retries_failed: also copy the objects whose copies failed before.
        """
        self.results: Counter[Result] = Counter()
        self.at = ""
        self.source, self.prefix, self.destinations = stack.source_bucket, prefix, destinations
        self.failures = Failures()
        self._stack, self._is_dry, self._retries_failed = stack, is_dry, retries_failed
        self._objects = Objects(stack, destinations)
        self._rate_limit = RateLimit(rate)
        self._interval = Poller.of(stack).interval
        self._next_look = 0.0
        self._starts_no_more = threading.Event()
        self._prepared: SimpleQueue[Future[Outcome | Started]] = SimpleQueue()
        self._preparing = 0
        self._started: dict[str, Started] = {}

    @property
    def is_cut_short(self) -> bool:
        """Too many copies have failed to start others."""
        return self.failures.is_too_many or self.failures.stopped >= set(self.destinations)

    def run(self, report: Callable[[Outcome], None]) -> None:
        """Compare, and copy what is needed. However it ends, ``results`` has the counts so far.

        Args:
            report: called for each object that is not up to date everywhere by the listings, in this thread.

        Raises:
            StackError: a bucket cannot be listed or read.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for row in self._rows():
                    self.at = row.key
                    while self._preparing + len(self._started) >= AT_ONCE:
                        self._collect(report, wait=self._interval)
                    if self._preparing or self._started:
                        self._collect(report, wait=0)
                    if self.is_cut_short:
                        break
                    if differences := differences_of(row):
                        self._preparing += 1
                        pool.submit(self._prepare, row, differences).add_done_callback(self._prepared.put)
                    else:
                        self.results[Result.UP_TO_DATE] += 1
                while self._preparing or self._started:
                    self._collect(report, wait=self._interval)
            except BaseException:
                self._starts_no_more.set()
                pool.shutdown()
                self._count_the_rest()
                raise

    def _collect(self, report: Callable[[Outcome], None], wait: float) -> None:
        """Take the result of a worker, if there is one within ``wait`` seconds; and look at the executions, if it is
        time."""
        try:
            result = self._prepared.get(timeout=wait) if wait else self._prepared.get_nowait()
        except Empty:
            pass
        else:
            self._preparing -= 1
            prepared = result.result()
            if isinstance(prepared, Outcome):
                self._end(prepared, report)
            else:
                self._started[prepared.key] = prepared
        if self._started and time.monotonic() >= self._next_look:
            for outcome in self._look():
                del self._started[outcome.key]
                self._end(outcome, report)
            self._next_look = time.monotonic() + self._interval

    def _end(self, outcome: Outcome, report: Callable[[Outcome], None]) -> None:
        self.results[outcome.result] += 1
        if outcome.result in (Result.COPIED, Result.FAILED):
            copied = set(outcome.differences) - outcome.failed
            self.failures.note(copied, outcome.failed, is_notification=outcome.result is Result.FAILED)
        if self.is_cut_short:
            self._starts_no_more.set()
        report(outcome)

    def _count_the_rest(self) -> None:
        """After an interruption: count what can still be said, for the summary."""
        if self._started:
            self.results[Result.STILL_COPYING] += len(self._started)
        while not self._prepared.empty():
            future = self._prepared.get()
            if not future.exception():
                result = future.result()
                self.results[result.result if isinstance(result, Outcome) else Result.STILL_COPYING] += 1

    # --- Listings ---------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[Row]:
        s3 = self._objects.clients[self.source]
        try:
            notifications = s3.get_bucket_notification_configuration(Bucket=self.source)
        except ClientError as error:
            raise self._objects.refusal(error, self.source, "s3:GetBucketNotification") from None
        # By AWS's clock: a copy that was made since then may be listed as it was before.
        self._began = parsedate_to_datetime(notifications["ResponseMetadata"]["HTTPHeaders"]["date"])
        keys = key_filter.of_notifications(notifications, self.source, self._stack.output(outputs.UPLOAD_QUEUE_URL))
        prefix = keys.narrow(self.prefix)
        return merge(
            (item for item in self._list(self.source, prefix) if item.key.endswith(keys.suffix)),
            {bucket: self._list(bucket, prefix) for bucket in self.destinations},
        )

    def _list(self, bucket: str, prefix: str) -> Iterator[Any]:
        try:
            yield from objects_of(self._objects.clients[bucket], bucket, prefix)
        except ClientError as error:
            raise self._objects.refusal(error, bucket, "s3:ListBucket") from None

    # --- One object, in a thread of the pool ------------------------------------------------------------------------

    def _prepare(self, row: Row, listed: Mapping[str, Difference]) -> Outcome | Started:
        """Compare an object more closely, and start its execution if it needs one."""
        try:
            return self._compare_and_start(row, listed)
        except CustomerKeyError:
            why = "S3 refuses to copy it without that key"
            return Outcome(row.key, Result.CUSTOMER_KEY, listed, error=why)
        except (ClientError, StackError) as error:
            # One object that cannot be read does not stop the others, and causes no notification.
            return Outcome(row.key, Result.NOT_COMPARED, listed, error=str(error))

    def _compare_and_start(self, row: Row, listed: Mapping[str, Difference]) -> Outcome | Started:
        head = self._objects.head(self.source, row.key)
        if head is None:
            return Outcome(row.key, Result.GONE)
        undecided = [bucket for bucket, what in listed.items() if what is Difference.UNDECIDED]
        differences = {bucket: what for bucket, what in listed.items() if bucket not in undecided}
        differences |= self._objects.compare(row.key, head, undecided, self._record)
        if not differences:
            return Outcome(row.key, Result.UP_TO_DATE)
        if why := archive_problem(head):
            return Outcome(row.key, Result.ARCHIVED, differences, error=why)
        record = self._record(row.key)
        if has_lease(record, time.time()):
            return Outcome(row.key, Result.BUSY, differences)
        if record and record.completed and record.completed >= self._began:
            # It may have been copied since the buckets were listed.
            differences = self._objects.compare(row.key, head, differences, self._record)
            if not differences:
                return Outcome(row.key, Result.UP_TO_DATE)
        if record and not self._retries_failed and _has_failed(record, row, differences):
            why = describe_failures(record, differences)
            return Outcome(row.key, Result.FAILED_BEFORE, differences, record.execution_arn, error=why)
        return self._start(row, differences, record)

    def _start(
        self, row: Row, differences: Mapping[str, Difference], record: TrackingRecord | None
    ) -> Outcome | Started:
        if self._is_dry:
            return Outcome(row.key, Result.TO_BE_COPIED, differences)
        if not self._rate_limit.wait(self._starts_no_more):
            return Outcome(row.key, Result.NOT_STARTED, differences)
        copies = {bucket: what for bucket, what in differences.items() if bucket not in self.failures.stopped}
        if not copies:
            return Outcome(row.key, Result.NOT_STARTED, differences)
        # The record's failed copies are made again with the others, so that the record has no failure left.
        failed = [bucket for bucket in (record.failed if record else ()) if bucket in self.destinations]
        return Started(row.key, start(self._stack, row, copies, failed), copies)

    def _record(self, key: str) -> TrackingRecord | None:
        return read_record(self._stack, key)

    # --- Executions -------------------------------------------------------------------------------------------------

    def _look(self) -> Iterator[Outcome]:
        """Look at the records of the executions that were started, with one request; and at one execution that has
        written none, with another."""
        records = read_records(self._stack, list(self._started))
        waiting: list[Started] = []
        for started in list(self._started.values()):
            record = records.get(started.key)
            if record and record.is_of(started.execution_arn) and record.is_over:
                yield judge(started.key, started.differences, record)
            else:
                started.looks += 1
                waiting.append(started)
        longest = max(waiting, key=lambda started: started.looks, default=None)
        if longest and longest.looks >= LOOKS_PER_DESCRIPTION:
            longest.looks = 0
            if outcome := self._describe(longest):
                yield outcome

    def _describe(self, started: Started) -> Outcome | None:
        """The outcome of an execution, from DescribeExecution; ``None`` while it runs."""
        arn, key, differences = started.execution_arn, started.key, started.differences
        described = self._stack.clients("stepfunctions").describe_execution(executionArn=arn)
        if described["status"] == "RUNNING":
            return None
        record = self._record(key)
        if record and record.is_of(arn) and record.is_over:
            return judge(key, differences, record)
        if described["status"] == "SUCCEEDED":
            # Another execution has the record by now. The output says whether this one left the file to it.
            is_superseded = json.loads(described.get("output") or "{}").get("status") == "SUPERSEDED"
            return Outcome(key, Result.BUSY if is_superseded else Result.COPIED, differences, arn)
        why = ": ".join(part for part in (described.get("error", described["status"]), described.get("cause")) if part)
        return Outcome(key, Result.FAILED, differences, arn, why, frozenset(differences))


def _has_failed(record: TrackingRecord, row: Row, differences: Mapping[str, Difference]) -> bool:
    """Whether all copies that are needed have failed before, of this version of the object."""
    return record.is_over and is_about(record, row.source) and set(differences) <= set(record.failed)
