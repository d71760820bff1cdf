"""copy-worker: the function that makes the copies which Step Functions cannot ask S3 for."""

from __future__ import annotations

import pulumi

from components import policies
from components.buckets import BuildBuckets
from components.handler_function import HandlerFunction
from components.settings import Settings
from components.tracking import TrackingTable

from .limits import COPY_WORKER_TIMEOUT

# Parts of a large file, or of several files, in parallel. They wait for S3, and take little memory.
PARTS_AT_ONCE = 16


def create_copy_worker(settings: Settings, buckets: BuildBuckets, tracking: TrackingTable) -> HandlerFunction:
    """The function for copies into other regions, of large files, and of files with checksums of their parts."""
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
            "PARTS_AT_ONCE": str(PARTS_AT_ONCE),
            # Not shorter than Lambda's own timeout, so that only that one counts.
            "RUN_SECONDS": str(COPY_WORKER_TIMEOUT),
        },
        timeout=COPY_WORKER_TIMEOUT,
        memory_size=512,
        # 0 would switch the function off.
        reserved_concurrency=settings.copy_worker_concurrency or None,
    )
