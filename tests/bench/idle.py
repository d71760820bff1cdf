"""``python -m tests.bench.idle``: what a stack costs in a month in which it copies nothing, as a table for
docs/performance.md. The resources are counted from the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.unit.mocks import Recording, project

from .prices import cost

MINUTES = 30 * 24 * 60

# Lambda developer guide, "Using Lambda with Amazon SQS": Lambda polls each queue with five requests at once. An empty
# queue answers after 20 s (SQS developer guide, "Long polling").
POLLS = 5 * 3 * MINUTES

# Seconds of a call of notification-digest that finds nothing: SQS answers after one. An estimate, and so are its bytes
# of log: START, END and REPORT.
DIGEST_SECONDS, DIGEST_LOG_BYTES = 1.1, 400


@dataclass(frozen=True)
class Row:
    """Something that is paid for, whether files are copied or not."""

    what: str
    usage: Mapping[str, float]
    """In a month, by the names of prices.PRICES."""

    @property
    def dollars(self) -> float:
        """For a month, without the free tier."""
        return cost(self.usage)


def rows() -> list[Row]:
    """The stack as README deploys it on AWS, in one region."""
    made = Recording().run(project(notificationEmails='["a@example.com"]', operationsEmails='["a@example.com"]'))
    alarms = len(made.of("cloudwatch/metricAlarm:MetricAlarm"))
    queues = len(made.of("lambda/eventSourceMapping:EventSourceMapping"))
    digest = made.inputs("lambda/function:Function")["notification-digest"]
    is_traced = digest["tracingConfig"]["mode"] == "Active"
    return [
        Row(f"{alarms} alarms", {"alarms": alarms}),
        Row("dashboard", {"dashboards": len(made.of("cloudwatch/dashboard:Dashboard"))}),
        Row(f"Lambda polls {queues} empty queues", {"sqs_requests": queues * POLLS}),
        Row(
            "notification-digest runs each minute",
            {
                "lambda_requests": MINUTES,
                "lambda_gb_seconds": MINUTES * DIGEST_SECONDS * digest["memorySize"] / 1024,
                "sqs_requests": MINUTES,
                "log_gb": MINUTES * DIGEST_LOG_BYTES / 1e9,
                "traces": MINUTES if is_traced else 0,
            },
        ),
        Row("KMS keys: the stack makes none", {"keys": len(made.of("kms/key:Key"))}),
    ]


def table() -> list[str]:
    """The rows of a table in Markdown, and their sum."""
    found = rows()
    total = sum(row.dollars for row in found)
    return [f"| {row.what} | {row.dollars:.2f} |" for row in found] + [f"| **together** | **{total:.2f}** |"]


if __name__ == "__main__":
    print("\n".join(["| what | $ a month |", "|---|---|", *table()]))
