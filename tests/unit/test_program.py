"""The whole program, as the local stack and as a stack on AWS."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import outputs
from components.settings import SettingsError
from components.tracking import TrackingTable
from filecopy.configuration import PROJECT_ROOT
from filecopy.provisioning import _CREATORS, COMPONENT_PREFIX

from .mocks import ACCOUNT, DEFAULTS, EMULATOR, REGION, Recording, arn, project

FUNCTIONS = {"replication-worker", "step-function-invoker", "build-worker", "regional-sync", "execution-watcher"}
BUCKETS = {"global-builds", "region-a-builds", "region-b-builds"}
NAMES = {
    "aws:s3/bucket:Bucket": BUCKETS,
    "aws:s3/bucketVersioning:BucketVersioning": BUCKETS,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": BUCKETS,
    "aws:s3/bucketNotification:BucketNotification": BUCKETS,
    "aws:dynamodb/table:Table": {"FileCopyTracking"},
    "aws:sns/topic:Topic": {"file-copy-failures"},
    "aws:sqs/queue:Queue": {
        "file-copy-uploads", "file-copy-uploads-dead-letters", "file-copy-arrivals", "file-copy-arrivals-dead-letters",
        "file-copy-endings", "file-copy-endings-dead-letters",
    },
    "aws:sfn/stateMachine:StateMachine": {"file-copy-workflow"},
    "aws:cloudwatch/eventRule:EventRule": {"file-copy-endings"},
    "aws:iam/role:Role": FUNCTIONS | {"file-copy-workflow"},
    "aws:iam/rolePolicy:RolePolicy": FUNCTIONS | {"file-copy-workflow"},
    "aws:cloudwatch/logGroup:LogGroup": FUNCTIONS,
    "aws:lambda/function:Function": FUNCTIONS,
    "aws:apigateway/restApi:RestApi": {"file-copy-api"},
}  # fmt: skip
"""Every physical name, by type; a log group's is behind /aws/lambda/."""

CHILDREN = {
    "BuildBuckets": {"Bucket", "BucketVersioning", "BucketPublicAccessBlock"},
    "TrackingTable": {"Table"},
    "FailureTopic": {"Topic", "TopicSubscription"},
    "BucketEventQueue": {"Queue", "QueuePolicy", "BucketNotification"},
    "ExecutionEventQueue": {"Queue", "QueuePolicy", "EventRule", "EventTarget"},
    "CopyWorkflow": {"Role", "RolePolicy", "StateMachine"},
    "HandlerFunction": {"Role", "RolePolicy", "LogGroup", "Function", "EventSourceMapping"},
    "RestApi": {"RestApi", "Resource", "Method", "Integration", "Permission", "Deployment", "Stage"},
}


def physical_names(recording: Recording) -> dict[str, set[str]]:
    found = defaultdict(set)
    for resource in recording.registered:
        for key in ("name", "bucket"):
            if key in resource.inputs:
                found[resource.type].add(resource.inputs[key].removeprefix("/aws/lambda/"))
    return dict(found)


def texts(value: Any) -> Iterator[str]:
    """Every text inside ``value``, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.items() for part in item for text in texts(part))
    elif isinstance(value, list):
        yield from (text for item in value for text in texts(item))


def test_the_stack_exports_what_outputs_names(whole_program: Recording) -> None:
    """Every output that the command line and the guide look up is there, and works where the stack is."""
    named = {value for name, value in vars(outputs).items() if name.isupper()}
    assert whole_program.outputs.keys() == named
    assert whole_program.outputs == {
        "step_function_arn": arn("states", "stateMachine:file-copy-workflow"),
        "api_gateway_url": f"{EMULATOR}/restapis/file-copy-api-id/live/_user_request_",
        "sns_topic_arn": arn("sns", "file-copy-failures"),
        "dynamodb_table_name": "FileCopyTracking",
        "source_bucket": "global-builds",
        "destination_buckets": ["region-a-builds", "region-b-builds"],
        "upload_queue_url": queue_url("file-copy-uploads"),
        "dead_letter_queue_urls": {
            "uploads": queue_url("file-copy-uploads-dead-letters"),
            "arrivals": queue_url("file-copy-arrivals-dead-letters"),
            "endings": queue_url("file-copy-endings-dead-letters"),
        },
        "lambda_functions": {name: arn("lambda", f"function:{name}") for name in FUNCTIONS},
    }


def queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def test_the_embedded_stack_makes_the_programs_types_and_no_others(whole_program: Recording) -> None:
    """Every type that the program uses can be made without the CLI, and no code is left for one that it does not."""
    used = {resource.type for resource in whole_program.registered if not resource.is_component}
    assert used == _CREATORS.keys()


def test_a_run_leaves_nothing_for_the_next_one() -> None:
    """A run after one that failed, or that exported other things, is as good as the first in its process."""

    def fail() -> None:
        pulumi.export("early", 1)
        TrackingTable("tracking", DEFAULTS)
        pulumi.export("never", pulumi.Output.from_input("x").apply(lambda _: 1 / 0))

    open_files = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ZeroDivisionError):
        Recording().run(program=fail)
    assert Recording().run(program=lambda: pulumi.export("late", 2)).outputs == {"late": 2}
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


@pytest.mark.parametrize("prefix", ["", "acme-"])
def test_the_prefix_is_in_front_of_every_physical_name(prefix: str) -> None:
    """Names are the guide's, each behind namePrefix: one name without it is taken in an account with two stacks."""
    recording = Recording().run(project(namePrefix=prefix))
    assert physical_names(recording) == {
        resource_type: {prefix + name for name in names} for resource_type, names in NAMES.items()
    }
    for group in recording.inputs("cloudwatch/logGroup:LogGroup").values():
        assert group["name"].startswith(f"/aws/lambda/{prefix}")


def test_an_existing_destination_is_used_by_its_own_name_and_left_alone() -> None:
    """A bucket that somebody else keeps gets no prefix and no configuration, but copies may be written to it."""
    recording = Recording().run(
        project(namePrefix="acme-", destinations='[{"bucket": "ours"}, {"bucket": "theirs", "existing": true}]')
    )
    assert "theirs" not in set().union(*physical_names(recording).values())
    assert not any("theirs" in resource.name for resource in recording.registered)
    assert recording.outputs["destination_buckets"] == ["acme-ours", "theirs"]
    assert "arn:aws:s3:::theirs/*" in recording.inputs("iam/rolePolicy:RolePolicy")["workflow"]["policy"]


def test_every_resource_is_its_components_child(whole_program: Recording) -> None:
    """Each resource hangs under the component that makes it: a moved one would be deleted and made again."""
    components = {resource.urn: resource for resource in whole_program.registered if resource.is_component}
    found = defaultdict(set)
    for resource in whole_program.registered:
        if resource.is_component:
            assert "pulumi:pulumi:Stack" in resource.parent
        else:
            component = components[resource.parent].type.removeprefix(COMPONENT_PREFIX)
            found[component].add(resource.type.split(":")[-1])
    assert found == CHILDREN


def test_logical_names_are_unique(whole_program: Recording) -> None:
    """No two resources of a type share a name, which mocks let pass and the engine refuses."""
    counts = Counter((resource.type, resource.name) for resource in whole_program.registered)
    assert [key for key, count in counts.items() if count > 1] == []


def test_no_output_was_turned_into_text(whole_program: Recording) -> None:
    """No f-string holds an Output, which would put Pulumi's warning into a policy where an ARN belongs."""
    given = [resource.inputs for resource in whole_program.registered]
    assert [text for text in texts([given, whole_program.outputs]) if "Calling __str__" in text] == []


def test_every_function_has_a_handler_that_gets_its_environment(whole_program: Recording) -> None:
    """Each function names a handler that is there, and is told exactly the variables that its module reads."""
    functions = whole_program.inputs("lambda/function:Function")
    assert functions.keys() == FUNCTIONS
    for function in functions.values():
        module_name, attribute = function["handler"].rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module_name), attribute))
        path = f"{module_name.replace('.', '/')}.py"
        assert path in function["code"].assets
        read = re.findall(r'os\.environ\["(\w+)"\]', (PROJECT_ROOT / path).read_text(encoding="utf-8"))
        assert function["environment"]["variables"].keys() == set(read)


def test_functions_are_told_what_they_work_with(whole_program: Recording) -> None:
    """The variables hold the stack's own names and ARNs: a function never reaches another stack's table or topic."""
    told = {
        name: inputs["environment"]["variables"]
        for name, inputs in whole_program.inputs("lambda/function:Function").items()
    }
    machine = arn("states", "stateMachine:file-copy-workflow")
    assert told == {
        "replication-worker": {
            "STATE_MACHINE_ARN": machine,
            "DESTINATION_BUCKETS": '["region-a-builds", "region-b-builds"]',
        },
        "step-function-invoker": {"STATE_MACHINE_ARN": machine},
        "build-worker": {"ARTIFACT_BASE_URL": "", "SOURCE_BUCKET": "global-builds"},
        "regional-sync": {
            "SOURCE_BUCKET": "global-builds",
            "TABLE_NAME": "FileCopyTracking",
            "TOPIC_ARN": arn("sns", "file-copy-failures"),
        },
        "execution-watcher": {
            "TABLE_NAME": "FileCopyTracking",
            "TOPIC_ARN": arn("sns", "file-copy-failures"),
            "LEASE_GRACE_SECONDS": "600",
        },
    }


def test_queues_feed_the_functions_that_handle_them(whole_program: Recording) -> None:
    """Uploads start executions and arrivals are checked, not the other way round."""
    mappings = whole_program.inputs("lambda/eventSourceMapping:EventSourceMapping")
    assert {name: mapping["eventSourceArn"] for name, mapping in mappings.items()} == {
        "replication-worker": arn("sqs", "file-copy-uploads"),
        "regional-sync": arn("sqs", "file-copy-arrivals"),
        "execution-watcher": arn("sqs", "file-copy-endings"),
    }
    notifications = whole_program.inputs("s3/bucketNotification:BucketNotification").values()
    assert {item["bucket"]: item["queues"][0]["queueArn"] for item in notifications} == {
        "global-builds": arn("sqs", "file-copy-uploads"),
        "region-a-builds": arn("sqs", "file-copy-arrivals"),
        "region-b-builds": arn("sqs", "file-copy-arrivals"),
    }


def test_a_queue_waits_six_times_its_functions_time_out(whole_program: Recording) -> None:
    """A message is not handed out again while it is worked on, whatever time-out a function is given."""
    timeouts = {name: inputs["timeout"] for name, inputs in whole_program.inputs("lambda/function:Function").items()}
    queues = whole_program.inputs("sqs/queue:Queue")
    assert queues["uploads"]["visibilityTimeoutSeconds"] >= 6 * timeouts["replication-worker"]
    assert queues["arrivals"]["visibilityTimeoutSeconds"] >= 6 * timeouts["regional-sync"]
    assert queues["endings"]["visibilityTimeoutSeconds"] >= 6 * timeouts["execution-watcher"]


def test_settings_reach_what_they_are_for() -> None:
    """Every setting has its effect on the resource that it is about: none is read and then forgotten."""
    recording = Recording().run(
        project(
            keyPrefix="releases/",
            keySuffix=".zip",
            notificationEmails='["ops@example.com"]',
            artifactBaseUrl="https://ci.example.com",
            maxConcurrency="7",
            logRetentionDays="90",
            forceDestroy="true",
        )
    )
    filters = {
        name: (item["queues"][0].get("filterPrefix"), item["queues"][0].get("filterSuffix"))
        for name, item in recording.inputs("s3/bucketNotification:BucketNotification").items()
    }
    assert filters == {
        "uploads-global-builds": ("releases/", ".zip"),
        "arrivals-region-a-builds": (None, None),
        "arrivals-region-b-builds": (None, None),
    }
    subscriptions = recording.inputs("sns/topicSubscription:TopicSubscription").values()
    assert [item["endpoint"] for item in subscriptions] == ["ops@example.com"]
    build_worker = recording.inputs("lambda/function:Function")["build-worker"]
    assert build_worker["environment"]["variables"]["ARTIFACT_BASE_URL"] == "https://ci.example.com"
    definition = json.loads(recording.inputs("sfn/stateMachine:StateMachine")["workflow"]["definition"])
    assert definition["States"]["CopyToMultipleBuckets"]["MaxConcurrency"] == 7
    groups = recording.inputs("cloudwatch/logGroup:LogGroup").values()
    assert {group["retentionInDays"] for group in groups} == {90}
    assert all(bucket["forceDestroy"] for bucket in recording.inputs("s3/bucket:Bucket").values())


@pytest.mark.parametrize(("length", "most"), [(3, 214), (20, 118), (63, 55)])
def test_as_many_destinations_are_taken_as_aws_has_room_for(length: int, most: int) -> None:
    """The longest list that is taken still fits into policies and environments, which AWS would refuse half-way."""

    def run(count: int) -> Recording:
        names = [f"{index:03}".rjust(length, "b") for index in range(count)]
        destinations = json.dumps([{"bucket": name, "existing": True} for name in names])
        return Recording().run(project(namePrefix="a" * 30, destinations=destinations))

    recording = run(most)
    for policy in recording.inputs("iam/rolePolicy:RolePolicy").values():
        # IAM quotas: 10,240 characters, white space not counted.
        assert len("".join(policy["policy"].split())) <= 10_240
    for function in recording.inputs("lambda/function:Function").values():
        # Lambda quotas: 4 KB of environment variables.
        assert sum(len(name) + len(value) for name, value in function["environment"]["variables"].items()) <= 4096
    with pytest.raises(SettingsError, match=f'destinations: "a list of {most + 1}" is not allowed'):
        run(most + 1)


def test_policies_grant_nothing_wholesale(whole_program: Recording) -> None:
    """No statement of any deployed policy has an action or a resource with a wildcard, but for a bucket's objects."""
    documents = [
        json.loads(resource.inputs[key])
        for resource in whole_program.registered
        for key in ("policy", "assumeRolePolicy")
        if key in resource.inputs
    ]
    assert len(documents) == len(NAMES["aws:iam/role:Role"]) * 2 + 3
    for statement in (statement for document in documents for statement in document["Statement"]):
        for action in as_list(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action)
        for resource in as_list(statement.get("Resource", [])):
            assert re.fullmatch(r"arn:aws:s3:::[a-z-]+/\*|arn:aws:(logs|states):[^*]+:\*|arn:aws:[^*]+", resource)


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
