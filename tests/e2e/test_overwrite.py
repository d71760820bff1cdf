"""A file that is uploaded again while its first upload is being copied."""

from __future__ import annotations

import json
from typing import Any

from components.workflow.definition import copy_workflow_definition

from .system import System


def machine_with_a_gate(system: System) -> str:
    """A state machine like the stack's, whose executions stand still before their first copy while their record has an
    attribute ``gateShut``."""
    definition = copy_workflow_definition(
        partition=system.state_machine.split(":")[1],
        table_name=system.table,
        topic_arn=system.topic,
        copy_worker_arn=system.functions["copy-worker"],
        max_concurrency=10,
    )
    states: dict[str, dict[str, Any]] = definition["States"]
    lease, start = states["AcquireLease"], states["LogWorkflowStart"]
    states["Gate"] = {
        "Type": "Task",
        "Resource": lease["Resource"],
        "Arguments": {
            "TableName": system.table,
            "Key": lease["Arguments"]["Key"],
            "UpdateExpression": "SET gatePassed = :yes",
            "ConditionExpression": "attribute_not_exists(gateShut)",
            "ExpressionAttributeValues": {":yes": {"BOOL": True}},
        },
        "Catch": [{"ErrorEquals": ["DynamoDB.ConditionalCheckFailedException"], "Next": "GateShut"}],
        "Next": start["Next"],
    }
    states["GateShut"] = {"Type": "Wait", "Seconds": 1, "Next": "Gate"}
    start["Next"] = "Gate"
    return system.make_state_machine("with-a-gate", definition)


def set_gate(system: System, key: str, update: str, **values: object) -> None:
    system.dynamodb.update_item(
        TableName=system.table,
        Key={"fileKey": {"S": key}, "sourceBucket": {"S": system.source}},
        UpdateExpression=update,
        **values,
    )


def sizes_in(system: System, bucket: str, key: str) -> list[int]:
    """Of every version of the file, the latest last."""
    versions = system.s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    return [version["Size"] for version in sorted(versions, key=lambda version: bool(version["IsLatest"]))]


def test_a_file_that_is_overwritten_while_it_is_copied(system: System) -> None:
    """The newest upload wins everywhere: copies of the older one that are under way are made first and whole, not mixed
    with the newer, and the record is the newer upload's."""
    key, machine = system.key("overwritten.zip"), machine_with_a_gate(system)
    first = system.upload(key, b"1")
    set_gate(system, key, "SET gateShut = :yes", ExpressionAttributeValues={":yes": {"BOOL": True}})
    older = system.start({**system.job(key), "sourceVersionId": first["sourceVersionId"]}, machine)
    system.wait_for("the older execution to be at its copies", lambda: "GateShut" in system.states(older) or None)

    system.put(key, b"22")
    version = system.s3.head_object(Bucket=system.source, Key=key)["VersionId"]

    def waiting() -> str | None:
        [*new] = set(system.executions_of(key)) - {first["executionId"]}
        return new[0] if new and "WaitForTurn" in system.states(new[0]) else None

    newer = system.wait_for("the newer execution to wait", waiting)
    set_gate(system, key, "REMOVE gateShut")
    for execution in (older, newer):
        ended = system.finish(execution)
        assert (ended["status"], json.loads(ended["output"])["successfulCopies"]) == ("SUCCEEDED", 2)

    record = system.finished_record(key)
    assert (record["status"], record["executionId"], record["sourceVersionId"]) == ("COMPLETED", newer, version)
    assert record["sourceSize"] == 2
    for bucket in system.destinations:
        assert system.get(bucket, key) == b"22"
        assert sizes_in(system, bucket, key) == [1, 1, 2]
    system.wait_for("the newer copies to be looked at", lambda: are_verified(system, key, 2) or None)


def are_verified(system: System, key: str, size: int) -> bool:
    arrivals = (system.record(key) or {})["arrivals"].values()
    return [(arrival["size"], arrival["verified"]) for arrival in arrivals] == [(size, True)] * len(system.destinations)
