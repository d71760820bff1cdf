"""S3 events made by hand, as S3 would deliver them late, twice or out of order."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

from tests.e2e.system import System


def event_of(system: System, key: str, version: str, sequencer: str = "0055AED6DCD90281E5") -> str:
    """The body of a message that tells of a version of ``key``."""
    head = system.s3.head_object(Bucket=system.source, Key=key, VersionId=version)
    return json.dumps(
        {
            "Records": [
                {
                    "eventSource": "aws:s3",
                    "eventName": "ObjectCreated:Put",
                    "eventTime": "2026-01-01T00:00:00.000Z",
                    "s3": {
                        "bucket": {"name": system.source},
                        "object": {
                            "key": quote_plus(key),
                            "size": head["ContentLength"],
                            "eTag": head["ETag"].strip('"'),
                            "versionId": version,
                            "sequencer": sequencer,
                        },
                    },
                }
            ]
        }
    )


def deliver(system: System, *bodies: str) -> None:
    """Puts messages into the queue of uploads, each by itself, so that they come in different batches."""
    for body in bodies:
        system.sqs.send_message(QueueUrl=system.outputs["upload_queue_url"], MessageBody=body)


def silence_uploads(system: System) -> None:
    """From now on an upload gives no event of its own: the test delivers them."""
    system.s3.put_bucket_notification_configuration(Bucket=system.source, NotificationConfiguration={})


def put_version(system: System, key: str, body: bytes) -> str:
    return str(system.s3.put_object(Bucket=system.source, Key=key, Body=body)["VersionId"])
