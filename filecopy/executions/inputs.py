"""Inputs of executions, and JSON in their events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from filecopy.stack.records import parse_time


@dataclass(frozen=True)
class Job:
    """The input of an execution: a file and its destinations. What is missing or has a wrong type is ``None``."""

    source_bucket: str | None
    key: str | None
    version_id: str | None
    destinations: tuple[str, ...]
    """Without duplicates."""
    uploaded: datetime | None = None
    """S3's time of the upload that started the execution."""

    @classmethod
    def parse(cls, text: str | None) -> Job:
        """Read an input as DescribeExecution returns it. Anyone may start an execution with any input."""
        given = parse_object(text)
        destinations = given.get("destinationBuckets")
        return cls(
            source_bucket=_text(given.get("sourceBucket")),
            key=_text(given.get("sourceKey")),
            version_id=_text(given.get("sourceVersionId")),
            uploaded=parse_time(given.get("uploadedAt")),
            destinations=tuple(
                dict.fromkeys(bucket for bucket in destinations if isinstance(bucket, str))
                if isinstance(destinations, list)
                else ()
            ),
        )


def parse_json(text: str | None) -> Any:
    """The value of a JSON text; the text itself if it is not JSON, as a text that was truncated."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def parse_object(text: str | None) -> Mapping[str, Any]:
    """The value of a JSON text; empty if it is not an object."""
    value = parse_json(text)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
