"""The workflow's input: ``{"sourceBucket": str, "sourceKey": str, "destinationBuckets": [str, …]}``.

The state machine checks the same things of an execution that is started without these functions; see ``JOB`` in
components/workflow/expressions.py. A test holds both to the same cases.
"""

from __future__ import annotations

import json
import re
from typing import Any

MEMBERS = ("sourceBucket", "sourceKey", "destinationBuckets", "sourceVersionId", "retry")
MAX_DESTINATIONS = 1_000
MAX_KEY_LENGTH = 1024
# S3 user guide, "Version IDs": at most 1,024 bytes.
MAX_VERSION_ID_LENGTH = 1024

_MISSING = object()
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def problems(job: Any) -> list[str]:
    """Everything that is wrong with ``job``, a sentence each; nothing where it may be started."""
    if not isinstance(job, dict):
        return [f"The input must be an object{_not(job)}."]
    found = [f"{json.dumps(name)[:100]} is not a member of the input." for name in job if name not in MEMBERS]
    source = job.get("sourceBucket", _MISSING)
    if not _is_bucket_name(source):
        found.append(f"sourceBucket must be a bucket's name{_not(source)}.")
    key = job.get("sourceKey", _MISSING)
    if not _is_text(key) or len(str(key)) > MAX_KEY_LENGTH:
        found.append(f"sourceKey must be a text of 1 to {MAX_KEY_LENGTH} characters{_not(key)}.")
    buckets = job.get("destinationBuckets", _MISSING)
    if not isinstance(buckets, list):
        found.append(f"destinationBuckets must be a list of 1 to {MAX_DESTINATIONS} bucket names{_not(buckets)}.")
    else:
        if not 1 <= len(buckets) <= MAX_DESTINATIONS:
            found.append(
                f"destinationBuckets must be a list of 1 to {MAX_DESTINATIONS} bucket names, not of {len(buckets)}."
            )
        if wrong := [bucket for bucket in buckets if not _is_bucket_name(bucket)]:
            found.append(f"destinationBuckets must hold bucket names only{_not(wrong)}.")
        if isinstance(source, str) and source in buckets:
            found.append(f"destinationBuckets must not hold the source bucket, {source}.")
    version = job.get("sourceVersionId", "none")
    if not _is_text(version) or len(str(version)) > MAX_VERSION_ID_LENGTH:
        found.append(f"sourceVersionId must be a text of 1 to {MAX_VERSION_ID_LENGTH} characters{_not(version)}.")
    if not isinstance(job.get("retry", False), bool):
        found.append(f"retry must be true or false{_not(job['retry'])}.")
    return found


def _is_bucket_name(value: object) -> bool:
    return isinstance(value, str) and _BUCKET_NAME.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    """Lone surrogates, which JSON can hold, are no text: nothing can be called so."""
    return (
        isinstance(value, str) and value.strip() != "" and not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def _not(value: object) -> str:
    if value is _MISSING:
        return ", which is missing"
    try:
        return f", not {json.dumps(value)[:100]}"
    except RecursionError:  # What could just be parsed may be too deep to be written.
        return ", not something nested so deep"
