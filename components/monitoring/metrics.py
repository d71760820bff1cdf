"""The metrics that alarms and the dashboard use, as pure functions. This module creates no resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.api import STAGE
from components.names import DEAD_LETTERS_SUFFIX, in_region

# The program's own metrics, which functions write into their logs. A test holds both to these names.
NAMESPACE = "FileCopyWorkflow"
STATE_MACHINE_DIMENSION = "StateMachine"

Dimensions = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A queue, a function or a topic that alarms watch. Each region may have one of its kind."""

    kind: str
    """The name without the prefix. It is the same in each region."""
    name: str
    """The physical name."""
    region: str | None = None
    """Its region; ``None`` for the stack's own region."""

    @property
    def label(self) -> str:
        """The name without the prefix, with the region if that is not the stack's own."""
        return in_region(self.kind, self.region)


@dataclass(frozen=True, kw_only=True)
class Names:
    """The physical names of all resources that have metrics."""

    state_machine: str
    queues: Sequence[Watched]
    rule: str
    """The rule that sends the ends of executions to their queue."""
    topics: Sequence[Watched]
    """Those that notify of failures."""
    functions: Sequence[Watched]
    api: str

    def function(self, kind: str, region: str | None = None) -> Watched:
        """The function of that kind in that region.

        Raises:
            ValueError: it does not exist.
        """
        [function] = [one for one in self.functions if (one.kind, one.region) == (kind, region)]
        return function


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one resource, as CloudWatch calls them. ``statistic`` is ``Sum``, ``Maximum`` or ``p95``."""

    namespace: str
    name: str
    dimensions: Dimensions
    statistic: str
    region: str | None = None
    """The metric's region; ``None`` for the stack's own region."""


def executions(name: str, state_machine_arn: pulumi.Input[str]) -> Metric:
    """``name`` is ExecutionsStarted, ExecutionThrottled, … (Step Functions developer guide, "Monitoring metrics")."""
    return Metric(namespace="AWS/States", name=name, dimensions={"StateMachineArn": state_machine_arn}, statistic="Sum")


def oldest_message(queue: Watched) -> Metric:
    """The age of the oldest message in seconds. SQS ignores messages that were received three times or more."""
    return _queue("ApproximateAgeOfOldestMessage", queue)


def waiting_messages(queue: Watched) -> Metric:
    """The number of messages that no function handles at the moment."""
    return _queue("ApproximateNumberOfMessagesVisible", queue)


def dead_letters(queue: Watched) -> Metric:
    """The number of messages in the dead-letter queue of ``queue``."""
    return _queue("ApproximateNumberOfMessagesVisible", queue, DEAD_LETTERS_SUFFIX)


def _queue(name: str, queue: Watched, suffix: str = "") -> Metric:
    return Metric(
        namespace="AWS/SQS",
        name=name,
        dimensions={"QueueName": f"{queue.name}{suffix}"},
        statistic="Maximum",
        region=queue.region,
    )


def failed_deliveries(rule: str) -> Metric:
    """Events that the rule could not deliver to its queue."""
    return Metric(namespace="AWS/Events", name="FailedInvocations", dimensions={"RuleName": rule}, statistic="Sum")


def failed_notifications(topic: Watched) -> Metric:
    """Messages that SNS could not deliver to a subscriber (SNS developer guide, "Monitoring topics")."""
    return Metric(
        namespace="AWS/SNS",
        name="NumberOfNotificationsFailed",
        dimensions={"TopicName": topic.name},
        statistic="Sum",
    )


def function(name: str, function: Watched, statistic: str = "Sum") -> Metric:
    """``name`` is Errors, Throttles or Duration (milliseconds)."""
    return Metric(
        namespace="AWS/Lambda",
        name=name,
        dimensions={"FunctionName": function.name},
        statistic=statistic,
        region=function.region,
    )


def api(name: str, api: str) -> Metric:
    """``name`` is Count, 4XXError or 5XXError."""
    return Metric(namespace="AWS/ApiGateway", name=name, dimensions={"ApiName": api, "Stage": STAGE}, statistic="Sum")


def upload_to_completed(state_machine: str, percentile: str) -> Metric:
    """Seconds from S3's time of an upload to the end of the execution that copied it everywhere.

    It does not include a file that is overwritten before it is copied, or a file with failed copies.
    """
    return _own("UploadToCompleted", state_machine, percentile)


def copies(name: str, state_machine: str) -> Metric:
    """``name`` is CopiesMade or CopiesFailed, of each execution that was not stopped and did not time out."""
    return _own(name, state_machine, "Sum")


def unconfirmed_subscriptions(state_machine: str) -> Metric:
    """The number of addresses in the settings whose subscription nobody has confirmed. It has no values if there are
    none.
    """
    return _own("UnconfirmedSubscriptions", state_machine, "Maximum")


def _own(name: str, state_machine: str, statistic: str) -> Metric:
    return Metric(
        namespace=NAMESPACE, name=name, dimensions={STATE_MACHINE_DIMENSION: state_machine}, statistic=statistic
    )
