"""The operations topic, the alarms, the dashboard, and the runbook."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from typing import Any

import pytest
import typer.main

from components import policies
from components.monitoring import alarms, dashboard, metrics
from components.monitoring.alarms import Alarm
from components.monitoring.metrics import Watched
from components.names import ALARM_NAMES_BEGIN_WITH
from filecopy.cli import app
from filecopy.embedded.configuration import PROJECT_ROOT
from handlers import environment

from .mocks import EMULATOR, Recording, arn, project
from .test_program import FUNCTIONS, QUEUES

MACHINE = arn("states", "stateMachine:acme-file-copy-workflow")
TOPIC = arn("sns", "acme-file-copy-operations")
IN_ORDER = (
    "copy-worker",
    "replication-worker",
    "step-function-invoker",
    "build-worker",
    "regional-sync",
    "execution-watcher",
    "notification-digest",
)
"""The functions as __main__.py has them."""
NAMES = metrics.Names(
    state_machine="acme-file-copy-workflow",
    queues=[Watched(kind=kind, name=f"acme-file-copy-{kind}") for kind in QUEUES],
    rule="acme-file-copy-endings",
    topics=[Watched(kind=kind, name=f"acme-file-copy-{kind}") for kind in ("failures", "digests")],
    functions=[Watched(kind=kind, name=f"acme-{kind}") for kind in IN_ORDER],
    api="acme-file-copy-api",
)
ALARMS = {alarm.name: alarm for alarm in alarms.all_alarms(NAMES, MACHINE)}
RUNBOOK = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

# The commands of the command line.
FILECOPY = {*typer.main.get_command(app).commands}  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def acme() -> Recording:
    """The whole program on AWS, with a prefix, so that a name without it is found."""
    return Recording().run(project(namePrefix="acme-", operationsEmails='["a@example.com", "b@example.com"]'))


def entry(heading: str) -> str:
    """The section of the runbook with this heading."""
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert found, f"docs/operations.md has no entry {heading}."
    return found[1]


# --- Alarms -----------------------------------------------------------------------------------------------------


def measured(alarm: Alarm) -> tuple[str, str, dict[str, Any], str]:
    metric = alarm.metric
    return metric.namespace, metric.name, dict(metric.dimensions), metric.statistic


def test_every_way_in_which_files_stay_behind_has_an_alarm() -> None:
    """Executions, queues, functions, the API and the time of files have alarms, by this stack's names."""
    assert {function.kind for function in NAMES.functions} == FUNCTIONS
    queue = "ApproximateNumberOfMessagesVisible"
    states, machine = "AWS/States", {"StateMachineArn": MACHINE}
    expected = {
        "file-copy-executions-failed": (states, "ExecutionsFailed", machine, "Sum"),
        "file-copy-executions-timed-out": (states, "ExecutionsTimedOut", machine, "Sum"),
        "file-copy-executions-aborted": (states, "ExecutionsAborted", machine, "Sum"),
        "file-copy-executions-throttled": (states, "ExecutionThrottled", machine, "Sum"),
        "file-copy-endings-undelivered": (
            "AWS/Events", "FailedInvocations", {"RuleName": "acme-file-copy-endings"}, "Sum",
        ),
        "file-copy-subscriptions-unconfirmed": (
            "FileCopyWorkflow", "UnconfirmedSubscriptions", {"StateMachine": "acme-file-copy-workflow"}, "Maximum",
        ),
        "file-copy-slow": (
            "FileCopyWorkflow", "UploadToCompleted", {"StateMachine": "acme-file-copy-workflow"}, "p95",
        ),
        "file-copy-api-errors": (
            "AWS/ApiGateway", "5XXError", {"ApiName": "acme-file-copy-api", "Stage": "live"}, "Sum",
        ),
    }  # fmt: skip
    for topic in ("failures", "digests"):
        dimensions = {"TopicName": f"acme-file-copy-{topic}"}
        expected[f"file-copy-{topic}-undelivered"] = ("AWS/SNS", "NumberOfNotificationsFailed", dimensions, "Sum")
    for name in QUEUES:
        dimensions = {"QueueName": f"acme-file-copy-{name}"}
        expected[f"file-copy-{name}-waiting"] = ("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions, "Maximum")
        dimensions = {"QueueName": f"acme-file-copy-{name}-dead-letters"}
        expected[f"file-copy-dead-letters-{name}"] = ("AWS/SQS", queue, dimensions, "Maximum")
    for function in NAMES.functions:
        dimensions = {"FunctionName": function.name}
        expected[f"file-copy-errors-{function.kind}"] = ("AWS/Lambda", "Errors", dimensions, "Sum")
        # What a queue calls is in the alarms of messages that wait.
        if function.kind in ("copy-worker", "step-function-invoker", "build-worker"):
            expected[f"file-copy-throttles-{function.kind}"] = ("AWS/Lambda", "Throttles", dimensions, "Sum")
    assert {name: measured(alarm) for name, alarm in ALARMS.items()} == expected


def test_one_file_left_behind_is_enough_and_a_hiccup_is_not() -> None:
    """One file that needs a person is enough for an alarm. A fault that recovers by itself is not."""
    thresholds = {name: (alarm.threshold, alarm.periods) for name, alarm in ALARMS.items()}
    # Two failures of a message, of 180 s each, cause no alarm, and neither does the longest copy.
    for name in ("uploads", "endings", "notifications"):
        assert thresholds.pop(f"file-copy-{name}-waiting") == (600, 1)
    # An arrival comes again after 360 s.
    assert thresholds.pop("file-copy-arrivals-waiting") == (1200, 1)
    # Who deploys has an hour to confirm.
    assert thresholds.pop("file-copy-subscriptions-unconfirmed") == (1, 12)
    assert thresholds.pop("file-copy-slow") == (900, 1)
    assert thresholds.pop("file-copy-api-errors") == (5, 1)
    for name, found in thresholds.items():
        assert found == ((1, 3) if "throttle" in name else (1, 1)), name


def test_alarms_are_made_as_they_are_described(acme: Recording) -> None:
    """An alarm notifies the operations topic when it begins and when it ends. Missing data is no alarm."""
    made = acme.inputs("cloudwatch/metricAlarm:MetricAlarm")
    assert made.keys() == ALARMS.keys()
    for name, inputs in made.items():
        alarm = ALARMS[name]
        statistic = "extendedStatistic" if alarm.metric.statistic == "p95" else "statistic"
        assert inputs == {
            "tags": {"Project": "file-copy-workflow", "Stack": "test"},
            "name": f"acme-{name}",
            "alarmDescription": alarm.description,
            "namespace": alarm.metric.namespace,
            "metricName": alarm.metric.name,
            "dimensions": alarm.metric.dimensions,
            statistic: alarm.metric.statistic,
            "period": 300,
            "evaluationPeriods": alarm.periods,
            "threshold": alarm.threshold,
            "comparisonOperator": "GreaterThanOrEqualToThreshold",
            "treatMissingData": "notBreaching",
            "alarmActions": [TOPIC],
            "okActions": [TOPIC],
        }, name


def test_alarms_name_what_is_made(acme: Recording) -> None:
    """Each dimension of an alarm is a resource of this stack. With another name, the alarm would never go off."""
    there = {
        "StateMachineArn": {acme.outputs["step_function_arn"]},
        "StateMachine": {inputs["name"] for inputs in acme.inputs("sfn/stateMachine:StateMachine").values()},
        "RuleName": {inputs["name"] for inputs in acme.inputs("cloudwatch/eventRule:EventRule").values()},
        "TopicName": {inputs["name"] for inputs in acme.inputs("sns/topic:Topic").values()},
        "QueueName": {inputs["name"] for inputs in acme.inputs("sqs/queue:Queue").values()},
        "FunctionName": {inputs["name"] for inputs in acme.inputs("lambda/function:Function").values()},
        "ApiName": {inputs["name"] for inputs in acme.inputs("apigateway/restApi:RestApi").values()},
        "Stage": {inputs["stageName"] for inputs in acme.inputs("apigateway/stage:Stage").values()},
    }
    for inputs in acme.inputs("cloudwatch/metricAlarm:MetricAlarm").values():
        for dimension, value in inputs["dimensions"].items():
            assert value in there[dimension], inputs["name"]


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS.keys())
def test_an_alarm_says_what_to_do(alarm: Alarm) -> None:
    """The e-mail of an alarm has its meaning, and the command to type first."""
    # CloudWatch API reference, PutMetricAlarm: at most 1,024 characters.
    assert len(alarm.description) <= 1024
    assert 1 <= alarm.meaning.count(". ") + 1 <= 2
    assert f"First: {alarm.first}\n" in alarm.description
    assert alarm.description.endswith(f"docs/operations.md#{alarm.name}")
    for command in filter(None, (alarm.first, alarm.then)):
        program, subcommand, *_ = command.split()
        assert program == "aws" or (program == "filecopy" and subcommand in FILECOPY)


def test_the_logs_that_alarms_point_to_are_there(acme: Recording) -> None:
    """The log group in the command of an alarm exists."""
    groups = {inputs["name"] for inputs in acme.inputs("cloudwatch/logGroup:LogGroup").values()}
    tailed = {group for alarm in ALARMS.values() for group in re.findall(r"aws logs tail (\S+)", alarm.first)}
    assert tailed
    assert tailed <= groups


# --- The runbook ------------------------------------------------------------------------------------------------


def test_the_runbook_has_an_entry_for_each_alarm_and_no_other() -> None:
    """The runbook has one entry for each alarm, and none for another name."""
    headings = re.findall(r"^### (file-copy-\S+)$", RUNBOOK, re.MULTILINE)
    assert sorted(headings) == sorted(ALARMS)


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS.keys())
def test_an_entry_says_why_what_to_check_and_how_to_cure_it(alarm: Alarm) -> None:
    """Each entry has its causes, what to check with the alarm's own commands, and the cure."""
    text = entry(alarm.name)
    for part in ("Means", "Causes", "Check", "Cure"):
        assert f"**{part}:**" in text, part
    for command in filter(None, (alarm.first, alarm.then)):
        assert command.replace("acme-", "") in text


def test_the_commands_of_the_runbook_are_there() -> None:
    """Each command of filecopy in the runbook exists."""
    named = re.findall(r"(?:`|^)filecopy (\w+)", RUNBOOK, re.MULTILINE)
    assert named
    assert set(named) <= FILECOPY


# --- The dashboard ----------------------------------------------------------------------------------------------


def widgets() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard.body(NAMES, MACHINE)["widgets"]
    return found


def test_the_dashboard_shows_what_the_alarms_watch() -> None:
    """The dashboard shows the metric of each alarm, with its threshold."""
    shown = {
        (namespace, name, tuple(dimensions), options["stat"])
        for widget in widgets()
        for namespace, name, *dimensions, options in widget["properties"]["metrics"]
    }
    for alarm in ALARMS.values():
        namespace, name, dimensions, statistic = measured(alarm)
        flat = tuple(part for dimension in dimensions.items() for part in dimension)
        assert (namespace, name, flat, statistic) in shown, alarm.name
    lines = {
        widget["properties"]["title"]: line["value"]
        for widget in widgets()
        for line in widget["properties"].get("annotations", {}).get("horizontal", [])
    }
    assert lines == {
        "Oldest message waiting, in seconds": 600,
        "Dead letters": 1,
        "Executions that did not succeed": 1,
        "From upload to copied everywhere, in seconds": 900,
        "Errors of functions": 1,
        "API": 5,
        "Not delivered": 1,
    }


def test_the_dashboard_follows_a_file() -> None:
    """The graphs are in the order in which a file travels, from left to right and top to bottom."""
    in_order = sorted(widgets(), key=lambda widget: (widget["y"], widget["x"]))
    assert [widget["properties"]["title"].split(",")[0] for widget in in_order] == [
        "Messages waiting", "Oldest message waiting", "Dead letters",
        "Executions", "Executions that did not succeed", "Throttled executions",
        "From upload to copied everywhere", "Copies",
        "Errors of functions", "Throttled calls of functions", "Duration of functions",
        "API", "Not delivered",
    ]  # fmt: skip


def test_widgets_fill_the_rows_and_do_not_overlap() -> None:
    """The graphs fill the rows of 24 units. CloudWatch refuses or hides overlapping ones."""
    taken = Counter(
        (x, y)
        for widget in widgets()
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    )
    assert set(taken.values()) == {1}
    assert {x for x, _ in taken} == set(range(24))
    assert all(widget["properties"]["region"] == "us-east-1" for widget in widgets())


def test_the_dashboard_is_made_for_this_stack(acme: Recording) -> None:
    """The deployed dashboard is the one of dashboard.py, under a name with the prefix."""
    [made] = acme.inputs("cloudwatch/dashboard:Dashboard").values()
    assert made["dashboardName"] == acme.outputs["dashboard_name"] == "acme-file-copy-workflow"
    assert json.loads(made["dashboardBody"]) == dashboard.body(NAMES, MACHINE)


# --- The topic --------------------------------------------------------------------------------------------------


def test_operators_are_told_apart_from_users(acme: Recording) -> None:
    """Each address in operationsEmails is subscribed to alarms, and to nothing else."""
    subscriptions = acme.inputs("sns/topicSubscription:TopicSubscription").values()
    assert sorted((item["topic"], item["endpoint"]) for item in subscriptions if item["protocol"] == "email") == [
        (TOPIC, "a@example.com"),
        (TOPIC, "b@example.com"),
    ]
    assert acme.outputs["operations_topic_arn"] == TOPIC


@pytest.mark.parametrize("endpoint", [None, EMULATOR])
def test_the_operations_topic_is_cloudwatchs(endpoint: str | None) -> None:
    """The topic accepts only alarms of this stack. It has no KMS key, because CloudWatch could not use it."""
    endpoints = {"aws:endpoints": json.dumps([{"apigateway": endpoint}])} if endpoint else {}
    recording = Recording().run(project(namePrefix="acme-") | endpoints)
    topic = recording.inputs("sns/topic:Topic")["monitoring"]
    assert "kmsMasterKeyId" not in topic
    policy = recording.inputs("sns/topicPolicy:TopicPolicy")["monitoring"]
    assert policy["arn"] == TOPIC
    assert json.loads(policy["policy"]) == policies.topic_accepts_alarms(TOPIC, "acme-file-copy-*", endpoint is None)
    assert all(name.startswith(ALARM_NAMES_BEGIN_WITH) for name in ALARMS)


class Unconfirmed:
    """SNS, with a topic whose subscription nobody has confirmed."""

    @staticmethod
    def get_topic_attributes(**_named: str) -> dict[str, Any]:
        return {"Attributes": {"SubscriptionsConfirmed": "0"}}


def test_functions_measure_what_alarms_and_dashboard_show(
    acme: Recording, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two functions write the metrics that alarms and dashboard use. With another name, no alarm would go off."""
    watcher = importlib.import_module("handlers.execution_watcher")
    digest = importlib.import_module("handlers.notification_digest")
    for function in ("execution-watcher", "notification-digest"):
        variables = acme.inputs("lambda/function:Function")[function]["environment"]["variables"]
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUBSCRIPTIONS", "1")
    monkeypatch.setattr(digest.clients, "sns", lambda: Unconfirmed)
    job = {"destinationBuckets": ["a", "b"], "uploadedAt": "2026-03-14T09:26:53.589Z"}
    detail = {
        "executionArn": "execution", "status": "SUCCEEDED", "stopDate": 1773480414589,
        "input": json.dumps(job), "output": json.dumps({"status": "COMPLETED"}),
    }  # fmt: skip
    body = json.dumps({"detail": detail})
    environment._parse.cache_clear()
    watcher.handler({"Records": [{"messageId": "m", "body": body}]}, None)
    digest._check_subscriptions()
    environment._parse.cache_clear()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    written = set()
    for line in lines:
        [declared] = line["_aws"]["CloudWatchMetrics"]
        [dimensions] = declared["Dimensions"]
        place = [part for name in dimensions for part in (name, line[name])]
        written |= {(declared["Namespace"], metric["Name"], *place) for metric in declared["Metrics"]}
    shown = {
        tuple(line[:-1]) for widget in widgets() for line in widget["properties"]["metrics"]
        if line[0] == metrics.NAMESPACE
    }  # fmt: skip
    assert written == shown
    assert lines[0]["UploadToCompleted"] == 1.0
