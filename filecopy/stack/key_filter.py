"""The filter of the upload events: the keys that the stack copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from components import outputs
from filecopy.errors import StackError
from filecopy.terminal import quoted

from .stack import Stack


@dataclass(frozen=True)
class KeyFilter:
    """The settings ``keyPrefix`` and ``keySuffix``. The workflow may read no other keys of the source bucket."""

    prefix: str = ""
    suffix: str = ""

    def problem_of(self, key: str) -> str | None:
        """The reason why the stack does not copy ``key``; ``None`` if it copies it."""
        if not key.startswith(self.prefix):
            return f"the stack copies only keys that begin with {quoted(self.prefix)}, not {quoted(key)}"
        if not key.endswith(self.suffix):
            return f"the stack copies only keys that end in {quoted(self.suffix)}, not {quoted(key)}"
        # The two may overlap in a short key, and S3 compares each alone.
        return None

    def instead_of(self, key: str) -> str:
        """What to give as ``--key`` instead of a key that the stack does not copy."""
        if key.startswith(self.prefix):
            return "with a name that ends so"
        return quoted(self.prefix if self.prefix.endswith("/") else f"{self.prefix}{key}")

    def narrow(self, prefix: str) -> str:
        """The prefix of the keys that begin with ``prefix`` and that the stack copies.

        Raises:
            StackError: there are no such keys.
        """
        if not prefix.startswith(self.prefix) and not self.prefix.startswith(prefix):
            raise StackError(
                f"The stack copies no key that begins with {quoted(prefix)}: its keyPrefix is {quoted(self.prefix)}."
                f" Give a prefix that begins with {quoted(self.prefix)}."
            )
        return max(prefix, self.prefix, key=len)


def of_notifications(notifications: Mapping[str, Any], bucket: str, queue_url: str) -> KeyFilter:
    """The filter in the notification configuration of the source bucket.

    Args:
        notifications: the answer of GetBucketNotificationConfiguration.
        bucket: the name of the source bucket, for the error.
        queue_url: the URL of the queue for upload events.

    Raises:
        StackError: the bucket does not notify this queue.
    """
    queue = queue_url.rsplit("/", 1)[-1]
    for one in notifications.get("QueueConfigurations", []):
        if one["QueueArn"].rsplit(":", 1)[-1] == queue:
            rules = one.get("Filter", {}).get("Key", {}).get("FilterRules", [])
            values = {rule["Name"].lower(): rule["Value"] for rule in rules}
            return KeyFilter(values.get("prefix", ""), values.get("suffix", ""))
    raise StackError(
        f"{bucket} does not notify the queue {queue} of uploads, so the keys to copy are unknown. Deploy the stack, and"
        " try again."
    )


def key_filter_of(stack: Stack) -> KeyFilter | None:
    """The filter of the stack, from its outputs. An older stack has no such outputs: then from the notification
    configuration of its source bucket.

    Returns:
        ``None`` if neither is there for this user.
    """
    if outputs.KEY_PREFIX in stack.outputs and outputs.KEY_SUFFIX in stack.outputs:
        return KeyFilter(stack.outputs[outputs.KEY_PREFIX], stack.outputs[outputs.KEY_SUFFIX])
    queue_url = stack.outputs.get(outputs.UPLOAD_QUEUE_URL)
    if not queue_url:
        return None
    try:
        notifications = stack.clients("s3").get_bucket_notification_configuration(Bucket=stack.source_bucket)
    except ClientError as error:
        # People who only upload need no s3:GetBucketNotification.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
            return None
        raise
    return of_notifications(notifications, stack.source_bucket, queue_url)
