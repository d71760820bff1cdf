"""What the definition's expressions make of answers as AWS gives them, which the embedded stack's emulator does not."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import jsonata
import pytest

from components.workflow.definition import copy_workflow_definition
from components.workflow.limits import EXECUTION_TIMEOUT, LEASE_BASE, LEASE_PER_WORKER_ROUND, MAX_DESTINATIONS
from handlers import copy_job
from tests.keys import KEYS, NOT_KEYS, NOT_STRINGS

THEIRS, OUR_ACCOUNT, THEIR_ACCOUNT = "partner-builds", "123456789012", "210987654321"
STATES: dict[str, Any] = copy_workflow_definition(
    partition="aws",
    table_name="T",
    topic_arn="t",
    copy_worker_arn="w",
    max_concurrency=10,
    multipart_threshold=100,
    destinations=["near-builds", "far-builds", "region-a-builds", "region-b-builds"],
    regions={"far-builds": "eu-west-1"},
    owners={THEIRS: THEIR_ACCOUNT},
)["States"]
COPY = STATES["CopyToMultipleBuckets"]["ItemProcessor"]["States"]["CopyToBucket"]
WORKER = STATES["CopyThroughWorker"]["ItemProcessor"]["States"]["RunCopyWorker"]
ASSIGNED = STATES["ValidateInput"]["Assign"]
EXECUTION = f"arn:aws:states:us-east-1:{OUR_ACCOUNT}:execution:file-copy-workflow:1"
JOB = {"sourceBucket": "global-builds", "sourceKey": "k.zip", "destinationBuckets": ["near-builds"], "retry": False}

NO_PROBLEM = dict.fromkeys(("source", "tracking", "notification"), "")


def evaluated(expression: str, **variables: Any) -> Any:
    """The value of a field, by the implementation of JSONata that the embedded stack uses."""
    made = jsonata.Jsonata.jsonata(expression.removeprefix("{% ").removesuffix(" %}"))
    scope = made.create_frame()
    named = {name: ASSIGNED[name] for name in ("regions", "owners", "destinations")}
    for name, value in {"executionId": EXECUTION, "job": JOB, "problem": NO_PROBLEM, **named, **variables}.items():
        scope.bind(name, value)
    return made.evaluate(None, scope)


def done_by_s3(key: str) -> Any:
    """The destinations of a file called ``key`` that S3 is asked to copy to. The others are copy-worker's."""
    found = {"job": {**JOB, "sourceKey": key}, "source": source()}
    copying = STATES["CopyToMultipleBuckets"]
    direct, remaining = evaluated(copying["Items"], **found), left_to_worker([], **found)
    assert direct + remaining == JOB["destinationBuckets"]
    return direct


def left_to_worker(results: list[Any], **variables: Any) -> Any:
    """$remaining after CopyToMultipleBuckets, whose iterations gave ``results``."""
    assign = STATES["CopyToMultipleBuckets"]["Assign"]["remaining"]
    return evaluated(assign, states={"result": results}, **variables)


def source(**head: Any) -> Any:
    """$source, from HeadObject's answer."""
    answer = {"VersionId": "v", "ETag": '"abc"', "ContentLength": 5, **head}
    return evaluated(STATES["ReadSource"]["Assign"]["source"], states={"result": answer})


@pytest.mark.parametrize(
    ("head", "checksums"),
    [
        ({"ChecksumCRC64NVME": "AA", "ChecksumType": "FULL_OBJECT"}, {"ChecksumCRC64NVME": "AA"}),
        ({"ChecksumSHA256": "BB"}, {"ChecksumSHA256": "BB"}),
        ({}, {}),
        # Of parts: a copy has others, so it would differ for the same bytes.
        ({"ChecksumCRC32": "AA-3", "ChecksumType": "COMPOSITE"}, {}),
        ({"ChecksumCRC32": "AA-3"}, {}),
        # The case of an engine that does not have the SDK's.
        ({"ChecksumCrc64Nvme": "AA", "ChecksumType": "FULL_OBJECT"}, {"ChecksumCRC64NVME": "AA"}),
        ({"ChecksumSha256": "BB"}, {"ChecksumSHA256": "BB"}),
    ],
)
def test_the_sources_checksum_is_that_of_the_whole(head: dict[str, str], checksums: dict[str, str]) -> None:
    """A checksum of parts is none to compare with: it would call every copy damaged."""
    assert source(**head)["checksums"] == checksums


def test_the_storage_class_is_kept() -> None:
    """S3 does not say the standard class, and a copy would get it if no other were asked for."""
    assert source()["storageClass"] == "STANDARD"
    assert source(StorageClass="STANDARD_IA")["storageClass"] == "STANDARD_IA"
    asked = evaluated(COPY["Arguments"], states={"input": "b"}, source=source(StorageClass="STANDARD_IA"))
    assert asked["StorageClass"] == "STANDARD_IA"


@pytest.mark.parametrize(
    ("checksums", "algorithm"), [({}, "CRC64NVME"), ({"ChecksumSHA1": "A"}, "SHA1"), ({"ChecksumCRC32": "A"}, "CRC32")]
)
def test_a_copy_is_asked_for_with_the_sources_checksum(checksums: dict[str, str], algorithm: str) -> None:
    """What has the same checksum can be compared; what has none gets one."""
    asked = evaluated(COPY["Arguments"], states={"input": "b"}, source=source(**checksums))
    assert asked["ChecksumAlgorithm"] == algorithm


@pytest.mark.parametrize("state", ["CopyToMultipleBuckets", "CopyThroughWorker"])
def test_a_round_keeps_the_results_before(state: str) -> None:
    """They are those of rounds before, and, in a retry, those of the other destinations."""
    before, now = (
        {"destinationBucket": "a-builds", "success": True},
        {"destinationBucket": "b-builds", "success": False},
    )
    goes_on = {"destinationBucket": "c-builds"}
    results = evaluated(STATES[state]["Assign"]["results"], results=[before], states={"result": [now, goes_on]})
    assert results == [before, now]


@pytest.mark.parametrize("left", [[], ["c-builds"], ["c-builds", "d-builds"]])
def test_a_copy_that_needs_another_run_gets_one(left: list[str]) -> None:
    """The next round is for the buckets whose copies have no result yet."""
    done = [{"destinationBucket": "a-builds", "success": True}, {"destinationBucket": "b-builds", "success": False}]
    results = [*done, *({"destinationBucket": bucket} for bucket in left)]
    assert evaluated(STATES["CopyThroughWorker"]["Assign"]["remaining"], states={"result": results}) == left


@pytest.mark.parametrize(("bucket", "owner"), [("near-builds", OUR_ACCOUNT), (THEIRS, THEIR_ACCOUNT)])
def test_the_bucket_is_its_owners(bucket: str, owner: str) -> None:
    """A bucket that has become somebody else's is refused by S3."""
    asked = evaluated(COPY["Arguments"], states={"input": bucket}, source=source())
    assert (asked["Bucket"], asked["ExpectedBucketOwner"]) == (bucket, owner)
    payload = WORKER["Arguments"]["Payload"]
    assert evaluated(payload["account"], states={"input": bucket}) == owner
    assert evaluated(payload["region"], states={"input": bucket}) == "us-east-1"
    assert evaluated(payload["region"], states={"input": "far-builds"}) == "eu-west-1"


@pytest.mark.parametrize(
    ("checksums", "answer", "expected"),
    [
        ({}, {"ETag": '"abc"'}, (True, "ETag")),
        ({}, {"ETag": '"other"'}, (True, "none")),
        ({"ChecksumCRC32": "A"}, {"ETag": '"other"', "ChecksumCRC32": "A"}, (True, "CRC32")),
        # Another kind of checksum says nothing, and ETags that differ say nothing either.
        ({"ChecksumCRC32": "A"}, {"ETag": '"other"', "ChecksumSHA1": "B"}, (True, "none")),
        ({"ChecksumCRC32": "A"}, {"ETag": '"abc"', "ChecksumCRC32": "B"}, (False, None)),
        ({"ChecksumCRC32": "A"}, {"ETag": '"other"', "ChecksumCrc32": "A"}, (True, "CRC32")),
        ({"ChecksumCrc32": "A"}, {"ETag": '"abc"', "ChecksumCrc32": "B"}, (False, None)),
    ],
)
def test_a_copy_is_compared_with_its_source(
    checksums: dict[str, str], answer: dict[str, str], expected: tuple[bool, str | None]
) -> None:
    """A copy is made when its bytes are the source's, and its result says by what that is known."""
    told = {"CopyObjectResult": {"LastModified": "x", **answer}, "VersionId": "v2"}
    result = evaluated(COPY["Output"], states={"input": "near-builds", "result": told}, source=source(**checksums))
    assert (result["success"], result.get("check")) == expected
    if not result["success"]:
        assert result["error"] == "ChecksumMismatch"
        assert result["cause"] == "ChecksumCRC32 of the copy is B, of the source A"


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("Access Denied (Service: S3)", "Access Denied (Service: S3)"),
        (
            '{"errorMessage":"An error occurred (AccessDenied)","errorType":"CopyError"}',
            "An error occurred (AccessDenied)",
        ),
        ('{"errorMessage": "no room", "errorType": "E", "stackTrace": []}', "no room"),
        (None, ""),
    ],
)
def test_a_cause_is_what_was_said(cause: str | None, said: str) -> None:
    """What a function raises comes as JSON, which nobody wants to read in a notification."""
    error = {"Error": "CopyError", **({"Cause": cause} if cause is not None else {})}
    for task in (COPY, WORKER):
        result = evaluated(task["Catch"][-1]["Output"], states={"input": "near-builds", "errorOutput": error})
        assert (result["success"], result["cause"]) == (False, said)


@pytest.mark.parametrize(
    ("head", "algorithm"),
    [
        ({"ChecksumCRC32": "AA-3", "ChecksumType": "COMPOSITE"}, "CRC32"),
        ({"ChecksumCRC32C": "AA-3", "ChecksumType": "COMPOSITE"}, "CRC32C"),
        ({"ChecksumCrc32C": "AA-3", "ChecksumType": "COMPOSITE"}, "CRC32C"),
        # That of the whole cannot be told from these.
        ({"ChecksumSHA256": "AA-3", "ChecksumType": "COMPOSITE"}, None),
        ({"ChecksumCRC32": "AA", "ChecksumType": "FULL_OBJECT"}, None),
        ({"ChecksumCRC32": "AA"}, None),
        ({}, None),
    ],
)
def test_a_file_with_checksums_of_its_parts_is_for_copy_worker(head: dict[str, str], algorithm: str | None) -> None:
    """It makes that of the whole of them, which the copy's is compared with."""
    found = {"source": source(**head)}
    assert found["source"].get("checksumOfParts") == algorithm
    copying = STATES["CopyToMultipleBuckets"]
    direct, remaining = evaluated(copying["Items"], **found), left_to_worker([], **found)
    assert (direct, remaining) == (([], ["near-builds"]) if algorithm else (["near-builds"], []))


@pytest.mark.parametrize("key", ["k.zip", "a/b-c_d.e~f/0.zip", "k" * 1024])
def test_a_key_that_needs_no_encoding_is_s3s_own(key: str) -> None:
    """S3 is asked for the copy by the name that the file has: what encodes it, or does not, changes nothing of it."""
    assert done_by_s3(key) == ["near-builds"]
    copy_source = evaluated(
        COPY["Arguments"], states={"input": "b"}, job={**JOB, "sourceKey": key}, source=source(VersionId="v.1_-")
    )["CopySource"]
    assert copy_source == f"global-builds/{key}?versionId=v.1_-"
    assert quote(copy_source, safe="/?=") == copy_source
    without_version = {name: value for name, value in source().items() if name != "versionId"}
    asked = evaluated(COPY["Arguments"], states={"input": "b"}, source=without_version)
    assert asked["CopySource"] == "global-builds/k.zip"


@pytest.mark.parametrize("letter", [*" !\"#$%&'()*+,:;<=>?@[\\]^`{|}", "é", "日", "🚀", "\n", "\x7f", "\u202e"])
def test_a_key_that_needs_encoding_is_copy_workers(letter: str) -> None:
    """Whether Step Functions encodes a CopySource is not documented, and engines differ: a key that it matters to goes
    through copy-worker, whose SDK takes the key as it is."""
    for key in (f"a{letter}b.zip", letter, f"folder/{letter}"):
        assert done_by_s3(key) == []


@pytest.mark.parametrize("size", [100, 101])
def test_what_s3_is_asked_for_and_what_copy_worker_does(size: int) -> None:
    """Each destination is copied to once: by S3 itself where it can be, by copy-worker otherwise."""
    job = {**JOB, "destinationBuckets": ["near-builds", "far-builds", THEIRS]}
    copying = STATES["CopyToMultipleBuckets"]
    found = {"job": job, "source": source(ContentLength=size)}
    direct, remaining = evaluated(copying["Items"], **found), left_to_worker([], **found)
    assert (direct, remaining) == (
        (["near-builds", THEIRS], ["far-builds"]) if size == 100 else ([], job["destinationBuckets"])
    )
    found = {"job": job, "source": {}, "problem": {**NO_PROBLEM, "source": "no"}}
    assert evaluated(copying["Items"], **found) == left_to_worker([], **found) == []


def test_a_copy_whose_error_step_functions_cannot_tell_is_copy_workers() -> None:
    """It has no result yet, and so is neither made nor failed; those of the others are kept."""
    error = {"Error": "S3.S3Exception", "Cause": "Access Denied (Service: S3, Status Code: 403)"}
    left = evaluated(COPY["Catch"][0]["Output"], states={"input": THEIRS, "errorOutput": error})
    assert left == {"destinationBucket": THEIRS}
    job = {**JOB, "destinationBuckets": ["near-builds", "far-builds", THEIRS]}
    made = {"destinationBucket": "near-builds", "success": True}
    results = [made, left]
    assert left_to_worker(results, job=job, source=source()) == ["far-builds", THEIRS]
    kept = STATES["CopyToMultipleBuckets"]["Assign"]["results"]
    assert evaluated(kept, results=[], states={"result": results}) == [made]


@pytest.mark.parametrize("event", ["ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload", "ObjectCreated:Put"])
def test_an_upload_by_a_copy_is_copy_workers(event: str) -> None:
    """copy-worker looks if the destination has the file already. A person's upload is copied by S3 itself."""
    job = evaluated(ASSIGNED["job"], states={"input": {**JOB, "s3Event": event}})
    direct = evaluated(STATES["CopyToMultipleBuckets"]["Items"], job=job, source=source())
    assert direct == ([] if event == "ObjectCreated:Copy" else ["near-builds"])
    assert left_to_worker([], job=job, source=source()) == (["near-builds"] if not direct else [])
    assert evaluated(WORKER["Arguments"]["Payload"]["s3Event"], job=job) == event


@pytest.mark.parametrize("given", [{}, {"s3Event": 5}, {"s3Event": None}])
def test_a_start_by_hand_has_no_event(given: dict[str, Any]) -> None:
    """copy-worker gets an empty string then: a member that is undefined would be an error."""
    assert evaluated(ASSIGNED["job"], states={"input": {**JOB, **given}})["s3Event"] == ""


@pytest.mark.parametrize(("count", "length"), [(1, 400), (150, 400), (200, 300), (1000, 60)])
def test_copy_worker_is_told_how_long_a_cause_may_be(count: int, length: int) -> None:
    """As long as those of Step Functions' own errors: all results have to fit into an execution."""
    job = {**JOB, "destinationBuckets": ["b"] * count}
    assert evaluated(WORKER["Arguments"]["Payload"]["maxCauseLength"], job=job) == length


def test_a_website_redirect_is_copied() -> None:
    """CopyObject leaves it out unless it is asked to keep it, and copies in parts keep it."""
    arguments = COPY["Arguments"]
    found = source(WebsiteRedirectLocation="/new")
    assert found["redirect"] == "/new"
    asked = evaluated(arguments, states={"input": "near-builds"}, source=found)
    assert asked["WebsiteRedirectLocation"] == "/new"
    assert "WebsiteRedirectLocation" not in evaluated(arguments, states={"input": "near-builds"}, source=source())


# --- The source cannot be copied ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ({}, ""),
        ({"StorageClass": "STANDARD_IA"}, ""),
        ({"StorageClass": "GLACIER_IR"}, ""),
        ({"StorageClass": "INTELLIGENT_TIERING"}, ""),
        ({"StorageClass": "GLACIER"}, "k.zip is archived (GLACIER): restore it first"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "k.zip is archived (DEEP_ARCHIVE): restore it first"),
        (
            {"StorageClass": "GLACIER", "Restore": 'ongoing-request="true"'},
            "k.zip is archived (GLACIER): restore it first",
        ),
        ({"StorageClass": "GLACIER", "Restore": 'ongoing-request="false", expiry-date="Fri, 21 Dec 2026"'}, ""),
        (
            {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "DEEP_ARCHIVE_ACCESS"},
            "k.zip is archived (DEEP_ARCHIVE_ACCESS): restore it first",
        ),
    ],
)
def test_an_archived_source_is_not_tried(head: dict[str, str], problem: str) -> None:
    """S3 would refuse each copy of it, with every retry. Its HeadObject succeeds."""
    found = evaluated(STATES["ReadSource"]["Assign"]["problem"], states={"result": {"ETag": '"e"', **head}})
    assert found == {**NO_PROBLEM, "source": problem}


AWS_SAYS = "null (Service: S3, Status Code: {}, Request ID: ABC)"
CUSTOMER_KEY = "k.zip is encrypted with a customer's key, which S3 does not let anyone copy without it"


@pytest.mark.parametrize(
    ("error", "cause", "problem"),
    [
        ("S3.S3Exception", AWS_SAYS.format(404), "k.zip is not in global-builds"),
        ("S3.NoSuchKeyException", "gone", "k.zip is not in global-builds"),
        ("S3.S3Exception", "S3 returned status 404", "k.zip is not in global-builds"),
        ("S3.S3Exception", AWS_SAYS.format(403), "access to k.zip in global-builds denied"),
        ("S3.AccessDeniedException", "Access Denied", "access to k.zip in global-builds denied"),
        ("S3.S3Exception", AWS_SAYS.format(400), CUSTOMER_KEY),
        ("S3.S3Exception", "S3 returned status 400", CUSTOMER_KEY),
        ("S3.S3Exception", "Slow Down (Service: S3, Status Code: 503)", None),
        ("States.Timeout", None, "States.Timeout: "),
    ],
)
def test_a_source_that_cannot_be_read_is_told_in_words(error: str, cause: str | None, problem: str | None) -> None:
    """HeadObject's answer has only a status. A person reads what it means; another error is told as it is."""
    catch = STATES["ReadSource"]["Catch"][0]["Assign"]["problem"]
    output = {"Error": error, **({"Cause": cause} if cause else {})}
    found = evaluated(catch, states={"errorOutput": output})
    assert found == {**NO_PROBLEM, "source": f"{error}: {cause}" if problem is None else problem}


def test_a_problem_shows_the_end_of_a_key_in_plain_letters() -> None:
    """A key forges no line, and its end says which file it is."""
    catch = STATES["ReadSource"]["Catch"][0]["Assign"]["problem"]
    output = {"Error": "S3.NoSuchKeyException", "Cause": "gone"}
    found = evaluated(catch, states={"errorOutput": output}, job={**JOB, "sourceKey": "x" * 900 + "/\né.zip"})
    assert found["source"] == f"{'x' * 93}/??.zip is not in global-builds"


# --- What the record keeps ---------------------------------------------------------------------------------------


def result(bucket: str, *, success: bool, boolean: str = "BOOL") -> dict[str, Any]:
    """A member of copyResults. ``boolean`` is DynamoDB's name of the type, as the integration gives it."""
    members = {"etag": {"S": "e"}} if success else {"error": {"S": "E"}, "cause": {"S": "c"}}
    told = {"destinationBucket": {"S": bucket}, "success": {boolean: success}, "timestamp": {"S": "t"}}
    return {"M": {**told, **members}}


def before(copied: list[str], failed: list[str], **members: Any) -> dict[str, Any]:
    """The attributes of an earlier record, of the version "v"."""
    return {
        "executionId": {"S": f"{EXECUTION}-earlier"},
        "sourceVersionId": {"S": "v"},
        "sourceETag": {"S": "abc"},
        "destinationBuckets": {"L": [{"S": bucket} for bucket in [*copied, *failed]]},
        "successfulBuckets": {"L": [{"S": bucket} for bucket in copied]},
        "copyResults": {"L": [*(result(b, success=True) for b in copied), *(result(b, success=False) for b in failed)]},
        **members,
    }


def kept(
    attributes: dict[str, Any] | None, *destinations: str, retry: bool = True, **head: Any
) -> tuple[list[str], list[str], list[bool]]:
    """What an execution for ``destinations`` leaves of an earlier record when it has read the source: the buckets with
    a copy, those without, and the results' success.
    """
    job = {**JOB, "destinationBuckets": [*destinations], "retry": retry}
    answer = {"Attributes": attributes} if attributes is not None else {}
    acquired = {
        name: evaluated(expression, states={"result": answer}, job=job)
        for name, expression in STATES["AcquireLease"]["Assign"].items()
    }
    told = {"VersionId": "v", "ETag": '"abc"', **head}
    assign = STATES["ReadSource"]["Assign"]
    summary = evaluated(assign["summary"], states={"result": told}, job=job, **acquired)
    results = evaluated(assign["results"], states={"result": told}, job=job, **acquired)
    return summary["successfulBuckets"], summary["failedBuckets"], [one["success"] for one in results]


A, B, C, NOT_OURS = "region-a-builds", "region-b-builds", "near-builds", "invalid-bucket"


@pytest.mark.parametrize(
    ("attributes", "destinations", "expected"),
    [
        # A new file.
        (None, [A, B], ([], [], [])),
        # For some of the destinations: the others stay as they were.
        (before([A], [B]), [A], ([], [B], [False])),
        (before([A], [B]), [B], ([A], [], [True])),
        (before([A], [B]), [C], ([A], [B], [True, False])),
        # For all: nothing else is left.
        (before([A], [B]), [A, B, C], ([], [], [])),
        # A bucket that is no destination of the stack, or not any more, keeps only its copy.
        (before([A, "by-hand"], [B, NOT_OURS]), [C], ([A, "by-hand"], [B], [True, True, False])),
        # An execution that was stopped: what it had not copied has failed.
        (before([A], [], destinationBuckets={"L": [{"S": A}, {"S": B}]}), [C], ([A], [B], [True])),
        # Above 400 destinations the record has no results of copies.
        (before([A], [B], copyResults={"L": []}), [C], ([A], [B], [])),
    ],
)
def test_the_record_does_not_forget_other_destinations(
    attributes: dict[str, Any] | None, destinations: list[str], expected: tuple[list[str], list[str], list[bool]]
) -> None:
    """Whoever starts an execution, and for what: a copy that is missing stays in the record until it is made. Only a
    retry adds its copies to those of the record."""
    assert kept(attributes, *destinations) == expected
    _, failed, results = expected
    assert kept(attributes, *destinations, retry=False) == ([], failed, [one for one in results if not one])


@pytest.mark.parametrize(
    ("head", "members", "stays"),
    [
        ({}, {}, True),
        ({"VersionId": "v2"}, {}, False),
        # The same bytes, uploaded again, may have other headers.
        ({"VersionId": "v2", "ETag": '"abc"'}, {}, False),
        # A bucket without versions has only the ETag.
        ({"VersionId": None}, {"sourceVersionId": {"NULL": True}}, True),
        ({"VersionId": None, "ETag": '"other"'}, {"sourceVersionId": {"NULL": True}}, False),
        # The source of the earlier execution could not be read.
        ({}, {"sourceVersionId": {"NULL": True}, "sourceETag": {"NULL": True}}, False),
    ],
)
def test_a_copy_of_an_older_version_does_not_stay(head: dict[str, Any], members: dict[str, Any], stays: bool) -> None:
    """The record is of one version of the file. A bucket that lacks the file lacks the newer version, too."""
    told = {"VersionId": "v", "ETag": '"abc"', **head}
    answer = {name: value for name, value in told.items() if value is not None}
    job = {**JOB, "destinationBuckets": [C], "retry": True}
    acquire, read = STATES["AcquireLease"]["Assign"], STATES["ReadSource"]["Assign"]
    attributes = {"Attributes": before([A], [B], **members)}
    found = {name: evaluated(acquire[name], states={"result": attributes}, job=job) for name in acquire}
    summary = evaluated(read["summary"], states={"result": answer}, job=job, **found)
    results = evaluated(read["results"], states={"result": answer}, job=job, **found)
    assert (summary["successfulBuckets"], summary["failedBuckets"]) == ([A] if stays else [], [B])
    assert [one["destinationBucket"] for one in results] == ([A, B] if stays else [B])


@pytest.mark.parametrize("boolean", ["BOOL", "Bool"])
def test_a_boolean_of_the_record_is_not_depended_on(boolean: str) -> None:
    """Whether the integration's answer has DynamoDB's name of the type, or the SDK's, is not documented."""
    results = [result(A, success=True, boolean=boolean), result(B, success=False, boolean=boolean)]
    attributes = before([A], [B], copyResults={"L": results})
    assert kept(attributes, C) == ([A], [B], [True, False])


@pytest.mark.parametrize(
    ("copied", "failed", "outcome"),
    [
        ([B], [], ("PARTIAL_FAILURE", 1, 0)),
        ([], [B], ("FAILED", 2, 1)),
    ],
)
def test_an_execution_fails_for_its_own_copies_only(
    copied: list[str], failed: list[str], outcome: tuple[str, int, int]
) -> None:
    """The record tells of every destination. Who asked for one copy, and got it, is not told that it failed."""
    results = [{"destinationBucket": bucket, "success": bucket in copied} for bucket in [*copied, *failed]]
    summary = {"successfulBuckets": [], "failedBuckets": [A]}
    job = {**JOB, "destinationBuckets": [B]}
    expression = STATES["ProcessResults"]["Assign"]["summary"]
    made = evaluated(expression, states={"input": results}, job=job, summary=summary, remaining=[])
    assert (made["status"], made["failedCopies"], made["failedNow"]) == outcome
    condition = STATES["CheckIfAllSuccessful"]["Choices"][1]
    assert condition["Next"] == "AllCopiesSuccessful"
    assert evaluated(condition["Condition"], summary=made) is (not failed)
    assert evaluated(STATES["AllCopiesSuccessful"]["Output"], job=job) == {
        "status": "COMPLETED",
        "totalBuckets": 1,
        "successfulCopies": 1,
        "failedCopies": 0,
        "successfulBuckets": [B],
        "failedBuckets": [],
    }


@pytest.mark.parametrize(
    ("attributes", "is_own"),
    [
        (None, True),
        ({"executionId": {"S": EXECUTION}}, True),
        # The answer to an earlier attempt was lost.
        ({"executionId": {"S": EXECUTION}, "sourceVersionId": {"NULL": True}}, True),
        (before([A], []), False),
    ],
)
def test_a_superseded_execution_ends_the_record_that_only_it_has(
    attributes: dict[str, Any] | None, is_own: bool
) -> None:
    """A record that would stay in progress for ever, if no execution for the newest version came. The record of
    another execution keeps its status."""
    answer = {"Attributes": attributes} if attributes is not None else {}
    previous = evaluated(STATES["AcquireLease"]["Assign"]["previous"], states={"result": answer})
    assert previous["isOwn"] is is_own
    release = STATES["ReleaseLease"]["Arguments"]
    for newest, status in (("v2", "SUPERSEDED" if is_own else None), ("v", None)):
        known = {
            "job": {**JOB, "sourceVersionId": "v"},
            "source": {"versionId": newest},
            "previous": previous,
        }
        update = evaluated(release["UpdateExpression"], **known)
        values = evaluated(release["ExpressionAttributeValues"], **known)
        assert values.get(":superseded") == ({"S": status} if status else None)
        assert update == (
            f"SET leaseOwner = :ended, leaseExpiresAt = :released, #status = {':superseded' if status else '#status'}"
        )
        assert values[":ended"] == {"S": f"{EXECUTION}#ended"}
        assert abs(int(values[":released"]["N"]) - time.time()) < 60


def test_who_waits_for_a_turn_has_room_in_the_history() -> None:
    """Two events of WaitForTurn and five of AcquireLease, again and again, until the execution's time is over."""
    waits = STATES["WaitForTurn"]["Seconds"]
    waited, turn = 0, 0
    while waited < EXECUTION_TIMEOUT:
        turn += 1
        waited += evaluated(waits, turn=turn)
    # A copy that fails after three retries is 18 (docs/reliability.md).
    assert 7 * turn + 18 * MAX_DESTINATIONS < 25_000 - 500
    assert [evaluated(waits, turn=turn) for turn in (1, 10, 11, 20, 21)] == [2, 2, 10, 10, 90]


@pytest.mark.parametrize(("newest", "starter"), [("v", EXECUTION), ("v2", "superseded"), (None, EXECUTION)])
def test_who_is_superseded_is_refused_the_record(newest: str | None, starter: str) -> None:
    """LogWorkflowStart's condition is what keeps an older version from being copied over a newer one."""
    condition = STATES["LogWorkflowStart"]["Arguments"]["ExpressionAttributeValues"][":starter"]["S"]
    newest_source = {"versionId": newest} if newest else {}
    assert evaluated(condition, job={**JOB, "sourceVersionId": "v"}, source=newest_source) == starter
    assert evaluated(condition, job=JOB, source=newest_source) == EXECUTION


def test_an_execution_that_has_lost_the_record_copies_no_more() -> None:
    """What remained counts as failed, so that the execution does not end as if all had been copied."""
    lost = STATES["UpdateDynamoDBFinal"]["Catch"][0]["Assign"]
    summary = {"successfulCopies": 1, "failedCopies": 0, "successfulBuckets": ["a"], "failedBuckets": []}
    given_up = evaluated(lost["summary"], summary=summary, remaining=["far-builds"])
    assert lost["remaining"] == []
    assert (given_up["status"], given_up["failedCopies"], given_up["failedBuckets"]) == (
        "PARTIAL_FAILURE",
        1,
        ["far-builds"],
    )


@pytest.mark.parametrize("remaining", [[], [B], [A, B]])
def test_people_are_told_which_copies_were_given_up(remaining: list[str]) -> None:
    """A notification without the buckets' names does not say which copies were not made. Its size is bounded like that
    of other failures, so that 1,000 of them fit."""
    lost = STATES["UpdateDynamoDBFinal"]["Catch"][0]["Assign"]
    made = {"destinationBucket": C, "success": True}
    results = evaluated(lost["results"], results=[made], remaining=remaining)
    assert results[0] == made
    assert [one["destinationBucket"] for one in results[1:]] == remaining
    summary = {"status": "PARTIAL_FAILURE", "totalBuckets": 3, "successfulCopies": 1, "failedCopies": len(remaining)}
    message = evaluated(STATES["SendFailureNotification"]["Arguments"]["Message"], results=results, summary=summary)
    assert [line.strip() for line in message.splitlines() if "LeaseLost" in line] == [
        f"❌ {bucket}: LeaseLost: another execution has taken over the record" for bucket in remaining
    ]
    assert all(len(one["cause"]) <= 60 for one in results[1:])


@pytest.mark.parametrize(
    ("remaining", "may_land_for", "owner", "seconds"),
    [
        # The last round. A copy that timed out may land until a time that is in the future, or over.
        ([], None, f"{EXECUTION}#ended", 0),
        ([], -5000, f"{EXECUTION}#ended", 0),
        ([], 5000, f"{EXECUTION}#ended", 5000),
        ([B], None, EXECUTION, LEASE_BASE + LEASE_PER_WORKER_ROUND),
    ],
)
def test_whoever_ends_its_lease_is_its_owner_no_more(
    remaining: list[str], may_land_for: int | None, owner: str, seconds: int
) -> None:
    """A write that lands after the last one is refused. The lease ends no sooner than the execution, so an AcquireLease
    of the execution that lands late does not take it again."""
    values = STATES["UpdateDynamoDBFinal"]["Arguments"]["ExpressionAttributeValues"]
    lease_until = 0 if may_land_for is None else time.time() + may_land_for
    variables = {"remaining": remaining, "leaseUntil": lease_until}
    assert evaluated(values[":owner"]["S"], **variables) == owner
    assert abs(float(evaluated(values[":leaseUntil"]["N"], **variables)) - time.time() - seconds) < 60


@pytest.mark.parametrize(
    ("destinations", "named"),
    [
        ([[]], "not []"),
        ([None], "not null"),
        (["region-a-builds", []], "not []"),
        (["region-a-builds", None], "not null"),
        ([["region-a-builds"]], 'not ["region-a-builds"]'),
        ([{}], "not {}"),
        ([{"bucket": "region-a-builds"}], "not {"),
        ([0], "not 0"),
        ([False], "not false"),
        ([""], 'not ""'),
        (["a b", None, []], 'not "a b", null, []'),
        ([[], []], "not [], []"),
    ],
    ids=repr,
)
def test_what_is_no_name_of_a_bucket_is_no_destination(destinations: list[Any], named: str) -> None:
    """What passes ValidateInput is a job that the other states can do: an empty list or a null among the names would
    end as a record that cannot be written."""
    with pytest.raises(
        jsonata.jexception.JException, match="destinationBuckets must contain only bucket names"
    ) as error:
        evaluated(ASSIGNED["job"], states={"input": {**JOB, "destinationBuckets": destinations}})
    assert named in str(error.value)
    assert any(
        "destinationBuckets must contain only bucket names" in one
        for one in copy_job.problems({**JOB, "destinationBuckets": destinations})
    )


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_validate_input_takes_each_key(key: str) -> None:
    """The state machine has the rule of the API: 1 to 1,024 bytes, of white space, too."""
    job = evaluated(ASSIGNED["job"], states={"input": {**JOB, "sourceKey": key}})
    assert job["sourceKey"] == key
    assert copy_job.problems({**JOB, "sourceKey": key}) == []


@pytest.mark.parametrize("key", [*NOT_KEYS.values(), *NOT_STRINGS], ids=lambda key: repr(key)[:20])
def test_validate_input_refuses_what_is_not_a_key(key: object) -> None:
    """What the API refuses, the state machine refuses, and both name the member and the rule alike."""
    with pytest.raises((jsonata.jexception.JException, UnicodeEncodeError)) as error:
        evaluated(ASSIGNED["job"], states={"input": {**JOB, "sourceKey": key}})
    [problem] = copy_job.problems({**JOB, "sourceKey": key})
    assert isinstance(error.value, UnicodeEncodeError) or problem in str(error.value)


def test_validate_input_names_what_is_missing() -> None:
    """The error has each member that the input lacks."""
    with pytest.raises(jsonata.jexception.JException) as error:
        evaluated(ASSIGNED["job"], states={"input": {}})
    for rule in ("sourceBucket must be a bucket name", "sourceKey must be a string"):
        assert f"{rule}, and is missing" in str(error.value)
    assert "destinationBuckets must be a list of 1 to 1000 bucket names, and is missing" in str(error.value)


def test_a_problem_is_kept_beside_the_others() -> None:
    """Each state that fails says what is wrong with its own part, with the quotes and backslashes of the error."""
    error = {"Error": "S3.S3Exception", "Cause": 'a "quoted" \\ cause'}
    problem = {"source": "no", "tracking": "", "notification": ""}
    catch = STATES["SendFailureNotification"]["Catch"][0]["Assign"]["problem"]
    assert evaluated(catch, states={"errorOutput": error}, problem=problem) == {
        "source": "no",
        "tracking": "",
        "notification": 'S3.S3Exception: a "quoted" \\ cause',
    }
