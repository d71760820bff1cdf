"""What is in the source bucket already, distributed by 'filecopy backfill'."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer

from components import policies
from filecopy.backfill.outcome import Outcome, Result
from filecopy.backfill.run import Backfill
from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.errors import StackError
from filecopy.stack.stack import Stack

from .conftest import NO_WAITS
from .system import System, stack_up
from .test_operator import hold_lease, read_until

A, B = "region-a-builds", "region-b-builds"


@contextmanager
def unheard(system: System) -> Iterator[None]:
    """What is put into the source bucket meanwhile is told to nobody, as before there was a stack."""
    told = system.s3.get_bucket_notification_configuration(Bucket=system.source)
    del told["ResponseMetadata"]
    system.s3.put_bucket_notification_configuration(Bucket=system.source, NotificationConfiguration={})
    try:
        yield
    finally:
        system.s3.put_bucket_notification_configuration(Bucket=system.source, NotificationConfiguration=told)


def put_unheard(system: System, *keys: str, body: bytes = b"content") -> None:
    with unheard(system):
        for key in keys:
            system.s3.put_object(Bucket=system.source, Key=key, Body=body)


def run(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    return system.filecopy("backfill", *arguments)


def outcomes(system: System, *arguments: str) -> dict[str, dict[str, Any]]:
    """What is said of each object that was not up to date."""
    done = run(system, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return {outcome["key"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


def keys_in(system: System, bucket: str, prefix: str) -> list[str]:
    return [item["Key"] for item in system.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def executions(system: System, prefix: str) -> Counter[str]:
    """How many executions there are for each key that begins so."""
    told = [job.get("sourceKey") for job in system.executions().values() if isinstance(job, dict)]
    return Counter(key for key in told if isinstance(key, str) and key.startswith(prefix))


ODD_KEYS = ["p re/a b+c.zip", "p re/%41.zip", "p re/x&<>\"'.zip", "p re/z\x7f.zip", "p re/\uffee.zip", "p re/😀.zip"]


@pytest.mark.slow
def test_what_was_there_before_is_distributed_once(open_system: System) -> None:
    """Whatever the keys, a dry run copies nothing, a run copies all, and another one finds nothing to do."""
    prefix, keys = open_system.key("p re/"), [open_system.key(key) for key in ODD_KEYS]
    lacking = ", ".join(f"{bucket} (missing)" for bucket in open_system.destinations)
    put_unheard(open_system, *keys)
    dry = run(open_system, prefix, "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert f"… {prefix}a b+c.zip: to be copied: {lacking}\n" in dry.stdout
    assert dry.stdout.endswith("\n6 objects compared: 6 to be copied.\n")
    assert keys_in(open_system, open_system.destinations[0], prefix) == []
    assert [open_system.record(key) for key in keys] == [None] * 6
    done = run(open_system, prefix)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"✔ {prefix}z?.zip: copied: {lacking}\n" in done.stdout
    assert done.stdout.endswith("\n6 objects compared: 6 copied.\n")
    for bucket in open_system.destinations:
        assert sorted(keys_in(open_system, bucket, prefix)) == sorted(keys)
    assert {open_system.finished_record(key)["status"] for key in keys} == {"COMPLETED"}
    assert run(open_system, prefix).stdout == "6 objects compared: 6 up to date.\n"
    nowhere = open_system.key("nowhere/")
    assert run(open_system, nowhere).stdout == f"No key in {open_system.source} begins with {nowhere}.\n"
    assert executions(open_system, prefix) == dict.fromkeys(keys, 1)


def test_only_what_lacks_or_has_something_else_is_copied(open_system: System) -> None:
    """A copy that was deleted, one that was overwritten, and a source that changed unheard are mended, each where it is
    needed; the record keeps what it says of the other destination, and of another destination nothing is said."""
    (a, b), prefix = open_system.destinations, open_system.key("mend/")
    deleted, overwritten, changed, fine = (f"{prefix}{name}" for name in ("deleted", "overwritten", "changed", "fine"))
    for key in (deleted, overwritten, changed, fine):
        open_system.upload(key, b"first")
    before = open_system.record(deleted)
    assert before is not None
    open_system.s3.delete_object(Bucket=b, Key=deleted)
    open_system.s3.put_object(Bucket=a, Key=overwritten, Body=b"larger than the first")
    put_unheard(open_system, changed, body=b"other")
    assert outcomes(open_system, prefix, "--to", a, "--dry-run").keys() == {changed, overwritten}
    told = outcomes(open_system, prefix)
    assert {key: (outcome["result"], outcome["destinations"]) for key, outcome in told.items()} == {
        deleted: ("copied", {b: "missing"}),
        overwritten: ("copied", {a: "size"}),
        changed: ("copied", {a: "checksum", b: "checksum"}),
    }
    assert open_system.get(b, deleted) == open_system.get(a, overwritten) == b"first"
    assert [open_system.get(bucket, changed) for bucket in (a, b)] == [b"other", b"other"]
    record = open_system.record(deleted)
    assert record is not None
    assert record["executionId"] == told[deleted]["executionArn"] != before["executionId"]
    assert open_system.attempts(record["executionId"], "copyObject") == 1
    assert (record["status"], record["destinationBuckets"]) == ("COMPLETED", [a, b])
    assert record["copyResults"][0] == before["copyResults"][0]
    assert outcomes(open_system, prefix) == {}


def put_in_parts(system: System, bucket: str, key: str, content: bytes, cut: int) -> str:
    """Uploads in two parts, and returns the ETag, which depends on where they end. No checksum is kept."""
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = system.s3.create_multipart_upload(**upload)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": system.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate((content[:cut], content[cut:]), start=1)
    ]
    etag: str = system.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})["ETag"]
    return etag


@pytest.mark.slow
def test_what_etags_do_not_tell_is_not_copied_for_nothing(open_system: System) -> None:
    """Of a file that was uploaded in parts the copy may have another ETag. Its size and age have to do, until there is
    a record; what took a copy's place is found by that, however young it is."""
    (a, b), prefix, content = open_system.destinations, open_system.key("parts/"), os.urandom(5 * 1024**2 + 100)
    key = f"{prefix}large.zip"
    with unheard(open_system):
        etag = put_in_parts(open_system, open_system.source, key, content, 5 * 1024**2)
    assert put_in_parts(open_system, a, key, content, 5 * 1024**2 + 50) != etag
    assert outcomes(open_system, prefix)[key]["destinations"] == {b: "missing"}
    assert outcomes(open_system, prefix) == {}
    open_system.s3.put_object(Bucket=b, Key=key, Body=content[::-1])
    assert outcomes(open_system, prefix)[key]["destinations"] == {b: "record"}
    assert open_system.get(b, key) == content
    assert outcomes(open_system, prefix) == {}


@pytest.mark.slow
def test_what_an_execution_is_at_work_on_is_left_alone(open_system: System) -> None:
    """An upload that is being copied is its own execution's, and no failure."""
    prefix, key = open_system.key("busy/"), open_system.key("busy/k.zip")
    put_unheard(open_system, key)
    hold_lease(open_system, key, 3600)
    done = run(open_system, prefix)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n1 object compared: 1 being copied by another execution.\n")
    hold_lease(open_system, key, -1)
    assert run(open_system, prefix).stdout.endswith("\n1 object compared: 1 copied.\n")


@pytest.mark.slow
def test_what_the_filter_leaves_out_is_left_out(tmp_path: Path) -> None:
    """The workflow may not read other keys than those that are copied, and would fail for each of them. So 'send' does
    not upload them either."""
    with stack_up("-c", "keyPrefix=releases/", "-c", "keySuffix=.zip", *NO_WAITS) as system:
        put_unheard(system, "releases/a.zip", "releases/a.txt", "other/a.zip")
        assert run(system).stdout.endswith("\n1 object compared: 1 copied.\n")
        assert keys_in(system, A, "") == ["releases/a.zip"]
        refused = run(system, "other/")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "The stack copies no key that begins with other/" in refused.stderr
        (tmp_path / "sent.zip").write_bytes(b"sent")
        refused = system.filecopy("send", str(tmp_path / "sent.zip"))
        assert (refused.returncode, refused.stderr) == (1, "error: 1 of 1 files was not sent.\n")
        assert "only keys that begin with releases/, not sent.zip; try --key releases/\n" in refused.stdout
        assert keys_in(system, system.source, "sent") == []
        assert system.filecopy("send", str(tmp_path / "sent.zip"), "--key", "releases/").returncode == 0


@pytest.mark.slow
def test_interrupted_run_is_gone_on_with(open_system: System) -> None:
    """On a terminal a bar tells how far it is; Ctrl-C starts nothing more and says how to go on, and then nothing is
    started twice."""
    prefix = open_system.key("resumed/")
    keys = [f"{prefix}{number:02}.zip" for number in range(60)]
    put_unheard(open_system, *keys)
    master, terminal = pty.openpty()
    arguments = ["backfill", prefix, "--rate", "2", *open_system.named]
    with subprocess.Popen(
        [sys.executable, "-m", "filecopy", *arguments],
        cwd=PROJECT_ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "20"},
        start_new_session=True,
    ) as running:
        os.close(terminal)
        try:
            read_until(master, rb"\xe2\x94\x81.*\d:\d\d:\d\d.* \d+ objects compared: \d+ copied; at ")
            running.send_signal(signal.SIGINT)
            ended = read_until(master, rb"To resume, type: filecopy backfill \S*resumed/ --rate 2 --\S+\s+\S+")
            assert running.wait(60) == 130
        finally:
            running.kill()
            os.close(master)
    assert re.search(rb"objects compared: [^\n]*not started\.", ended), ended
    assert 0 < len(executions(open_system, prefix)) < 60
    done = run(open_system, prefix, "--rate", "100")
    assert (done.returncode, done.stderr) == (0, "")
    assert executions(open_system, prefix) == dict.fromkeys(keys, 1)
    assert [len(keys_in(open_system, bucket, prefix)) for bucket in open_system.destinations] == [60, 60]


@pytest.mark.slow
def test_objects_that_nobody_can_copy_do_not_hide_the_others(open_system: System) -> None:
    """Archived objects and those with a customer's key are counted and named, at each run, and no execution is started
    for them. What is behind them is copied, and an archived object is once it is restored."""
    prefix = open_system.key("stuck/")
    archived = [f"{prefix}archived-{number:02}.zip" for number in range(60)]
    encrypted = [f"{prefix}encrypted-{number:02}.zip" for number in range(60)]
    with unheard(open_system):
        for number, key in enumerate(archived):
            storage: Any = ("GLACIER", "DEEP_ARCHIVE")[number % 2]
            open_system.s3.put_object(Bucket=open_system.source, Key=key, Body=b"content", StorageClass=storage)
        for key in encrypted:
            customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
            open_system.s3.put_object(Bucket=open_system.source, Key=key, Body=b"content", **customer)
        open_system.s3.put_object(Bucket=open_system.source, Key=f"{prefix}good.zip", Body=b"content")
    done = run(open_system, prefix)
    assert (done.returncode, done.stderr) == (0, "")
    lacking = ", ".join(f"{bucket} (missing)" for bucket in open_system.destinations)
    assert f"○ {archived[0]}: archived: {lacking}: restore it first, it is in GLACIER\n" in done.stdout
    assert f"○ {encrypted[0]}: encrypted with a customer's key: {lacking}: S3 refuses to copy it" in done.stdout
    assert "\n121 objects compared: 1 copied, 60 archived (restore them first), 60 encrypted" in done.stdout
    restore: Any = {"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
    open_system.s3.restore_object(Bucket=open_system.source, Key=archived[0], RestoreRequest=restore)

    def is_restored() -> bool | None:
        head = open_system.s3.head_object(Bucket=open_system.source, Key=archived[0])
        return 'ongoing-request="false"' in head.get("Restore", "") or None

    open_system.wait_for("the restore", is_restored)
    assert "121 objects compared: 1 up to date, 1 copied, 59 archived" in run(open_system, prefix).stdout
    assert set(executions(open_system, prefix)) == {f"{prefix}good.zip", archived[0]}


@pytest.mark.slow
def test_copies_that_fail_are_named_and_skipped_by_the_next_run(open_system: System) -> None:
    """The exit status is 1, and the next run says that they failed before, until it is asked to try them again."""
    prefix = open_system.key("failed/")
    key, missing = f"{prefix}k.zip", open_system.destinations[1]
    put_unheard(open_system, key)
    open_system.run(open_system.job(key))
    open_system.s3.delete_object(Bucket=missing, Key=key)
    failed = {"destinationBucket": missing, "success": False, "error": "S3.X", "cause": "No."}
    open_system.dynamodb.update_item(
        TableName=open_system.table,
        Key={"fileKey": {"S": key}, "sourceBucket": {"S": open_system.source}},
        UpdateExpression=(
            "SET #status = :status, successfulBuckets = :copied, failedBuckets = :failed, copyResults = :all"
        ),
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={
            ":status": {"S": "PARTIAL_FAILURE"},
            ":copied": {"L": [{"S": open_system.destinations[0]}]},
            ":failed": {"L": [{"S": missing}]},
            ":all": TypeSerializer().serialize([failed]),
        },
    )
    done = run(open_system, prefix)
    assert done.returncode == 1
    assert f"✘ {key}: failed before: {missing} (missing): {missing}: S3.X: No.\n" in done.stdout
    assert done.stdout.endswith("1 object compared: 1 failed before (--retry-failed tries them again).\n")
    command = " ".join(["filecopy backfill", prefix, *open_system.named])
    assert done.stderr.startswith(f"error: Not copied everywhere: {key}. ")
    assert done.stderr.endswith(f"After fixing the cause, type: {command} --retry-failed\n")
    done = run(open_system, prefix, "--retry-failed")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n1 object compared: 1 copied.\n")


@pytest.mark.slow
def test_documented_permissions_are_enough(enforced: System) -> None:
    """What docs/operations.md lists is what it takes, and without the right to list a destination that is said."""
    enforced.upload("allowed/k.zip")
    enforced.s3.put_object(Bucket=A, Key="allowed/k.zip", Body=b"another")
    enforced.s3.delete_object(Bucket=B, Key="allowed/k.zip")

    def backfill(*listed: str) -> dict[str, Result]:
        buckets = [f"arn:aws:s3:::{bucket}" for bucket in (enforced.source, A, B)]
        user = enforced.make_user(
            enforced.user_policy(),
            policies.policy(
                policies.allow(["s3:ListBucket"], [f"arn:aws:s3:::{bucket}" for bucket in listed]),
                policies.allow(["s3:GetObject"], [f"{bucket}/*" for bucket in buckets]),
                policies.allow(["s3:GetBucketNotification"], buckets[:1]),
            ),
        )
        found = Stack(enforced.outputs, enforced.clients_of(user))
        told: list[Outcome] = []
        Backfill(found, [A, B], prefix="allowed/", rate=100, is_dry=False).run(told.append)
        return {outcome.key: outcome.result for outcome in told}

    with pytest.raises(StackError, match=f"Access to {B} denied: you need s3:ListBucket on arn"):
        backfill(enforced.source, A)
    assert backfill(enforced.source, A, B) == {"allowed/k.zip": Result.COPIED}
    assert [enforced.get(bucket, "allowed/k.zip") for bucket in (A, B)] == [b"content"] * 2
