"""A stack with destinations in another region: its resources there. All others are in the stack's own region."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components import policies
from components.names import in_region
from filecopy.embedded.configuration import PROJECT_ROOT

from .mocks import ACCOUNT, REGION, Recording, Registered, arn, project
from .test_buckets import BELONGINGS

FAR = "eu-west-1"
KEY = arn("kms", "key/0a1b")
FAR_KEY = arn("kms", "key/1b2c", FAR)
DESTINATIONS: list[dict[str, Any]] = [
    {"bucket": "near"},
    {"bucket": "far-1", "region": FAR, "kmsKeyArn": FAR_KEY},
    {"bucket": "theirs", "existing": True, "region": "ap-south-1"},
    {"bucket": "far-2", "region": FAR, "kmsKeyArn": FAR_KEY},
]
FAR_BUCKETS = {"acme-far-1", "acme-far-2"}
FAR_LABELS = {"far-1", "far-2"}
SUFFIX = f"-{FAR}"

# AWS documentation, "AWS Regions": no region has a longer name.
LONGEST_REGION = "ap-northeast-1"
# The longest namePrefix.
LONGEST_PREFIX = "a" * 30


def run(destinations: list[dict[str, Any]], **settings: str) -> Recording:
    emails = dict.fromkeys(("notificationEmails", "operationsEmails"), '["a@example.com"]')
    return Recording().run(project(destinations=json.dumps(destinations), **emails, **settings))


@pytest.fixture(scope="module")
def recording() -> Recording:
    """A stack with destinations in both regions, with keys."""
    return run(DESTINATIONS, namePrefix="acme-", kmsKeyArn=KEY)


@pytest.fixture(scope="module")
def local() -> Recording:
    """The same stack without destinations in the other region."""
    return run(DESTINATIONS[:1], namePrefix="acme-", kmsKeyArn=KEY)


def is_there(resource: Registered) -> bool:
    """True if the resource belongs to the other region, by its name alone."""
    return SUFFIX in resource.name or any(label in resource.name for label in FAR_LABELS)


def test_whatever_is_there_says_so(recording: Recording) -> None:
    """Each resource for the other region is created there, except roles, which have no region. No other resource is."""
    for resource in recording.registered:
        if not resource.is_component:
            is_global = resource.type.startswith("aws:iam/")
            expected = FAR if is_there(resource) and not is_global else None
            assert resource.inputs.get("region") == expected, (resource.type, resource.name)
    there = {resource.type.split(":")[-1] for resource in recording.registered if resource.inputs.get("region")}
    assert there == {
        "Bucket", *(belonging.split(":")[1] for belonging in BELONGINGS), "BucketNotification",
        "Queue", "QueuePolicy", "RedriveAllowPolicy", "LogGroup", "Function", "EventSourceMapping",
        "Topic", "TopicPolicy", "TopicSubscription", "MetricAlarm",
    }  # fmt: skip


def test_nothing_else_is_added(recording: Recording, local: Recording) -> None:
    """Another region with destinations of the stack has one queue, function and topic. An external destination has
    none."""
    added = {(found.type, found.name) for found in recording.registered} - {
        (found.type, found.name) for found in local.registered
    }
    assert {(found.type, found.name) for found in recording.registered if is_there(found)} == added
    counted = [name for kind, name in added if kind in ("aws:sqs/queue:Queue", "aws:lambda/function:Function")]
    assert sorted(counted) == ["arrivals-eu-west-1", "arrivals-eu-west-1-dead-letters", "regional-sync-eu-west-1"]


def test_physical_names_say_the_region(recording: Recording) -> None:
    """The names of the queue, function, role, log, topic and alarms there end with the region."""
    names = {
        found.inputs["name"].removesuffix("-dead-letters") for found in recording.registered
        if is_there(found) and "name" in found.inputs
    }  # fmt: skip
    assert names == {
        f"{name}{SUFFIX}" for name in (
            "acme-file-copy-arrivals", "acme-regional-sync", "/aws/lambda/acme-regional-sync",
            "acme-file-copy-operations", "acme-file-copy-dead-letters-arrivals",
            "acme-file-copy-errors-regional-sync", "acme-file-copy-arrivals-waiting",
        )
    }  # fmt: skip


def test_names_are_as_long_as_aws_allows() -> None:
    """With the longest prefix and the longest region, roles, functions and queues have names that AWS accepts."""
    there = run([{"bucket": "far", "region": LONGEST_REGION}], namePrefix=LONGEST_PREFIX)
    # IAM and Lambda quotas: 64 characters; SQS: 80; SNS and CloudWatch: 256 and 255.
    for resource_type, longest in (
        ("iam/role:Role", 64), ("lambda/function:Function", 64), ("sqs/queue:Queue", 80),
        ("sns/topic:Topic", 256), ("cloudwatch/metricAlarm:MetricAlarm", 255),
    ):  # fmt: skip
        names = [inputs["name"] for inputs in there.inputs(resource_type).values()]
        assert any(name.removesuffix("-dead-letters").endswith(LONGEST_REGION) for name in names)
        assert max(map(len, names)) <= longest, resource_type


def test_arrivals_are_checked_where_they_arrive(recording: Recording) -> None:
    """S3 notifies a queue in the bucket's region. A function there reads it, and writes to the stack's own table."""
    notifications = recording.inputs("s3/bucketNotification:BucketNotification").values()
    queue = arn("sqs", f"acme-file-copy-arrivals{SUFFIX}", FAR)
    assert {item["bucket"]: item["queues"][0]["queueArn"] for item in notifications} == {
        "acme-global-builds": arn("sqs", "acme-file-copy-uploads"),
        "acme-near": arn("sqs", "acme-file-copy-arrivals"),
        **dict.fromkeys(FAR_BUCKETS, queue),
    }
    mapping = recording.inputs("lambda/eventSourceMapping:EventSourceMapping")[f"regional-sync{SUFFIX}"]
    assert mapping["eventSourceArn"] == queue
    assert mapping["functionName"] == arn("lambda", f"function:acme-regional-sync{SUFFIX}", FAR)
    functions = recording.inputs("lambda/function:Function")
    here, there = functions["regional-sync"], functions[f"regional-sync{SUFFIX}"]
    for same in ("handler", "environment", "timeout", "memorySize", "runtime", "tracingConfig"):
        assert there[same] == here[same]
    assert there["environment"]["variables"]["TOPIC_ARN"] == arn("sns", "acme-file-copy-failures")
    accepted = json.loads(recording.inputs("sqs/queuePolicy:QueuePolicy")[f"arrivals{SUFFIX}-policy"]["policy"])
    assert accepted == policies.queue_accepts_bucket_events(
        queue, ["arn:aws:s3:::acme-far-1", "arn:aws:s3:::acme-far-2"], requires_tls=True
    )


def test_a_role_reads_the_buckets_of_its_region_alone(recording: Recording) -> None:
    """Each regional-sync may read only the source and its own region's destinations, with the keys of both."""
    found = recording.inputs("iam/rolePolicy:RolePolicy")
    source, table = "arn:aws:s3:::acme-global-builds", arn("dynamodb", "table/acme-FileCopyTracking")
    for region, buckets, keys in ((None, ["near"], [KEY]), (FAR, ["far-1", "far-2"], [KEY, FAR_KEY])):
        name = in_region("regional-sync", region)
        statements = policies.verify_arrivals(
            source,
            [f"arn:aws:s3:::acme-{bucket}" for bucket in buckets],
            table,
            arn("sns", "acme-file-copy-failures"),
            "*",
            keys,
        )
        place = region or REGION
        assert found[name]["role"] == f"acme-{name}"
        assert json.loads(found[name]["policy"]) == policies.handler_function(
            statements,
            arn("logs", f"log-group:/aws/lambda/acme-{name}", place),
            arn("sqs", in_region("acme-file-copy-arrivals", region), place),
        )


def test_its_role_tells_of_failures(recording: Recording) -> None:
    """The failure topic, in the stack's own region, accepts notifications of the functions in other regions."""
    policy = json.loads(recording.inputs("sns/topicPolicy:TopicPolicy")["failures"]["policy"])
    let_in = policy["Statement"][0]["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
    assert f"arn:aws:iam::{ACCOUNT}:role/acme-regional-sync{SUFFIX}" in let_in


def test_outputs_say_what_is_where(recording: Recording) -> None:
    """The outputs have each destination's region, and the queue and the function of the other region by name."""
    found = recording.outputs
    assert found["destination_regions"] == {
        "acme-near": REGION, "acme-far-1": FAR, "theirs": "ap-south-1", "acme-far-2": FAR,
    }  # fmt: skip
    urls = found["dead_letter_queue_urls"]
    assert [*urls] == ["uploads", "arrivals", f"arrivals{SUFFIX}", "endings", "notifications"]
    assert urls[f"arrivals{SUFFIX}"].startswith(f"https://sqs.{FAR}.amazonaws.com/")
    there = arn("lambda", f"function:acme-regional-sync{SUFFIX}", FAR)
    assert found["lambda_functions"][f"regional-sync{SUFFIX}"] == there


# --- Monitoring -------------------------------------------------------------------------------------------------


def test_alarms_tell_a_topic_of_their_own_region(recording: Recording) -> None:
    """Alarms watch metrics of their own region, and notify a topic there. Operators are subscribed to it, too."""
    for name, alarm in recording.inputs("cloudwatch/metricAlarm:MetricAlarm").items():
        region = FAR if SUFFIX in name else None
        topic = arn("sns", in_region("acme-file-copy-operations", region), region or REGION)
        assert (alarm.get("region"), alarm["alarmActions"], alarm["okActions"]) == (region, [topic], [topic])
    topic = arn("sns", f"acme-file-copy-operations{SUFFIX}", FAR)
    subscribed = [
        item for item in recording.inputs("sns/topicSubscription:TopicSubscription").values() if item["topic"] == topic
    ]
    assert [(item["region"], item["protocol"], item["endpoint"]) for item in subscribed] == [
        (FAR, "email", "a@example.com")
    ]
    policy = recording.inputs("sns/topicPolicy:TopicPolicy")[f"monitoring{SUFFIX}"]["policy"]
    assert json.loads(policy) == policies.topic_accepts_alarms(topic, "acme-file-copy-*", requires_tls=True)


def test_alarms_there_say_what_to_type_there(recording: Recording) -> None:
    """The commands in an alarm name the other region, and its runbook entry is that of the alarm's kind."""
    alarms = recording.inputs("cloudwatch/metricAlarm:MetricAlarm")
    runbook = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    described = {name: alarm["alarmDescription"] for name, alarm in alarms.items() if SUFFIX in name}
    assert len(described) == 3
    for name, description in described.items():
        assert re.search(rf"^First: aws .* --region {FAR}$", description, re.MULTILINE)
        entry = name.removesuffix(SUFFIX)
        assert description.endswith(f"More: docs/operations.md#{entry}")
        assert f"### {entry}\n" in runbook
    letters = described[f"file-copy-dead-letters-arrivals{SUFFIX}"]
    assert f"First: aws logs tail /aws/lambda/acme-regional-sync{SUFFIX} --since 1h --region {FAR}\n" in letters
    assert f"After fixing the cause: filecopy replay arrivals{SUFFIX}\n" in letters


def test_the_dashboard_shows_what_is_there(recording: Recording, local: Recording) -> None:
    """The other region's queue and function have separate lines in the graphs. There is no further graph."""
    body, without = (
        json.loads(found.inputs("cloudwatch/dashboard:Dashboard")["monitoring"]["dashboardBody"])["widgets"]
        for found in (recording, local)
    )
    assert [widget["properties"]["title"] for widget in body] == [widget["properties"]["title"] for widget in without]
    lines = [line for widget in body for line in widget["properties"]["metrics"] if line[-1].get("region")]
    there = f"acme-regional-sync{SUFFIX}"
    assert [(line[1], line[3], line[-1]["label"]) for line in lines] == [
        *(
            (metric, f"acme-file-copy-arrivals{SUFFIX}{queue}", f"arrivals{SUFFIX}")
            for metric, queue in (
                ("ApproximateNumberOfMessagesVisible", ""),
                ("ApproximateAgeOfOldestMessage", ""),
                ("ApproximateNumberOfMessagesVisible", "-dead-letters"),
            )
        ),
        *((metric, there, f"regional-sync{SUFFIX}") for metric in ("Errors", "Throttles", "Duration")),
    ]
    assert {line[-1]["region"] for line in lines} == {FAR}
