"""The upload that copy-worker has begun for a destination, as the file's tracking record keeps it from run to run."""

from __future__ import annotations

from typing import Any

from . import clients, log, tracking
from .copying import Copy, Environment, LostRecordError
from .multipart import Upload


def read(copy: Copy) -> Upload | None:
    """The upload that an earlier run began, for this execution or for one that did not complete it."""
    item = clients.dynamodb().get_item(
        TableName=Environment.read().table_name,
        Key=tracking.key_of(copy.key, copy.source_bucket),
        ConsistentRead=True,
        ProjectionExpression="uploads.#bucket",
        ExpressionAttributeNames={"#bucket": copy.bucket},
    )
    recorded: Any = item.get("Item", {}).get("uploads", {}).get("M", {}).get(copy.bucket, {}).get("M")
    if not recorded:
        return None
    return Upload(
        id=recorded["uploadId"]["S"],
        part_size=int(recorded["partSize"]["N"]),
        source_id=recorded["of"]["S"],
    )


def create(copy: Copy, upload: Upload) -> None:
    """Writes an upload that has just begun.

    Raises:
        LostRecordError: another execution has taken over the record.
    """
    # DynamoDB sets a member only of a map that exists.
    _update(copy, "SET uploads = if_not_exists(uploads, :none)", {":none": {"M": {}}})
    write(copy, upload, 0)


def write(copy: Copy, upload: Upload, copied: int) -> None:
    """Writes the upload and its progress.

    Args:
        copied: bytes.

    Raises:
        LostRecordError: another execution has taken over the record.
    """
    recorded = {
        "uploadId": {"S": upload.id},
        "partSize": {"N": str(upload.part_size)},
        "of": {"S": upload.source_id},
        "copiedBytes": {"N": str(copied)},
        "totalBytes": {"N": str(copy.size)},
        "updatedAt": {"S": tracking.now()},
    }
    _update(copy, "SET uploads.#bucket = :upload", {":upload": {"M": recorded}}, {"#bucket": copy.bucket})


def remove(copy: Copy) -> None:
    """Removes the upload, unless another execution has taken over the record: then that one removes it."""
    try:
        _update(copy, "REMOVE uploads.#bucket", {}, {"#bucket": copy.bucket})
    except LostRecordError:
        log.info("Record belongs to a newer execution")


def _update(copy: Copy, update: str, values: dict[str, Any], names: dict[str, str] | None = None) -> None:
    updated = tracking.update_if(
        "leaseOwner = :executionId",
        table_name=Environment.read().table_name,
        key=tracking.key_of(copy.key, copy.source_bucket),
        update=update,
        names=names,
        values={":executionId": {"S": copy.execution_id}, **values},
    )
    if not updated.is_done:
        raise LostRecordError(f"Another execution has taken over the record of {copy.key!r}.")
