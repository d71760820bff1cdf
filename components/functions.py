"""The functions: what each may do, what it is told, and how long it may take."""

from __future__ import annotations

import pulumi

from . import policies
from .buckets import BuildBuckets
from .documents import as_json
from .endings import ExecutionEventQueue
from .failures import FailureTopic
from .handler_function import HandlerFunction
from .queues import BucketEventQueue
from .settings import Settings
from .tracking import TrackingTable
from .workflow.component import CopyWorkflow
from .workflow.limits import COPY_WORKER_TIMEOUT, LEASE_GRACE

# Seconds. Both handle at most ten events a batch, each with a call or two of some milliseconds.
REPLICATION_WORKER_TIMEOUT = 30
REGIONAL_SYNC_TIMEOUT = 60
EXECUTION_WATCHER_TIMEOUT = 30

# API Gateway waits 29 seconds at most, so there is nobody to answer after that.
INVOKER_TIMEOUT = 29

# Lambda's longest. A call through the API ends sooner: see handlers/build_worker.py.
BUILD_WORKER_TIMEOUT = 900

# Batches of ten at once. Five start some hundred executions a second, below StartExecution's 300, and leave the
# account's concurrency to others; a burst waits in the queue.
QUEUE_CONCURRENCY = 5


# Parts of a large file, or of each of several, at once. They wait for S3, and take next to no memory.
COPY_WORKER_PARTS_AT_ONCE = 16


def copy_worker(settings: Settings, buckets: BuildBuckets, tracking: TrackingTable) -> HandlerFunction:
    """Copies what Step Functions cannot ask S3 for: into other regions, large files, those with checksums of parts."""
    return HandlerFunction(
        "copy-worker",
        settings,
        statements=pulumi.Output.all(
            source_bucket_arn=buckets.source.arn,
            owned_bucket_arns=buckets.owned_destination_arns,
            existing_bucket_arns=buckets.existing_destination_arns,
            table_arn=tracking.arn,
            keys=settings.keys,
            kms_key_arns=settings.kms_key_arns,
        ).apply(lambda inputs: policies.copy_through_worker(**inputs)),
        environment={
            "TABLE_NAME": tracking.table_name,
            "MULTIPART_THRESHOLD": str(settings.multipart_threshold),
            "PARTS_AT_ONCE": str(COPY_WORKER_PARTS_AT_ONCE),
            # Longer than a run may be: Lambda's own limit is the one that counts.
            "RUN_SECONDS": str(COPY_WORKER_TIMEOUT),
        },
        timeout=COPY_WORKER_TIMEOUT,
        memory_size=512,
    )


def replication_worker(
    settings: Settings, uploads: BucketEventQueue, buckets: BuildBuckets, workflow: CopyWorkflow
) -> HandlerFunction:
    """Starts one execution for each upload."""
    return HandlerFunction(
        "replication-worker",
        settings,
        statements=workflow.arn.apply(policies.start_workflow),
        environment={
            "STATE_MACHINE_ARN": workflow.arn,
            "DESTINATION_BUCKETS": buckets.destination_names.apply(as_json),
        },
        timeout=REPLICATION_WORKER_TIMEOUT,
        queue=uploads,
        queue_concurrency=QUEUE_CONCURRENCY,
    )


def step_function_invoker(settings: Settings, workflow: CopyWorkflow) -> HandlerFunction:
    """Starts an execution by hand: ``POST /step-function``."""
    return HandlerFunction(
        "step-function-invoker",
        settings,
        statements=workflow.arn.apply(policies.start_workflow),
        environment={"STATE_MACHINE_ARN": workflow.arn},
        timeout=INVOKER_TIMEOUT,
    )


def build_worker(settings: Settings, buckets: BuildBuckets, tracking: TrackingTable) -> HandlerFunction:
    """Fetches a build's artifact into the source bucket: ``POST /builds``."""
    return HandlerFunction(
        "build-worker",
        settings,
        statements=pulumi.Output.all(
            source_bucket_arn=buckets.source.arn,
            account=tracking.arn.apply(policies.account_of),
            # Where its uploads start the workflow.
            keys=policies.keys_like(settings.key_prefix, ".zip"),
            kms_key_arn=settings.kms_key_arn,
        ).apply(lambda inputs: policies.store_builds(**inputs)),
        environment={
            "ARTIFACT_BASE_URL": settings.artifact_base_url,
            "SOURCE_BUCKET": buckets.source.name,
            "KEY_PREFIX": settings.key_prefix,
        },
        timeout=BUILD_WORKER_TIMEOUT,
        # More memory is more network: an artifact of gigabytes passes through here in parts.
        memory_size=1024,
    )


def regional_sync(
    settings: Settings,
    arrivals: BucketEventQueue,
    buckets: BuildBuckets,
    tracking: TrackingTable,
    failures: FailureTopic,
) -> HandlerFunction:
    """Checks what arrived in the destinations of one region, that of the queue, against what was sent, and writes that
    into the record."""
    return HandlerFunction(
        "regional-sync",
        settings,
        statements=pulumi.Output.all(
            source_bucket_arn=buckets.source.arn,
            destination_bucket_arns=[bucket.arn for bucket in buckets.owned_in(arrivals.region)],
            table_arn=tracking.arn,
            topic_arn=failures.arn,
            keys=settings.keys,
            kms_key_arns=settings.kms_key_arns_in(arrivals.region),
        ).apply(lambda inputs: policies.verify_arrivals(**inputs)),
        environment={
            "SOURCE_BUCKET": buckets.source.name,
            "TABLE_NAME": tracking.table_name,
            "TOPIC_ARN": failures.arn,
        },
        timeout=REGIONAL_SYNC_TIMEOUT,
        queue=arrivals,
        queue_concurrency=QUEUE_CONCURRENCY,
    )


def execution_watcher(
    settings: Settings,
    endings: ExecutionEventQueue,
    workflow: CopyWorkflow,
    tracking: TrackingTable,
    failures: FailureTopic,
) -> HandlerFunction:
    """Closes the record of an execution that could not do so itself, tells a person of it, and measures the others."""
    return HandlerFunction(
        "execution-watcher",
        settings,
        statements=pulumi.Output.all(
            table_arn=tracking.arn, topic_arn=failures.arn, state_machine_arn=workflow.arn
        ).apply(lambda arns: policies.close_records(**arns)),
        environment={
            "TABLE_NAME": tracking.table_name,
            "TOPIC_ARN": failures.arn,
            "LEASE_GRACE_SECONDS": str(LEASE_GRACE),
            "STATE_MACHINE": workflow.physical_name,
        },
        timeout=EXECUTION_WATCHER_TIMEOUT,
        queue=endings,
        queue_concurrency=QUEUE_CONCURRENCY,
    )
