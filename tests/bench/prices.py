"""What AWS charges, in one table, and what a use of it costs.

Dollars in us-east-1, beyond the free tier and below the first volume discount. ``read`` is the day on which the
source was looked at, in a stored copy that may be older; ``basis`` says whether that was AWS's own word, or that of
another who quotes AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

MILLION = 1_000_000

READ = "2026-11-23"


class Basis(StrEnum):
    AWS = "AWS"
    SECOND_HAND = "quoted by others"


@dataclass(frozen=True)
class Price:
    dollars: float
    per: float
    """How many ``unit``s are that many dollars."""
    unit: str
    source: str
    basis: Basis
    read: str = READ

    def of(self, amount: float) -> float:
        """Dollars."""
        return amount * self.dollars / self.per


PRICES = {
    "transitions": Price(0.025, 1_000, "state transition", "aws.amazon.com/step-functions/pricing", Basis.AWS),
    "s3_writes": Price(
        0.005, 1_000, "PUT, COPY, POST or LIST request", "cloudkaramchari.com, S3 requests", Basis.SECOND_HAND
    ),
    "s3_reads": Price(0.0004, 1_000, "GET or HEAD request", "public notes that quote S3's pricing", Basis.SECOND_HAND),
    "dynamodb_writes": Price(
        0.625, MILLION, "write request unit (1 KB)", "airbyte.com, DynamoDB pricing", Basis.SECOND_HAND
    ),
    "dynamodb_reads": Price(
        0.125, MILLION, "read request unit (4 KB)", "airbyte.com, DynamoDB pricing", Basis.SECOND_HAND
    ),
    "lambda_requests": Price(0.20, MILLION, "request", "AWS whitepaper, How AWS Pricing Works", Basis.AWS),
    "lambda_gb_seconds": Price(0.00001667, 1, "GB-second, x86", "AWS whitepaper, How AWS Pricing Works", Basis.AWS),
    "sqs_requests": Price(0.40, MILLION, "request (64 KB)", "cloudburn.io, SQS pricing", Basis.SECOND_HAND),
    "sns_requests": Price(0.50, MILLION, "publish (64 KB)", "awsnegotiations.com, SQS and SNS", Basis.SECOND_HAND),
    "log_gb": Price(0.50, 1, "GB written to CloudWatch Logs", "c3x.dev, CloudWatch Logs", Basis.SECOND_HAND),
    "traces": Price(5.00, MILLION, "X-Ray trace recorded", "aws.amazon.com/xray/pricing", Basis.AWS),
    "dynamodb_gb_months": Price(
        0.25, 1, "GB of records kept for a month", "aws.amazon.com/dynamodb/pricing", Basis.AWS
    ),
    "dynamodb_recovery_gb_months": Price(
        0.20,
        1,
        "GB of records that can be restored, for a month",
        "finops.com.py, DynamoDB backups",
        Basis.SECOND_HAND,
    ),
    "s3_gb_months": Price(0.023, 1, "GB in S3 Standard for a month", "cloudkaramchari.com, S3", Basis.SECOND_HAND),
    "log_gb_months": Price(0.03, 1, "GB of logs kept for a month", "cloudburn.io, CloudWatch", Basis.SECOND_HAND),
    "alarms": Price(0.10, 1, "alarm for a month", "c3x.dev, CloudWatch alarms", Basis.SECOND_HAND),
    "dashboards": Price(3.00, 1, "dashboard for a month", "factualminds.com, CloudWatch", Basis.SECOND_HAND),
    "metrics": Price(0.30, 1, "custom metric for a month", "signoz.io, CloudWatch", Basis.SECOND_HAND),
    "keys": Price(1.00, 1, "KMS key for a month", "public notes that quote KMS's pricing", Basis.SECOND_HAND),
    "region_gb": Price(
        0.02, 1, "GB from us-east-1 to another region", "awsnegotiations.com, S3 data transfer", Basis.SECOND_HAND
    ),
    "replication_time_gb": Price(
        0.015, 1, "GB replicated with Time Control", "public notes that quote S3's pricing", Basis.SECOND_HAND
    ),
    "batch_jobs": Price(0.25, 1, "S3 Batch Operations job", "public notes that quote S3's pricing", Basis.SECOND_HAND),
    "batch_objects": Price(
        1.00, MILLION, "object in such a job", "public notes that quote S3's pricing", Basis.SECOND_HAND
    ),
    "datasync_gb": Price(0.015, 1, "GB copied, Enhanced mode", "AWS price list of 2025-04, AWSDataSync", Basis.AWS),
    "datasync_executions": Price(
        0.55, 1, "task execution, Enhanced mode", "AWS price list of 2025-04, AWSDataSync", Basis.AWS
    ),
}


def cost(usage: Mapping[str, float]) -> float:
    """Dollars for ``usage``: amounts by the names of PRICES."""
    return sum(PRICES[name].of(amount) for name, amount in usage.items())


@dataclass(frozen=True)
class Way:
    """A way to copy a million files to some destinations of their own region. To other regions, each GB costs
    ``region_gb`` besides, whatever the way."""

    name: str
    dollars: float
    """However large the files are."""
    dollars_per_gb: float
    """For each GB of the files, in all destinations together."""

    def dearer_below(self, other: Way) -> float | None:
        """Megabytes a file below which this way costs more than ``other``; ``None`` where there is no such size."""
        slope = other.dollars_per_gb - self.dollars_per_gb
        if slope <= 0 or self.dollars <= other.dollars:
            return None
        # A million files of a megabyte are 1,000 GB.
        return (self.dollars - other.dollars) / (slope * 1_000)


def other_ways(destinations: int) -> list[Way]:
    """AWS's own, for a million files at once. None keeps a record of each copy or tells a person of one that failed.

    - S3 Replication: one rule for each destination, a PUT for each replica; when it is done is not promised. With Time
      Control, within 15 minutes for nearly all, and each GB costs. Its metrics are left out.
    - S3 Batch Operations: one job for each destination, with a COPY for each object. Its manifest has to be made.
    - DataSync, Enhanced mode: one task execution for each destination, which lists both sides (1,000 keys a request)
      and reads, writes and looks up each object once.
    """
    replication = {"s3_writes": MILLION * destinations}
    batch = {**replication, "batch_jobs": destinations, "batch_objects": MILLION * destinations}
    datasync = {
        "datasync_executions": destinations,
        "s3_writes": (MILLION + 2 * MILLION / 1_000) * destinations,
        "s3_reads": 2 * MILLION * destinations,
    }
    return [
        Way("S3 Replication", cost(replication), 0.0),
        Way("S3 Replication, Time Control", cost(replication), cost({"replication_time_gb": destinations})),
        Way("S3 Batch Operations, copy", cost(batch), 0.0),
        Way("DataSync, Enhanced mode", cost(datasync), cost({"datasync_gb": destinations})),
    ]
