"""The input of the workflow: ``{"sourceBucket": str, "sourceKey": str, "destinationBuckets": [str, …]}``.

The state machine checks the same of an execution that is started without these functions: see ``JOB`` in
components/workflow/expressions.py. A test compares both with the same cases.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .keys import problem_of_key

MEMBERS = ("sourceBucket", "sourceKey", "destinationBuckets", "sourceVersionId", "retry")
MAX_DESTINATIONS = 1_000
# S3 user guide, "Version IDs": at most 1,024 bytes.
MAX_VERSION_ID_LENGTH = 1024

_MISSING = object()
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def problems(job: Any) -> list[str]:
    """One sentence for each thing that is wrong with ``job``; empty if it may be started."""
    if not isinstance(job, dict):
        return [f"The input must be an object{_not(job)}."]
    found = [f"{json.dumps(name)[:100]} is not a member of the input." for name in job if name not in MEMBERS]
    source = job.get("sourceBucket", _MISSING)
    if not _is_bucket_name(source):
        found.append(f"sourceBucket must be a bucket name{_not(source)}.")
    found += _problems_of_key(job.get("sourceKey", _MISSING))
    found += _problems_of_destinations(job.get("destinationBuckets", _MISSING), source)
    version = job.get("sourceVersionId", "none")
    if not _is_version_id(version):
        found.append(f"sourceVersionId must be a string of 1 to {MAX_VERSION_ID_LENGTH} characters{_not(version)}.")
    if not isinstance(job.get("retry", False), bool):
        found.append(f"retry must be true or false{_not(job['retry'])}.")
    return found


def _problems_of_key(key: object) -> list[str]:
    if not isinstance(key, str):
        return [f"sourceKey must be a string{_not(key)}."]
    problem = problem_of_key(key)
    return [] if problem is None else [f"sourceKey {problem}."]


def _problems_of_destinations(buckets: object, source: object) -> list[str]:
    if not isinstance(buckets, list):
        return [f"destinationBuckets must be a list of 1 to {MAX_DESTINATIONS} bucket names{_not(buckets)}."]
    found = []
    if not 1 <= len(buckets) <= MAX_DESTINATIONS:
        found.append(
            f"destinationBuckets must be a list of 1 to {MAX_DESTINATIONS} bucket names, not of {len(buckets)}."
        )
    if wrong := [bucket for bucket in buckets if not _is_bucket_name(bucket)]:
        found.append(f"destinationBuckets must contain only bucket names{_not(wrong)}.")
    if isinstance(source, str) and source in buckets:
        found.append(f"destinationBuckets must not contain the source bucket, {source}.")
    return found


def _is_bucket_name(value: object) -> bool:
    return isinstance(value, str) and _BUCKET_NAME.fullmatch(value) is not None


def _is_version_id(value: object) -> bool:
    """JSON can hold half of a surrogate pair, which is not a character of any ID."""
    return (
        isinstance(value, str)
        and value.strip() != ""
        and len(value) <= MAX_VERSION_ID_LENGTH
        and not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def _not(value: object) -> str:
    if value is _MISSING:
        return ", and is missing"
    try:
        return f", not {json.dumps(value)[:100]}"
    except RecursionError:  # A value that could be parsed may be nested too deeply to be written.
        return ", not a value nested so deeply"
