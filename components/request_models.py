"""JSON schemas (draft 4, which API Gateway reads) of the bodies of the API's routes. No Pulumi here.

API Gateway refuses a body that does not match before any function runs. A schema cannot express everything, such as
that a destination is not the source. The functions check that themselves, and their answers name every problem.
"""

from __future__ import annotations

from typing import Any

from .workflow.limits import MAX_DESTINATIONS, MAX_KEY_BYTES

Schema = dict[str, Any]

_DRAFT = "http://json-schema.org/draft-04/schema#"
_BUCKET_NAME: Schema = {"type": "string", "pattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"}

COPY_JOB: Schema = {
    "$schema": _DRAFT,
    "title": "CopyJob",
    "type": "object",
    "properties": {
        "sourceBucket": _BUCKET_NAME,
        # Bytes are at least as many as characters.
        "sourceKey": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES},
        "destinationBuckets": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_DESTINATIONS,
            "items": _BUCKET_NAME,
        },
        "sourceVersionId": {"type": "string", "minLength": 1, "maxLength": 1024},
        "retry": {"type": "boolean"},
    },
    "required": ["sourceBucket", "sourceKey", "destinationBuckets"],
    "additionalProperties": False,
}

BUILD: Schema = {
    "$schema": _DRAFT,
    "title": "Build",
    "type": "object",
    "properties": {"commit": {"type": "string", "pattern": "^[0-9a-f]{6,64}$"}},
    "required": ["commit"],
    "additionalProperties": False,
}

# Examples for the answer to a body that does not match. API Gateway's own answer does not explain anything.
EXAMPLES = {
    "step-function": {"sourceBucket": "BUCKET", "sourceKey": "KEY", "destinationBuckets": ["BUCKET"]},
    "builds": {"commit": "0a1b2c"},
}
