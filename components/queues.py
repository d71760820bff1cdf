"""Queues of events. A burst of uploads waits in a queue, and an event that fails repeatedly becomes a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from . import policies
from .buckets import BucketRef, formerly
from .documents import as_json, document
from .names import DEAD_LETTERS_SUFFIX, in_region
from .settings import Settings

# Lambda developer guide, "Using Lambda with Amazon SQS": at least six times the function's timeout, so that a message
# is not delivered again while a function still handles it; and at least five receives before the dead-letter queue.
VISIBILITY_TIMEOUT_PER_FUNCTION_TIMEOUT = 6
MAX_RECEIVE_COUNT = 5

# SQS's maximum is 14 days: time for an operator to examine a dead letter. The main queue keeps its messages for less
# time, because a message keeps its first timestamp when it moves to the dead-letter queue.
DEAD_LETTER_RETENTION_SECONDS = 14 * 24 * 3600
RETENTION_SECONDS = 4 * 24 * 3600

# How many batches of ten events a function handles at the same time. Five start about a hundred executions a second.
# This is below StartExecution's limit of 300, and leaves concurrency for the account's other functions. A burst waits
# in the queue.
QUEUE_CONCURRENCY = 5


class EventQueue(pulumi.ComponentResource):
    """A queue with its dead-letter queue. A subclass adds the senders."""

    kind: str
    """The name without the prefix. It is the same in each region."""
    region: str | None
    """The queue's region; ``None`` for the stack's own region."""
    physical_name: str
    dead_letter_name: str
    url: pulumi.Output[str]
    arn: pulumi.Output[str]
    dead_letter_url: pulumi.Output[str]

    def __init__(
        self,
        component: str,
        kind: str,
        settings: Settings,
        *,
        function_timeout: int,
        region: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            kind: the queue's name without the prefix, the same in each region.
            function_timeout: the timeout, in seconds, of the function that reads the queue.
            region: the queue's region, if that is not the stack's own region.
        """
        self.kind, self.region = kind, region
        name = in_region(kind, region)
        super().__init__(f"file-copy-workflow:index:{component}", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.physical_name = settings.name(f"file-copy-{name}")
        self.dead_letter_name = f"{self.physical_name}{DEAD_LETTERS_SUFFIX}"
        dead_letters = aws.sqs.Queue(
            f"{name}-dead-letters",
            name=self.dead_letter_name,
            region=region,
            message_retention_seconds=DEAD_LETTER_RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            opts=child,
        )
        queue = aws.sqs.Queue(
            name,
            name=self.physical_name,
            region=region,
            message_retention_seconds=RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            visibility_timeout_seconds=VISIBILITY_TIMEOUT_PER_FUNCTION_TIMEOUT * function_timeout,
            redrive_policy=dead_letters.arn.apply(
                lambda arn: as_json({"deadLetterTargetArn": arn, "maxReceiveCount": MAX_RECEIVE_COUNT})
            ),
            opts=child,
        )
        aws.sqs.RedriveAllowPolicy(
            name,
            queue_url=dead_letters.url,
            region=region,
            redrive_allow_policy=queue.arn.apply(
                lambda arn: as_json({"redrivePermission": "byQueue", "sourceQueueArns": [arn]})
            ),
            opts=self._belonging_to(dead_letters),
        )
        self._settings, self._queue, self._dead_letters = settings, queue, dead_letters
        self.url = queue.url
        self.arn = queue.arn
        self.dead_letter_url = dead_letters.url
        self.register_outputs({"url": self.url, "arn": self.arn, "dead_letter_url": self.dead_letter_url})

    @property
    def label(self) -> str:
        """The name without the prefix, with the region if that is not the stack's own."""
        return in_region(self.kind, self.region)

    def _policy(
        self, queue: aws.sqs.Queue, build: Callable[..., policies.Policy], **inputs: pulumi.Input[Any]
    ) -> aws.sqs.QueuePolicy:
        """The policy of the queue or of its dead-letter queue: ``build`` called with its ARN and ``inputs``."""
        suffix = DEAD_LETTERS_SUFFIX if queue is self._dead_letters else ""
        return aws.sqs.QueuePolicy(
            f"{self.label}{suffix}-policy",
            queue_url=queue.url,
            region=self.region,
            policy=document(build, queue_arn=queue.arn, **inputs),
            opts=self._belonging_to(queue),
        )

    def _protect_dead_letters(self) -> None:
        """Refuses plain HTTP at the dead-letter queue. It needs no more if only SQS sends to it."""
        if self._settings.requires_tls:
            self._policy(self._dead_letters, policies.queue_refuses_plain_http)

    def _belonging_to(self, queue: aws.sqs.Queue) -> pulumi.ResourceOptions:
        """The options of a resource that is deleted with the queue. A separate deletion never ends on some
        engines (docs/engines.md), and takes extra time on all."""
        return pulumi.ResourceOptions(parent=self, deleted_with=queue)


class BucketEventQueue(EventQueue):
    """A queue of "object created" events of some buckets, all of which are in the queue's region."""

    def __init__(
        self,
        kind: str,
        settings: Settings,
        *,
        buckets: Sequence[BucketRef],
        function_timeout: int,
        key_prefix: str = "",
        key_suffix: str = "",
        region: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            kind: the queue's name without the prefix, the same in each region.
            key_prefix, key_suffix: only keys that begin and end with these cause an event.
            region: the region of the queue and the buckets, if that is not the stack's own region.
        """
        super().__init__(
            "BucketEventQueue", kind, settings, function_timeout=function_timeout, region=region, opts=opts
        )
        name = in_region(kind, region)
        self._protect_dead_letters()
        if not buckets and not settings.requires_tls:
            return
        policy = self._policy(
            self._queue,
            policies.queue_accepts_bucket_events,
            bucket_arns=[bucket.arn for bucket in buckets],
            requires_tls=settings.requires_tls,
        )
        for bucket in buckets:
            aws.s3.BucketNotification(
                f"{name}-{bucket.label}",
                bucket=bucket.name,
                region=region,
                queues=[
                    {
                        "queue_arn": self.arn,
                        "events": ["s3:ObjectCreated:*"],
                        "filter_prefix": key_prefix or None,
                        "filter_suffix": key_suffix or None,
                    }
                ],
                # S3 sends a test event when the notification is created, and fails if the policy does not allow that.
                opts=pulumi.ResourceOptions(
                    parent=self,
                    depends_on=[policy],
                    aliases=formerly(f"{name}-{bucket.former_label}", now=f"{name}-{bucket.label}"),
                ),
            )
