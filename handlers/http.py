"""Requests and responses of API Gateway's Lambda proxy integration."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

# An execution's input is 256 KiB at most (Step Functions developer guide, "Quotas"), so no larger body can be meant.
MAX_BODY_BYTES = 256 * 1024


class BadRequestError(Exception):
    """The request is wrong. ``problems`` names everything that is."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


def json_body(event: dict[str, Any]) -> Any:
    """The request's body, parsed.

    Raises:
        BadRequestError: there is none, it is too large, or it is not JSON.
    """
    raw = event.get("body") or ""
    if not isinstance(raw, str):
        raise BadRequestError(["The body is not a text."])
    try:
        body = base64.b64decode(raw, validate=True) if event.get("isBase64Encoded") else raw.encode()
    except (binascii.Error, ValueError) as error:
        raise BadRequestError([f"The body is not what its encoding says: {error}."]) from error
    if not body.strip():
        raise BadRequestError(["The body is missing. It must be a JSON object."])
    if len(body) > MAX_BODY_BYTES:
        raise BadRequestError([f"The body has {len(body)} bytes; at most {MAX_BODY_BYTES} are taken."])
    try:
        return json.loads(body)
    # ValueError: JSONDecodeError, UnicodeDecodeError, and an integer of more digits than Python reads.
    except (ValueError, RecursionError) as error:
        raise BadRequestError([f"The body is not JSON: {error}."]) from error


def response(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": json.dumps(body),
    }


def bad_request(error: BadRequestError) -> dict[str, Any]:
    return response(400, {"message": "The request is not valid.", "problems": error.problems})
