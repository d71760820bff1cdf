"""Executions that end: their queue, and the EventBridge pattern that selects them."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import document
from .queues import EventQueue
from .settings import Settings


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
        rule = aws.cloudwatch.EventRule(
            name,
            name=settings.name(f"file-copy-{name}"),
            description="Executions of the file copy workflow that have ended.",
            event_pattern=document(ended_executions, state_machine_arn=state_machine_arn),
            opts=child,
        )
        policy = aws.sqs.QueuePolicy(
            f"{name}-policy",
            queue_url=self.url,
            policy=document(
                policies.queue_accepts_rule_events,
                queue_arn=self.arn,
                rule_arn=rule.arn,
                requires_tls=settings.requires_tls,
            ),
            opts=self._belonging_to(self._queue),
        )
        aws.cloudwatch.EventTarget(
            name, rule=rule.name, arn=self.arn, opts=pulumi.ResourceOptions(parent=self, depends_on=[policy])
        )
