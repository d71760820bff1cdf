"""CloudWatch: alarms and dashboards."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:cloudwatch/metricAlarm:MetricAlarm")
def _metric_alarm(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    properties = {
        "AlarmDescription": inputs.take("alarmDescription"),
        "Namespace": inputs.take("namespace"),
        "MetricName": inputs.take("metricName"),
        "Statistic": inputs.take("statistic"),
        "ExtendedStatistic": inputs.take("extendedStatistic"),
        "Period": inputs.take("period"),
        "EvaluationPeriods": inputs.take("evaluationPeriods"),
        "Threshold": inputs.take("threshold"),
        "ComparisonOperator": inputs.take("comparisonOperator"),
        "TreatMissingData": inputs.take("treatMissingData"),
    }
    cloudwatch = clients("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in inputs.take("dimensions", {}).items()],
        AlarmActions=inputs.take("alarmActions", []),
        OKActions=inputs.take("okActions", []),
        Tags=tag_list(inputs),
        **{key: value for key, value in properties.items() if value is not None},
    )
    return name, {}


@creates("aws:cloudwatch/dashboard:Dashboard")
def _dashboard(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("dashboardName")
    clients("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=inputs.take("dashboardBody"))
    return name, {}
