"""What must hold, whatever happens: the promises of docs/reliability.md."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from components.workflow.limits import LEASE_GRACE
from handlers.copying import ATTEMPTS

from .jsonata import iso
from .people import People, Upload
from .services.contents import Content
from .services.sns import Notification
from .stack import SOURCE
from .stepfunctions import MAX_EVENTS, Execution
from .world import World

# Seconds that execution-watcher may need.
_TO_HANDLE = 60.0

# Errors of the workflow's own, after which its record is complete, or at least its notification sent.
_OWN_ERRORS = ("CopiesFailed", "SourceUnreadable", "TrackingFailed")

# A notification of regional-sync, which names one destination.
_DIFFERS = "File copy differs"

# The subject of a message about several notifications, and the number of those that it shows in full.
_SEVERAL = re.compile(r"([0-9]+) notifications of file copies")
_SHOWN = 10

# Seconds from the event of a call of notification-digest to its message: the call does nothing if it is more than a
# minute late, may run for thirty seconds, and what it has sent may land after its end.
_TO_DIGEST = 60.0 + 30.0 + 120.0

# Errors of the workflow's own that need a fault of a service, and the names of such faults.
_NEEDLESS = ("TrackingFailed", "NotificationFailed")
_OF_SERVICES = ("call", "outage")

# Calls that change a destination.
_COPYING = {"CopyObject", "UploadPartCopy", "CompleteMultipartUpload"}


class ViolationError(BaseException):
    """An invariant does not hold. The text begins with its name and a colon. No handler may catch it."""


class Invariants:
    """Watches one history."""

    def __init__(self, world: World, people: People) -> None:
        self._world, self._people = world, people
        self._copiers: dict[str, list[str]] = {}
        """The executions that copied, by key, in the order of their copies."""
        self._newest: dict[tuple[str, str], int] = {}
        """The number of the upload that a destination has, by bucket and key."""
        self._beginners: dict[str, str] = {}
        """Which run of copy-worker began an upload in parts, by its ID."""
        self._made: dict[tuple[str, str, str], tuple[str, int, float]] = {}
        """The execution that made a copy, the number of its upload, and the time, by bucket, key and version."""
        self._copied: dict[tuple[str, str], int] = {}
        """The number of the upload that an execution copied, by its ARN and bucket."""
        self._arrived: dict[tuple[str, str], str] = {}
        """The time of the arrival that is recorded, by bucket and key."""
        self._digests: Counter[float] = Counter()
        """The messages of each call of notification-digest, by the time of the call."""
        world.observers.append(self._observe)

    # --- At each step -----------------------------------------------------------------------------------------

    def _observe(self, who: str, service: str, operation: str, arguments: Mapping[str, Any], outcome: object) -> None:
        if isinstance(outcome, ClientError):
            return
        if operation == "CreateMultipartUpload":
            self._beginners[outcome["UploadId"]] = who  # type: ignore[index]
        if service == "s3" and operation in _COPYING:
            if who in self._world.aborting:
                raise ViolationError(f"late copy: {who} is to abort a copy that has failed, and makes it")
            self._check_copy(self._world.execution_of(who), operation, arguments)
        elif service == "dynamodb" and operation == "UpdateItem":
            self._check_record(self._world.execution_of(who), arguments)
        elif operation == "PutItem" and "arrivedAt" in arguments["Item"]:
            self._check_arrival(arguments["Item"])
        elif operation == "Publish" and who in self._world.schedule.calls:
            self._check_digest(self._world.schedule.calls[who])

    def _check_copy(self, execution: Execution | None, operation: str, arguments: Mapping[str, Any]) -> None:
        bucket, key = arguments["Bucket"], arguments["Key"]
        if execution is None:
            raise ViolationError(f"copy without an execution: {operation} to {bucket}")
        copiers = self._copiers.setdefault(key, [])
        if execution.arn not in copiers[-1:]:
            if execution.arn in copiers:
                raise ViolationError(
                    f"two holders: {execution.name} copies {key} to {bucket} after {_name(copiers[-1])} has begun"
                )
            copiers.append(execution.arn)
        if operation == "UploadPartCopy":
            return
        made = self._world.s3.buckets[bucket].objects[key][-1]
        number = self._number_of(key, made.content)
        self._made[bucket, key, made.version_id] = execution.arn, number, self._world.scheduler.now
        self._copied[execution.arn, bucket] = number
        emptied = self._people.emptied.get(bucket, 0.0)
        wanted = execution.job.get("sourceVersionId", self._shown(number))
        if wanted != self._shown(number):
            raise ViolationError(f"wrong version: {execution.name} is for {wanted}, and copies {self._shown(number)}")
        before = self._newest.get((bucket, key), -1)
        if number < before and self._people.uploads[before].time > emptied:
            raise ViolationError(
                f"older version: {bucket} had {self._shown(before)}, and {execution.name} copies {self._shown(number)}"
            )
        self._newest[bucket, key] = number

    def _check_record(self, execution: Execution | None, arguments: Mapping[str, Any]) -> None:
        """An execution writes only while it has the lease. A record that it completes is true."""
        key = arguments["Key"]["fileKey"]["S"]
        if arguments["UpdateExpression"].startswith("SET leaseOwner = :executionId"):
            self._people.robbed.pop(key, None)
        elif execution is not None and self._people.robbed.get(key) == execution.arn:
            raise ViolationError(f"no lease: {execution.name} writes the record of {key}")
        record = self._world.record(arguments["Key"])
        if execution is None or record is None or record.get("status") != {"S": "COMPLETED"}:
            return
        if record.get("executionId") != {"S": execution.arn}:
            return
        key, version = record["fileKey"]["S"], record["sourceVersionId"].get("S")
        for bucket in execution.job["destinationBuckets"]:
            found = self._world.s3.buckets.get(bucket)
            newest = found.newest(key) if found else None
            uploads = (one.content for one in self._people.uploads if one.version_id == version and one.key == key)
            wanted = next(uploads, None)
            is_right = newest is not None and newest.content == wanted
            is_damaged = newest is not None and self._is_damaged(bucket, key, newest.version_id)
            if not is_right and not is_damaged and not self._was_emptied(bucket, execution.started):
                raise ViolationError(f"untrue record: COMPLETED, but {bucket} has not {version} of {key}")

    def _check_arrival(self, item: Mapping[str, Any]) -> None:
        """An arrival is compared with the source of its own copy, and replaces no later one.

        If only sizes can be compared, that of a copy that was made after an execution had begun may be taken for that
        execution's, until its own copy arrives.
        """
        bucket, key = item["destinationBucket"]["S"], item["fileKey"]["S"]
        time, execution = item["arrivedAt"]["S"], item["executionId"]["S"]
        if time < self._arrived.get((bucket, key), ""):
            raise ViolationError(f"older arrival: that of {time} in {bucket} replaces a later one")
        self._arrived[bucket, key] = time
        copier, number, _ = self._made[bucket, key, item["versionId"]["S"]]
        begun = self._world.engine.executions[execution].started
        if item["check"] == {"S": "size"} and time >= iso(begun):
            return
        if self._copied.get((execution, bucket), number) != number:
            raise ViolationError(f"wrong arrival: {bucket} has one of {_name(copier)}, compared for {_name(execution)}")

    def _check_digest(self, call: float) -> None:
        """People get one message a minute at most."""
        self._digests[call] += 1
        if self._digests[call] > 1 + self._world.schedule.repeats:
            raise ViolationError(f"many digests: {self._digests[call]} in a minute")
        if (late := self._world.scheduler.now - call) > _TO_DIGEST:
            raise ViolationError(f"late digest: a call sends one after {late:.0f} s")

    # --- At rest ----------------------------------------------------------------------------------------------

    def check_at_rest(self) -> None:
        """Checks what must hold when nothing happens any more."""
        for execution in self._world.engine.executions.values():
            self._check_execution(execution)
        self._check_dead_letters()
        self._check_mails()
        for notice in self._world.notices:
            self._check_notice(notice)
        for record in self._world.records():
            self._check_final_record(record)
        for upload in self._people.uploads:
            self._check_upload(upload)
        for name in self._world.stack.buckets:
            if name != SOURCE:
                self._check_uploads_in_parts(name)

    def _check_execution(self, execution: Execution) -> None:
        if execution.is_running:
            raise ViolationError(f"endless: {execution.name} never ends")
        if execution.events > MAX_EVENTS:
            raise ViolationError(f"limits: {execution.name} has {execution.events} events")
        if execution.status == "SUCCEEDED":
            self._check_success(execution)
        told = [notice for notice in self._world.notices if execution.arn in notice.message and not _is_alarm(notice)]
        if execution.status != "SUCCEEDED" and not told and execution.arn not in self._world.unheard:
            raise ViolationError(f"silence: nobody was told that {execution.name} has {execution.status}")
        # One that was ended after it had told people of its failure is told again.
        was_ended = execution.error not in _OWN_ERRORS and "SendFailureNotification" in execution.entered
        bound = 1 + was_ended + self._world.repeats[execution.arn]
        if len(told) > bound:
            raise ViolationError(f"noise: people were told {len(told)} times of {execution.name}, not {bound}")
        if execution.error in _NEEDLESS and not self._had_cause(execution):
            raise ViolationError(f"needless failure: {execution.name} dies of {execution.error}: {execution.cause}")
        if execution.status == "FAILED" and execution.error not in (*_OWN_ERRORS, "NotificationFailed"):
            self._check_death(execution)
        if execution.status == "SUCCEEDED" and told:
            raise ViolationError(f"false alarm: {execution.name} has succeeded: {told[0].subject}")

    def _had_cause(self, execution: Execution) -> bool:
        """True if the table or the topic may have been out of reach, or if the lease was taken by hand."""
        is_faulty = any(fault.startswith(_OF_SERVICES) for fault in self._world.faults.happened)
        return is_faulty or execution.job["sourceKey"] in self._people.intruded

    def _check_success(self, execution: Execution) -> None:
        """It has made its copies, or has found that they exist, or was superseded."""
        if json.loads(execution.output or "{}").get("status") == "SUPERSEDED":
            return
        numbers = {number for (arn, _), number in self._copied.items() if arn == execution.arn}
        for bucket in execution.job["destinationBuckets"]:
            place = bucket, execution.job["sourceKey"]
            had = {number for (*where, _), (_, number, _) in self._made.items() if tuple(where) == place}
            if not (had & numbers if numbers else had):
                raise ViolationError(f"untrue success: {execution.name} has no copy in {bucket}")

    def _check_death(self, execution: Execution) -> None:
        """An execution dies of wrong input, and of errors that nothing can catch."""
        is_wrong_input = execution.error == "States.QueryEvaluationError" and "AcquireLease" not in execution.entered
        if not is_wrong_input and execution.error != "States.Runtime":
            raise ViolationError(f"uncaught: {execution.name} dies of {execution.error}: {execution.cause}")

    def _check_dead_letters(self) -> None:
        """What no fault keeps from being handled is handled."""
        for queue in self._world.stack.queues.values():
            for message in self._world.sqs.queues[queue.name].messages:
                if message.body != "nonsense":
                    raise ViolationError(f"dead letter: {queue.name} has {message.body:.100}")

    def _check_notice(self, notice: Notification) -> None:
        """What it says is true."""
        if "ChecksumMismatch" in notice.message:
            raise ViolationError(f"wrong parts: a copy differed before it was complete: {notice.message}")
        if not _is_alarm(notice):
            return
        for (bucket, key, version), (execution, *_) in self._made.items():
            # A copy that is gone when its arrival is examined, late, has differed in good faith.
            # The record may keep the copy of an earlier execution.
            if f"File: {key}\n" in notice.message and f" {bucket}: " in notice.message:
                started = self._world.engine.executions[execution].started
                if self._is_damaged(bucket, key, version) or self._was_emptied(bucket, started):
                    return
        raise ViolationError(f"false alarm: no copy was damaged: {notice.message}")

    def _check_mails(self) -> None:
        """Each notification is in one message to people, and a message about one is that one."""
        mails, repeats = self._world.mails, self._world.schedule.repeats
        notices = Counter((notice.subject, notice.message) for notice in self._world.notices)
        counts = [_number_of_notices(mail) for mail in mails]
        for mail, number in zip(mails, counts, strict=True):
            if number == 1 and (mail.subject, mail.message) not in notices:
                raise ViolationError(f"changed notification: “{mail.subject}”")
        if sum(counts) < len(self._world.notices):
            raise ViolationError(f"lost notification: {len(self._world.notices)} were published, {sum(counts)} told")
        if max(counts, default=0) > _SHOWN:
            return
        for (subject, message), count in notices.items():
            told = sum(mail.message.count(message) for mail in mails)
            if not count <= told <= count * 2**repeats:
                raise ViolationError(f"lost notification: “{subject}” was told {told} times, not {count}")

    def _check_final_record(self, record: Mapping[str, Any]) -> None:
        key = record["fileKey"]["S"]
        owner = record.get("leaseOwner", {}).get("S", "").removesuffix("#ended")
        holder = self._world.engine.executions.get(owner)
        until = float(record.get("leaseExpiresAt", {}).get("N", 0))
        is_known = owner not in self._world.unheard
        # The lease of an execution that could not release it expires by itself.
        if holder and holder.stopped and is_known:
            latest = max(holder.stopped, self._world.heard.get(holder.arn, 0.0)) + LEASE_GRACE + _TO_HANDLE
            if until > latest:
                raise ViolationError(
                    f"long lease: {holder.name} is over, and holds {key} for {until - latest:.0f} s more"
                )
        if "executionId" not in record:
            return
        execution = self._world.engine.executions[record["executionId"]["S"]]
        if record["status"] == {"S": "SUPERSEDED"}:
            # One that has released its lease as superseded may be ended before it ends by itself.
            was_ended = execution.status != "SUCCEEDED" and "ReleaseLease" in execution.entered
            if json.loads(execution.output or "{}").get("status") != "SUPERSEDED" and not was_ended:
                raise ViolationError(f"wrong status: {key} is SUPERSEDED by {execution.name}, which is not")
            return
        if record["status"] == {"S": "IN_PROGRESS"}:
            if execution.arn in self._world.unheard or key in self._people.intruded:
                return
            raise ViolationError(f"in progress: the record of {key} by {execution.name}, which has {execution.status}")
        # execution-watcher closes a record whose execution died, and counts nothing.
        if execution.status == "SUCCEEDED" or execution.error in _OWN_ERRORS[:2]:
            if key not in self._people.intruded:
                self._check_counts(key, record)
            self._check_results(key, record, execution)
        self._check_arrivals(key, record, execution)

    def _check_counts(self, key: str, record: Mapping[str, Any]) -> None:
        every, copied, failed = (
            sorted(bucket["S"] for bucket in record[name]["L"])
            for name in ("destinationBuckets", "successfulBuckets", "failedBuckets")
        )
        counts = [
            int(record.get(name, {"N": "-1"})["N"]) for name in ("totalBuckets", "successfulCopies", "failedCopies")
        ]
        if sorted(copied + failed) != every or counts != [len(every), len(copied), len(failed)]:
            raise ViolationError(f"wrong counts: {key} has {counts}: {copied}, {failed} of {every}")
        status = "COMPLETED" if not failed else "PARTIAL_FAILURE" if copied else "FAILED"
        if record["status"]["S"] != status:
            raise ViolationError(f"wrong status: {key} is {record['status']['S']}, not {status}")
        results = [result["M"]["destinationBucket"]["S"] for result in record["copyResults"]["L"]]
        if len(results) != len(set(results)) or not set(results) <= set(every):
            raise ViolationError(f"wrong results: {key} has results of {results}")

    def _check_results(self, key: str, record: Mapping[str, Any], execution: Execution) -> None:
        """Each copy of the last execution has a result, if the source could be read."""
        results = {result["M"]["destinationBucket"]["S"] for result in record["copyResults"]["L"]}
        missing = set(execution.job["destinationBuckets"]) - results
        if missing and record["problem"] == {"NULL": True} and "UpdateDynamoDBFinal Catch 0" not in execution.entered:
            raise ViolationError(f"missing results: {key} has none of {sorted(missing)}")

    def _check_arrivals(self, key: str, record: Mapping[str, Any], execution: Execution) -> None:
        """Each copy of the execution that the record describes has arrived, and people know of damage."""
        for result in record["copyResults"]["L"]:
            bucket, version = (result["M"].get(name, {}).get("S", "") for name in ("destinationBucket", "versionId"))
            made = self._made.get((bucket, key, version))
            if bucket not in self._world.stack.notifications or made is None or made[0] != execution.arn:
                continue
            arrival = self._world.arrival(key, bucket)
            if arrival is None or arrival["arrivedAt"]["S"] < iso(made[2]):
                raise ViolationError(f"no arrival: that of {version} in {bucket} is not recorded")
            if arrival["versionId"]["S"] == version and arrival["executionId"]["S"] != execution.arn:
                raise ViolationError(f"wrong arrival: {version} in {bucket} is of {arrival['executionId']['S']}")
            alarms = [one for one in self._world.notices if _is_alarm(one) and f" {bucket}: " in one.message]
            # If S3 has no checksum of the whole source, the sizes alone are compared.
            if (
                arrival["check"] != {"S": "size"}
                and self._is_damaged(bucket, key, version)
                and not any(execution.arn in one.message for one in alarms)
            ):
                raise ViolationError(f"silent damage: nobody was told that {version} in {bucket} differs")

    def _check_upload(self, upload: Upload) -> None:
        """The upload was handled; and if it is the newest, each destination has it, or people know why not."""
        executions = [
            one
            for one in self._world.engine.executions.values()
            if isinstance(one.job, dict) and one.job.get("sourceVersionId") == upload.version_id
        ]
        if not executions:
            raise ViolationError(f"lost upload: nothing was started for {upload.version_id} of {upload.key}")
        newest = self._world.s3.buckets[SOURCE].newest(upload.key)
        if newest is None or newest.version_id != upload.version_id:
            return
        for bucket in self._world.stack.buckets:
            if bucket == SOURCE or self._was_emptied(bucket, upload.time):
                continue
            held = self._world.s3.buckets[bucket].newest(upload.key)
            if held is not None and self._is_damaged(bucket, upload.key, held.version_id):
                continue
            if (held is None or held.content != upload.content) and not self._is_told(upload, bucket):
                raise ViolationError(f"silent gap: {bucket} has not {upload.version_id} of {upload.key}")

    def _is_told(self, upload: Upload, bucket: str) -> bool:
        """True if people were notified of a copy to this bucket that failed, after the upload; or if the notice was
        lost with a status change."""
        for execution in self._world.engine.executions.values():
            if not isinstance(execution.job, dict) or execution.job.get("sourceKey") != upload.key:
                continue
            stopped = execution.stopped or 0.0
            if stopped < upload.time or bucket not in execution.job["destinationBuckets"]:
                continue
            if execution.arn in self._world.unheard:
                return True
            for notice in self._world.notices:
                is_whole = "partly" not in (notice.subject or "") and not _is_alarm(notice)
                if execution.arn in notice.message and (is_whole or bucket in notice.message):
                    return True
        return False

    def _check_uploads_in_parts(self, bucket: str) -> None:
        """No upload is left, but of an execution or a run of copy-worker that was ended, of an execution that could not
        write its record between two rounds, of one that could not abort it, one whose ID never arrived, or one that S3
        failed to abort in all attempts of a call. A retry resumes it, or the bucket's lifecycle rule aborts it.
        """
        for upload in self._world.s3.buckets[bucket].uploads.values():
            run = self._beginners[upload.id]
            execution = self._world.owners[run]
            if (
                upload.id in self._world.orphans
                or self._world.failed_aborts[upload.id] >= ATTEMPTS
                or run in self._world.ended_runs
                or execution.status in ("ABORTED", "TIMED_OUT")
                or execution.error in ("States.Runtime", "TrackingFailed")
                or "CopyNotAborted" in execution.entered
                or upload.key in self._people.intruded
                or bucket in self._people.unabortable
            ):
                continue
            raise ViolationError(f"left upload: {upload.id} in {bucket}, of {upload.key} by {execution.name}")

    # --- Parts of several checks ------------------------------------------------------------------------------

    def _number_of(self, key: str, content: Content) -> int:
        for number, upload in enumerate(self._people.uploads):
            if upload.key == key and upload.content == content:
                return number
        raise ViolationError(f"wrong bytes: a copy of {key} is of no upload")

    def _shown(self, number: int) -> str:
        return self._people.uploads[number].version_id

    def _is_damaged(self, bucket: str, key: str, version: str) -> bool:
        return (bucket, key, version) in self._world.damaged

    def _was_emptied(self, bucket: str, since: float) -> bool:
        return self._people.emptied.get(bucket, 0.0) >= since


def _number_of_notices(mail: Notification) -> int:
    """The number of the notifications that a message to people is about."""
    several = _SEVERAL.fullmatch(mail.subject or "")
    return int(several[1]) if several else 1


def _is_alarm(notice: Notification) -> bool:
    """True if it says that a copy differs."""
    return (notice.subject or "").startswith(_DIFFERS)


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
