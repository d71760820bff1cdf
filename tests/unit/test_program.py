"""The whole program, as the local stack and as a stack on AWS."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components import outputs
from components.buckets import BucketRef, BuildBuckets
from components.settings import SettingsError
from components.tracking import TrackingTable
from filecopy.embedded.provisioning import COMPONENT_PREFIX, CREATORS

from .mocks import ACCOUNT, DEFAULTS, EMULATOR, REGION, Recording, arn, load_settings, project
from .test_buckets import BELONGINGS

FUNCTIONS = {
    "copy-worker",
    "replication-worker",
    "step-function-invoker",
    "build-worker",
    "regional-sync",
    "execution-watcher",
    "notification-digest",
}
QUEUES = ("uploads", "arrivals", "endings", "notifications")
BUCKETS = {"global-builds", "region-a-builds", "region-b-builds"}
ROLES = FUNCTIONS | {"file-copy-workflow", "file-copy-api-logs"}
ALARMS = {
    "executions-failed", "executions-timed-out", "executions-aborted", "executions-throttled", "slow", "api-errors",
    *(f"{queue}-waiting" for queue in QUEUES),
    *(f"dead-letters-{queue}" for queue in QUEUES),
    *(f"{what}-undelivered" for what in ("endings", "failures", "digests")),
    "subscriptions-unconfirmed",
    *(f"errors-{function}" for function in FUNCTIONS),
    *(f"throttles-{function}" for function in ("copy-worker", "step-function-invoker", "build-worker")),
}  # fmt: skip
NAMES = {
    "aws:s3/bucket:Bucket": BUCKETS,
    **{f"aws:{belonging}": BUCKETS for belonging in BELONGINGS},
    "aws:s3/bucketNotification:BucketNotification": BUCKETS,
    "aws:dynamodb/table:Table": {"FileCopyTracking"},
    "aws:sns/topic:Topic": {"file-copy-failures", "file-copy-digests", "file-copy-operations"},
    "aws:sqs/queue:Queue": {f"file-copy-{queue}{end}" for queue in QUEUES for end in ("", "-dead-letters")},
    "aws:sfn/stateMachine:StateMachine": {"file-copy-workflow"},
    "aws:cloudwatch/eventRule:EventRule": {"file-copy-digests", "file-copy-endings"},
    "aws:iam/role:Role": ROLES,
    "aws:iam/rolePolicy:RolePolicy": ROLES,
    "aws:cloudwatch/logGroup:LogGroup": FUNCTIONS | {"file-copy-api", "file-copy-workflow"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": {f"file-copy-{name}" for name in ALARMS},
    "aws:cloudwatch/dashboard:Dashboard": {"file-copy-workflow"},
    "aws:lambda/function:Function": FUNCTIONS,
    "aws:apigateway/restApi:RestApi": {"file-copy-api"},
}  # fmt: skip
"""Every physical name, by type; a log group's is behind /aws/lambda/, /aws/apigateway/ or /aws/vendedlogs/states/."""

# Their names are inside the API, whose name has the prefix.
UNPREFIXED = {"aws:apigateway/requestValidator:RequestValidator", "aws:apigateway/model:Model"}

CHILDREN = {
    "BuildBuckets": {"Bucket", *(belonging.split(":")[1] for belonging in BELONGINGS)},
    "TrackingTable": {"Table"},
    "FailureTopic": {"Topic", "TopicPolicy", "TopicSubscription"},
    "BucketEventQueue": {"Queue", "QueuePolicy", "RedriveAllowPolicy", "BucketNotification"},
    "ExecutionEventQueue": {"Queue", "QueuePolicy", "RedriveAllowPolicy", "EventRule", "EventTarget"},
    "NotificationQueue": {"Queue", "QueuePolicy", "RedriveAllowPolicy", "TopicSubscription"},
    "CopyWorkflow": {"Role", "RolePolicy", "StateMachine", "LogGroup"},
    "HandlerFunction": {
        "Role", "RolePolicy", "LogGroup", "Function", "EventSourceMapping", "EventRule", "EventTarget", "Permission",
    },
    "RestApi": {
        "RestApi", "Resource", "RequestValidator", "Model", "Response", "Method", "Integration", "Permission",
        "Deployment", "Stage", "MethodSettings", "LogGroup", "Role", "RolePolicy", "Account",
    },
    "Monitoring": {"Topic", "TopicPolicy", "TopicSubscription", "MetricAlarm", "Dashboard"},
}  # fmt: skip


KEY = arn("kms", "key/0a1b")
PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}
WITHIN = "|".join(
    [
        r"arn:aws:s3:::[a-z-]+(/(releases/)?\*(\.zip)?)?",
        rf"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:[A-Za-z/-]+:\*",
        rf"arn:aws:states:{REGION}:{ACCOUNT}:execution:[a-z-]+:\*",
        rf"arn:aws:[a-z]+:{REGION}:{ACCOUNT}:[A-Za-z0-9:/-]+",
    ]
)
"""The resources that a statement may name."""
WITHOUT_RESOURCE = {
    *(f"xray:{action}" for action in (
        "PutTraceSegments", "PutTelemetryRecords", "GetSamplingRules", "GetSamplingTargets",
    )),
    *(f"logs:{action}" for action in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )),
}  # fmt: skip
"""The actions that AWS documents with the resource "*": the deliveries of logs are no resources, nor are traces."""


@pytest.fixture(scope="module")
def as_on_aws() -> Recording:
    """The whole program on AWS, with settings for which it creates every resource type."""
    addresses = '["ops@example.com"]'
    return Recording().run(
        project(notificationEmails=addresses, operationsEmails=addresses, manageApiLoggingRole="true")
    )


@pytest.fixture(scope="module")
def with_every_setting() -> Recording:
    """The whole program on AWS, with no default setting except names."""
    return Recording().run(
        project(
            keyPrefix="releases/",
            keySuffix=".zip",
            notificationEmails='["people@example.com"]',
            operationsEmails='["ops@example.com"]',
            tags='{"team": "builds"}',
            artifactBaseUrl="https://ci.example.com",
            kmsKeyArn=KEY,
            noncurrentVersionDays="7",
            manageApiLoggingRole="true",
            maxConcurrency="7",
            copyWorkerConcurrency="5",
            logRetentionDays="90",
            forceDestroy="true",
        )
    )


def physical_names(recording: Recording) -> dict[str, set[str]]:
    found = defaultdict(set)
    for resource in recording.registered:
        for key in ("name", "bucket", "dashboardName"):
            if key in resource.inputs and resource.type not in UNPREFIXED:
                found[resource.type].add(
                    re.sub("^/aws/(lambda|apigateway|vendedlogs/states)/", "", resource.inputs[key])
                )
    return dict(found)


def texts(value: Any) -> Iterator[str]:
    """Every string in ``value``, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.items() for part in item for text in texts(part))
    elif isinstance(value, list):
        yield from (text for item in value for text in texts(item))


def test_the_stack_exports_what_outputs_names(whole_program: Recording) -> None:
    """Every output that the command line and the user's guide use exists, and is right for this engine."""
    named = {value for name, value in vars(outputs).items() if name.isupper()}
    assert whole_program.outputs.keys() == named
    assert whole_program.outputs.keys() == outputs.StackOutputs.__annotations__.keys()
    assert whole_program.outputs == {
        "region": REGION,
        "endpoint": EMULATOR,
        "step_function_arn": arn("states", "stateMachine:file-copy-workflow"),
        "step_function_version_arn": arn("states", "stateMachine:file-copy-workflow:1"),
        "step_function_role_arn": role_arn("file-copy-workflow"),
        "copy_worker_role_arn": role_arn("copy-worker"),
        "api_gateway_url": f"{EMULATOR}/restapis/file-copy-api-id/live/_user_request_",
        "sns_topic_arn": arn("sns", "file-copy-failures"),
        "digest_topic_arn": arn("sns", "file-copy-digests"),
        "operations_topic_arn": arn("sns", "file-copy-operations"),
        "dashboard_name": "file-copy-workflow",
        "dynamodb_table_name": "FileCopyTracking",
        "source_bucket": "global-builds",
        "key_prefix": "",
        "key_suffix": "",
        "destination_buckets": ["region-a-builds", "region-b-builds"],
        "destination_regions": {"region-a-builds": REGION, "region-b-builds": REGION},
        "existing_destination_buckets": [],
        "upload_queue_url": queue_url("file-copy-uploads"),
        "dead_letter_queue_urls": {
            "uploads": queue_url("file-copy-uploads-dead-letters"),
            "arrivals": queue_url("file-copy-arrivals-dead-letters"),
            "endings": queue_url("file-copy-endings-dead-letters"),
            "notifications": queue_url("file-copy-notifications-dead-letters"),
        },
        "lambda_functions": {name: arn("lambda", f"function:{name}") for name in FUNCTIONS},
    }


def test_on_aws_there_is_no_endpoint_of_ones_own(as_on_aws: Recording) -> None:
    """For a stack on AWS, the command line uses boto3's defaults, in the stack's region."""
    assert (as_on_aws.outputs["region"], as_on_aws.outputs["endpoint"]) == (REGION, "")


def role_arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def test_the_embedded_stack_makes_the_programs_types_and_no_others(
    whole_program: Recording, as_on_aws: Recording
) -> None:
    """The embedded stack can create every resource type of the program, and no other."""
    used = {
        resource.type for resource in [*whole_program.registered, *as_on_aws.registered] if not resource.is_component
    }
    assert used == CREATORS.keys()


def test_a_run_leaves_nothing_for_the_next_one() -> None:
    """A run works after a run that failed, or that exported other values, in the same process."""

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
    """Physical names are those of the user's guide, with namePrefix. Without it, a second stack in an account fails."""
    recording = Recording().run(project(namePrefix=prefix, manageApiLoggingRole="true"))
    assert physical_names(recording) == {
        resource_type: {prefix + name for name in names} for resource_type, names in NAMES.items()
    }
    groups = {group["name"] for group in recording.inputs("cloudwatch/logGroup:LogGroup").values()}
    functions = {f"/aws/lambda/{prefix}{name}" for name in FUNCTIONS}
    others = {f"/aws/apigateway/{prefix}file-copy-api", f"/aws/vendedlogs/states/{prefix}file-copy-workflow"}
    assert groups == functions | others


def test_an_existing_destination_is_used_by_its_own_name_and_left_alone() -> None:
    """An external bucket gets no prefix and no configuration, but the workflow may write copies to it."""
    recording = Recording().run(
        project(namePrefix="acme-", destinations='[{"bucket": "ours"}, {"bucket": "theirs", "existing": true}]')
    )
    assert "theirs" not in set().union(*physical_names(recording).values())
    assert not any("theirs" in resource.name for resource in recording.registered)
    assert recording.outputs["destination_buckets"] == ["acme-ours", "theirs"]
    assert recording.outputs["existing_destination_buckets"] == ["theirs"]
    policy = json.loads(recording.inputs("iam/rolePolicy:RolePolicy")["workflow"]["policy"])
    [writes] = [statement for statement in policy["Statement"] if "arn:aws:s3:::theirs/*" in statement["Resource"]]
    # It may be in another account. The stack's own buckets may not.
    assert writes["Resource"] == ["arn:aws:s3:::theirs/*"]
    assert "Condition" not in writes


def test_every_resource_is_its_components_child(as_on_aws: Recording) -> None:
    """Each resource's parent is its component: with another parent, Pulumi would replace it."""
    components = {resource.urn: resource for resource in as_on_aws.registered if resource.is_component}
    found = defaultdict(set)
    for resource in as_on_aws.registered:
        if resource.is_component:
            assert "pulumi:pulumi:Stack" in resource.parent
        else:
            component = components[resource.parent].type.removeprefix(COMPONENT_PREFIX)
            found[component].add(resource.type.split(":")[-1])
    assert found == CHILDREN


def test_logical_names_are_unique(as_on_aws: Recording) -> None:
    """No two resources of a type have the same logical name. Mocks accept that, and Pulumi refuses it."""
    counts = Counter((resource.type, resource.name) for resource in as_on_aws.registered)
    assert [key for key, count in counts.items() if count > 1] == []


def test_no_output_was_turned_into_text(as_on_aws: Recording) -> None:
    """No f-string contains an Output: a policy would have Pulumi's warning in the place of an ARN."""
    given = [resource.inputs for resource in as_on_aws.registered]
    assert [text for text in texts([given, as_on_aws.outputs]) if "Calling __str__" in text] == []


def test_documents_are_as_aws_gives_them_back(whole_program: Recording, as_on_aws: Recording) -> None:
    """JSON has no spaces, so that a deployment finds no change. It has no escapes of emojis, because an engine that
    reads a definition as Python text breaks them."""
    checked = 0
    for found in (*whole_program.registered, *as_on_aws.registered):
        for value in found.inputs.values():
            if isinstance(value, str) and value.startswith(("{", "[")):
                checked += 1
                assert value == json.dumps(json.loads(value), ensure_ascii=False, separators=(",", ":")), found.name
    assert checked > 50
    [machine] = whole_program.inputs("sfn/stateMachine:StateMachine").values()
    assert "🚨" in machine["definition"]


def test_every_function_has_a_handler_that_gets_its_environment(whole_program: Recording) -> None:
    """Each function's handler exists, and the function gets exactly the variables that its module reads."""
    functions = whole_program.inputs("lambda/function:Function")
    assert functions.keys() == FUNCTIONS
    for function in functions.values():
        module_name, attribute = function["handler"].rsplit(".", 1)
        assert callable(getattr(importlib.import_module(module_name), attribute))
        path = f"{module_name.replace('.', '/')}.py"
        assert path in function["code"].assets
        read = {field.name.upper() for field in fields(importlib.import_module(module_name).Environment)}
        assert function["environment"]["variables"].keys() == read


def test_functions_are_told_what_they_work_with(whole_program: Recording) -> None:
    """The variables have the stack's own names and ARNs, so a function cannot use another stack's table or topic."""
    told = {
        name: inputs["environment"]["variables"]
        for name, inputs in whole_program.inputs("lambda/function:Function").items()
    }
    machine = arn("states", "stateMachine:file-copy-workflow")
    assert told == {
        "replication-worker": {
            "STATE_MACHINE_ARN": machine,
            "DESTINATION_BUCKETS": '["region-a-builds","region-b-builds"]',
        },
        "copy-worker": {
            "TABLE_NAME": "FileCopyTracking",
            "MULTIPART_THRESHOLD": str(512 * 1024**2),
            "PARTS_AT_ONCE": "16",
            "RUN_SECONDS": "900",
        },
        "step-function-invoker": {"STATE_MACHINE_ARN": machine},
        "build-worker": {"ARTIFACT_BASE_URL": "", "SOURCE_BUCKET": "global-builds", "KEY_PREFIX": ""},
        "regional-sync": {
            "SOURCE_BUCKET": "global-builds",
            "TABLE_NAME": "FileCopyTracking",
            "TOPIC_ARN": arn("sns", "file-copy-failures"),
            "RECORD_RETENTION_DAYS": "0",
        },
        "execution-watcher": {
            "TABLE_NAME": "FileCopyTracking",
            "TOPIC_ARN": arn("sns", "file-copy-failures"),
            "LEASE_GRACE_SECONDS": "900",
            "RECORD_RETENTION_DAYS": "0",
            "STATE_MACHINE": "file-copy-workflow",
        },
        "notification-digest": {
            "QUEUE_URL": queue_url("file-copy-notifications"),
            "TOPIC_ARN": arn("sns", "file-copy-digests"),
            "SUBSCRIPTIONS": "1",
            "STATE_MACHINE": "file-copy-workflow",
        },
    }


def test_queues_feed_the_functions_that_handle_them(whole_program: Recording) -> None:
    """Uploads go to replication-worker, and arrivals to regional-sync."""
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
    """A message stays invisible while a function processes it, for every function's timeout."""
    timeouts = {name: inputs["timeout"] for name, inputs in whole_program.inputs("lambda/function:Function").items()}
    queues = whole_program.inputs("sqs/queue:Queue")
    assert queues["uploads"]["visibilityTimeoutSeconds"] >= 6 * timeouts["replication-worker"]
    assert queues["arrivals"]["visibilityTimeoutSeconds"] >= 6 * timeouts["regional-sync"]
    assert queues["endings"]["visibilityTimeoutSeconds"] >= 6 * timeouts["execution-watcher"]
    assert queues["notifications"]["visibilityTimeoutSeconds"] >= 6 * timeouts["notification-digest"]


def test_settings_reach_what_they_are_for(with_every_setting: Recording) -> None:
    """Every setting has an effect on its resource: none is read and then ignored."""
    recording = with_every_setting
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
    assert {item["topic"]: item["endpoint"] for item in subscriptions} == {
        arn("sns", "file-copy-failures"): arn("sqs", "file-copy-notifications"),
        arn("sns", "file-copy-digests"): "people@example.com",
        arn("sns", "file-copy-operations"): "ops@example.com",
    }
    reserved = {
        name: inputs.get("reservedConcurrentExecutions")
        for name, inputs in recording.inputs("lambda/function:Function").items()
    }
    assert reserved == {name: 5 if name == "copy-worker" else None for name in FUNCTIONS}
    build_worker = recording.inputs("lambda/function:Function")["build-worker"]
    assert build_worker["environment"]["variables"] == {
        "ARTIFACT_BASE_URL": "https://ci.example.com",
        "SOURCE_BUCKET": "global-builds",
        "KEY_PREFIX": "releases/",
    }
    definition = json.loads(recording.inputs("sfn/stateMachine:StateMachine")["workflow"]["definition"])
    assert definition["States"]["CopyToMultipleBuckets"]["MaxConcurrency"] == 7
    groups = recording.inputs("cloudwatch/logGroup:LogGroup").values()
    assert {group["retentionInDays"] for group in groups} == {90}
    assert all(bucket["forceDestroy"] for bucket in recording.inputs("s3/bucket:Bucket").values())
    assert not recording.inputs("dynamodb/table:Table")["tracking"]["deletionProtectionEnabled"]
    assert recording.inputs("apigateway/account:Account").keys() == {"api"}
    encryption = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    assert json.dumps(recording.inputs(encryption)).count(KEY) == len(BUCKETS)
    lifecycles = recording.inputs("s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    assert json.dumps(lifecycles).count('{"noncurrentDays": 7.0}') == len(BUCKETS)


def test_roles_reach_the_keys_that_are_distributed_and_no_others(with_every_setting: Recording) -> None:
    """With a key filter, no role may read or write other objects, or use the KMS key except through S3."""
    use_key = {}
    for name, role_policy in with_every_setting.inputs("iam/rolePolicy:RolePolicy").items():
        for statement in json.loads(role_policy["policy"])["Statement"]:
            if "Object" in statement["Action"][0]:
                assert all(resource.endswith("/releases/*.zip") for resource in statement["Resource"])
            if statement["Action"][0].startswith("kms:"):
                assert statement["Resource"] == [KEY]
                assert statement["Condition"] == {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
                use_key[name] = statement["Action"]
    assert use_key == {
        "workflow": ["kms:Decrypt", "kms:GenerateDataKey"],
        "copy-worker": ["kms:Decrypt", "kms:GenerateDataKey"],
        "build-worker": ["kms:Decrypt", "kms:GenerateDataKey"],
        "regional-sync": ["kms:Decrypt"],
    }


def test_build_worker_writes_only_what_it_stores(as_on_aws: Recording) -> None:
    """build-worker may write only zip files, even if every file is distributed."""
    [*_, write] = json.loads(as_on_aws.inputs("iam/rolePolicy:RolePolicy")["build-worker"]["policy"])["Statement"]
    assert write["Resource"] == ["arn:aws:s3:::global-builds/*.zip"]


def test_each_route_has_the_limits_of_what_it_does(as_on_aws: Recording) -> None:
    """Calls of the API leave most of Step Functions' rate to uploads, and most of the account's concurrency to
    others."""
    limits = as_on_aws.inputs("apigateway/methodSettings:MethodSettings").values()
    assert {item["methodPath"]: item["settings"] for item in limits} == {
        "step-function/POST": {"throttlingRateLimit": 100, "throttlingBurstLimit": 200},
        "builds/POST": {"throttlingRateLimit": 2, "throttlingBurstLimit": 5},
    }


# --- Secure by default ------------------------------------------------------------------------------------------


def test_every_bucket_has_what_every_bucket_needs(as_on_aws: Recording) -> None:
    """Each bucket of the program has every resource that keeps it private and cheap."""
    made = {bucket["bucket"] for bucket in as_on_aws.inputs("s3/bucket:Bucket").values()}
    assert made == BUCKETS
    for belonging in BELONGINGS:
        assert Counter(inputs["bucket"] for inputs in as_on_aws.inputs(belonging).values()) == Counter(made), belonging


def test_every_queue_has_what_every_queue_needs(as_on_aws: Recording) -> None:
    """Every queue is encrypted and requires TLS, and each dead-letter queue accepts messages only from its own
    queue."""
    queues = {queue["name"]: queue for queue in as_on_aws.inputs("sqs/queue:Queue").values()}
    assert all(queue["sqsManagedSseEnabled"] for queue in queues.values())
    refusing = Counter(
        inputs["queueUrl"]
        for inputs in as_on_aws.inputs("sqs/queuePolicy:QueuePolicy").values()
        if PLAIN_HTTP in [statement.get("Condition") for statement in json.loads(inputs["policy"])["Statement"]]
    )
    assert refusing == Counter(queue_url(name) for name in queues)
    allowed = as_on_aws.inputs("sqs/redriveAllowPolicy:RedriveAllowPolicy").values()
    assert {inputs["queueUrl"]: json.loads(inputs["redriveAllowPolicy"])["sourceQueueArns"] for inputs in allowed} == {
        queue_url(f"file-copy-{name}-dead-letters"): [arn("sqs", f"file-copy-{name}")] for name in QUEUES
    }


def test_no_log_is_kept_for_ever(as_on_aws: Recording) -> None:
    """Every function, the API and the workflow write to a log group of the program, with a retention."""
    groups = as_on_aws.inputs("cloudwatch/logGroup:LogGroup").values()
    assert {group["name"]: group["retentionInDays"] for group in groups} == {
        **{f"/aws/lambda/{name}": 30 for name in FUNCTIONS},
        "/aws/apigateway/file-copy-api": 30,
        "/aws/vendedlogs/states/file-copy-workflow": 30,
    }


def test_three_roles_tell_of_failures_and_nobody_else(as_on_aws: Recording) -> None:
    """Each topic accepts notifications from the roles whose own policies allow them to publish, and refuses all
    others."""
    expected = {
        "failures": {"file-copy-workflow", "regional-sync", "execution-watcher"},
        "digests": {"notification-digest"},
    }
    for topic, roles in expected.items():
        policy = as_on_aws.inputs("sns/topicPolicy:TopicPolicy")[topic]
        refused, _, plain_http = json.loads(policy["policy"])["Statement"]
        assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "sns:Publish")
        assert set(refused["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]) == {role_arn(name) for name in roles}
        assert (plain_http["Effect"], plain_http["Condition"]) == ("Deny", PLAIN_HTTP)
        publishers = {
            role_policy["role"]
            for role_policy in as_on_aws.inputs("iam/rolePolicy:RolePolicy").values()
            for statement in json.loads(role_policy["policy"])["Statement"]
            if "sns:Publish" in statement["Action"] and arn("sns", f"file-copy-{topic}") in statement["Resource"]
        }
        assert publishers == roles


def test_people_get_a_digest_each_minute(as_on_aws: Recording) -> None:
    """A schedule calls the digest's function. A trigger would call it as often as the queue fills a batch, and SNS
    suspends an e-mail subscription that gets more than ten messages a second."""
    rule = as_on_aws.inputs("cloudwatch/eventRule:EventRule")["notification-digest"]
    assert (rule["scheduleExpression"], rule.get("eventPattern")) == ("rate(1 minute)", None)
    target = as_on_aws.inputs("cloudwatch/eventTarget:EventTarget")["notification-digest"]
    assert (target["rule"], target["arn"]) == (rule["name"], arn("lambda", "function:notification-digest"))
    permission = as_on_aws.inputs("lambda/permission:Permission")["notification-digest"]
    assert permission["principal"] == "events.amazonaws.com"
    assert permission["sourceArn"] == arn("events", "rule/file-copy-digests")
    variables = as_on_aws.inputs("lambda/function:Function")["notification-digest"]["environment"]["variables"]
    assert variables["SUBSCRIPTIONS"] == "1"
    e_mails = [
        item["topic"]
        for item in as_on_aws.inputs("sns/topicSubscription:TopicSubscription").values()
        if item["protocol"] == "email"
    ]
    assert arn("sns", "file-copy-failures") not in e_mails


def test_an_end_that_cannot_be_delivered_becomes_a_dead_letter(as_on_aws: Recording) -> None:
    """EventBridge drops an event after a day. In the dead-letter queue, an operator finds and replays it."""
    target = as_on_aws.inputs("cloudwatch/eventTarget:EventTarget")["endings"]
    assert target["arn"] == arn("sqs", "file-copy-endings")
    assert target["deadLetterConfig"] == {"arn": arn("sqs", "file-copy-endings-dead-letters")}


def test_what_is_left_open_on_an_emulator(whole_program: Recording, as_on_aws: Recording) -> None:
    """On an emulator without TLS, plain HTTP is allowed. All other resources are as on AWS."""
    made_on_aws = {(resource.type, resource.name) for resource in as_on_aws.registered}
    left_out = made_on_aws - {(resource.type, resource.name) for resource in whole_program.registered}
    assert {resource_type for resource_type, _ in left_out} == {
        "aws:s3/bucketPolicy:BucketPolicy", "aws:sqs/queuePolicy:QueuePolicy",
    }  # fmt: skip
    assert len(left_out) == len(BUCKETS) + 3
    assert "aws:SecureTransport" not in json.dumps([[*texts(resource.inputs)] for resource in whole_program.registered])


def test_executions_are_traced_where_traces_are_kept(whole_program: Recording, as_on_aws: Recording) -> None:
    """An emulator does not return the setting for traces, so the CLI would find a change at each deployment."""
    [there] = as_on_aws.inputs("sfn/stateMachine:StateMachine").values()
    assert there["tracingConfiguration"] == {"enabled": True}
    [here] = whole_program.inputs("sfn/stateMachine:StateMachine").values()
    assert "tracingConfiguration" not in here


FAR = "eu-west-1"
FAR_KEYS = f"arn:aws:kms:{FAR}:123456789012:key/mrk-"


@pytest.mark.parametrize(
    ("length", "members", "key_prefix", "most"),
    [
        # Arrivals in the stack's own buckets are verified, so their names are in two policies, in one of them twice.
        (20, {}, "", 103),
        pytest.param(63, {}, "", 52, marks=pytest.mark.slow),
        pytest.param(20, {}, "k" * 1024, 7, marks=pytest.mark.slow),
        pytest.param(3, {"existing": True}, "", 318, marks=pytest.mark.slow),
        # Here the environment is the limit.
        (20, {"existing": True}, "", 162),
        pytest.param(20, {"region": FAR, "kmsKeyArn": f"{FAR_KEYS}{{index:032}}"}, "", 54, marks=pytest.mark.slow),
    ],
)
def test_as_many_destinations_are_taken_as_aws_has_room_for(
    monkeypatch: pytest.MonkeyPatch, length: int, members: dict[str, Any], key_prefix: str, most: int
) -> None:
    """The longest list of destinations fits into the roles' policies and the functions' environments.

    It fits in every partition: the ARNs of GovCloud are the longest.
    """

    def given(count: int) -> dict[str, str]:
        names = [f"{index:03}".rjust(length, "b") for index in range(count)]
        destinations = [{"bucket": name, **members} for name in names]
        for index, destination in enumerate(destinations):
            if "kmsKeyArn" in members:
                destination["kmsKeyArn"] = members["kmsKeyArn"].format(index=index)
        return project(keyPrefix=key_prefix, destinations=json.dumps(destinations))

    # Registering the configuration of a hundred buckets takes a minute, and these policies do not depend on it.
    monkeypatch.setattr(BuildBuckets, "_create", lambda _, name, region, _key: refer(name, region))
    recording = Recording().run(given(most))
    for role_policy in recording.inputs("iam/rolePolicy:RolePolicy").values():
        # The ARN of a key is a setting, so its length does not change with the partition.
        in_govcloud = re.sub("arn:aws:(?!kms:)", "arn:aws-us-gov:", role_policy["policy"])
        in_govcloud = in_govcloud.replace(REGION, "us-gov-west-1")
        # IAM quotas: 10,240 characters, white space not counted.
        assert len("".join(in_govcloud.split())) <= 10_240
    for function in recording.inputs("lambda/function:Function").values():
        variables = function["environment"]["variables"]
        # Lambda quotas: 4 KB of environment variables.
        assert sum(len(name) + len(value) for name, value in variables.items()) <= 4096
    too_many = r"destinations must be (few enough .* 10240 characters|at most 3896 bytes .*), not \d+\. .*Use fewer"
    with pytest.raises(SettingsError, match=too_many):
        load_settings(given(most + 1))


def takes_tags(resource_type: str) -> bool:
    """True if pulumi-aws has tags for the type ``aws:MODULE/NAME:Name``, by the class of its arguments."""
    _, path, class_name = resource_type.split(":")
    module_name = {"lambda": "lambda_"}.get(path.split("/")[0], path.split("/")[0])
    arguments = getattr(importlib.import_module(f"pulumi_aws.{module_name}"), f"{class_name}Args")
    return "tags" in inspect.signature(arguments).parameters


def test_whatever_takes_tags_is_tagged(as_on_aws: Recording, with_every_setting: Recording) -> None:
    """Every resource that can have tags has them, whatever its type and its place in the program."""
    own = {"Project": "file-copy-workflow", "Stack": "test"}
    for recording, tags in ((as_on_aws, own), (with_every_setting, {**own, "team": "builds"})):
        made = [resource for resource in recording.registered if not resource.is_component]
        for resource in made:
            assert resource.inputs.get("tags") == (tags if takes_tags(resource.type) else None), resource.name
        # If the classes of arguments had other names, this test would check nothing.
        assert {resource.type for resource in made if takes_tags(resource.type)} >= {
            "aws:s3/bucket:Bucket", "aws:lambda/function:Function", "aws:cloudwatch/metricAlarm:MetricAlarm",
        }  # fmt: skip


def policy_documents(recording: Recording) -> dict[tuple[str, str], Any]:
    """Every policy, parsed, by the type and the name of its resource."""
    return {
        (resource.type, resource.name): json.loads(resource.inputs[key])
        for resource in recording.registered
        for key in ("policy", "assumeRolePolicy")
        if key in resource.inputs
    }


def test_policies_grant_nothing_wholesale(as_on_aws: Recording, with_every_setting: Recording) -> None:
    """No statement allows an action with a wildcard, or a resource that is a wildcard, except AWS's own policy.

    Wildcards are in keys of a bucket, streams of a log group, and executions of the state machine. The role with which
    API Gateway writes logs has AWS's own policy, whose resource is a wildcard: API Gateway refuses others. Apart from
    that, a resource is a wildcard only if AWS has no other for the action, and such actions have a separate statement.
    """
    documents = [policy_documents(recording) for recording in (as_on_aws, with_every_setting)]
    assert Counter(resource_type.split(":")[-1] for resource_type, _ in documents[0]) == {
        "Role": len(ROLES), "RolePolicy": len(ROLES), "BucketPolicy": 3, "QueuePolicy": 8, "TopicPolicy": 3,
    }  # fmt: skip
    for (_, name), document in (item for found in documents for item in found.items()):
        for statement in document["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            assert statement.get("Principal", {}) != "*"
            assert not statement.keys() & {"NotAction", "NotResource", "NotPrincipal"}
            for action in as_list(statement["Action"]):
                assert re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action)
            if statement.get("Resource") == ["*"]:
                assert set(statement["Action"]) <= WITHOUT_RESOURCE or name == "api-logs"
                continue
            for resource in as_list(statement.get("Resource", [])):
                assert re.fullmatch(WITHIN, resource) or (name, resource) == ("api-logs", "*")


def refer(name: str, region: str | None) -> BucketRef:
    """A bucket without any resource."""
    arn = pulumi.Output.from_input(f"arn:aws:s3:::{name}")
    return BucketRef(label=name, former_label=name, name=pulumi.Output.from_input(name), arn=arn, region=region)


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
