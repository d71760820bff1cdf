"""Executions that end: a queue of their events, and execution-watcher, which closes records and measures copies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import document
from .failures import FailureTopic
from .handler_function import HandlerFunction
from .queues import QUEUE_CONCURRENCY, EventQueue
from .settings import Settings
from .tracking import TrackingTable
from .workflow.component import CopyWorkflow
from .workflow.limits import LEASE_GRACE

# Seconds, for a batch of at most ten events. Each is a few calls of some milliseconds.
FUNCTION_TIMEOUT = 30


@dataclass(frozen=True, kw_only=True)
class Endings:
    """The queue and the function."""

    queue: ExecutionEventQueue
    execution_watcher: HandlerFunction

    @classmethod
    def create(
        cls, settings: Settings, *, workflow: CopyWorkflow, tracking: TrackingTable, failures: FailureTopic
    ) -> Endings:
        queue = ExecutionEventQueue(
            "endings", settings, state_machine_arn=workflow.arn, function_timeout=FUNCTION_TIMEOUT
        )
        execution_watcher = HandlerFunction(
            "execution-watcher",
            settings,
            statements=pulumi.Output.all(
                table_arn=tracking.arn, topic_arn=failures.arn, state_machine_arn=workflow.arn
            ).apply(lambda arns: policies.close_records(**arns)),
            environment={
                "TABLE_NAME": tracking.table_name,
                "TOPIC_ARN": failures.arn,
                "LEASE_GRACE_SECONDS": str(LEASE_GRACE),
                "RECORD_RETENTION_DAYS": str(settings.record_retention_days),
                "STATE_MACHINE": workflow.physical_name,
            },
            timeout=FUNCTION_TIMEOUT,
            queue=queue,
            queue_concurrency=QUEUE_CONCURRENCY,
        )
        return cls(queue=queue, execution_watcher=execution_watcher)


def ended_executions(state_machine_arn: str) -> dict[str, Any]:
    """The EventBridge pattern of a state machine's executions that end, with any status."""
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"],
            "stateMachineArn": [state_machine_arn],
        },
    }


class ExecutionEventQueue(EventQueue):
    """A queue of the status changes of a state machine's executions that have ended."""

    rule_name: str

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        state_machine_arn: pulumi.Output[str],
        function_timeout: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("ExecutionEventQueue", name, settings, function_timeout=function_timeout, opts=opts)
        child = pulumi.ResourceOptions(parent=self)
        self.rule_name = settings.name(f"file-copy-{name}")
        rule = aws.cloudwatch.EventRule(
            name,
            name=self.rule_name,
            description="Executions of the file copy workflow that have ended.",
            event_pattern=document(ended_executions, state_machine_arn=state_machine_arn),
            opts=child,
        )
        accepted = {"service": "events.amazonaws.com", "source_arn": rule.arn, "requires_tls": settings.requires_tls}
        allowed = [
            self._policy(queue, policies.queue_accepts, **accepted) for queue in (self._queue, self._dead_letters)
        ]
        aws.cloudwatch.EventTarget(
            name,
            rule=rule.name,
            arn=self.arn,
            # EventBridge puts an event that it could not deliver for a day where operators look for it.
            dead_letter_config={"arn": self._dead_letters.arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )
