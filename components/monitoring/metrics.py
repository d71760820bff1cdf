"""The metrics that alarms and the dashboard use, as pure functions. This module creates no resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.api import STAGE
from components.names import in_region

# The program's own metrics, which handlers/execution_watcher.py writes into its log. A test holds both to these names.
NAMESPACE = "FileCopyWorkflow"
STATE_MACHINE_DIMENSION = "StateMachine"

Dimensions = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A queue or a function that alarms watch. Each region may have one of its kind."""

    kind: str
    """The name without the prefix. It is the same in each region."""
    name: str
    """The physical name."""
    region: str | None = None
    """The region of the queue or function; ``None`` for the stack's own region."""

    @property
    def label(self) -> str:
        """The name without the prefix, with the region if that is not the stack's own."""
        return in_region(self.kind, self.region)


@dataclass(frozen=True, kw_only=True)
class Names:
    """The physical names of all resources that have metrics."""

    state_machine: str
    upload_queue: Watched
    dead_letter_queues: Sequence[Watched]
    """Each has the kind of its main queue: ``uploads``, ``arrivals`` or ``endings``."""
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
    """``name`` is ExecutionsStarted, ExecutionsFailed, … (Step Functions developer guide, "Monitoring metrics")."""
    return Metric(namespace="AWS/States", name=name, dimensions={"StateMachineArn": state_machine_arn}, statistic="Sum")


def oldest_message(queue: Watched) -> Metric:
    """The age of the oldest message in seconds. SQS ignores messages that were received three times or more."""
    return _queue("ApproximateAgeOfOldestMessage", queue)


def waiting_messages(queue: Watched) -> Metric:
    """The number of messages that no function handles at the moment."""
    return _queue("ApproximateNumberOfMessagesVisible", queue)


def _queue(name: str, queue: Watched) -> Metric:
    return Metric(
        namespace="AWS/SQS",
        name=name,
        dimensions={"QueueName": queue.name},
        statistic="Maximum",
        region=queue.region,
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


def _own(name: str, state_machine: str, statistic: str) -> Metric:
    return Metric(
        namespace=NAMESPACE, name=name, dimensions={STATE_MACHINE_DIMENSION: state_machine}, statistic=statistic
    )
