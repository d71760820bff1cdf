"""Who is told when the stack itself is not well, and of what: the operations topic, the alarms, the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pulumi
import pulumi_aws as aws

from . import alarms, dashboard, policies
from .api import RestApi
from .documents import document
from .handler_function import HandlerFunction
from .metrics import Names
from .queues import EventQueue
from .settings import Settings
from .workflow import CopyWorkflow


class Monitoring(pulumi.ComponentResource):
    """file-copy-operations, with a subscription for each address in ``operationsEmails``; the alarms that it tells of;
    and the dashboard.
    """

    topic_arn: pulumi.Output[str]
    dashboard_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        workflow: CopyWorkflow,
        queues: Mapping[str, EventQueue],
        functions: Mapping[str, HandlerFunction],
        api: RestApi,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            queues: ``uploads``, ``arrivals`` and ``endings``.
            functions: all, by their names without the prefix.
        """
        super().__init__("file-copy-workflow:index:Monitoring", name, None, opts)
        self._name, self._settings = name, settings
        names = Names(
            state_machine=workflow.physical_name,
            upload_queue=queues["uploads"].physical_name,
            dead_letter_queues={label: queue.dead_letter_name for label, queue in queues.items()},
            functions={label: function.physical_name for label, function in functions.items()},
            api=api.physical_name,
        )
        self.topic_arn = self._topic()
        self._alarms(alarms.all_alarms(names, workflow.arn))
        shown = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=settings.name("file-copy-workflow"),
            dashboard_body=document(partial(dashboard.body, names), state_machine_arn=workflow.arn),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.dashboard_name = shown.dashboard_name
        self.register_outputs({"topic_arn": self.topic_arn, "dashboard_name": self.dashboard_name})

    def _topic(self) -> pulumi.Output[str]:
        settings, name = self._settings, self._name
        child = pulumi.ResourceOptions(parent=self)
        # No KMS key: CloudWatch may not use AWS's own, alias/aws/sns, whose policy nobody can change, and its alarms
        # would be lost. A key of the account's would need a policy that lets cloudwatch.amazonaws.com use it, which the
        # stack cannot see to (AWS knowledge center, "CloudWatch alarm for an encrypted SNS topic"). An alarm says
        # names and numbers, and nothing of any file.
        topic = aws.sns.Topic(name, name=settings.name("file-copy-operations"), opts=child)
        aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            policy=document(
                policies.topic_accepts_alarms,
                topic_arn=topic.arn,
                alarm_names=settings.name(f"{alarms.NAMES_BEGIN_WITH}*"),
                requires_tls=settings.requires_tls,
            ),
            opts=child,
        )
        for address in settings.operations_emails:
            aws.sns.TopicSubscription(
                f"{name}-{address}", topic=topic.arn, protocol="email", endpoint=address, opts=child
            )
        return topic.arn

    def _alarms(self, wanted: Sequence[alarms.Alarm]) -> None:
        for alarm in wanted:
            metric = alarm.metric
            is_percentile = metric.statistic.startswith("p")
            aws.cloudwatch.MetricAlarm(
                alarm.name,
                name=self._settings.name(alarm.name),
                alarm_description=alarm.description,
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=metric.dimensions,
                statistic=None if is_percentile else metric.statistic,
                extended_statistic=metric.statistic if is_percentile else None,
                period=alarms.PERIOD,
                evaluation_periods=alarm.periods,
                threshold=alarm.threshold,
                comparison_operator="GreaterThanOrEqualToThreshold",
                # Where nothing happens nothing is reported, and nothing is wrong.
                treat_missing_data="notBreaching",
                alarm_actions=[self.topic_arn],
                # That it is over is told, too.
                ok_actions=[self.topic_arn],
                opts=pulumi.ResourceOptions(parent=self),
            )
