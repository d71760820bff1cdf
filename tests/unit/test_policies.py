"""components/policies: each policy, statement by statement."""

from __future__ import annotations

from typing import Any

import pytest

from components import policies
from components.endings import ended_executions

from .mocks import ACCOUNT, REGION, arn

SOURCE = "arn:aws:s3:::global-builds"
DESTINATIONS = ["arn:aws:s3:::region-a-builds", "arn:aws:s3:::region-b-builds"]
THEIRS = ["arn:aws:s3:::theirs", "arn:aws:s3:::others"]
TABLE = arn("dynamodb", "table/FileCopyTracking")
TOPIC = arn("sns", "file-copy-failures")
WORKER = arn("lambda", "function:copy-worker")
MACHINE = arn("states", "stateMachine:file-copy-workflow")
EXECUTIONS = f"{arn('states', 'execution:file-copy-workflow')}:*"
QUEUE = arn("sqs", "file-copy-uploads")
LOG_GROUP = arn("logs", "log-group:/aws/lambda/regional-sync")
API = arn("execute-api", "api")
WRITE_PARTS = ["s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/file-copy-workflow"
KEY = arn("kms", "key/0a1b")
KEYS = "releases/*.zip"

WRITE_LOG = (["logs:CreateLogStream", "logs:PutLogEvents"], [f"{LOG_GROUP}:*"])
WRITE_TRACES = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
TRACE = (WRITE_TRACES, ["*"])
# Step Functions developer guide, "Logging using CloudWatch Logs": it refuses a role that lacks one.
DELIVER_LOGS = [
    f"logs:{action}"
    for action in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )
]  # fmt: skip
READ_QUEUE = (["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [QUEUE])


IN_OUR_ACCOUNT = {"StringEquals": {"aws:ResourceAccount": ACCOUNT}}


def granted(statements: list[policies.Statement]) -> list[tuple[list[str], list[str]]]:
    """The actions and resources of statements. Each allows, and only those of S3 and of the KMS key have a
    condition."""
    for statement in statements:
        assert statement["Effect"] == "Allow"
        # Other tests check the conditions of the KMS key's and of S3's statements.
        beyond = {"Condition"} & statement.keys() if statement["Action"][0].startswith(("kms:", "s3:")) else set()
        assert statement.keys() == {"Effect", "Action", "Resource"} | beyond
    return [(statement["Action"], statement["Resource"]) for statement in statements]


def plain_subscriptions_refused(topic: str) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Subscribe",
        "Resource": topic,
        "Condition": {"StringEquals": {"sns:Protocol": "http"}},
    }


def plain_http_refused(action: str, *resources: str) -> policies.Statement:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize(
    ("build", "expected", "key_actions"),
    [
        (
            lambda key: policies.copy_workflow(
                SOURCE, DESTINATIONS, THEIRS, TABLE, TOPIC, WORKER, KEYS, [key] if key else []
            )["Statement"],
            [
                (
                    ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
                    [f"{SOURCE}/{KEYS}"],
                ),
                (["s3:ListBucket"], [SOURCE]),
                (["s3:PutObject", "s3:PutObjectTagging"], [f"{bucket}/{KEYS}" for bucket in DESTINATIONS]),
                (["s3:PutObject", "s3:PutObjectTagging"], [f"{bucket}/{KEYS}" for bucket in THEIRS]),
                (["lambda:InvokeFunction"], [WORKER]),
                (["dynamodb:UpdateItem"], [TABLE]),
                (["sns:Publish"], [TOPIC]),
                (DELIVER_LOGS, ["*"]),
                ([*WRITE_TRACES, "xray:GetSamplingRules", "xray:GetSamplingTargets"], ["*"]),
            ],
            ["kms:Decrypt", "kms:GenerateDataKey"],
        ),
        (
            lambda key: policies.copy_through_worker(SOURCE, DESTINATIONS, THEIRS, TABLE, KEYS, [key] if key else []),
            [
                (
                    [
                        *["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging"],
                        *["s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"],
                    ],
                    [f"{SOURCE}/{KEYS}"],
                ),
                (["s3:ListBucket"], [SOURCE]),
                (
                    [*WRITE_PARTS, "s3:GetObject"],
                    [f"{bucket}/{KEYS}" for bucket in DESTINATIONS],
                ),
                ([*WRITE_PARTS, "s3:GetObject"], [f"{bucket}/{KEYS}" for bucket in THEIRS]),
                (["dynamodb:GetItem", "dynamodb:UpdateItem"], [TABLE]),
            ],
            ["kms:Decrypt", "kms:GenerateDataKey"],
        ),
        (lambda _: policies.start_workflow(MACHINE), [(["states:StartExecution"], [MACHINE])], []),
        (
            lambda key: policies.store_builds(SOURCE, ACCOUNT, KEYS, key),
            [(["s3:PutObject", "s3:AbortMultipartUpload"], [f"{SOURCE}/{KEYS}"])],
            ["kms:Decrypt", "kms:GenerateDataKey"],
        ),
        (
            lambda key: policies.verify_arrivals(SOURCE, DESTINATIONS, TABLE, TOPIC, KEYS, [key] if key else []),
            [
                (
                    ["s3:GetObject", "s3:GetObjectVersion"],
                    [f"{bucket}/{KEYS}" for bucket in (SOURCE, *DESTINATIONS)],
                ),
                (["s3:ListBucket"], [SOURCE, *DESTINATIONS]),
                (["dynamodb:GetItem", "dynamodb:PutItem"], [TABLE]),
                (["sns:Publish"], [TOPIC]),
            ],
            ["kms:Decrypt"],
        ),
        (
            lambda _: policies.close_records(TABLE, TOPIC, MACHINE),
            [
                (["states:DescribeExecution"], [EXECUTIONS]),
                (["dynamodb:UpdateItem"], [TABLE]),
                (["sns:Publish"], [TOPIC]),
            ],
            [],
        ),
        (
            lambda key: policies.use_workflow(SOURCE, MACHINE, TABLE, API, KEYS, key)["Statement"],
            [
                (["s3:PutObject", "s3:AbortMultipartUpload"], [f"{SOURCE}/{KEYS}"]),
                (["execute-api:Invoke"], [f"{API}/*/POST/*"]),
                (["states:StartExecution", "states:ListExecutions"], [MACHINE]),
                (
                    [
                        "states:DescribeExecution",
                        "states:DescribeStateMachineForExecution",
                        "states:GetExecutionHistory",
                    ],
                    [EXECUTIONS],
                ),
                (["dynamodb:GetItem", "dynamodb:BatchGetItem"], [TABLE]),
                (["dynamodb:Query"], [TABLE, f"{TABLE}/index/status-startTime"]),
            ],
            ["kms:Decrypt", "kms:GenerateDataKey"],
        ),
    ],
    ids=[
        "copy_workflow",
        "copy_through_worker",
        "start_workflow",
        "store_builds",
        "verify_arrivals",
        "close_records",
        "use_workflow",
    ],
)
def test_a_principal_may_do_what_it_does_and_nothing_else(
    build: Any, expected: list[tuple[list[str], list[str]]], key_actions: list[str], key: str | None
) -> None:
    """Each principal has exactly these permissions: a missing one fails at run time, and no one notices an extra
    one."""
    of_the_key = [(key_actions, [key])] if key and key_actions else []
    assert granted(build(key)) == [*expected, *of_the_key]


@pytest.mark.parametrize(("queue", "expected"), [(None, [WRITE_LOG, TRACE]), (QUEUE, [WRITE_LOG, TRACE, READ_QUEUE])])
def test_a_function_writes_its_log_and_traces_and_reads_its_queue(queue: str | None, expected: list[Any]) -> None:
    """A function may not create a log group, which would have no retention. It reads a queue only if it has one."""
    own = policies.start_workflow(MACHINE)
    made = policies.handler_function(own, LOG_GROUP, queue)
    assert granted(made["Statement"]) == [*expected, (["states:StartExecution"], [MACHINE])]


def test_api_gateway_may_write_logs_as_aws_has_it() -> None:
    """The role for the logs of all APIs of a region has AWS's own policy for it: API Gateway refuses others."""
    [(actions, resources)] = granted(policies.write_api_logs()["Statement"])
    # API Gateway developer guide, "Permissions for CloudWatch logging": AmazonAPIGatewayPushToCloudWatchLogs.
    assert resources == ["*"]
    assert set(actions) == {
        f"logs:{action}"
        for action in (
            "CreateLogGroup", "CreateLogStream", "DescribeLogGroups", "DescribeLogStreams",
            "PutLogEvents", "GetLogEvents", "FilterLogEvents",
        )
    }  # fmt: skip


# --- The owner of a bucket --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "not_ours"),
    [
        (policies.copy_workflow(SOURCE, DESTINATIONS, THEIRS, TABLE, TOPIC, WORKER, KEYS, [])["Statement"], THEIRS),
        (policies.copy_through_worker(SOURCE, DESTINATIONS, THEIRS, TABLE, KEYS, []), THEIRS),
        (policies.store_builds(SOURCE, ACCOUNT, KEYS, None), []),
        (policies.verify_arrivals(SOURCE, DESTINATIONS, TABLE, TOPIC, KEYS, []), []),
        (policies.use_workflow(SOURCE, MACHINE, TABLE, API, KEYS, None)["Statement"], []),
    ],
    ids=["copy_workflow", "copy_through_worker", "store_builds", "verify_arrivals", "use_workflow"],
)
def test_a_bucket_of_the_stacks_is_in_its_account(statements: list[policies.Statement], not_ours: list[str]) -> None:
    """If another account creates a bucket with a deleted bucket's name, the roles neither read nor write it.

    External buckets may be in any account. They are never in one statement with a bucket of the stack.
    """
    of_buckets = [statement for statement in statements if statement["Action"][0].startswith("s3:")]
    for statement in of_buckets:
        is_theirs = [resource.split("/")[0] in not_ours for resource in statement["Resource"]]
        assert len(set(is_theirs)) == 1
        assert statement.get("Condition") == (None if is_theirs[0] else IN_OUR_ACCOUNT)


@pytest.mark.parametrize(("own", "existing"), [([], THEIRS), (DESTINATIONS, [])])
def test_no_statement_is_about_nothing(own: list[str], existing: list[str]) -> None:
    """If all destinations are of one kind, the other has no statement: IAM refuses an empty list."""
    for made in (
        policies.copy_workflow(SOURCE, own, existing, TABLE, TOPIC, WORKER, KEYS, [])["Statement"],
        policies.copy_through_worker(SOURCE, own, existing, TABLE, KEYS, []),
    ):
        writes = [statement for statement in made if "s3:PutObject" in statement["Action"]]
        assert [statement["Resource"] for statement in writes] == [[f"{bucket}/{KEYS}" for bucket in own or existing]]


# --- The KMS key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "service"),
    [
        (KEY, f"s3.{REGION}.amazonaws.com"),
        (f"arn:aws-us-gov:kms:us-gov-west-1:{ACCOUNT}:key/0a1b", "s3.us-gov-west-1.amazonaws.com"),
        (f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/0a1b", "s3.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_key_is_used_through_s3_alone(key: str, service: str) -> None:
    """A role uses the key only through S3. In China, S3 has another domain."""
    for made in (
        policies.copy_workflow(SOURCE, DESTINATIONS, THEIRS, TABLE, TOPIC, WORKER, KEYS, [key])["Statement"],
        policies.copy_through_worker(SOURCE, DESTINATIONS, THEIRS, TABLE, KEYS, [key]),
        policies.store_builds(SOURCE, ACCOUNT, KEYS, key),
        policies.verify_arrivals(SOURCE, DESTINATIONS, TABLE, TOPIC, KEYS, [key]),
        policies.use_workflow(SOURCE, MACHINE, TABLE, API, KEYS, key)["Statement"],
    ):
        [statement] = [statement for statement in made if statement["Action"][0].startswith("kms:")]
        assert statement["Resource"] == [key]
        assert statement["Condition"] == {"StringEquals": {"kms:ViaService": service}}


def test_each_key_is_used_through_s3_of_its_own_region() -> None:
    """The key of a bucket in another region is used through S3 of that region."""
    far, other = (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{key_id}" for key_id in ("1b", "2c"))
    made = policies.verify_arrivals(SOURCE, DESTINATIONS, TABLE, TOPIC, KEYS, [KEY, far, other])
    use_keys = [statement for statement in made if statement["Action"] == ["kms:Decrypt"]]
    assert [(statement["Resource"], statement["Condition"]) for statement in use_keys] == [
        ([KEY], {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}),
        ([far, other], {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}),
    ]


def test_an_operator_looks_puts_back_and_silences() -> None:
    """An operator reads no file, deploys nothing, and calls no function. They can only read what is not the stack's."""
    allowed = policies.operate_workflow(
        state_machine_arn=MACHINE,
        table_arn=TABLE,
        queue_arns=[QUEUE],
        function_arns=[arn("lambda", "function:replication-worker")],
        topic_arns=[TOPIC],
        log_group_arns=[LOG_GROUP],
        alarm_names="acme-file-copy-*",
        dashboard_name="acme-file-copy-workflow",
    )["Statement"]
    [mapping] = [statement for statement in allowed if "Condition" in statement]
    assert mapping == {
        "Effect": "Allow",
        "Action": ["lambda:UpdateEventSourceMapping"],
        "Resource": [arn("lambda", "event-source-mapping:*")],
        "Condition": {"ArnEquals": {"lambda:FunctionArn": [arn("lambda", "function:replication-worker")]}},
    }
    assert granted([statement for statement in allowed if statement != mapping]) == [
        (["states:StartExecution", "states:ListExecutions"], [MACHINE]),
        (
            ["states:DescribeExecution", "states:DescribeStateMachineForExecution", "states:GetExecutionHistory"],
            [EXECUTIONS],
        ),
        (["dynamodb:GetItem", "dynamodb:BatchGetItem"], [TABLE]),
        (["dynamodb:Query"], [TABLE, f"{TABLE}/index/status-startTime"]),
        (["states:StopExecution"], [EXECUTIONS]),
        (["dynamodb:Scan"], [TABLE]),
        (["sqs:GetQueueAttributes", "sqs:SendMessage"], [QUEUE]),
        (["sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:DeleteMessage"], [f"{QUEUE}-dead-letters"]),
        (["sns:ListSubscriptionsByTopic"], [TOPIC]),
        (["logs:FilterLogEvents", "logs:StartQuery"], [f"{LOG_GROUP}:*", LOG_GROUP]),
        (["cloudwatch:DescribeAlarms"], [arn("cloudwatch", "alarm:*")]),
        (
            ["cloudwatch:DisableAlarmActions", "cloudwatch:EnableAlarmActions", "cloudwatch:SetAlarmState"],
            [arn("cloudwatch", "alarm:acme-file-copy-*")],
        ),
        (["cloudwatch:GetDashboard"], [f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/acme-file-copy-workflow"]),
        (
            [
                "cloudtrail:LookupEvents", "cloudwatch:GetMetricData", "lambda:GetAccountSettings",
                "lambda:ListEventSourceMappings", "logs:GetQueryResults",
            ],
            ["*"],
        ),
    ]  # fmt: skip


def test_an_operator_is_one_in_every_region_of_the_stack() -> None:
    """In each region with queues, an operator may also use the alarms and the functions that read the queues."""
    far = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:file-copy-arrivals"
    allowed = policies.operate_workflow(MACHINE, TABLE, [QUEUE, far], [], [], [], "file-copy-*", "d")["Statement"]
    on = {action: statement["Resource"] for statement in allowed for action in statement["Action"]}
    for action, service, name in (
        ("cloudwatch:SetAlarmState", "cloudwatch", "alarm:file-copy-*"),
        ("cloudwatch:DescribeAlarms", "cloudwatch", "alarm:*"),
        ("lambda:UpdateEventSourceMapping", "lambda", "event-source-mapping:*"),
    ):
        assert on[action] == [f"arn:aws:{service}:{region}:{ACCOUNT}:{name}" for region in ("eu-west-1", REGION)]


# --- ARNs and patterns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "suffix", "pattern"),
    [
        ("", "", "*"),
        ("releases/", "", "releases/*"),
        ("", ".zip", "*.zip"),
        ("releases/", ".zip", "releases/*.zip"),
        ("aZ09!-_.'()/", "aZ09!-_.'()/", "aZ09!-_.'()/*aZ09!-_.'()/"),
    ],
)
def test_keys_begin_and_end_as_the_filter_says(prefix: str, suffix: str, pattern: str) -> None:
    """A policy has the same keys as a notification's filter, because settings refuse ``*``, ``?`` and ``$``."""
    assert policies.keys_like(prefix, suffix) == pattern


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_arns_stay_in_their_partition(partition: str) -> None:
    """A stack in China or GovCloud names buckets of its partition: a resource arn:aws: would match nothing there."""
    like = f"arn:{partition}:s3:::global-builds"
    assert policies.partition_of(like) == partition
    assert policies.bucket_arn("theirs", like=like) == f"arn:{partition}:s3:::theirs"


# --- Trust policies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["apigateway.amazonaws.com", "lambda.amazonaws.com"])
def test_a_role_is_assumed_by_its_service_alone(service: str) -> None:
    """Only the service may assume the role."""
    assert policies.trust(service) == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}],
    }


@pytest.mark.parametrize(("partition", "region"), [("aws", REGION), ("aws-cn", "cn-north-1")])
def test_the_workflows_role_is_for_state_machines_of_its_account(partition: str, region: str) -> None:
    """Step Functions may assume the role only for this account and region, because it works for every account."""
    table = f"arn:{partition}:dynamodb:{region}:{ACCOUNT}:table/FileCopyTracking"
    assert policies.trust_state_machines(table) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "states.amazonaws.com"},
                "Condition": {
                    "ArnLike": {"aws:SourceArn": f"arn:{partition}:states:{region}:{ACCOUNT}:stateMachine:*"},
                    "StringEquals": {"aws:SourceAccount": ACCOUNT},
                },
            }
        ],
    }


# --- Policies of buckets, queues and topics ---------------------------------------------------------------------


def test_a_bucket_and_a_dead_letter_queue_are_reached_over_tls_alone() -> None:
    """A request over plain HTTP is refused for every caller: for a bucket and its objects, and for a queue."""
    assert policies.bucket_refuses_plain_http(SOURCE)["Statement"] == [
        plain_http_refused("s3:*", SOURCE, f"{SOURCE}/*")
    ]
    assert policies.queue_refuses_plain_http(QUEUE)["Statement"] == [plain_http_refused("sqs:*", QUEUE)]


@pytest.mark.parametrize("requires_tls", [True, False])
def test_a_queue_takes_events_of_its_buckets_in_its_account_only(requires_tls: bool) -> None:
    """A bucket of another account, with a deleted bucket's name, cannot send events to the queue."""
    accepted, *refused = policies.queue_accepts_bucket_events(QUEUE, DESTINATIONS, requires_tls)["Statement"]
    assert accepted == {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {
            "ArnEquals": {"aws:SourceArn": DESTINATIONS},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
    }
    assert refused == ([plain_http_refused("sqs:*", QUEUE)] if requires_tls else [])


@pytest.mark.parametrize("requires_tls", [True, False])
@pytest.mark.parametrize("service", ["events.amazonaws.com", "sns.amazonaws.com"])
def test_queue_takes_what_one_rule_or_topic_sends(service: str, requires_tls: bool) -> None:
    """Otherwise a rule of any account could report executions that do not exist, and a topic failures."""
    source = arn("events", "rule/file-copy-endings")
    accepted, *refused = policies.queue_accepts(QUEUE, service, source, requires_tls)["Statement"]
    assert accepted == {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        "Condition": {"ArnEquals": {"aws:SourceArn": source}},
    }
    assert refused == ([plain_http_refused("sqs:*", QUEUE)] if requires_tls else [])


@pytest.mark.parametrize("requires_tls", [True, False])
def test_the_topic_takes_notifications_of_these_roles_only(requires_tls: bool) -> None:
    """Other principals cannot send notifications, even if another policy allows them to publish."""
    roles = [ROLE, f"{ROLE}-2"]
    refused, plain_subscriptions, *plain_http = policies.topic_accepts_only(TOPIC, roles, requires_tls)["Statement"]
    assert refused == {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sns:Publish",
        "Resource": TOPIC,
        # Refused if the ARN equals none of them, or if the caller has no ARN.
        "Condition": {"ArnNotEquals": {"aws:PrincipalArn": roles}},
    }
    # Notifications name files, too.
    assert plain_subscriptions == plain_subscriptions_refused(TOPIC)
    assert plain_http == ([plain_http_refused("sns:Publish", TOPIC)] if requires_tls else [])


@pytest.mark.parametrize("requires_tls", [True, False])
@pytest.mark.parametrize(("partition", "region"), [("aws", REGION), ("aws-cn", "cn-north-1")])
def test_the_operations_topic_takes_alarms_of_the_stack_only(partition: str, region: str, requires_tls: bool) -> None:
    """CloudWatch notifies of this stack's alarms in this account and region. No other principal may publish."""
    topic = f"arn:{partition}:sns:{region}:{ACCOUNT}:acme-file-copy-operations"
    alarms = f"arn:{partition}:cloudwatch:{region}:{ACCOUNT}:alarm:acme-file-copy-*"
    accepted, refused, plain_subscriptions, *plain_http = policies.topic_accepts_alarms(
        topic, "acme-file-copy-*", requires_tls
    )["Statement"]
    assert plain_subscriptions == plain_subscriptions_refused(topic)
    publish = {"Action": "sns:Publish", "Resource": topic}
    assert accepted == {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        **publish,
        "Condition": {"ArnLike": {"aws:SourceArn": alarms}, "StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }
    # Refused if the source is none of them, or if there is no source.
    not_an_alarm = {"ArnNotLike": {"aws:SourceArn": alarms}}
    assert refused == {"Effect": "Deny", "Principal": "*", **publish, "Condition": not_an_alarm}
    assert plain_http == ([plain_http_refused("sns:Publish", topic)] if requires_tls else [])


def test_an_existing_destination_lets_the_workflow_write_and_nothing_else() -> None:
    """The owner of a bucket allows the roles the actions of a copy, which the roles' own policies allow as well."""
    theirs = "arn:aws:s3:::theirs"
    assert policies.existing_destination(theirs, [ROLE, f"{ROLE}-2"])["Statement"] == [
        {
            "Sid": "FileCopyWorkflow",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": [
                *["s3:PutObject", "s3:PutObjectTagging"],
                *["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:GetObject"],
            ],
            "Resource": f"{theirs}/*",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": [ROLE, f"{ROLE}-2"]}},
        }
    ]
    granted_there = set(policies.existing_destination(theirs, [ROLE])["Statement"][0]["Action"])
    for own in (
        policies.copy_workflow(SOURCE, DESTINATIONS, [theirs], TABLE, TOPIC, WORKER, "*", [])["Statement"],
        policies.copy_through_worker(SOURCE, DESTINATIONS, [theirs], TABLE, "*", []),
    ):
        [used] = [actions for actions, resources in granted(own) if resources == [f"{theirs}/*"]]
        assert granted_there >= set(used)
    assert granted_there == set(used)


def test_rule_hears_of_every_end_and_of_no_other_machine() -> None:
    """The rule matches every end of an execution, and no start. An end without an event would not be measured."""
    pattern = ended_executions(MACHINE)
    endings = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    assert pattern["detail"] == {"status": endings, "stateMachineArn": [MACHINE]}
    assert pattern["source"] == ["aws.states"]
