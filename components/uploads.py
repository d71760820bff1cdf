"""Uploads: a queue of their events, and replication-worker, which starts an execution for each."""

from __future__ import annotations

from dataclasses import dataclass

from . import policies
from .buckets import BuildBuckets
from .documents import as_json
from .handler_function import HandlerFunction
from .queues import QUEUE_CONCURRENCY, BucketEventQueue
from .settings import Settings
from .workflow.component import CopyWorkflow

# Seconds, for a batch of at most ten events. Each is one call of some milliseconds.
FUNCTION_TIMEOUT = 30


@dataclass(frozen=True, kw_only=True)
class Uploads:
    """The queue and the function."""

    queue: BucketEventQueue
    replication_worker: HandlerFunction

    @classmethod
    def create(cls, settings: Settings, *, buckets: BuildBuckets, workflow: CopyWorkflow) -> Uploads:
        queue = BucketEventQueue(
            "uploads",
            settings,
            buckets=[buckets.source],
            function_timeout=FUNCTION_TIMEOUT,
            key_prefix=settings.key_prefix,
            key_suffix=settings.key_suffix,
        )
        replication_worker = HandlerFunction(
            "replication-worker",
            settings,
            statements=workflow.arn.apply(policies.start_workflow),
            environment={
                "STATE_MACHINE_ARN": workflow.arn,
                "DESTINATION_BUCKETS": buckets.destination_names.apply(as_json),
            },
            timeout=FUNCTION_TIMEOUT,
            queue=queue,
            queue_concurrency=QUEUE_CONCURRENCY,
        )
        return cls(queue=queue, replication_worker=replication_worker)
