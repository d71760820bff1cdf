"""The topic that tells people of failed copies."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from .settings import Settings


class FailureTopic(pulumi.ComponentResource):
    """file-copy-failures, and a subscription for each address in ``notificationEmails``."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("file-copy-workflow:index:FailureTopic", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(name, name=settings.name("file-copy-failures"), opts=child)
        for address in settings.notification_emails:
            aws.sns.TopicSubscription(
                f"{name}-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=child
            )
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})
