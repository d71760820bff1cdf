"""Requests and responses of API Gateway's Lambda proxy integration."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

# Step Functions developer guide, "Quotas": an execution's input is at most 256 KiB.
MAX_BODY_BYTES = 256 * 1024


class BadRequestError(Exception):
    """The request is invalid. ``problems`` has one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def json_body(event: dict[str, Any]) -> Any:
    """The request's body, parsed.

    Raises:
        BadRequestError: the body is missing, too large, or not JSON.
    """
    raw = event.get("body") or ""
    if not isinstance(raw, str):
        raise BadRequestError(["The body must be a string."])
    try:
        body = base64.b64decode(raw, validate=True) if event.get("isBase64Encoded") else raw.encode()
    except (binascii.Error, ValueError) as error:
        raise BadRequestError([f"The body must be valid base64 or UTF-8: {error}."]) from error
    if not body.strip():
        raise BadRequestError(["The body is missing. It must be a JSON object."])
    if len(body) > MAX_BODY_BYTES:
        raise BadRequestError([f"The body must have at most {MAX_BODY_BYTES} bytes, not {len(body)}."])
    try:
        return json.loads(body)
    # ValueError: JSONDecodeError, UnicodeDecodeError, and an integer of more digits than Python reads.
    except (ValueError, RecursionError) as error:
        raise BadRequestError([f"The body must be a JSON object: {error}."]) from error


def response(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": json.dumps(body),
    }


def bad_request(error: BadRequestError) -> dict[str, Any]:
    return response(400, {"message": "The request is not valid.", "problems": error.problems})
