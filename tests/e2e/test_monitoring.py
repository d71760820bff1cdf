"""Alarms that reach people, and metrics of files that travelled."""

from __future__ import annotations

import json
import uuid
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components import outputs, policies
from components.names import ALARM_NAMES_BEGIN_WITH

from .system import Inbox, System


def measured(system: System, key: str) -> list[dict[str, Any]]:
    """The lines of execution-watcher's log that CloudWatch makes metrics of, for one file."""
    group = f"/aws/lambda/{system.functions['execution-watcher'].split(':')[-1]}"
    pages = system.clients("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
    events = [event for page in pages for event in page["events"]]
    lines = [line for event in events for line in event["message"].splitlines() if '"_aws"' in line]
    return [line for line in map(json.loads, lines) if line["key"] == key]


def wait_for_measured(system: System, key: str, number: int) -> list[dict[str, Any]]:
    """So many such lines. On a busy machine MiniStack may keep what a function has logged until its next run, so where
    they do not come, executions that fail at once give it some to do."""
    looks = count(1)

    def look() -> list[dict[str, Any]] | None:
        lines = measured(system, key)
        if len(lines) >= number:
            return lines
        if next(looks) % 50 == 0:
            system.start({})
        return None

    return system.wait_for(f"{number} lines of metrics", look)


def alarm_of(system: System, name: str) -> str:
    """The name of one of the stack's alarms: what goes in front of every name is in front of the state machine's."""
    machine = system.state_machine.split(":")[-1]
    return f"{machine.removesuffix('file-copy-workflow')}{ALARM_NAMES_BEGIN_WITH}{name}"


def test_a_file_that_was_copied_everywhere_is_measured_once(system: System) -> None:
    """The time since its upload and its copies are counted, once, for the execution that the upload has started."""
    key = system.key(f"{uuid.uuid4().hex}.zip")
    record = system.upload(key)
    [line] = wait_for_measured(system, key, 1)
    assert (line["CopiesMade"], line["CopiesFailed"]) == (len(system.destinations), 0)
    assert 0 < line["UploadToCompleted"] < 90
    assert line["executionArn"] == record["executionId"]


def test_failed_copies_are_counted_and_a_retry_counts_its_own(open_system: System) -> None:
    """A file that did not arrive everywhere has no time; its copies are counted as they were made."""
    key = open_system.key(f"{uuid.uuid4().hex}.zip")
    open_system.upload(key)
    wait_for_measured(open_system, key, 1)
    missing = open_system.bucket(f"missing-{uuid.uuid4().hex}")
    open_system.run(open_system.job(key, open_system.destinations[0], missing))

    line = wait_for_measured(open_system, key, 2)[1]
    assert (line["CopiesMade"], line["CopiesFailed"]) == (1, 1)
    assert "UploadToCompleted" not in line

    open_system.make_bucket(missing)
    open_system.run({**open_system.job(key, missing), "retry": True})
    line = wait_for_measured(open_system, key, 3)[2]
    assert (line["CopiesMade"], line["CopiesFailed"], "UploadToCompleted" in line) == (1, 0, False)


def test_an_alarm_reaches_the_operators(open_system: System) -> None:
    """An alarm that goes off is told on the operations topic, with what it means and what to type."""
    told = Inbox(open_system, open_system.outputs[outputs.OPERATIONS_TOPIC_ARN])
    cloudwatch = open_system.clients("cloudwatch")
    name, reason = alarm_of(open_system, "executions-failed"), f"A test, {uuid.uuid4().hex}"
    for state in ("ALARM", "OK"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"{reason} {state}")
        message = json.loads(told(f"{reason} {state}")["Message"])
        assert (message["AlarmName"], message["NewStateValue"]) == (name, state)
        assert "filecopy list --status FAILED" in message["AlarmDescription"]


def test_nobody_but_cloudwatch_tells_operators(enforced: System) -> None:
    """A user whom IAM allows to publish to every topic is refused by the operations topic."""
    everywhere = policies.policy(policies.allow(["sns:Publish"], ["*"]))
    publisher = enforced.clients_of(enforced.make_user(everywhere))
    with pytest.raises(ClientError, match="Authorization"):
        publisher("sns").publish(TopicArn=enforced.outputs[outputs.OPERATIONS_TOPIC_ARN], Message="x")
    other = enforced.sns.create_topic(Name=f"other-{uuid.uuid4().hex}")["TopicArn"]
    publisher("sns").publish(TopicArn=other, Message="x")


def test_everything_that_monitors_is_there(open_system: System) -> None:
    """The dashboard and every alarm are in the stack, and alarms tell the operations topic."""
    cloudwatch = open_system.clients("cloudwatch")
    name: str = open_system.outputs[outputs.DASHBOARD_NAME]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    watched = {(line[0], line[1]) for widget in body["widgets"] for line in widget["properties"]["metrics"]}
    found = cloudwatch.describe_alarms(AlarmNamePrefix=alarm_of(open_system, ""))["MetricAlarms"]
    assert len(found) == 28
    for alarm in found:
        assert alarm["AlarmActions"] == [open_system.outputs[outputs.OPERATIONS_TOPIC_ARN]]
        assert (alarm["Namespace"], alarm["MetricName"]) in watched
