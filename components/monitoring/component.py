"""Monitoring of the stack itself: the operations topic, the alarms, the dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pulumi
import pulumi_aws as aws

from components import policies
from components.api import RestApi
from components.documents import document
from components.failures import FailureTopic
from components.handler_function import HandlerFunction
from components.names import ALARM_NAMES_BEGIN_WITH, in_region
from components.queues import EventQueue
from components.settings import Settings
from components.workflow.component import CopyWorkflow

from . import alarms, dashboard
from .metrics import Names, Watched


class Monitoring(pulumi.ComponentResource):
    """file-copy-operations, with a subscription for each address in ``operationsEmails``; the alarms that notify it;
    and the dashboard. An alarm can notify only a topic in its own region, so each region with alarms has its own topic.
    """

    topic_arn: pulumi.Output[str]
    dashboard_name: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        workflow: CopyWorkflow,
        queues: Sequence[EventQueue],
        rule_name: str,
        topics: Sequence[FailureTopic],
        functions: Sequence[HandlerFunction],
        api: RestApi,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            queues: all, of the kinds ``uploads``, ``arrivals``, ``endings`` and ``notifications``.
            rule_name: the rule that sends the ends of executions to their queue.
            topics: those that notify of failures.
            functions: all.
        """
        super().__init__("file-copy-workflow:index:Monitoring", name, None, opts)
        self._name, self._settings = name, settings
        names = Names(
            state_machine=workflow.physical_name,
            queues=[Watched(kind=queue.kind, name=queue.physical_name, region=queue.region) for queue in queues],
            rule=rule_name,
            topics=[Watched(kind=topic.kind, name=topic.physical_name) for topic in topics],
            functions=[
                Watched(kind=function.kind, name=function.physical_name, region=function.region)
                for function in functions
            ],
            api=api.physical_name,
        )
        wanted = alarms.all_alarms(names, workflow.arn)
        regions = dict.fromkeys(alarm.metric.region for alarm in wanted)
        told = {region: self._topic(region) for region in regions}
        self.topic_arn = told[None]
        for alarm in wanted:
            self._alarm(alarm, told[alarm.metric.region])
        shown = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=settings.name("file-copy-workflow"),
            dashboard_body=document(partial(dashboard.body, names), state_machine_arn=workflow.arn),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.dashboard_name = shown.dashboard_name
        self.register_outputs({"topic_arn": self.topic_arn, "dashboard_name": self.dashboard_name})

    def _topic(self, region: str | None) -> pulumi.Output[str]:
        settings, name = self._settings, in_region(self._name, region)
        child = pulumi.ResourceOptions(parent=self)
        # No KMS key. CloudWatch may not use AWS's own key, alias/aws/sns, whose policy cannot be changed: its alarms
        # would be lost. A key of the account would need a policy that lets cloudwatch.amazonaws.com use it, and the
        # stack cannot ensure that (AWS knowledge center, "CloudWatch alarm for an encrypted SNS topic"). An alarm
        # contains names and numbers, and nothing about any file.
        topic = aws.sns.Topic(
            name, name=settings.name(in_region("file-copy-operations", region)), region=region, opts=child
        )
        aws.sns.TopicPolicy(
            name,
            arn=topic.arn,
            region=region,
            policy=document(
                policies.topic_accepts_alarms,
                topic_arn=topic.arn,
                alarm_names=settings.name(f"{ALARM_NAMES_BEGIN_WITH}*"),
                requires_tls=settings.requires_tls,
            ),
            opts=child,
        )
        for address in settings.operations_emails:
            aws.sns.TopicSubscription(
                f"{name}-{address}", region=region, topic=topic.arn, protocol="email", endpoint=address, opts=child
            )
        return topic.arn

    def _alarm(self, alarm: alarms.Alarm, topic_arn: pulumi.Output[str]) -> None:
        metric = alarm.metric
        is_percentile = metric.statistic.startswith("p")
        aws.cloudwatch.MetricAlarm(
            alarm.name,
            name=self._settings.name(alarm.name),
            region=metric.region,
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
            # Missing data means that nothing happened, which is fine.
            treat_missing_data="notBreaching",
            alarm_actions=[topic_arn],
            # Notify also when the alarm is over.
            ok_actions=[topic_arn],
            opts=pulumi.ResourceOptions(parent=self),
        )
