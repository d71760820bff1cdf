"""S3 event notifications, decoded.

Format: Amazon S3 user guide, "Event message structure".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from . import text


class MalformedEventError(ValueError):
    """The message is not an S3 event notification. The text says what is missing or wrong."""


@dataclass(frozen=True, kw_only=True)
class ObjectCreated:
    """An object that was put into a bucket."""

    bucket: str
    key: str
    """Decoded: the name of the object itself."""
    version_id: str | None
    """``None`` if the bucket keeps no versions."""
    etag: str
    """Without quotes."""
    size: int
    """Bytes."""
    sequencer: str
    """Orders the events of one key; constant on some emulators."""
    time: str
    """ISO 8601, UTC."""
    event: str
    """The name, such as ``ObjectCreated:Put`` or ``ObjectCreated:Copy``."""


def parse(body: str) -> list[ObjectCreated]:
    """The objects of a message, in order. S3's test event, which it sends when a notification is configured, has none.

    Raises:
        MalformedEventError: the body, or a record in it, is not as S3 sends it.
    """
    try:
        notification = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedEventError(f"The message must be JSON: {error}") from error
    if not isinstance(notification, dict):
        raise MalformedEventError(f"The message must be a JSON object, not a {type(notification).__name__}.")
    if notification.get("Event") == "s3:TestEvent":
        return []
    records = notification.get("Records")
    if not isinstance(records, list) or not records:
        raise MalformedEventError("The message must have a list named Records.")
    return [_parse_record(record, index) for index, record in enumerate(records)]


def _parse_record(record: Any, index: int) -> ObjectCreated:
    try:
        if record["eventSource"] != "aws:s3" or not record["eventName"].startswith("ObjectCreated:"):
            raise MalformedEventError(
                f"Records[{index}] is a {record['eventSource']} {record['eventName']}, not an S3 ObjectCreated event."
            )
        item = record["s3"]["object"]
        created = ObjectCreated(
            bucket=text.required(record["s3"]["bucket"]["name"]),
            key=unquote_plus(text.required(item["key"]), errors="strict"),
            version_id=text.optional(item.get("versionId")),
            etag=text.required(item["eTag"]).strip('"'),
            size=int(item["size"]),
            sequencer=text.required(item["sequencer"]),
            time=text.required(record["eventTime"]),
            event=text.required(record["eventName"]),
        )
    except MalformedEventError:
        raise
    except KeyError as error:
        raise MalformedEventError(f"Records[{index}] has no {error.args[0]}.") from error
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise MalformedEventError(f"Records[{index}] is not as S3 sends it: {error}") from error
    return created
