"""Bursts, kills and pauses: every upload's newest version arrives, and its record says so."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filecopy.embedded import stack
from tests.e2e.system import System


def emulator_pid(system: System) -> int:
    state = json.loads((stack.folder_of(system.stack.port) / "state.json").read_text())
    return int(state["pid"])


def workers_of(system: System, function: str) -> list[int]:
    """The processes that run ``function`` in the emulator."""
    group = emulator_pid(system)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if function.encode() in (process / "cmdline").read_bytes() and os.getpgid(int(process.name)) == group:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def assert_all_newest(system: System, expected: dict[str, bytes]) -> None:
    for key, content in expected.items():

        def newest(key: str = key) -> bool | None:
            record = system.record(key)
            if record is None or record.get("status") != "COMPLETED":
                return None
            version = system.s3.head_object(Bucket=system.source, Key=key)["VersionId"]
            return True if record["sourceVersionId"] == version else None

        system.wait_for(f"{key}'s newest version to be completed", newest)
        assert [system.get(bucket, key) for bucket in system.destinations] == [content] * len(system.destinations)
    for url in system.outputs["dead_letter_queue_urls"].values():
        attributes = system.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "0"


def test_thousand_files_some_twice_some_overwritten(system: System) -> None:
    """As fast as one client can: 1,000 files, every tenth twice with the same bytes, every seventh overwritten."""
    expected: dict[str, bytes] = {}

    def upload(number: int) -> None:
        key = f"thousand/{number}.zip"
        system.put(key, b"first")
        expected[key] = b"first"
        if number % 10 == 0:
            system.put(key, b"first")
        if number % 7 == 0:
            system.put(key, b"second")
            expected[key] = b"second"

    with ThreadPoolExecutor(10) as pool:
        for _ in pool.map(upload, range(1000)):
            pass
    assert_all_newest(system, expected)


def test_consumer_killed_half_way(system: System) -> None:
    """A function that dies with messages in hand loses none: they come back to the queue."""
    uploads = system.outputs["upload_queue_url"]
    system.sqs.set_queue_attributes(QueueUrl=uploads, Attributes={"VisibilityTimeout": "3"})
    system.upload("warm-up.zip")
    expected = {f"killed/{number}.zip": b"killed" for number in range(60)}
    killed = 0
    for number, (key, content) in enumerate(expected.items()):
        system.put(key, content)
        if number % 20 == 10:
            for pid in workers_of(system, "replication-worker"):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    assert killed > 0
    assert_all_newest(system, expected)


def test_everything_paused_for_a_while(system: System) -> None:
    """Storage, queues and the workflow engine stand still for two seconds in the middle of a burst, and go on."""
    group = emulator_pid(system)
    expected = {f"paused/{number}.zip": b"paused" for number in range(60)}
    resume = threading.Timer(2, lambda: os.killpg(group, signal.SIGCONT))
    for number, (key, content) in enumerate(expected.items()):
        system.put(key, content)
        if number == 30:
            os.killpg(group, signal.SIGSTOP)
            resume.start()
    resume.join()
    assert_all_newest(system, expected)


def test_workflow_engine_that_takes_nothing_for_a_while(system: System) -> None:
    """While no execution can be started, uploads wait in the queue; afterwards all of them are copied."""
    uploads = system.outputs["upload_queue_url"]
    system.sqs.set_queue_attributes(QueueUrl=uploads, Attributes={"VisibilityTimeout": "3"})
    configuration = system.lambda_.get_function_configuration(FunctionName="replication-worker")["Environment"]
    gone = {**configuration["Variables"], "STATE_MACHINE_ARN": f"{system.state_machine}-gone"}
    system.lambda_.update_function_configuration(FunctionName="replication-worker", Environment={"Variables": gone})
    expected = {f"refused/{number}.zip": b"refused" for number in range(20)}
    for key, content in expected.items():
        system.put(key, content)

    def refused() -> bool | None:
        attributes = system.sqs.get_queue_attributes(
            QueueUrl=uploads, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessagesNotVisible"]) > 0 or None

    system.wait_for("messages to have been tried", refused)
    system.lambda_.update_function_configuration(FunctionName="replication-worker", Environment=configuration)
    assert_all_newest(system, expected)


def test_three_hundred_destinations(system: System) -> None:
    """300 destinations in one execution stay inside the limits of its history, its payloads and its record."""
    buckets = [f"region-{number:03}-builds" for number in range(300)]
    for bucket in buckets:
        system.s3.create_bucket(Bucket=bucket)
    system.upload("many.zip", b"many")
    ended = system.run(system.job("many.zip", *buckets))
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended["output"])["successfulCopies"] == 300
    assert all(system.get(bucket, "many.zip") == b"many" for bucket in buckets)
    item = system.dynamodb.get_item(
        TableName=system.table, Key={"fileKey": {"S": "many.zip"}, "sourceBucket": {"S": system.source}}
    )["Item"]
    assert len(item["copyResults"]["L"]) == 300
    assert len(json.dumps(item)) < 400_000
    pages = system.stepfunctions.get_paginator("get_execution_history").paginate(executionArn=ended["executionArn"])
    events = [event for page in pages for event in page["events"]]
    assert len(events) < 25_000
    assert max(len(json.dumps(event, default=str)) for event in events) < 256 * 1024


def test_writes_of_a_state_machine_and_of_functions_lose_nothing(system: System) -> None:
    """The emulator writes an item as AWS does, in one step, whether a state asks for it or a function."""
    key = {"fileKey": {"S": "written.zip"}, "sourceBucket": {"S": system.source}}
    # The larger the item, the longer a write takes, and the likelier two meet.
    padding = {f"padding{number}": {"S": "x" * 20_000} for number in range(10)}
    system.dynamodb.put_item(TableName=system.table, Item={**key, **padding})
    write = {
        "Type": "Task",
        "Resource": "arn:aws:states:::dynamodb:updateItem",
        "Arguments": {
            "TableName": system.table,
            "Key": key,
            "UpdateExpression": "SET #name = :value",
            "ExpressionAttributeNames": {"#name": "{% $states.input %}"},
            "ExpressionAttributeValues": {":value": {"BOOL": True}},
        },
        "End": True,
    }
    machine = system.stepfunctions.create_state_machine(
        name="writer",
        roleArn=system.outputs["step_function_role_arn"],
        definition=json.dumps({"QueryLanguage": "JSONata", "StartAt": "Write", "States": {"Write": write}}),
    )["stateMachineArn"]

    def write_as_a_function_does() -> None:
        for number in range(100):
            system.dynamodb.update_item(
                TableName=system.table,
                Key=key,
                UpdateExpression=f"SET byFunction{number} = :value",
                ExpressionAttributeValues={":value": {"BOOL": True}},
            )

    with ThreadPoolExecutor(1) as functions:
        written = functions.submit(write_as_a_function_does)
        executions = [system.start(f"byState{number}", machine) for number in range(100)]
        written.result()
    for execution in executions:
        system.finish(execution)
    item = system.dynamodb.get_item(TableName=system.table, Key=key, ConsistentRead=True)["Item"]
    assert sum(name.startswith("by") for name in item) == 200
