"""Makes one copy that Step Functions cannot ask S3 for: into another region, of a file too large for CopyObject, of one
whose key needs URL encoding, or of one that has checksums of its parts only.

A large file is copied in parts, several at a time. S3 moves the bytes; they do not pass through the function. The next
run resumes what one run does not finish: the record has the upload's ID, and S3 has the parts that are done. So a run
that was ended, or called again, copies no part twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic, sleep
from typing import Any

from botocore.exceptions import ClientError

from . import existing_copy, log, multipart, parts, permanent, upload_record
from .copying import Copy, CopyError, Environment, LostRecordError, failed, result_of, s3
from .multipart import Upload

# In the last seconds before Lambda's timeout, a run begins no part. It ends those that are being copied, and completes
# the upload.
TIME_TO_END = 60.0

# Seconds between the attempts of a run. A copy that the workflow makes itself is retried in the same way.
_WAITS = (2, 4, 8)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Makes one copy, or begins or resumes it. If the source itself was written by a copy, checks first whether the
    destination already has it.

    Args:
        event: ``executionId``, ``sourceBucket``, ``sourceKey``, ``source`` (``versionId`` if there is one, ``etag``,
            ``size``, ``storageClass``, ``checksums``, and ``checksumOfParts``, an algorithm's name, if only the parts
            have checksums, and ``redirect`` if there is one), ``destinationBucket``, its ``region`` and ``account``,
            ``s3Event``, the name of the upload's event, and ``maxCauseLength``, in characters. With ``abort`` true, the
            upload that was begun for the copy is aborted.

    Returns:
        ``destinationBucket``, and if the copy is made or cannot be made, the rest of its result: ``success``,
        ``timestamp``, ``etag``, ``versionId`` and ``check``, or ``error`` and ``cause``. Without ``success``, the next
        run resumes the copy. What can be expected is a result and no error, which would be an alarm.

    Raises:
        CopyError: an attempt failed when there was no time for another.
    """
    copy = Copy.from_event(event)
    log.about(executionArn=copy.execution_id, key=copy.key, bucket=copy.bucket)
    deadline = _deadline(context)
    try:
        return _with_retries(copy, partial(_attempt, copy, event, deadline), deadline)
    except LostRecordError as error:
        # The workflow finds out, too, and ends the execution.
        log.error("Record lost", error)
        return failed(copy, "LostRecordError", str(error))


def _with_retries(copy: Copy, attempt: Callable[[], dict[str, Any]], deadline: float) -> dict[str, Any]:
    waits = iter(_WAITS)
    while True:
        try:
            return attempt()
        except CopyError as error:
            wait = next(waits, None)
            if wait is None:
                return _give_up(copy, error)
            if monotonic() + wait > deadline:
                raise
            log.error("Attempt failed", error)
        sleep(wait)


def _attempt(copy: Copy, event: dict[str, Any], deadline: float) -> dict[str, Any]:
    """
    Raises:
        CopyError: another attempt may succeed.
    """
    if event.get("abort"):
        _abort(copy)
        return {"destinationBucket": copy.bucket}
    try:
        if copy.checksum_of_parts:
            copy = replace(copy, checksums=parts.whole_checksums(copy, copy.checksum_of_parts))
        if event.get("s3Event") in existing_copy.EVENTS_OF_COPIES and (existing := existing_copy.find(copy)):
            # An earlier run may have begun the copy, and even have completed it.
            _abort(copy)
            return existing
        if copy.size <= Environment.read().multipart_threshold:
            return _copy_whole(copy)
        return _copy_in_parts(copy, deadline)
    except ClientError as error:
        problem = permanent.problem_of(copy, error)
        if problem is None:
            # Short, as the record keeps it. The log has the operation.
            code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
            raise CopyError(f"{code}: {message}") from error
        _abort(copy)
        log.error("Copy failed", error)
        return failed(copy, *problem)


def _deadline(context: Any) -> float:
    """The end of the time in which parts are begun, by the monotonic clock."""
    left: float = context.get_remaining_time_in_millis() / 1000 - TIME_TO_END
    return monotonic() + min(left, Environment.read().run_seconds)


def _copy_whole(copy: Copy) -> dict[str, Any]:
    algorithm = next(iter(copy.checksums), f"Checksum{multipart.DEFAULT_CHECKSUM}").removeprefix("Checksum")
    arguments: dict[str, Any] = {"StorageClass": copy.storage_class, "ChecksumAlgorithm": algorithm}
    if copy.redirect:
        arguments["WebsiteRedirectLocation"] = copy.redirect
    answer = s3(copy).copy_object(**copy.target, CopySource=copy.source, **arguments)
    return result_of(copy, {**answer["CopyObjectResult"]}, answer.get("VersionId"))


def _copy_in_parts(copy: Copy, deadline: float) -> dict[str, Any]:
    """Resumes the upload of an earlier run, or begins one, and completes it if all parts are done in time."""
    upload = upload_record.read(copy)
    if upload is not None and upload.source_id != copy.source_id:
        multipart.abort(copy, upload)
        upload = None
    done = multipart.list_parts(copy, upload) if upload is not None else None
    if upload is not None and done is None:
        # An earlier run completed the upload but could not report it, or somebody aborted it.
        completed = multipart.find_completed(copy, upload)
        if completed is not None:
            upload_record.remove(copy)
            return completed
    if upload is None or done is None:
        upload, done = _begin(copy), {}
    report = partial(upload_record.write, copy, upload)
    if not parts.copy_parts(copy, upload.id, upload.part_size, done, deadline, report):
        return {"destinationBucket": copy.bucket}
    result = multipart.complete(copy, upload, done)
    upload_record.remove(copy)
    return result


def _begin(copy: Copy) -> Upload:
    upload = multipart.begin(copy)
    try:
        upload_record.create(copy, upload)
    except BaseException:
        # No later run would find it.
        multipart.abort(copy, upload)
        raise
    return upload


def _give_up(copy: Copy, error: CopyError) -> dict[str, Any]:
    """The result of a copy whose last attempt has failed.

    Raises:
        CopyError: the upload could not be aborted. The workflow calls the function again.
    """
    log.error("Copy failed", error)
    try:
        _abort(copy)
    except (ClientError, CopyError) as problem:
        log.error("Upload not aborted", problem)
        raise error from problem
    return failed(copy, "CopyError", str(error))


def _abort(copy: Copy) -> None:
    """Aborts the upload that the record has for this copy, if any."""
    upload = upload_record.read(copy)
    if upload is not None:
        multipart.abort(copy, upload)
        upload_record.remove(copy)
