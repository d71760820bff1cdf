"""The copy that a destination has already, so that it is not made again.

Two stacks that copy to each other would otherwise never stop: each copy is an upload to the other one.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from . import clients
from .copying import Copy, result_of, s3, verify
from .multipart import HEADERS

# The events of uploads that may be copies: CopyObject, and a copy in parts. People upload files in parts, too.
EVENTS_OF_COPIES = ("ObjectCreated:Copy", "ObjectCreated:CompleteMultipartUpload")


def find(copy: Copy) -> dict[str, Any] | None:
    """The result of the copy if the destination has an object with the same bytes, headers and metadata, or ``None``.

    The bytes are the same if the size is, and a checksum of the whole object, or else the ETag.
    """
    try:
        head: dict[str, Any] = {**s3(copy).head_object(**copy.target, ChecksumMode="ENABLED")}
    except ClientError as error:
        # 403: the key does not exist and the role may not list the bucket, or the role may not read the object.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    check, problem = verify(copy, head)
    if head["ContentLength"] != copy.size or problem or check == "none":
        return None
    source: dict[str, Any] = {**clients.s3().head_object(**copy.source, IfMatch=copy.quoted_etag)}
    if any(head.get(name) != source.get(name) for name in (*HEADERS, "ExpiresString", "Metadata")):
        return None
    return result_of(copy, head, head.get("VersionId"), "Copy exists already")
