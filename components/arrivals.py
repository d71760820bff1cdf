"""Copies that arrive: in each region a queue of their events, and regional-sync, which verifies the copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from . import policies
from .buckets import BuildBuckets
from .failures import FailureTopic
from .handler_function import HandlerFunction
from .queues import QUEUE_CONCURRENCY, BucketEventQueue
from .settings import Settings
from .tracking import TrackingTable

# Seconds, for a batch of at most ten events. Each is a few calls of some milliseconds.
FUNCTION_TIMEOUT = 60


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """One queue and one function for each region with destinations of the stack: S3 sends events only to queues in the
    bucket's own region.
    """

    queues: Sequence[BucketEventQueue]
    regional_syncs: Sequence[HandlerFunction]

    @classmethod
    def create(
        cls, settings: Settings, *, buckets: BuildBuckets, tracking: TrackingTable, failures: FailureTopic
    ) -> Arrivals:
        queues = [
            BucketEventQueue(
                "arrivals",
                settings,
                buckets=buckets.owned_in(region),
                function_timeout=FUNCTION_TIMEOUT,
                region=region,
            )
            for region in buckets.owning_regions
        ]
        return cls(
            queues=queues,
            regional_syncs=[_regional_sync(settings, queue, buckets, tracking, failures) for queue in queues],
        )


def _regional_sync(
    settings: Settings,
    queue: BucketEventQueue,
    buckets: BuildBuckets,
    tracking: TrackingTable,
    failures: FailureTopic,
) -> HandlerFunction:
    """The function that compares the copies in the queue's region with their sources, and records the results."""
    return HandlerFunction(
        "regional-sync",
        settings,
        statements=pulumi.Output.all(
            source_bucket_arn=buckets.source.arn,
            destination_bucket_arns=[bucket.arn for bucket in buckets.owned_in(queue.region)],
            table_arn=tracking.arn,
            topic_arn=failures.arn,
            keys=settings.keys,
            kms_key_arns=settings.kms_key_arns_in(queue.region),
        ).apply(lambda inputs: policies.verify_arrivals(**inputs)),
        environment={
            "SOURCE_BUCKET": buckets.source.name,
            "TABLE_NAME": tracking.table_name,
            "TOPIC_ARN": failures.arn,
            "RECORD_RETENTION_DAYS": str(settings.record_retention_days),
        },
        timeout=FUNCTION_TIMEOUT,
        queue=queue,
        queue_concurrency=QUEUE_CONCURRENCY,
    )
