"""People: they upload, overwrite and delete files, start and stop executions, retry, move dead letters back, and do to
buckets what people do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import functions
from .services.contents import Content, content
from .stack import EXTERNAL, FAR, OWN, SOURCE, THRESHOLD
from .stepfunctions import Execution
from .world import World

DESTINATIONS = (OWN, EXTERNAL, FAR)
# The second key needs URL encoding, so copy-worker makes all its copies.
KEYS = ("a.zip", "b c.zip")

# Seconds between two acts of a person: some come at once, most while executions run, few after a lease has expired.
_PAUSES = (0.0, 0.3, 1.0, 2.0, 10.0, 60.0, 1_000.0)
_PAUSE_WEIGHTS = (0.0, 0.2, 0.2, 0.2, 0.1, 0.1, 0.05)

SMALL, LARGE = 10, 2 * THRESHOLD + 3
_PART = THRESHOLD + 2

# How often, and after how many seconds, somebody looks again who waits for a moment.
_LOOKS, _LOOK_INTERVAL = 60, 0.2

# What a bucket refuses.
_REFUSALS = (
    {"CopyObject", "CreateMultipartUpload"},
    {"UploadPartCopy"},
    {"CompleteMultipartUpload"},
    {"CompleteMultipartUpload", "AbortMultipartUpload"},
    {"HeadObject", "ListBucket", "GetObject"},
)


@dataclass(frozen=True)
class Upload:
    """A version of a file in the source bucket."""

    key: str
    version_id: str
    content: Content
    time: float
    is_archived: bool


class People:
    """The people of one history, and what they have done."""

    def __init__(self, world: World) -> None:
        self.world, self.choices = world, world.choices
        self.uploads: list[Upload] = []
        self.emptied: dict[str, float] = {}
        """When a destination was last deleted, with all that was in it."""
        self.unabortable: set[str] = set()
        """Buckets that denied to abort uploads in parts."""
        self.intruded: set[str] = set()
        """The keys of the files whose lease somebody took, so that their execution could not complete its record."""
        self.robbed: dict[str, str] = {}
        """The owner of such a lease before, by key."""

    def begin(self) -> None:
        """Has everybody begin."""
        acts = {
            "uploader": (self._upload, 1 + self.choices.pick("uploads", (0.0, 0.3, 0.2, 0.1, 0.1))),
            "deleter": (self._delete, self.choices.pick("deletions", (0.0, 0.1))),
            "starter": (self._start, self.choices.pick("starts", (0.0, 0.2, 0.1))),
            "retrier": (self._retry, self.choices.pick("retries", (0.0, 0.2, 0.1))),
            "stopper": (self._stop, self.choices.pick("stops", (0.0, 0.15, 0.1))),
            "owner": (self._change_bucket, self.choices.pick("changes of buckets", (0.0, 0.2, 0.1))),
            "operator": (self._redrive, self.choices.pick("redrives", (0.0, 0.05))),
            "intruder": (self._take_lease, self.choices.pick("taken leases", (0.0, 0.03))),
            "stranger": (self._send_stray_message, self.choices.pick("stray messages", (0.0, 0.03))),
            "weather": (self._make_unavailable, self.choices.pick("outages", (0.0, 0.15, 0.05))),
        }
        for name, (act, times) in acts.items():
            if times:
                self.world.scheduler.spawn(name, partial(self._do, name, act, times))

    def _do(self, name: str, act: Callable[[], None], times: int) -> None:
        for _ in range(times):
            pause = _PAUSES[self.choices.pick(f"pause {name}", _PAUSE_WEIGHTS)]
            self.world.scheduler.sleep(pause + 0.1 * self.choices.one_of(f"more {name}", 30))
            act()

    def _keys_amid_parts(self) -> set[str]:
        """The files of which a part has been copied, and another has not."""
        buckets = self.world.s3.buckets.values()
        return {upload.key for bucket in buckets for upload in bucket.uploads.values() if upload.parts}

    def _wait_until(self, condition: Callable[[], object]) -> None:
        """Waits for a moment that comes soon or not at all."""
        for _ in range(_LOOKS):
            if condition():
                return
            self.world.scheduler.sleep(_LOOK_INTERVAL)

    def heal(self) -> None:
        """Ends all faults, and repairs what people have broken."""
        self.world.faults.is_calm = True
        for name, (region, owner) in self.world.stack.buckets.items():
            bucket = self.world.s3.buckets.get(name)
            if bucket is None or bucket.account != owner:
                self._create(name, region, owner)
            else:
                bucket.refused.clear()

    # --- Files ------------------------------------------------------------------------------------------------

    def _upload(self) -> None:
        key = KEYS[self.choices.pick("key", (0.0, 0.3))]
        self._put(key, self.choices.pick("upload", (0.0, 0.2, 0.1, 0.1, 0.05)))

    def _put(self, key: str, kind: int) -> None:
        """Uploads a small file; or a large one, one in parts with checksums of the parts only, one as a copy by another
        stack's workflow, or an archived one.
        """
        number = len(self.uploads) + 1
        whole = content(f"{number} ".encode(), LARGE if kind in (1, 2) else SMALL)
        s3, place = self.world.s3, {"Bucket": SOURCE, "Key": key}
        if kind == 2:
            self._upload_in_parts(place, whole)
        elif kind == 3:
            # Another stack's workflow copies a file here.
            s3.call("PutObject", {"Bucket": "elsewhere", "Key": key, "Body": whole})
            s3.call("CopyObject", {**place, "CopySource": {"Bucket": "elsewhere", "Key": key}})
        else:
            storage = {"StorageClass": "GLACIER"} if kind == 4 else {}
            s3.call("PutObject", {**place, "Body": whole, **storage})
        newest = s3.buckets[SOURCE].objects[key][-1]
        self.world.trace("uploader", f"uploads {key}, {newest.version_id}, {whole.size} bytes")
        self.uploads.append(Upload(key, newest.version_id, whole, self.world.scheduler.now, kind == 4))

    def _upload_in_parts(self, place: dict[str, Any], whole: Content) -> None:
        """With checksums of the parts only."""
        s3 = self.world.s3
        upload = s3.call("CreateMultipartUpload", {**place, "ChecksumAlgorithm": "CRC32"})["UploadId"]
        parts = []
        for number, start in enumerate(range(0, whole.size, _PART), start=1):
            part = {"UploadId": upload, "PartNumber": number, "Body": whole.slice(start, start + _PART)}
            parts.append({"PartNumber": number, "ETag": s3.call("UploadPart", {**place, **part})["ETag"]})
        s3.call("CompleteMultipartUpload", {**place, "UploadId": upload, "MultipartUpload": {"Parts": parts}})

    def _delete(self) -> None:
        key = KEYS[self.choices.pick("key", (0.0, 0.3))]
        self.world.trace("deleter", f"deletes {key}")
        self.world.s3.call("DeleteObject", {"Bucket": SOURCE, "Key": key})

    # --- Executions -------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Starts an execution by hand: some of the destinations, or one that does not exist, or wrong input."""
        key = KEYS[self.choices.pick("key", (0.0, 0.3))]
        chosen = self.choices.one_of("destinations", 9)
        some = [bucket for index, bucket in enumerate(DESTINATIONS) if not chosen or chosen & 1 << index]
        job: dict[str, Any] = {
            "sourceBucket": SOURCE,
            "sourceKey": key,
            "destinationBuckets": some or ["no-such-bucket"],
        }
        if self.choices.pick("wrong input", (0.0, 0.1)):
            job["destinationBuckets"] = "none"
        if self.choices.pick("with retry", (0.0, 0.4)):
            job["retry"] = True
        self._run(job, "starter")

    def _retry(self) -> None:
        """Retries the failed copies of a file, as ``filecopy retry`` does."""
        for record in self.world.records():
            copied = [bucket["S"] for bucket in record.get("successfulBuckets", {}).get("L", [])]
            failed = [one["S"] for one in record.get("destinationBuckets", {}).get("L", []) if one["S"] not in copied]
            failed = [bucket for bucket in failed if bucket in DESTINATIONS]
            if failed and record.get("status") != {"S": "IN_PROGRESS"}:
                job = {
                    "sourceBucket": SOURCE,
                    "sourceKey": record["fileKey"]["S"],
                    "destinationBuckets": failed,
                    "retry": True,
                    "sourceVersionId": record["sourceVersionId"].get("S"),
                }
                self._run({name: value for name, value in job.items() if value is not None}, "retrier")
                return

    def _run(self, job: dict[str, Any], who: str) -> None:
        document = json.dumps(job)
        self.world.trace(who, f"starts {document}")
        if self.choices.pick("through the API", (0.0, 0.5)):
            event = {"httpMethod": "POST", "body": document}
            functions.invoke(self.world.stack.function("step-function-invoker"), event, f"invoker of {who}")
        else:
            arguments = {"stateMachineArn": self.world.stack.state_machine, "input": document}
            self.world.start(arguments)

    def _stop(self) -> None:
        """Stops an execution that is running, or has its time be over. Or stops it while a large file is copied in
        parts, because that is the wrong one, and uploads the right one.
        """
        is_wrong = self.choices.pick("stop amid parts", (0.0, 0.3)) > 0
        if is_wrong:
            self._wait_until(self._keys_amid_parts)
        keys = self._keys_amid_parts() if is_wrong else set()
        running = [one for one in self.world.engine.executions.values() if one.is_running]
        running = [one for one in running if "RunCopyWorker" in one.entered and one.job["sourceKey"] in keys] or running
        if not running:
            return
        execution: Execution = running[self.choices.one_of("stopped", 8) % len(running)]
        if self.choices.pick("time is over", (0.0, 0.3)):
            self.world.engine.stop(execution, "TIMED_OUT", "States.Timeout")
        else:
            self.world.engine.stop(execution, "ABORTED")
        if keys:
            self._put(execution.job["sourceKey"], 1)

    # --- Buckets, queues, services ----------------------------------------------------------------------------

    def _change_bucket(self) -> None:
        """Breaks a destination, or repairs it."""
        name = DESTINATIONS[self.choices.one_of("bucket", 3)]
        s3, (region, owner) = self.world.s3, self.world.stack.buckets[name]
        bucket = s3.buckets.get(name)
        if bucket is None or bucket.account != owner:
            self._create(name, region, owner)
        elif bucket.refused:
            bucket.refused.clear()
            self.world.trace("owner", f"allows everything in {name}")
        elif kind := self.choices.one_of("change", 2 + len(_REFUSALS)):
            if kind > 1:
                bucket.refused |= _REFUSALS[kind - 2]
                if "AbortMultipartUpload" in bucket.refused:
                    self.unabortable.add(name)
                self.world.trace("owner", f"denies {', '.join(sorted(bucket.refused))} in {name}")
            else:
                self._create(name, region, "999999999999")
        else:
            s3.remove_bucket(name)
            self.emptied[name] = self.world.scheduler.now
            self.world.trace("owner", f"deletes {name}")

    def _create(self, name: str, region: str, owner: str) -> None:
        is_notifying = name in self.world.stack.notifications
        self.world.s3.create_bucket(name, region, owner, versioning="Enabled", is_notifying=is_notifying)
        self.emptied[name] = self.world.scheduler.now
        self.world.trace("owner", f"creates {name}, of {owner}")

    def _take_lease(self) -> None:
        """Takes the lease from the execution that has it, by hand: no execution may write the record then."""
        self._wait_until(lambda: any(record.get("status") == {"S": "IN_PROGRESS"} for record in self.world.records()))
        for record in self.world.records():
            if record.get("status") == {"S": "IN_PROGRESS"}:
                self.world.trace("intruder", f"takes the lease of {record['fileKey']['S']}")
                self.robbed[record["fileKey"]["S"]] = record["leaseOwner"]["S"]
                record["leaseOwner"] = {"S": "nobody"}
                self.intruded.add(record["fileKey"]["S"])

    def _redrive(self) -> None:
        for queue in self.world.stack.queues.values():
            if queue.dead_letters and (count := self.world.redrive(queue)):
                self.world.trace("operator", f"moves {count} dead letters back to {queue.name}")

    def _send_stray_message(self) -> None:
        queues = [queue for queue in self.world.stack.queues.values() if queue.dead_letters]
        queue = queues[self.choices.one_of("queue", 5) % len(queues)]
        self.world.trace("stranger", f"sends nonsense to {queue.name}")
        self.world.send(queue, '{"Event": "s3:TestEvent"}' if queue.name.endswith("uploads") else "nonsense")

    def _make_unavailable(self) -> None:
        """Makes a service unavailable, in one region or in all, for some minutes."""
        services = (
            ("s3", None),
            ("s3", "eu-west-1"),
            ("dynamodb", None),
            ("sns", None),
            ("lambda", None),
            ("stepfunctions", None),
        )
        where = services[self.choices.one_of("service", len(services))]
        until = self.world.scheduler.now + (5.0, 60.0, 300.0, 3_000.0)[self.choices.one_of("outage", 4)]
        self.world.trace(
            "weather",
            f"{where[0]} in {where[1] or 'all regions'} is unavailable for {until - self.world.scheduler.now:.0f} s",
        )
        self.world.faults.unavailable[where] = until
        self.world.faults.happened["outage"] += 1
