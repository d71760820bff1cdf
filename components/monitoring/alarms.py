"""The alarms, as pure functions from names to descriptions of alarms. This module creates no resources.

Each description has the meaning of the alarm and the first command to type. The rest is in docs/operations.md, under
the alarm's name without the stack's prefix and, for an alarm in another region, without the region at its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi

from components.names import in_region

from . import metrics
from .metrics import Metric, Names, Watched

# Seconds. SQS and Lambda report each minute. Five minutes collect related events into one e-mail.
PERIOD = 300

# Seconds. The functions handle a thousand messages in some seconds. A message that failed is delivered again after
# 180 s, and an arrival after 360 s, so two failures need no alarm. A message that waits longer is stuck.
OLDEST_MESSAGE_SECONDS = {"uploads": 600, "arrivals": 1200, "endings": 600, "notifications": 600}

# Seconds. One copy may take 600 s (COPY_TIMEOUT in workflow/limits.py). Copies to a few destinations run in parallel.
# A file that takes 1.5 times as long waits for something: for the lease, for a retry, or in the queue.
COMPLETED_SECONDS = 900

# Lambda and Step Functions retry a throttled call, so short throttling does no harm. Throttling for 15 minutes means
# that a quota is not enough. A function that reads a queue needs no alarm for that: its messages wait.
THROTTLED_PERIODS = 3
CALLED_DIRECTLY = ("copy-worker", "step-function-invoker", "build-worker")

# A new subscription has this time to be confirmed: twelve periods are an hour.
UNCONFIRMED_PERIODS = 12

# A caller retries after a 503, and an artifact host that fails causes a 502. Five of them are a lasting problem.
API_ERRORS = 5


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An alarm: the metric has been at ``threshold`` or above for all of ``periods`` periods of :data:`PERIOD`.

    It is in the metric's region, because an alarm cannot watch a metric of another region.
    """

    kind: str
    """The name without the stack's prefix. It is the same in each region."""
    metric: Metric
    threshold: int
    periods: int = 1
    meaning: str
    first: str
    """The command to type first."""
    then: str | None = None
    """The command to type after fixing the cause, if there is one."""

    @property
    def name(self) -> str:
        """The name without the stack's prefix, with the region if that is not the stack's own."""
        return in_region(self.kind, self.metric.region)

    @property
    def description(self) -> str:
        then = [f"After fixing the cause: {self.then}"] if self.then else []
        return "\n".join([self.meaning, f"First: {self.first}", *then, f"More: docs/operations.md#{self.kind}"])


def all_alarms(names: Names, state_machine_arn: pulumi.Input[str]) -> list[Alarm]:
    """Every alarm of a stack."""
    return [
        *_executions(state_machine_arn),
        *_files(names),
        *_queues(names),
        *_notifications(names),
        *_functions(names),
        _api(names),
    ]


def _executions(state_machine_arn: pulumi.Input[str]) -> Iterator[Alarm]:
    """Alarms for executions. One execution is enough: its file is missing somewhere."""
    for ending, meaning in (
        ("failed", "A file was not copied to every destination. The failure topic has a notification for each file."),
        ("timed-out", "An execution ran for a week and timed out."),
        ("aborted", "Somebody stopped an execution before its file was copied to every destination."),
    ):
        yield Alarm(
            kind=f"file-copy-executions-{ending}",
            metric=metrics.executions(f"Executions{ending.title().replace('-', '')}", state_machine_arn),
            threshold=1,
            meaning=meaning,
            first="filecopy list --status FAILED --status PARTIAL_FAILURE",
        )
    yield Alarm(
        kind="file-copy-executions-throttled",
        metric=metrics.executions("ExecutionThrottled", state_machine_arn),
        threshold=1,
        periods=THROTTLED_PERIODS,
        meaning=f"Executions were throttled for {THROTTLED_PERIODS * PERIOD // 60} minutes: they take longer.",
        first="filecopy list --status IN_PROGRESS",
    )


def _files(names: Names) -> Iterator[Alarm]:
    yield Alarm(
        kind="file-copy-slow",
        metric=metrics.upload_to_completed(names.state_machine, "p95"),
        threshold=COMPLETED_SECONDS,
        meaning=f"One in twenty of the files that arrived everywhere took {COMPLETED_SECONDS // 60} minutes or more.",
        first="filecopy list --status IN_PROGRESS",
    )


def _queues(names: Names) -> Iterator[Alarm]:
    """Alarms for messages that wait, and for dead letters. One dead letter is enough: only an operator can replay it,
    and SQS deletes it after 14 days.
    """
    read_by = {
        "uploads": ("replication-worker", "An upload", "Its file is not being copied"),
        "arrivals": ("regional-sync", "A copy that arrived", "Its copy is not verified"),
        "endings": (
            "execution-watcher",
            "The end of an execution",
            "The record of its execution may still be in progress, without a notification",
        ),
        "notifications": ("notification-digest", "A notification", "No e-mail has it"),
    }
    for queue in names.queues:
        function, event, lost = read_by[queue.kind]
        seconds = OLDEST_MESSAGE_SECONDS[queue.kind]
        yield Alarm(
            kind=f"file-copy-{queue.kind}-waiting",
            metric=metrics.oldest_message(queue),
            threshold=seconds,
            meaning=f"{event} has waited {seconds // 60} minutes in the queue {queue.label}.",
            first=_tail(names.function(function, queue.region)),
        )
        yield Alarm(
            kind=f"file-copy-dead-letters-{queue.kind}",
            metric=metrics.dead_letters(queue),
            threshold=1,
            meaning=f"An event of {queue.label} failed five times and moved to the dead-letter queue. {lost}.",
            first=_tail(names.function(function, queue.region)),
            then=f"filecopy replay {queue.label}",
        )


def _notifications(names: Names) -> Iterator[Alarm]:
    """Alarms for what operators and people would not hear of. A single failure is enough."""
    yield Alarm(
        kind="file-copy-endings-undelivered",
        metric=metrics.failed_deliveries(names.rule),
        threshold=1,
        meaning="EventBridge could not deliver the end of an execution to its queue. Its record may stay in progress.",
        first="filecopy list --status IN_PROGRESS",
        then="filecopy replay endings",
    )
    outputs = {"failures": "sns_topic_arn", "digests": "digest_topic_arn"}
    subscribers = {
        kind: f'aws sns list-subscriptions-by-topic --topic-arn "$(filecopy outputs {output})"'
        for kind, output in outputs.items()
    }
    for topic in names.topics:
        yield Alarm(
            kind=f"file-copy-{topic.kind}-undelivered",
            metric=metrics.failed_notifications(topic),
            threshold=1,
            meaning=f"SNS could not deliver a message of the topic {topic.name} to a subscriber.",
            first=subscribers[topic.kind],
        )
    yield Alarm(
        kind="file-copy-subscriptions-unconfirmed",
        metric=metrics.unconfirmed_subscriptions(names.state_machine),
        threshold=1,
        periods=UNCONFIRMED_PERIODS,
        meaning="An address of notificationEmails has no confirmed subscription, and gets no e-mails.",
        first=subscribers["digests"],
    )


def _functions(names: Names) -> Iterator[Alarm]:
    """Alarms for functions. An error is a call that failed as a whole: a timeout, no memory, an import that fails. A
    single message that fails is not an error; it becomes a dead letter.
    """
    for function in names.functions:
        yield Alarm(
            kind=f"file-copy-errors-{function.kind}",
            metric=metrics.function("Errors", function),
            threshold=1,
            meaning=f"A call of the function {function.name} failed or timed out.",
            first=_tail(function),
        )
    for function in [one for one in names.functions if one.kind in CALLED_DIRECTLY]:
        yield Alarm(
            kind=f"file-copy-throttles-{function.kind}",
            metric=metrics.function("Throttles", function),
            threshold=1,
            periods=THROTTLED_PERIODS,
            meaning=f"Calls of the function {function.name} were throttled for"
            f" {THROTTLED_PERIODS * PERIOD // 60} minutes.",
            first=f"aws lambda get-account-settings{_where(function)}",
        )


def _api(names: Names) -> Alarm:
    return Alarm(
        kind="file-copy-api-errors",
        metric=metrics.api("5XXError", names.api),
        threshold=API_ERRORS,
        meaning=f"The API answered {API_ERRORS} calls or more with a server error (5xx) within {PERIOD // 60} minutes.",
        first=f"aws logs tail /aws/apigateway/{names.api} --since 1h",
    )


def _tail(function: Watched) -> str:
    return f"aws logs tail /aws/lambda/{function.name} --since 1h{_where(function)}"


def _where(function: Watched) -> str:
    return f" --region {function.region}" if function.region else ""
