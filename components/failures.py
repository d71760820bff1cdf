"""The topics that notify machines and people of failed copies."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import document
from .settings import Settings


class FailureTopic(pulumi.ComponentResource):
    """A topic of notifications, to which only the stack's own roles may publish.

    ``file-copy-failures`` has each of them, for machines. ``file-copy-digests`` has at most one message a minute, for
    people.
    """

    kind: str
    """The name without the prefix."""
    physical_name: str
    arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        emails: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            emails: the addresses that get a subscription.
        """
        super().__init__("file-copy-workflow:index:FailureTopic", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self._name, self._settings = name, settings
        self.kind, self.physical_name = name, settings.name(f"file-copy-{name}")
        # The AWS managed key: each principal of the account that may publish to the topic may use it.
        topic = aws.sns.Topic(name, name=self.physical_name, kms_master_key_id="alias/aws/sns", opts=child)
        for address in emails:
            aws.sns.TopicSubscription(
                f"{name}-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=child
            )
        self.arn = topic.arn
        self.register_outputs({"arn": self.arn})

    def accept_only(self, role_arns: Sequence[pulumi.Input[str]]) -> None:
        """Lets only these roles publish."""
        aws.sns.TopicPolicy(
            self._name,
            arn=self.arn,
            policy=document(
                policies.topic_accepts_only,
                topic_arn=self.arn,
                role_arns=list(role_arns),
                requires_tls=self._settings.requires_tls,
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
