"""Starts one execution of the workflow for each file that is uploaded to the source bucket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from . import arns, clients, log, s3_events, sqs_batch
from .environment import Variables
from .s3_events import ObjectCreated


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    state_machine_arn: str
    destination_buckets: list[str]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Processes an SQS batch of S3 event notifications of the source bucket."""
    return sqs_batch.process(event, _start_executions)


def _start_executions(body: str) -> None:
    for upload in s3_events.parse(body):
        _start_execution(upload)


def _start_execution(upload: ObjectCreated) -> None:
    name = execution_name(upload)
    machine = Environment.read().state_machine_arn
    log.about(
        bucket=upload.bucket,
        key=upload.key,
        versionId=upload.version_id,
        executionArn=arns.execution_arn(machine, name),
    )
    job: dict[str, Any] = {
        "sourceBucket": upload.bucket,
        "sourceKey": upload.key,
        "destinationBuckets": Environment.read().destination_buckets,
        # No state reads it. execution-watcher measures the time from then on.
        "uploadedAt": upload.time,
        # The workflow looks for copies that exist already only if the upload may be a copy.
        "s3Event": upload.event,
    }
    if upload.version_id:
        job["sourceVersionId"] = upload.version_id
    try:
        clients.stepfunctions().start_execution(stateMachineArn=machine, name=name, input=json.dumps(job))
    except ClientError as error:
        if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
            raise
        # S3 delivers an event at least once.
        log.info("Ignored: the upload was processed before")
        return
    log.info("Execution started")


def execution_name(upload: ObjectCreated) -> str:
    """The name of the one execution for this upload: the same if the event is repeated, another for another upload.

    The sequencer distinguishes two uploads of the same bytes to a bucket without versions. It is not enough by itself,
    because some emulators give every event the same one.
    """
    identity = [upload.bucket, upload.key, upload.version_id or upload.etag, upload.sequencer]
    return arns.execution_name(upload.key, identity)
