"""filecopy/embedded/provisioning: creates everything that the program declares, or names what it cannot create."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import MockCallArgs, MockResourceArgs

from components.handler_function import package as package_of
from filecopy.embedded.configuration import stack_configuration
from filecopy.embedded.program import run_program
from filecopy.embedded.provisioning import COMPONENT_PREFIX, EmulatorProvider
from filecopy.errors import StackError

from .mocks import REGION, arn
from .scripted_aws import ScriptedClients

TABLE = {
    "name": "table",
    "billingMode": "PAY_PER_REQUEST",
    "hashKey": "fileKey",
    "attributes": [{"name": "fileKey", "type": "S"}],
}
SSE_S3 = {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}
EXPIRE = {
    "id": "expire",
    "status": "Enabled",
    "filter": {"prefix": ""},
    "noncurrentVersionExpiration": {"noncurrentDays": 90.0},
}
FUNCTION = {
    "name": "worker",
    "runtime": "python3.13",
    "handler": "a.b",
    "role": "r",
    "code": package_of("build-worker"),
}
ALARM = {
    "name": "alarm",
    "period": 300.0,
    "evaluationPeriods": 1.0,
    "threshold": 1.0,
    "comparisonOperator": "GreaterThanOrEqualToThreshold",
    "alarmActions": ["topic"],
}
P95 = {"extendedStatistic": "p95"}
ACCESS_LOG = {"destinationArn": arn("logs", "log-group:group"), "format": "{}"}


def make(resource_type: str, inputs: dict[str, Any], clients: ScriptedClients | None = None) -> dict[str, Any]:
    """The outputs of one resource, made by itself."""
    arguments = MockResourceArgs(typ=resource_type, name="some-name", inputs=inputs)
    return EmulatorProvider(clients or ScriptedClients()).new_resource(arguments)[1]


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [("http://localhost:4566", ""), ("https://localhost.localstack.cloud:4566", arn("kms", "key/0a1b"))],
)
def test_everything_that_the_program_says_is_made(endpoint: str, key: str) -> None:
    """No resource, property or nested property of the program is unhandled, and every call is one that AWS knows."""
    clients = ScriptedClients()
    addresses = '["ops@example.com"]'
    overrides = {"notificationEmails": addresses, "operationsEmails": addresses, "kmsKeyArn": key}
    configuration = stack_configuration("local", endpoint=endpoint, overrides=overrides)
    outputs = run_program(EmulatorProvider(clients), configuration, stack="test")
    assert outputs["step_function_arn"] == arn("states", "stateMachine:machine")
    assert outputs["step_function_version_arn"] == arn("states", "stateMachine:machine:1")
    assert clients.of("CreateStateMachine")[0]["publish"] is True
    assert outputs["api_gateway_url"] == f"{endpoint}/restapis/api/live/_user_request_"
    buckets = {*outputs["destination_buckets"], outputs["source_bucket"]}
    for operation in (
        "CreateBucket", "PutBucketVersioning", "PutPublicAccessBlock", "PutBucketOwnershipControls",
        "PutBucketEncryption", "PutBucketLifecycleConfiguration", "PutBucketNotificationConfiguration",
    ):  # fmt: skip
        assert {call["Bucket"] for call in clients.of(operation)} == buckets, operation
    assert {call["Bucket"] for call in clients.of("PutBucketPolicy")} == (buckets if "https" in endpoint else set())
    for call in clients.of("CreateFunction"):
        with zipfile.ZipFile(io.BytesIO(call["Code"]["ZipFile"])) as package:
            assert set(package.namelist()) == package_of(call["FunctionName"]).assets.keys()


def test_what_crosses_as_a_float_is_a_whole_number_again() -> None:
    """Numbers, which Pulumi hands over as floats, reach AWS as integers in every depth: 180.0 is no time-out."""
    clients = ScriptedClients()
    make("aws:sqs/queue:Queue", {"name": "queue", "visibilityTimeoutSeconds": 180.0}, clients)
    make(
        "aws:lambda/eventSourceMapping:EventSourceMapping",
        {"eventSourceArn": "q", "functionName": "f", "scalingConfig": {"maximumConcurrency": 5.0}},
        clients,
    )
    assert clients.of("CreateQueue")[0]["Attributes"] == {
        "VisibilityTimeout": "180",
        "SqsManagedSseEnabled": "false",
    }
    assert clients.of("CreateEventSourceMapping")[0]["ScalingConfig"] == {"MaximumConcurrency": 5}


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({}, None),
        ({"filterPrefix": "in/"}, [{"Name": "prefix", "Value": "in/"}]),
        (
            {"filterPrefix": "in/", "filterSuffix": ".zip"},
            [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".zip"}],
        ),
    ],
)
def test_a_notification_keeps_its_filters(given: dict[str, str], rules: list[dict[str, str]] | None) -> None:
    """The embedded stack filters keys as AWS would, and sends every key where there is no filter."""
    clients = ScriptedClients()
    queue = {"queueArn": arn("sqs", "queue"), "events": ["s3:ObjectCreated:*"], **given}
    make("aws:s3/bucketNotification:BucketNotification", {"bucket": "bucket", "queues": [queue]}, clients)
    [call] = clients.of("PutBucketNotificationConfiguration")
    [configuration] = call["NotificationConfiguration"]["QueueConfigurations"]
    assert configuration.get("Filter") == ({"Key": {"FilterRules": rules}} if rules else None)
    assert configuration["QueueArn"] == arn("sqs", "queue")


def test_a_stages_log_and_limits_are_set_as_they_are_given() -> None:
    """A stage's settings, which API Gateway takes as changes by path, are those that the program says, as text."""
    clients = ScriptedClients()
    stage = {"restApi": "api", "stageName": "live", "deployment": "d", "accessLogSettings": ACCESS_LOG}
    make("aws:apigateway/stage:Stage", stage, clients)
    limits = {"throttlingRateLimit": 100.0, "throttlingBurstLimit": 200.0}
    settings = {"restApi": "api", "stageName": "live", "methodPath": "*/*", "settings": limits}
    make("aws:apigateway/methodSettings:MethodSettings", settings, clients)
    changes = {
        (change["op"], change["path"]): change["value"]
        for call in clients.of("UpdateStage")
        for change in call["patchOperations"]
    }
    assert changes == {
        ("replace", "/accessLogSettings/destinationArn"): ACCESS_LOG["destinationArn"],
        ("replace", "/accessLogSettings/format"): "{}",
        ("replace", "/*/*/throttling/rateLimit"): "100",
        ("replace", "/*/*/throttling/burstLimit"): "200",
    }


def test_tags_are_put_on_whatever_takes_them() -> None:
    """The embedded stack has the tags that AWS would have, in the form that each service takes, and no others."""
    tags = {"Project": "p", "team": "builds"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    clients = ScriptedClients()
    make("aws:s3/bucket:Bucket", {"bucket": "bucket", "tags": tags}, clients)
    assert clients.of("PutBucketTagging") == [{"Bucket": "bucket", "Tagging": {"TagSet": listed}}]
    for resource_type, inputs, operation, member, expected in (
        ("aws:dynamodb/table:Table", TABLE, "CreateTable", "Tags", listed),
        ("aws:sns/topic:Topic", {"name": "topic"}, "CreateTopic", "Tags", listed),
        ("aws:sqs/queue:Queue", {"name": "queue"}, "CreateQueue", "tags", tags),
        ("aws:iam/role:Role", {"name": "role", "assumeRolePolicy": "{}"}, "CreateRole", "Tags", listed),
        ("aws:cloudwatch/eventRule:EventRule", {"name": "rule", "eventPattern": "{}"}, "PutRule", "Tags", listed),
        ("aws:cloudwatch/logGroup:LogGroup", {"name": "group"}, "CreateLogGroup", "tags", tags),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", ALARM, "PutMetricAlarm", "Tags", listed),
        ("aws:lambda/function:Function", FUNCTION, "CreateFunction", "Tags", tags),
        (
            "aws:lambda/eventSourceMapping:EventSourceMapping", {"eventSourceArn": "q", "functionName": "f"},
            "CreateEventSourceMapping", "Tags", tags,
        ),
        (
            "aws:sfn/stateMachine:StateMachine", {"name": "machine", "roleArn": "r", "definition": "{}"},
            "CreateStateMachine", "tags", [{"key": key, "value": value} for key, value in tags.items()],
        ),
        ("aws:apigateway/restApi:RestApi", {"name": "api"}, "CreateRestApi", "tags", tags),
        (
            "aws:apigateway/stage:Stage", {"restApi": "api", "stageName": "live", "deployment": "d"},
            "CreateStage", "tags", tags,
        ),
    ):  # fmt: skip
        clients = ScriptedClients()
        make(resource_type, {**inputs, "tags": tags}, clients)
        assert clients.of(operation)[0][member] == expected, resource_type
        clients = ScriptedClients()
        make(resource_type, inputs, clients)
        assert not clients.of(operation)[0].get(member), resource_type


@pytest.mark.parametrize(
    ("given", "expected"), [({"statistic": "Sum"}, {"Statistic": "Sum"}), (P95, {"ExtendedStatistic": "p95"})]
)
def test_an_alarm_is_made_as_it_is_given(given: dict[str, str], expected: dict[str, str]) -> None:
    """An alarm has its metric, its threshold, whom it tells, and one statistic: CloudWatch refuses two, and none."""
    clients = ScriptedClients()
    dimensions = {"QueueName": "queue"}
    make("aws:cloudwatch/metricAlarm:MetricAlarm", {**ALARM, **given, "dimensions": dimensions}, clients)
    assert clients.of("PutMetricAlarm") == [
        {
            "AlarmName": "alarm",
            "Dimensions": [{"Name": "QueueName", "Value": "queue"}],
            "AlarmActions": ["topic"],
            "OKActions": [],
            "Tags": [],
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            **expected,
        }
    ]


def test_a_rule_has_a_pattern_or_a_schedule_and_its_target_may_have_dead_letters() -> None:
    """EventBridge refuses a rule that has neither, and an empty dead-letter queue."""
    clients = ScriptedClients()
    for given in ({"eventPattern": "{}"}, {"scheduleExpression": "rate(1 minute)"}):
        make("aws:cloudwatch/eventRule:EventRule", {"name": "rule", **given}, clients)
    by_pattern, by_time = clients.of("PutRule")
    assert (by_pattern["EventPattern"], "ScheduleExpression" in by_pattern) == ("{}", False)
    assert (by_time["ScheduleExpression"], "EventPattern" in by_time) == ("rate(1 minute)", False)
    queue, target = arn("sqs", "dead-letters"), {"rule": "rule", "arn": arn("sqs", "queue")}
    for given_target in (target, {**target, "deadLetterConfig": {"arn": queue}}):
        make("aws:cloudwatch/eventTarget:EventTarget", given_target, clients)
    [without], [with_queue] = (call["Targets"] for call in clients.of("PutTargets"))
    assert "DeadLetterConfig" not in without
    assert with_queue["DeadLetterConfig"] == {"Arn": queue}


def test_a_function_has_the_concurrency_that_it_is_given() -> None:
    """Most functions have none of their own."""
    clients = ScriptedClients()
    make("aws:lambda/function:Function", FUNCTION, clients)
    make("aws:lambda/function:Function", {**FUNCTION, "reservedConcurrentExecutions": 5.0}, clients)
    assert clients.of("PutFunctionConcurrency") == [{"FunctionName": "worker", "ReservedConcurrentExecutions": 5}]


def test_a_state_machine_logs_and_traces_as_it_is_given() -> None:
    """The log goes into the group that the program has made for it, and says no more than is asked for."""
    clients = ScriptedClients()
    machine = {"name": "machine", "roleArn": "r", "definition": "{}"}
    group = arn("logs", "log-group:group:*")
    logged = {"level": "ALL", "includeExecutionData": False, "logDestination": group}
    traced = {"tracingConfiguration": {"enabled": True}}
    make("aws:sfn/stateMachine:StateMachine", {**machine, "loggingConfiguration": logged, **traced}, clients)
    make("aws:sfn/stateMachine:StateMachine", machine, clients)
    first, second = clients.of("CreateStateMachine")
    assert first["loggingConfiguration"] == {
        "level": "ALL",
        "includeExecutionData": False,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    assert first["tracingConfiguration"] == {"enabled": True}
    assert second["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False, "destinations": []}
    assert second["tracingConfiguration"] == {"enabled": False}


@pytest.mark.parametrize(
    ("own", "region", "location"),
    [
        ("us-east-1", None, None),
        ("eu-west-1", None, "eu-west-1"),
        ("us-east-1", "eu-west-1", "eu-west-1"),
        ("eu-west-1", "us-east-1", None),
    ],
)
def test_a_bucket_is_made_in_its_region(own: str, region: str | None, location: str | None) -> None:
    """S3 wants a location everywhere but in us-east-1, where it refuses one."""
    clients = ScriptedClients(region=own)
    make("aws:s3/bucket:Bucket", {"bucket": "bucket", "region": region}, clients)
    configuration = {"LocationConstraint": location} if location else None
    assert clients.of("CreateBucket")[0].get("CreateBucketConfiguration") == configuration


def test_whatever_says_a_region_is_made_there() -> None:
    """The region is every type's, and what says none is in the stack's own."""
    clients = ScriptedClients()
    made = make("aws:sns/topic:Topic", {"name": "topic", "region": "eu-west-1"}, clients)
    assert made["region"] == "eu-west-1"
    make("aws:lambda/function:Function", {**FUNCTION, "region": "eu-west-1"}, clients)
    make("aws:sns/topic:Topic", {"name": "topic"}, clients)
    assert clients.regions == [
        ("CreateTopic", "eu-west-1"),
        ("CreateFunction", "eu-west-1"),
        ("GetFunctionConfiguration", "eu-west-1"),
        ("CreateTopic", REGION),
    ]


@pytest.mark.parametrize(
    ("resource_type", "inputs", "named"),
    [
        ("aws:kms/key:Key", {}, "aws:kms/key:Key"),
        ("aws:dynamodb/table:Table", {**TABLE, "ttl": {"enabled": True, "attributeName": "a", "kms": 1}}, "ttl.kms"),
        (
            "aws:dynamodb/table:Table",
            {**TABLE, "attributes": [*TABLE["attributes"], {"name": "a", "type": "S", "unit": "b"}]},
            "attributes[1].unit",
        ),
        (
            "aws:s3/bucketVersioning:BucketVersioning",
            {"bucket": "b", "versioningConfiguration": {"status": "Enabled", "mfaDelete": "Enabled"}},
            "versioningConfiguration.mfaDelete",
        ),
        ("aws:sns/topic:Topic", {"name": "topic", "fifoTopic": True, "tracingConfig": "a"}, "fifoTopic, tracingConfig"),
        (
            "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
            {"bucket": "b", "rule": {"objectOwnership": "BucketOwnerEnforced", "acl": "private"}},
            "rule.acl",
        ),
        (
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            {"bucket": "b", "rules": [{**SSE_S3, "blockedEncryptionTypes": ["SSE-C"]}]},
            "rules[0].blockedEncryptionTypes",
        ),
        (
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            {"bucket": "b", "rules": [{**EXPIRE, "expiration": {"expiredObjectDeleteMarker": True, "days": 5.0}}]},
            "rules[0].expiration.days",
        ),
        (
            "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            {"bucket": "b", "rules": [EXPIRE, {**EXPIRE, "filter": {"prefix": "", "tag": {"key": "a"}}}]},
            "rules[1].filter.tag",
        ),
        ("aws:s3/bucketPolicy:BucketPolicy", {"bucket": "b", "policy": "{}", "owner": "a"}, "owner"),
        ("aws:sns/topicPolicy:TopicPolicy", {"arn": arn("sns", "topic"), "policy": "{}", "owner": "a"}, "owner"),
        (
            "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
            {"queueUrl": "q", "redriveAllowPolicy": "{}", "owner": "a"},
            "owner",
        ),
        ("aws:apigateway/account:Account", {"cloudwatchRoleArn": "r", "resetOnDelete": True}, "resetOnDelete"),
        (
            "aws:apigateway/requestValidator:RequestValidator",
            {"restApi": "api", "name": "body", "validateRequestBody": True, "strict": True},
            "strict",
        ),
        (
            "aws:apigateway/model:Model",
            {"restApi": "api", "name": "M", "contentType": "application/json", "schema": "{}", "description": "d"},
            "description",
        ),
        (
            "aws:apigateway/response:Response",
            {"restApiId": "a", "responseType": "DEFAULT_4XX", "statusCode": "400", "responseParameters": {"a": "b"}},
            "responseParameters",
        ),
        (
            "aws:apigateway/stage:Stage",
            {"restApi": "api", "stageName": "live", "deployment": "d", "xrayTracingEnabled": True},
            "xrayTracingEnabled",
        ),
        (
            "aws:apigateway/stage:Stage",
            {"restApi": "a", "stageName": "s", "deployment": "d", "accessLogSettings": {**ACCESS_LOG, "level": "INFO"}},
            "accessLogSettings.level",
        ),
        ("aws:cloudwatch/metricAlarm:MetricAlarm", {**ALARM, "datapointsToAlarm": 2.0}, "datapointsToAlarm"),
        (
            "aws:cloudwatch/dashboard:Dashboard",
            {"dashboardName": "d", "dashboardBody": "{}", "owner": "a"},
            "owner",
        ),
        (
            "aws:sfn/stateMachine:StateMachine",
            {"name": "m", "roleArn": "r", "definition": "{}", "loggingConfiguration": {"level": "ALL", "format": "a"}},
            "loggingConfiguration.format",
        ),
        (
            "aws:apigateway/methodSettings:MethodSettings",
            {"restApi": "a", "stageName": "s", "methodPath": "*/*", "settings": {"cachingEnabled": True}},
            "settings.cachingEnabled",
        ),
    ],
)  # fmt: skip
def test_what_is_not_handled_is_an_error(resource_type: str, inputs: dict[str, Any], named: str) -> None:
    """A type or a property that would silently be left out is named instead, at whatever depth it is."""
    with pytest.raises(StackError) as refused:
        make(resource_type, inputs)
    message = str(refused.value)
    assert f" {named}." in message
    assert "'some-name'" in message
    assert resource_type in message
    assert message.endswith("Add it to filecopy/embedded/provisioning/.")


def test_a_property_without_a_value_is_none() -> None:
    """A property that is None was not given: it is neither passed on nor complained of."""
    assert make("aws:sns/topic:Topic", {"name": "topic", "displayName": None})["arn"] == arn("sns", "topic")


def test_a_component_is_nothing_to_make() -> None:
    """The program's own components reach the provider too, and make no call."""
    clients = ScriptedClients()
    assert make(f"{COMPONENT_PREFIX}RestApi", {}, clients) == {}
    assert clients.calls == []


def test_a_look_up_is_an_error() -> None:
    """A call such as aws.get_region is refused by name: an invented answer would end up in a policy."""
    with pytest.raises(StackError, match="cannot call aws:index/getRegion:getRegion"):
        EmulatorProvider(ScriptedClients()).call(MockCallArgs("aws:index/getRegion:getRegion", {}, ""))


def test_a_refused_call_names_the_resource() -> None:
    """What the emulator refuses is said with the resource that it was for, not as a bare ClientError."""
    clients = ScriptedClients(CreateTable={"Error": {"Code": "LimitExceededException", "Message": "Too many tables"}})
    with pytest.raises(StackError, match=r"aws:dynamodb/table:Table 'some-name': .*Too many tables"):
        make("aws:dynamodb/table:Table", TABLE, clients)


def test_parameters_that_aws_does_not_know_name_the_resource() -> None:
    """A wrong type, which boto3 finds before it calls, is said with its resource as well."""
    with pytest.raises(StackError, match=r"(?s)aws:sns/topic:Topic 'some-name': .*Invalid type for parameter Name"):
        make("aws:sns/topic:Topic", {"name": ["topic"]})


def test_a_function_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that failed to become active is named at once: its first event would fail much later."""
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("It was waited for."))
    clients = ScriptedClients(GetFunctionConfiguration={"State": "Failed"})
    with pytest.raises(StackError, match="'worker' did not become Active: its state is Failed"):
        make("aws:lambda/function:Function", FUNCTION, clients)


def package(code: pulumi.AssetArchive) -> bytes:
    clients = ScriptedClients()
    make(
        "aws:lambda/function:Function",
        {**FUNCTION, "code": code},
        clients,
    )
    content: bytes = clients.of("CreateFunction")[0]["Code"]["ZipFile"]
    return content


def test_a_package_has_the_same_bytes_for_the_same_content(tmp_path: Path) -> None:
    """A package depends on names and contents, not on their order or age: the same code is the same function."""
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("1")
    two.write_text("2")
    first = package(pulumi.AssetArchive({"a.py": pulumi.FileAsset(str(one)), "b.py": pulumi.FileAsset(str(two))}))
    os.utime(one, (0, 0))
    one.chmod(0o700)
    second = package(pulumi.AssetArchive({"b.py": pulumi.FileAsset(str(two)), "a.py": pulumi.FileAsset(str(one))}))
    assert first == second
    with zipfile.ZipFile(io.BytesIO(first)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == {"a.py": b"1", "b.py": b"2"}
        # Not the time of packing, which two packages made in the same second would share.
        assert {item.date_time for item in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_package_takes_files_only() -> None:
    """An asset that would not be packed is an error, not a function without that module."""
    with pytest.raises(StackError, match=r"'a\.py' .* must be a FileAsset, not <pulumi\.asset.StringAsset"):
        package(pulumi.AssetArchive({"a.py": pulumi.StringAsset("1")}))
