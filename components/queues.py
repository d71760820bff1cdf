"""Queues of S3 events: a burst of uploads waits here, and an event that cannot be handled becomes a dead letter."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from . import policies
from .buckets import BucketRef
from .documents import document
from .settings import Settings

# Lambda developer guide, "Using Lambda with Amazon SQS": at least six times the function's time-out, so that
# a message is not handed out again while it is still being worked on; and at least five receives before the DLQ.
VISIBILITY_TIMEOUT_PER_FUNCTION_TIMEOUT = 6
MAX_RECEIVE_COUNT = 5

# SQS's longest, 14 days: time for somebody to look into a dead letter. The main queue keeps its messages
# for less, because a message that moves to the dead-letter queue keeps its first time stamp.
DEAD_LETTER_RETENTION_SECONDS = 14 * 24 * 3600
RETENTION_SECONDS = 4 * 24 * 3600


class BucketEventQueue(pulumi.ComponentResource):
    """A queue of "object created" events of some buckets, with its dead-letter queue."""

    url: pulumi.Output[str]
    arn: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        buckets: Sequence[BucketRef],
        function_timeout: int,
        key_prefix: str = "",
        key_suffix: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            function_timeout: seconds that the function which reads the queue may take.
            key_prefix, key_suffix: only keys that begin and end with these give an event.
        """
        super().__init__("file-copy-workflow:index:BucketEventQueue", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical_name = settings.name(f"file-copy-{name}")
        dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            name=f"{physical_name}-dead-letters",
            message_retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
            opts=child,
        )
        queue = aws.sqs.Queue(
            name,
            name=physical_name,
            message_retention_seconds=RETENTION_SECONDS,
            visibility_timeout_seconds=VISIBILITY_TIMEOUT_PER_FUNCTION_TIMEOUT * function_timeout,
            redrive_policy=dead_letters.arn.apply(
                lambda arn: json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT})
            ),
            opts=child,
        )
        if buckets:
            queue_policy = aws.sqs.QueuePolicy(
                f"{name}-policy",
                queue_url=queue.url,
                policy=document(
                    policies.queue_accepts_bucket_events,
                    queue_arn=queue.arn,
                    bucket_arns=[bucket.arn for bucket in buckets],
                ),
                opts=child,
            )
        for bucket in buckets:
            aws.s3.BucketNotification(
                f"{name}-{bucket.label}",
                bucket=bucket.name,
                queues=[
                    {
                        "queue_arn": queue.arn,
                        "events": ["s3:ObjectCreated:*"],
                        "filter_prefix": key_prefix or None,
                        "filter_suffix": key_suffix or None,
                    }
                ],
                # S3 sends a test event when the notification is made, and refuses to make it if it may not.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[queue_policy]),
            )
        self.url = queue.url
        self.arn = queue.arn
        self.dead_letter_url = dead_letters.url
        self.register_outputs({"url": self.url, "arn": self.arn, "dead_letter_url": self.dead_letter_url})
