"""Single components: their resources, the links between these, and their order. Buckets and the API have separate
files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components import policies
from components.buckets import BucketRef, BuildBuckets
from components.digests import NotificationQueue
from components.endings import ExecutionEventQueue
from components.failures import FailureTopic
from components.handler_function import HandlerFunction, package
from components.queues import BucketEventQueue, EventQueue
from components.settings import Destination, Settings
from components.tracking import TrackingTable
from components.workflow.component import CopyWorkflow
from components.workflow.copy_worker import create_copy_worker
from components.workflow.limits import COPY_WORKER_TASK_TIMEOUT

from .mocks import ACCOUNT, DEFAULTS, EMULATOR, REGION, arn, record

STATEMENT = policies.allow(["sns:Publish"], ["arn:aws:sns:::some-topic"])
LOG_GROUP = arn("logs", "log-group:/aws/lambda/regional-sync")
KEY = arn("kms", "key/0a1b")

TLS = [(None, True), (EMULATOR, False), ("https://localhost.localstack.cloud", True)]
"""The endpoint of a stack, and whether the stack requires TLS there."""


def refer(*names: str) -> list[BucketRef]:
    return [
        BucketRef(
            label=name,
            former_label=name,
            name=pulumi.Output.from_input(name),
            arn=pulumi.Output.from_input(f"arn:aws:s3:::{name}"),
        )
        for name in names
    ]


# --- Table and topic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force_destroy", [False, True])
def test_the_table_has_the_guides_key_and_is_not_lost(force_destroy: bool) -> None:
    """The keys of a record are file key and source bucket, as in the user's guide.

    An index has the records of a status by start time. Items with the attribute ``expiresAt`` expire. The table is
    encrypted and has point-in-time recovery. It is protected, by Pulumi and by DynamoDB, except with ``forceDestroy``.
    """

    def program() -> None:
        pulumi.export("region", TrackingTable("tracking", replace(DEFAULTS, force_destroy=force_destroy)).region)

    recording = record(program)
    [table] = recording.of("dynamodb/table:Table").values()
    assert table.name == "tracking"
    assert table.inputs == {
        "name": "FileCopyTracking",
        "billingMode": "PAY_PER_REQUEST",
        "hashKey": "fileKey",
        "rangeKey": "sourceBucket",
        "attributes": [
            {"name": name, "type": "S"} for name in ("fileKey", "sourceBucket", "status", "startTime")
        ],
        "globalSecondaryIndexes": [
            {
                "name": "status-startTime",
                "keySchemas": [
                    {"attributeName": "status", "keyType": "HASH"},
                    {"attributeName": "startTime", "keyType": "RANGE"},
                ],
                "projectionType": "INCLUDE",
                "nonKeyAttributes": [
                    "completedAt", "executionId", "failedBuckets", "failedCopies", "successfulCopies", "totalBuckets",
                ],
            }
        ],
        "serverSideEncryption": {"enabled": True},
        "pointInTimeRecovery": {"enabled": True},
        "ttl": {"enabled": True, "attributeName": "expiresAt"},
        "deletionProtectionEnabled": not force_destroy,
    }  # fmt: skip
    assert table.protect is not force_destroy
    assert {found.protect for found in recording.registered} == {not force_destroy}
    assert recording.outputs == {"region": REGION}


@pytest.mark.parametrize("addresses", [(), ("a@example.com",), ("a@example.com", "b@example.com")])
def test_every_address_is_subscribed(addresses: tuple[str, ...]) -> None:
    """Each address is subscribed to the topic. A topic without addresses is encrypted, too."""
    recording = record(lambda: FailureTopic("digests", DEFAULTS, emails=addresses))
    assert recording.inputs("sns/topic:Topic") == {
        "digests": {"name": "file-copy-digests", "kmsMasterKeyId": "alias/aws/sns"}
    }
    topic = arn("sns", "file-copy-digests")
    assert recording.inputs("sns/topicSubscription:TopicSubscription") == {
        f"digests-{address}": {"topic": topic, "protocol": "email", "endpoint": address} for address in addresses
    }


@pytest.mark.parametrize(("endpoint", "requires_tls"), TLS)
def test_the_topic_accepts_only_who_it_is_told(endpoint: str | None, requires_tls: bool) -> None:
    """The topic's policy names the roles that may publish, also roles that do not exist yet."""
    roles = [f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("a", "b")]

    def program() -> None:
        topic = FailureTopic("failures", replace(DEFAULTS, emulator_endpoint=endpoint))
        topic.accept_only([pulumi.Output.from_input(roles[0]), roles[1]])

    topic = arn("sns", "file-copy-failures")
    [policy] = record(program).inputs("sns/topicPolicy:TopicPolicy").values()
    assert policy["arn"] == topic
    assert json.loads(policy["policy"]) == policies.topic_accepts_only(topic, roles, requires_tls)


# --- Queues -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function_timeout", [30, 60])
def test_a_queue_hands_out_messages_in_peace_and_gives_up_on_them_in_the_end(function_timeout: int) -> None:
    """A message is processed once at a time. After five failures it moves to the dead letters, which are kept
    longest."""

    def program() -> None:
        queue = BucketEventQueue("uploads", DEFAULTS, buckets=refer("a"), function_timeout=function_timeout)
        for name, value in {"url": queue.url, "arn": queue.arn, "dead_letter_url": queue.dead_letter_url}.items():
            pulumi.export(name, value)

    recording = record(program)
    made = recording.inputs("sqs/queue:Queue")
    queue, dead_letters = made["uploads"], made["uploads-dead-letters"]
    assert queue["visibilityTimeoutSeconds"] == 6 * function_timeout
    assert json.loads(queue["redrivePolicy"]) == {
        "deadLetterTargetArn": arn("sqs", "file-copy-uploads-dead-letters"),
        "maxReceiveCount": 5,
    }
    assert dead_letters["messageRetentionSeconds"] == 14 * 86_400 > queue["messageRetentionSeconds"]
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/file-copy-uploads"
    assert recording.outputs == {
        "url": url,
        "arn": arn("sqs", "file-copy-uploads"),
        "dead_letter_url": f"{url}-dead-letters",
    }


def bucket_queue(settings: Settings = DEFAULTS, *names: str) -> EventQueue:
    return BucketEventQueue("uploads", settings, buckets=refer(*names or ("a", "b")), function_timeout=30)


def rule_queue(settings: Settings = DEFAULTS) -> EventQueue:
    machine = pulumi.Output.from_input(arn("states", "stateMachine:machine"))
    return ExecutionEventQueue("endings", settings, state_machine_arn=machine, function_timeout=30)


def topic_queue(settings: Settings = DEFAULTS) -> EventQueue:
    return NotificationQueue("notifications", settings, topic_arn=pulumi.Output.from_input(arn("sns", "topic")))


@pytest.mark.parametrize(
    ("make", "name"), [(bucket_queue, "uploads"), (rule_queue, "endings"), (topic_queue, "notifications")]
)
def test_queues_are_encrypted_and_dead_letters_come_from_their_own_queue(make: Any, name: str) -> None:
    """Messages are encrypted. Only this queue can move messages to its dead-letter queue."""
    recording = record(make)
    queues = recording.inputs("sqs/queue:Queue")
    assert queues.keys() == {name, f"{name}-dead-letters"}
    assert [queue["sqsManagedSseEnabled"] for queue in queues.values()] == [True, True]
    [allowed] = recording.inputs("sqs/redriveAllowPolicy:RedriveAllowPolicy").values()
    assert allowed["queueUrl"].endswith(f"/file-copy-{name}-dead-letters")
    assert json.loads(allowed["redriveAllowPolicy"]) == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [arn("sqs", f"file-copy-{name}")],
    }


@pytest.mark.parametrize("make", [bucket_queue, rule_queue, topic_queue])
def test_what_belongs_to_a_queue_goes_with_it(make: Any) -> None:
    """ "pulumi destroy" deletes only the queue. On some engines, deleting its redrive allow policy never ends, and on
    every engine, deleting a policy takes time."""
    recording = record(make)
    queues = {queue.inputs["name"]: queue.urn for queue in recording.of("sqs/queue:Queue").values()}
    belongings = [
        *recording.of("sqs/queuePolicy:QueuePolicy").values(),
        *recording.of("sqs/redriveAllowPolicy:RedriveAllowPolicy").values(),
    ]
    assert len(belongings) == 3
    for found in belongings:
        assert found.deleted_with == queues[found.inputs["queueUrl"].rsplit("/", 1)[1]]


@pytest.mark.parametrize(("endpoint", "requires_tls"), TLS)
@pytest.mark.parametrize(
    ("make", "name", "build"),
    [
        (
            bucket_queue,
            "uploads",
            lambda queue, tls: policies.queue_accepts_bucket_events(queue, ["arn:aws:s3:::a", "arn:aws:s3:::b"], tls),
        ),
        (
            topic_queue,
            "notifications",
            lambda queue, tls: policies.queue_accepts(queue, "sns.amazonaws.com", arn("sns", "topic"), tls),
        ),
        (
            rule_queue,
            "endings",
            lambda queue, tls: policies.queue_accepts(
                queue, "events.amazonaws.com", arn("events", "rule/file-copy-endings"), tls
            ),
        ),
    ],
)
def test_a_queue_accepts_its_own_senders_only(
    make: Any, name: str, build: Any, endpoint: str | None, requires_tls: bool
) -> None:
    """A queue's policy names its buckets and this account, its topic, or its rule, which also sends what it cannot
    deliver to the dead-letter queue. All queues require TLS."""
    recording = record(lambda: make(replace(DEFAULTS, emulator_endpoint=endpoint)))
    found = {
        inputs["queueUrl"].rsplit("/", 1)[1]: json.loads(inputs["policy"])
        for inputs in recording.inputs("sqs/queuePolicy:QueuePolicy").values()
    }
    dead_letters = f"file-copy-{name}-dead-letters"
    expected = {f"file-copy-{name}": build(arn("sqs", f"file-copy-{name}"), requires_tls)}
    if make is rule_queue:
        expected[dead_letters] = build(arn("sqs", dead_letters), requires_tls)
    elif requires_tls:
        expected[dead_letters] = policies.queue_refuses_plain_http(arn("sqs", dead_letters))
    assert found == expected


@pytest.mark.parametrize(
    ("key_filter", "expected"),
    [
        ({}, {}),
        ({"key_prefix": "in/"}, {"filterPrefix": "in/"}),
        ({"key_prefix": "in/", "key_suffix": ".zip"}, {"filterPrefix": "in/", "filterSuffix": ".zip"}),
    ],
)
def test_a_bucket_is_told_after_the_queue_is_ready_for_it(key_filter: dict[str, Any], expected: dict[str, str]) -> None:
    """A notification is created after the policy that S3 checks. It has the key filter of the settings."""
    recording = record(
        lambda: BucketEventQueue("uploads", DEFAULTS, buckets=refer("a", "b"), function_timeout=30, **key_filter)
    )
    notifications = recording.of("s3/bucketNotification:BucketNotification")
    assert notifications.keys() == {"uploads-a", "uploads-b"}
    policy = recording.of("sqs/queuePolicy:QueuePolicy")["uploads-policy"]
    for bucket in ("a", "b"):
        notification = notifications[f"uploads-{bucket}"]
        assert policy.urn in notification.dependencies
        assert recording.registered.index(policy) < recording.registered.index(notification)
        assert notification.inputs == {
            "bucket": bucket,
            "queues": [
                {"queueArn": arn("sqs", "file-copy-uploads"), "events": ["s3:ObjectCreated:*"], **expected},
            ],
        }


def test_a_queue_of_no_buckets_lets_nobody_in() -> None:
    """If every destination is external, there is no policy with an empty list: SQS refuses it."""
    recording = record(lambda: BucketEventQueue("arrivals", DEFAULTS, buckets=[], function_timeout=30))
    assert recording.inputs("s3/bucketNotification:BucketNotification") == {}
    for inputs in recording.inputs("sqs/queuePolicy:QueuePolicy").values():
        assert {statement["Effect"] for statement in json.loads(inputs["policy"])["Statement"]} == {"Deny"}


# --- Functions --------------------------------------------------------------------------------------------------


def function(name: str = "regional-sync", settings: Settings = DEFAULTS, **arguments: Any) -> HandlerFunction:
    return HandlerFunction(name, settings, statements=[STATEMENT], environment={"A": "b"}, timeout=60, **arguments)


def test_a_function_runs_its_own_module_with_its_own_role() -> None:
    """A function has its module of handlers/, its own permissions, and a log with a retention."""
    recording = record(lambda: function(settings=replace(DEFAULTS, log_retention_days=90)))
    [made] = recording.of("lambda/function:Function").values()
    code = made.inputs.pop("code")
    assert code.assets.keys() == package("regional-sync").assets.keys()
    assert made.inputs == {
        "name": "regional-sync",
        "runtime": "python3.13",
        "handler": "handlers.regional_sync.handler",
        "role": f"arn:aws:iam::{ACCOUNT}:role/regional-sync",
        "timeout": 60,
        "memorySize": 256,
        "environment": {"variables": {"A": "b"}},
        "tracingConfig": {"mode": "Active"},
    }
    assert recording.inputs("cloudwatch/logGroup:LogGroup") == {
        "regional-sync": {"name": "/aws/lambda/regional-sync", "retentionInDays": 90}
    }
    [role] = recording.inputs("iam/role:Role").values()
    assert json.loads(role["assumeRolePolicy"]) == policies.trust("lambda.amazonaws.com")
    [policy] = recording.inputs("iam/rolePolicy:RolePolicy").values()
    assert policy["role"] == "regional-sync"
    assert json.loads(policy["policy"]) == policies.handler_function([STATEMENT], LOG_GROUP, None)


def test_a_function_is_made_after_its_permissions_and_its_log_group() -> None:
    """The log group exists before the first run. Otherwise Lambda would create one without a retention."""
    recording = record(function)
    [made] = recording.of("lambda/function:Function").values()
    [policy] = recording.of("iam/rolePolicy:RolePolicy").values()
    [group] = recording.of("cloudwatch/logGroup:LogGroup").values()
    assert {policy.urn, group.urn} <= made.dependencies


@pytest.mark.parametrize(("concurrency", "scaling"), [(None, {}), (5, {"scalingConfig": {"maximumConcurrency": 5}})])
def test_a_queue_feeds_a_function_message_by_message(concurrency: int | None, scaling: dict[str, Any]) -> None:
    """One bad message of a batch does not fail the others. The function may read its own queue and no other."""

    def program() -> None:
        queue = BucketEventQueue("arrivals", DEFAULTS, buckets=refer("a"), function_timeout=60)
        function(queue=queue, queue_concurrency=concurrency)

    recording = record(program)
    queue_arn = arn("sqs", "file-copy-arrivals")
    assert recording.inputs("lambda/eventSourceMapping:EventSourceMapping") == {
        "regional-sync": {
            "eventSourceArn": queue_arn,
            "functionName": arn("lambda", "function:regional-sync"),
            "batchSize": 10,
            "functionResponseTypes": ["ReportBatchItemFailures"],
            **scaling,
        }
    }
    [policy] = recording.inputs("iam/rolePolicy:RolePolicy").values()
    assert json.loads(policy["policy"]) == policies.handler_function([STATEMENT], LOG_GROUP, queue_arn)


# --- State machine ----------------------------------------------------------------------------------------------


def test_the_state_machine_works_with_its_own_table_and_topic() -> None:
    """The definition names this stack's table and topic, and the role may do what the states do.

    The log has the states, without their data, and a retention. Executions are traced.
    """
    settings = replace(
        DEFAULTS,
        name_prefix="acme-",
        destinations=(*DEFAULTS.destinations, Destination(bucket="theirs", existing=True)),
        max_concurrency=7,
        key_prefix="in/",
        key_suffix=".zip",
        kms_key_arn=KEY,
    )

    def program() -> None:
        buckets, tracking = BuildBuckets("builds", settings), TrackingTable("tracking", settings)
        workflow = CopyWorkflow(
            "workflow",
            settings,
            buckets=buckets,
            tracking=tracking,
            failures=FailureTopic("failures", settings),
            copy_worker=create_copy_worker(settings, buckets, tracking),
        )
        pulumi.export("arn", workflow.arn)

    recording = record(program)
    [machine] = recording.of("sfn/stateMachine:StateMachine").values()
    states = json.loads(machine.inputs.pop("definition"))["States"]
    assert states["LogWorkflowStart"]["Arguments"]["TableName"] == "acme-FileCopyTracking"
    assert states["UpdateDynamoDBFinal"]["Arguments"]["TableName"] == "acme-FileCopyTracking"
    notification = states["SendFailureNotification"]["Arguments"]
    assert notification["TopicArn"] == arn("sns", "acme-file-copy-failures")
    assert "--table-name acme-FileCopyTracking " in notification["Message"]
    assert states["CopyToMultipleBuckets"]["MaxConcurrency"] == 7
    assert machine.inputs == {
        "name": "acme-file-copy-workflow",
        "type": "STANDARD",
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/acme-file-copy-workflow",
        "loggingConfiguration": {
            "level": "ALL",
            "includeExecutionData": False,
            "logDestination": f"{arn('logs', 'log-group:/aws/vendedlogs/states/acme-file-copy-workflow')}:*",
        },
        "publish": True,
        "tracingConfiguration": {"enabled": True},
    }
    # A destruction waits until the longest Task of an execution has ended.
    assert int(machine.delete_timeout.removesuffix("s")) > COPY_WORKER_TASK_TIMEOUT
    group = recording.inputs("cloudwatch/logGroup:LogGroup")["workflow"]
    assert group == {"name": "/aws/vendedlogs/states/acme-file-copy-workflow", "retentionInDays": 30}
    assert recording.outputs == {"arn": arn("states", "stateMachine:acme-file-copy-workflow")}

    role = recording.inputs("iam/role:Role")["workflow"]
    table = arn("dynamodb", "table/acme-FileCopyTracking")
    assert json.loads(role["assumeRolePolicy"]) == policies.trust_state_machines(table)
    policy = recording.of("iam/rolePolicy:RolePolicy")["workflow"]
    assert policy.urn in machine.dependencies
    assert policy.inputs["role"] == "acme-file-copy-workflow"
    assert json.loads(policy.inputs["policy"]) == policies.copy_workflow(
        "arn:aws:s3:::global-builds",
        ["arn:aws:s3:::region-a-builds", "arn:aws:s3:::region-b-builds"],
        ["arn:aws:s3:::theirs"],
        table,
        arn("sns", "acme-file-copy-failures"),
        arn("lambda", "function:acme-copy-worker"),
        "in/*.zip",
        [KEY],
    )


def test_a_queue_of_no_buckets_is_reached_over_tls_alone() -> None:
    """If every destination is external, the arrivals queue still refuses plain HTTP."""
    recording = record(lambda: BucketEventQueue("arrivals", DEFAULTS, buckets=[], function_timeout=30))
    refusing = [
        inputs["queueUrl"].rsplit("/", 1)[1]
        for inputs in recording.inputs("sqs/queuePolicy:QueuePolicy").values()
        if {"Bool": {"aws:SecureTransport": "false"}}
        in [statement.get("Condition") for statement in json.loads(inputs["policy"])["Statement"]]
    ]
    assert sorted(refusing) == ["file-copy-arrivals", "file-copy-arrivals-dead-letters"]
