"""The CloudWatch dashboard, as a pure function from names to a dict: files in the order they travel. No Pulumi here.

Format: CloudWatch API reference, "Dashboard body structure and syntax". A row is 24 units wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from components.policies import region_of

from . import alarms, metrics
from .metrics import Metric, Names, Watched

ROW_WIDTH = 24
HEIGHT = 6

Widget = dict[str, Any]


def body(names: Names, state_machine_arn: str) -> dict[str, Any]:
    """Rows from the upload to the copies, then the functions and the API. A graph with an alarm shows its threshold."""

    def executions(name: str) -> Metric:
        return metrics.executions(name, state_machine_arn)

    def functions(name: str, statistic: str = "Sum") -> dict[str, Metric]:
        return {function.label: metrics.function(name, function, statistic) for function in names.functions}

    def queues(metric: Callable[[Watched], Metric]) -> dict[str, Metric]:
        return {queue.label: metric(queue) for queue in names.queues}

    rows: list[list[Widget]] = [
        [
            _graph("Messages waiting", queues(metrics.waiting_messages)),
            _graph(
                "Oldest message waiting, in seconds",
                queues(metrics.oldest_message),
                alarm_at=alarms.OLDEST_MESSAGE_SECONDS["uploads"],
            ),
            _graph("Dead letters", queues(metrics.dead_letters), alarm_at=1),
        ],
        [
            _graph(
                "Executions",
                {"started": executions("ExecutionsStarted"), "succeeded": executions("ExecutionsSucceeded")},
            ),
            _graph(
                "Executions that did not succeed",
                {
                    "failed": executions("ExecutionsFailed"),
                    "timed out": executions("ExecutionsTimedOut"),
                    "aborted": executions("ExecutionsAborted"),
                },
                alarm_at=1,
            ),
            _graph("Throttled executions", {"throttled": executions("ExecutionThrottled")}),
        ],
        [
            _graph(
                "From upload to copied everywhere, in seconds",
                {
                    percentile: metrics.upload_to_completed(names.state_machine, percentile)
                    for percentile in ("p50", "p95")
                },
                alarm_at=alarms.COMPLETED_SECONDS,
            ),
            _graph(
                "Copies",
                {
                    "made": metrics.copies("CopiesMade", names.state_machine),
                    "failed": metrics.copies("CopiesFailed", names.state_machine),
                },
            ),
        ],
        [
            _graph("Errors of functions", functions("Errors"), alarm_at=1),
            _graph("Throttled calls of functions", functions("Throttles")),
            _graph("Duration of functions, p95, in milliseconds", functions("Duration", "p95")),
        ],
        [
            _graph(
                "API",
                {
                    "calls": metrics.api("Count", names.api),
                    "refused (4xx)": metrics.api("4XXError", names.api),
                    "errors (5xx)": metrics.api("5XXError", names.api),
                },
                alarm_at=alarms.API_ERRORS,
            ),
            _graph(
                "Not delivered",
                {
                    "ends of executions": metrics.failed_deliveries(names.rule),
                    **{topic.label: metrics.failed_notifications(topic) for topic in names.topics},
                    "subscriptions not confirmed": metrics.unconfirmed_subscriptions(names.state_machine),
                },
                alarm_at=1,
            ),
        ],
    ]
    widgets = []
    for row_number, row in enumerate(rows):
        width = ROW_WIDTH // len(row)
        for column, widget in enumerate(row):
            widget["properties"]["region"] = region_of(state_machine_arn)
            place = {"x": column * width, "y": row_number * HEIGHT, "width": width, "height": HEIGHT}
            widgets.append({**place, **widget})
    return {"widgets": widgets}


def _graph(title: str, lines: Mapping[str, Metric], alarm_at: int | None = None) -> Widget:
    """A line for each metric, by its label, and a horizontal line at the alarm's threshold."""
    properties: dict[str, Any] = {
        "title": title,
        "view": "timeSeries",
        "period": alarms.PERIOD,
        "metrics": [
            [
                metric.namespace,
                metric.name,
                *[part for dimension in metric.dimensions.items() for part in dimension],
                # A line may come from another region than the rest of its graph.
                {"label": label, "stat": metric.statistic} | ({"region": metric.region} if metric.region else {}),
            ]
            for label, metric in lines.items()
        ],
        "yAxis": {"left": {"min": 0}},
    }
    if alarm_at is not None:
        properties["annotations"] = {"horizontal": [{"label": "alarm", "value": alarm_at}]}
    return {"type": "metric", "properties": properties}
