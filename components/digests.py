"""What people receive: all notifications of a minute as one message, from a function that reads them from a queue."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies
from .failures import FailureTopic
from .handler_function import HandlerFunction
from .queues import EventQueue
from .settings import Settings

# Seconds. The function receives messages for ten, and deletes them.
FUNCTION_TIMEOUT = 30


@dataclass(frozen=True, kw_only=True)
class Digests:
    """The queue, the function, and the topic ``file-copy-digests`` with a subscription for each address in
    ``notificationEmails``.
    """

    queue: NotificationQueue
    notification_digest: HandlerFunction
    topic: FailureTopic

    @classmethod
    def create(cls, settings: Settings, *, state_machine: str, failures: FailureTopic) -> Digests:
        """
        Args:
            state_machine: the name of the state machine, which distinguishes the metrics of two stacks.
        """
        queue = NotificationQueue("notifications", settings, topic_arn=failures.arn)
        topic = FailureTopic("digests", settings, emails=settings.notification_emails)
        notification_digest = HandlerFunction(
            "notification-digest",
            settings,
            statements=pulumi.Output.all(queue_arn=queue.arn, topic_arn=topic.arn).apply(
                lambda arns: policies.send_digests(**arns)
            ),
            environment={
                "QUEUE_URL": queue.url,
                "TOPIC_ARN": topic.arn,
                "SUBSCRIPTIONS": str(len(settings.notification_emails)),
                "STATE_MACHINE": state_machine,
            },
            timeout=FUNCTION_TIMEOUT,
            # X-Ray would record each of 43,200 calls a month, most of which find nothing.
            is_traced=False,
        )
        _call_each_minute(settings, notification_digest)
        topic.accept_only([notification_digest.role_arn])
        return cls(queue=queue, notification_digest=notification_digest, topic=topic)


def _call_each_minute(settings: Settings, function: HandlerFunction) -> None:
    """A schedule, and not a trigger of the queue: Lambda calls a function as often as a queue fills its batches."""
    child = pulumi.ResourceOptions(parent=function)
    rule = aws.cloudwatch.EventRule(
        function.kind,
        name=settings.name("file-copy-digests"),
        description="Calls notification-digest once a minute.",
        schedule_expression="rate(1 minute)",
        opts=child,
    )
    permission = aws.lambda_.Permission(
        function.kind,
        action="lambda:InvokeFunction",
        function=function.name,
        principal="events.amazonaws.com",
        source_arn=rule.arn,
        opts=child,
    )
    aws.cloudwatch.EventTarget(
        function.kind,
        rule=rule.name,
        arn=function.arn,
        opts=pulumi.ResourceOptions(parent=function, depends_on=[permission]),
    )


class NotificationQueue(EventQueue):
    """A queue of the notifications of a topic."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        topic_arn: pulumi.Output[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("NotificationQueue", name, settings, function_timeout=FUNCTION_TIMEOUT, opts=opts)
        self._protect_dead_letters()
        policy = self._policy(
            self._queue,
            policies.queue_accepts,
            service="sns.amazonaws.com",
            source_arn=topic_arn,
            requires_tls=settings.requires_tls,
        )
        aws.sns.TopicSubscription(
            name,
            topic=topic_arn,
            protocol="sqs",
            endpoint=self.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
