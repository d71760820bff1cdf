"""Errors of S3 that no later attempt can fix, and what to tell people about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import text

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

    from .copying import Copy

# By S3's code (S3 API reference, "Error responses"): the name that Step Functions has for the error. HeadObject's
# answers have no body, so the status is the only code.
_NAMES = {
    "NoSuchBucket": "S3.NoSuchBucketException",
    "NoSuchKey": "S3.NoSuchKeyException",
    "NoSuchVersion": "S3.NoSuchKeyException",
    "404": "S3.NoSuchKeyException",
    "AccessDenied": "S3.AccessDeniedException",
    "AllAccessDisabled": "S3.AccessDeniedException",
    "403": "S3.AccessDeniedException",
    "InvalidObjectState": "S3.InvalidObjectStateException",
    "ObjectNotInActiveTierError": "S3.InvalidObjectStateException",
    "MethodNotAllowed": "S3.MethodNotAllowedException",
    "405": "S3.MethodNotAllowedException",
    "InvalidRequest": "S3.InvalidRequestException",
    "400": "S3.InvalidRequestException",
}
_CUSTOMER_KEY = "encrypted with a customer's key, which S3 does not let anyone copy without it"


def problem_of(copy: Copy, error: ClientError) -> tuple[str, str] | None:
    """The name and the cause of an error that is permanent; ``None`` if another attempt may succeed."""
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    name = _NAMES.get(code)
    if name is None:
        return None
    shown = text.printable(copy.key)[-100:]
    match name:
        case "S3.NoSuchKeyException":
            return name, f"{shown} is not in {copy.source_bucket}"
        case "S3.InvalidObjectStateException":
            return name, "archived: restore it first"
        case "S3.MethodNotAllowedException":
            return name, f"the version of {shown} is a delete marker"
        case "S3.AccessDeniedException" if code == "403":
            return name, f"access to {shown} in {copy.source_bucket} denied"
        # S3 answers a HeadObject for such an object with the status alone.
        case "S3.InvalidRequestException" if code == "400" or "Server Side Encryption" in message:
            return name, _CUSTOMER_KEY
        case _:
            return name, message
