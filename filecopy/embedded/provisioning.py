"""Makes what the Pulumi program declares, with boto3: the provider behind Pulumi's mock monitor.

It creates, and does nothing else: no update, no delete, no state. A resource type or an input property that it does
not handle is an error, so nothing that the program says is silently left out.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks

from filecopy.errors import StackError
from filecopy.stack.clients import Clients

COMPONENT_PREFIX = "file-copy-workflow:index:"

# Seconds that a function may take to become active.
FUNCTION_DEADLINE = 30.0


class Inputs:
    """A resource's input properties. Each is taken once; ``finish`` complains of those that nobody took."""

    def __init__(self, properties: dict[str, Any], path: str = "") -> None:
        self._left = {name: value for name, value in properties.items() if value is not None}
        self._path = path
        self._nested: list[Inputs] = []

    def take(self, name: str, default: Any = None) -> Any:
        """The property, or ``default`` where the program gave none. Whole numbers, which cross as floats, are ints."""
        value = self._left.pop(name, default)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def take_object(self, name: str) -> Inputs:
        """A nested object, whose properties have to be taken as well."""
        nested = Inputs(self._left.pop(name, None) or {}, f"{self._path}{name}.")
        self._nested.append(nested)
        return nested

    def take_objects(self, name: str) -> list[Inputs]:
        found = [
            Inputs(value, f"{self._path}{name}[{index}].")
            for index, value in enumerate(self._left.pop(name, None) or [])
        ]
        self._nested.extend(found)
        return found

    def unhandled(self) -> list[str]:
        """The paths of the properties that were not taken."""
        return [f"{self._path}{name}" for name in self._left] + [
            path for nested in self._nested for path in nested.unhandled()
        ]


Created = tuple[str, dict[str, Any]]
"""A resource's id, and its outputs beyond its inputs."""

_Create = Callable[[Inputs, Clients], Created]
_CREATORS: dict[str, _Create] = {}


def creates(resource_type: str) -> Callable[[_Create], _Create]:
    def register(create: _Create) -> _Create:
        _CREATORS[resource_type] = create
        return create

    return register


class EmulatorProvider(Mocks):
    """Stands for pulumi-aws in the mock monitor: every ``new_resource`` is made in the emulator."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise StackError(f"The embedded stack does not answer {args.token}. Add it to {__name__}.")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.typ.startswith(COMPONENT_PREFIX):
            return None, {}
        create = _CREATORS.get(args.typ)
        if create is None:
            raise StackError(
                f"The embedded stack cannot make {args.name!r}: it does not handle the resource type {args.typ}."
                " Add it to filecopy/embedded/provisioning.py."
            )
        inputs = Inputs(args.inputs)
        try:
            # Every resource type but IAM's takes a region, and is made there.
            resource_id, outputs = create(inputs, self._clients.in_region(inputs.take("region")))
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise StackError(f"The emulator did not make {args.typ} {args.name!r}: {error}") from error
        if left := inputs.unhandled():
            raise StackError(
                f"The embedded stack cannot make {args.name!r}: of {args.typ} it does not handle {', '.join(left)}."
                " Add it to filecopy/embedded/provisioning.py."
            )
        return resource_id, {**args.inputs, **outputs}


def _tag_list(inputs: Inputs) -> list[dict[str, str]]:
    """The tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in _tags(inputs).items()]


def _tags(inputs: Inputs) -> dict[str, str]:
    """The tags as the other services take them."""
    tags: dict[str, str] = inputs.take("tags", {})
    return tags


# --- S3 ---------------------------------------------------------------------------------------------------------


@creates("aws:s3/bucket:Bucket")
def _bucket(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("bucket")
    inputs.take("forceDestroy")  # Says what a deletion may do, and nothing is deleted here.
    location = {} if clients.region == "us-east-1" else {"LocationConstraint": clients.region}
    clients("s3").create_bucket(Bucket=name, **({"CreateBucketConfiguration": location} if location else {}))
    if tags := _tag_list(inputs):
        clients("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return name, {"arn": f"arn:aws:s3:::{name}"}


@creates("aws:s3/bucketVersioning:BucketVersioning")
def _bucket_versioning(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    configuration = inputs.take_object("versioningConfiguration")
    clients("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": configuration.take("status")})
    return bucket, {}


@creates("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
def _bucket_public_access_block(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    clients("s3").put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": inputs.take("blockPublicAcls", False),
            "BlockPublicPolicy": inputs.take("blockPublicPolicy", False),
            "IgnorePublicAcls": inputs.take("ignorePublicAcls", False),
            "RestrictPublicBuckets": inputs.take("restrictPublicBuckets", False),
        },
    )
    return bucket, {}


@creates("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
def _bucket_ownership_controls(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    ownership = inputs.take_object("rule").take("objectOwnership")
    clients("s3").put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]}
    )
    return bucket, {}


@creates("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def _bucket_encryption(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    rules = []
    for rule in inputs.take_objects("rules"):
        default = rule.take_object("applyServerSideEncryptionByDefault")
        key = default.take("kmsMasterKeyId")
        rules.append(
            {
                "ApplyServerSideEncryptionByDefault": {
                    "SSEAlgorithm": default.take("sseAlgorithm"),
                    **({"KMSMasterKeyID": key} if key else {}),
                },
                "BucketKeyEnabled": rule.take("bucketKeyEnabled", False),
            }
        )
    clients("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    return bucket, {}


@creates("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def _bucket_lifecycle(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    rules = []
    for rule in inputs.take_objects("rules"):
        made: dict[str, Any] = {
            "ID": rule.take("id"),
            "Status": rule.take("status"),
            "Filter": {"Prefix": rule.take_object("filter").take("prefix", "")},
        }
        if days := rule.take_object("abortIncompleteMultipartUpload").take("daysAfterInitiation"):
            made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
        if days := rule.take_object("noncurrentVersionExpiration").take("noncurrentDays"):
            made["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
        if rule.take_object("expiration").take("expiredObjectDeleteMarker"):
            made["Expiration"] = {"ExpiredObjectDeleteMarker": True}
        rules.append(made)
    clients("s3").put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    return bucket, {}


@creates("aws:s3/bucketPolicy:BucketPolicy")
def _bucket_policy(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    clients("s3").put_bucket_policy(Bucket=bucket, Policy=inputs.take("policy"))
    return bucket, {}


@creates("aws:s3/bucketNotification:BucketNotification")
def _bucket_notification(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    queues = []
    for queue in inputs.take_objects("queues"):
        rules = [
            {"Name": name, "Value": value}
            for name, value in (("prefix", queue.take("filterPrefix")), ("suffix", queue.take("filterSuffix")))
            if value
        ]
        queues.append(
            {
                "QueueArn": queue.take("queueArn"),
                "Events": queue.take("events"),
                **({"Filter": {"Key": {"FilterRules": rules}}} if rules else {}),
            }
        )
    clients("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": queues}
    )
    return bucket, {}


# --- DynamoDB, SNS, SQS -----------------------------------------------------------------------------------------


@creates("aws:dynamodb/table:Table")
def _table(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    schema = [{"AttributeName": inputs.take("hashKey"), "KeyType": "HASH"}]
    if range_key := inputs.take("rangeKey"):
        schema.append({"AttributeName": range_key, "KeyType": "RANGE"})
    indexes = [
        {
            "IndexName": index.take("name"),
            "KeySchema": [
                {"AttributeName": key.take("attributeName"), "KeyType": key.take("keyType")}
                for key in index.take_objects("keySchemas")
            ],
            "Projection": {
                "ProjectionType": index.take("projectionType"),
                "NonKeyAttributes": index.take("nonKeyAttributes"),
            },
        }
        for index in inputs.take_objects("globalSecondaryIndexes")
    ]
    table = clients("dynamodb").create_table(
        TableName=name,
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        KeySchema=schema,
        AttributeDefinitions=[
            {"AttributeName": attribute.take("name"), "AttributeType": attribute.take("type")}
            for attribute in inputs.take_objects("attributes")
        ],
        BillingMode=inputs.take("billingMode", "PROVISIONED"),
        SSESpecification={"Enabled": inputs.take_object("serverSideEncryption").take("enabled", False)},
        DeletionProtectionEnabled=inputs.take("deletionProtectionEnabled", False),
        Tags=_tag_list(inputs),
    )["TableDescription"]
    if inputs.take_object("pointInTimeRecovery").take("enabled"):
        clients("dynamodb").update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    return name, {"arn": table["TableArn"]}


@creates("aws:sns/topic:Topic")
def _topic(inputs: Inputs, clients: Clients) -> Created:
    key = inputs.take("kmsMasterKeyId")
    arn = clients("sns").create_topic(
        Name=inputs.take("name"), Attributes={"KmsMasterKeyId": key} if key else {}, Tags=_tag_list(inputs)
    )["TopicArn"]
    return arn, {"arn": arn}


@creates("aws:sns/topicPolicy:TopicPolicy")
def _topic_policy(inputs: Inputs, clients: Clients) -> Created:
    arn = inputs.take("arn")
    clients("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=inputs.take("policy"))
    return arn, {}


@creates("aws:sns/topicSubscription:TopicSubscription")
def _topic_subscription(inputs: Inputs, clients: Clients) -> Created:
    arn = clients("sns").subscribe(
        TopicArn=inputs.take("topic"),
        Protocol=inputs.take("protocol"),
        Endpoint=inputs.take("endpoint"),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return arn, {"arn": arn}


@creates("aws:sqs/queue:Queue")
def _queue(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    attributes = {
        "MessageRetentionPeriod": inputs.take("messageRetentionSeconds"),
        "VisibilityTimeout": inputs.take("visibilityTimeoutSeconds"),
        "RedrivePolicy": inputs.take("redrivePolicy"),
        "SqsManagedSseEnabled": str(inputs.take("sqsManagedSseEnabled", False)).lower(),
    }
    sqs = clients("sqs")
    url = sqs.create_queue(
        QueueName=name,
        Attributes={key: str(value) for key, value in attributes.items() if value is not None},
        tags=_tags(inputs),
    )["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, {"arn": arn, "url": url}


@creates("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
def _redrive_allow_policy(inputs: Inputs, clients: Clients) -> Created:
    url = inputs.take("queueUrl")
    clients("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"RedriveAllowPolicy": inputs.take("redriveAllowPolicy")}
    )
    return url, {}


@creates("aws:sqs/queuePolicy:QueuePolicy")
def _queue_policy(inputs: Inputs, clients: Clients) -> Created:
    url = inputs.take("queueUrl")
    clients("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": inputs.take("policy")})
    return url, {}


# --- IAM, EventBridge, CloudWatch -------------------------------------------------------------------------------


@creates("aws:iam/role:Role")
def _role(inputs: Inputs, clients: Clients) -> Created:
    role = clients("iam").create_role(
        RoleName=inputs.take("name"),
        AssumeRolePolicyDocument=inputs.take("assumeRolePolicy"),
        Tags=_tag_list(inputs),
    )["Role"]
    return role["RoleName"], {"arn": role["Arn"]}


@creates("aws:iam/rolePolicy:RolePolicy")
def _role_policy(inputs: Inputs, clients: Clients) -> Created:
    role, name = inputs.take("role"), inputs.take("name")
    clients("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=inputs.take("policy"))
    return f"{role}:{name}", {}


@creates("aws:cloudwatch/eventRule:EventRule")
def _event_rule(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    rule = clients("events").put_rule(
        Name=name,
        Description=inputs.take("description", ""),
        EventPattern=inputs.take("eventPattern"),
        Tags=_tag_list(inputs),
    )
    return name, {"arn": rule["RuleArn"]}


@creates("aws:cloudwatch/eventTarget:EventTarget")
def _event_target(inputs: Inputs, clients: Clients) -> Created:
    rule, arn = inputs.take("rule"), inputs.take("arn")
    target = f"{rule}-target"
    clients("events").put_targets(Rule=rule, Targets=[{"Id": target, "Arn": arn}])
    return f"{rule}-{target}", {"targetId": target}


@creates("aws:cloudwatch/logGroup:LogGroup")
def _log_group(inputs: Inputs, clients: Clients) -> Created:
    logs = clients("logs")
    name = inputs.take("name")
    # CloudWatch Logs takes tags, but not none.
    logs.create_log_group(logGroupName=name, **({"tags": tags} if (tags := _tags(inputs)) else {}))
    if days := inputs.take("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    group = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
    # pulumi-aws gives the ARN without the ":*" that the service puts behind it.
    return name, {"arn": group["arn"].removesuffix(":*")}


@creates("aws:cloudwatch/metricAlarm:MetricAlarm")
def _metric_alarm(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    properties = {
        "AlarmDescription": inputs.take("alarmDescription"),
        "Namespace": inputs.take("namespace"),
        "MetricName": inputs.take("metricName"),
        "Statistic": inputs.take("statistic"),
        "ExtendedStatistic": inputs.take("extendedStatistic"),
        "Period": inputs.take("period"),
        "EvaluationPeriods": inputs.take("evaluationPeriods"),
        "Threshold": inputs.take("threshold"),
        "ComparisonOperator": inputs.take("comparisonOperator"),
        "TreatMissingData": inputs.take("treatMissingData"),
    }
    cloudwatch = clients("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in inputs.take("dimensions", {}).items()],
        AlarmActions=inputs.take("alarmActions", []),
        OKActions=inputs.take("okActions", []),
        Tags=_tag_list(inputs),
        **{key: value for key, value in properties.items() if value is not None},
    )
    return name, {}


@creates("aws:cloudwatch/dashboard:Dashboard")
def _dashboard(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("dashboardName")
    clients("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=inputs.take("dashboardBody"))
    return name, {}


# --- Lambda, Step Functions -------------------------------------------------------------------------------------


@creates("aws:lambda/function:Function")
def _function(inputs: Inputs, clients: Clients) -> Created:
    lambda_ = clients("lambda")
    name = inputs.take("name")
    arn = lambda_.create_function(
        FunctionName=name,
        Runtime=inputs.take("runtime"),
        Handler=inputs.take("handler"),
        Role=inputs.take("role"),
        Timeout=inputs.take("timeout", 3),
        MemorySize=inputs.take("memorySize", 128),
        Environment={"Variables": inputs.take_object("environment").take("variables", {})},
        Code={"ZipFile": _zip(inputs.take("code"))},
        TracingConfig={"Mode": inputs.take_object("tracingConfig").take("mode", "PassThrough")},
        Tags=_tags(inputs),
    )["FunctionArn"]
    _wait_until_active(lambda_, name)
    path = f"arn:aws:apigateway:{clients.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return name, {"arn": arn, "invokeArn": path}


def _wait_until_active(lambda_: Any, name: str) -> None:
    # boto3's own waiter looks every second at most, which is longer than all the rest takes.
    deadline = time.monotonic() + FUNCTION_DEADLINE
    while (state := lambda_.get_function_configuration(FunctionName=name)["State"]) != "Active":
        if state != "Pending" or time.monotonic() > deadline:
            raise StackError(f"The emulator's function {name!r} is {state} and does not become Active.")
        time.sleep(0.05)


def _zip(archive: pulumi.AssetArchive) -> bytes:
    """The archive as a zip, the same bytes for the same content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, asset in sorted(archive.assets.items()):
            if not isinstance(asset, pulumi.FileAsset):
                raise StackError(f"The embedded stack puts files into a function's package, and {name!r} is {asset!r}.")
            package.writestr(zipfile.ZipInfo(name), Path(asset.path).read_bytes())
    return buffer.getvalue()


@creates("aws:lambda/eventSourceMapping:EventSourceMapping")
def _event_source_mapping(inputs: Inputs, clients: Clients) -> Created:
    scaling = inputs.take_object("scalingConfig").take("maximumConcurrency")
    mapping = clients("lambda").create_event_source_mapping(
        EventSourceArn=inputs.take("eventSourceArn"),
        FunctionName=inputs.take("functionName"),
        BatchSize=inputs.take("batchSize", 10),
        FunctionResponseTypes=inputs.take("functionResponseTypes", []),
        Tags=_tags(inputs),
        **({"ScalingConfig": {"MaximumConcurrency": int(scaling)}} if scaling else {}),
    )
    return mapping["UUID"], {}


@creates("aws:lambda/permission:Permission")
def _permission(inputs: Inputs, clients: Clients) -> Created:
    function, source = inputs.take("function"), inputs.take("sourceArn")
    statement = "pulumi-" + "".join(character if character.isalnum() else "-" for character in source)[-80:]
    clients("lambda").add_permission(
        FunctionName=function,
        StatementId=statement,
        Action=inputs.take("action"),
        Principal=inputs.take("principal"),
        SourceArn=source,
    )
    return statement, {}


@creates("aws:sfn/stateMachine:StateMachine")
def _state_machine(inputs: Inputs, clients: Clients) -> Created:
    logging = inputs.take_object("loggingConfiguration")
    destination = logging.take("logDestination")
    arn = clients("stepfunctions").create_state_machine(
        name=inputs.take("name"),
        type=inputs.take("type", "STANDARD"),
        roleArn=inputs.take("roleArn"),
        definition=inputs.take("definition"),
        loggingConfiguration={
            "level": logging.take("level", "OFF"),
            "includeExecutionData": logging.take("includeExecutionData", False),
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": destination}}] if destination else [],
        },
        tracingConfiguration={"enabled": inputs.take_object("tracingConfiguration").take("enabled", False)},
        tags=[{"key": key, "value": value} for key, value in _tags(inputs).items()],
    )["stateMachineArn"]
    return arn, {"arn": arn}


# --- API Gateway ------------------------------------------------------------------------------------------------


@creates("aws:apigateway/restApi:RestApi")
def _rest_api(inputs: Inputs, clients: Clients) -> Created:
    gateway = clients("apigateway")
    api = gateway.create_rest_api(
        name=inputs.take("name"),
        description=inputs.take("description", ""),
        endpointConfiguration={"types": [inputs.take_object("endpointConfiguration").take("types", "EDGE")]},
        tags=_tags(inputs),
    )
    # Not next(): a StopIteration cannot be handed to Pulumi, which would wait for it for ever.
    [root] = [item for item in gateway.get_resources(restApiId=api["id"])["items"] if item["path"] == "/"]
    account = clients("sts").get_caller_identity()["Account"]
    return api["id"], {
        "rootResourceId": root["id"],
        "executionArn": f"arn:aws:execute-api:{clients.region}:{account}:{api['id']}",
    }


@creates("aws:apigateway/account:Account")
def _api_account(inputs: Inputs, clients: Clients) -> Created:
    role = {"op": "replace", "path": "/cloudwatchRoleArn", "value": inputs.take("cloudwatchRoleArn")}
    clients("apigateway").update_account(patchOperations=[role])
    return "api-gateway-account", {}


@creates("aws:apigateway/requestValidator:RequestValidator")
def _api_request_validator(inputs: Inputs, clients: Clients) -> Created:
    validator = clients("apigateway").create_request_validator(
        restApiId=inputs.take("restApi"),
        name=inputs.take("name"),
        validateRequestBody=inputs.take("validateRequestBody", False),
        validateRequestParameters=inputs.take("validateRequestParameters", False),
    )
    return validator["id"], {}


@creates("aws:apigateway/model:Model")
def _api_model(inputs: Inputs, clients: Clients) -> Created:
    model = clients("apigateway").create_model(
        restApiId=inputs.take("restApi"),
        name=inputs.take("name"),
        contentType=inputs.take("contentType"),
        schema=inputs.take("schema"),
    )
    return model["id"], {}


@creates("aws:apigateway/response:Response")
def _api_gateway_response(inputs: Inputs, clients: Clients) -> Created:
    api, kind = inputs.take("restApiId"), inputs.take("responseType")
    clients("apigateway").put_gateway_response(
        restApiId=api,
        responseType=kind,
        statusCode=inputs.take("statusCode"),
        responseTemplates=inputs.take("responseTemplates", {}),
    )
    return f"aggr-{api}-{kind}", {}


@creates("aws:apigateway/resource:Resource")
def _api_resource(inputs: Inputs, clients: Clients) -> Created:
    resource = clients("apigateway").create_resource(
        restApiId=inputs.take("restApi"), parentId=inputs.take("parentId"), pathPart=inputs.take("pathPart")
    )
    return resource["id"], {}


@creates("aws:apigateway/method:Method")
def _api_method(inputs: Inputs, clients: Clients) -> Created:
    api, resource, method = inputs.take("restApi"), inputs.take("resourceId"), inputs.take("httpMethod")
    clients("apigateway").put_method(
        restApiId=api,
        resourceId=resource,
        httpMethod=method,
        authorizationType=inputs.take("authorization"),
        requestValidatorId=inputs.take("requestValidatorId"),
        requestModels=inputs.take("requestModels", {}),
    )
    return f"agm-{api}-{resource}-{method}", {}


@creates("aws:apigateway/integration:Integration")
def _api_integration(inputs: Inputs, clients: Clients) -> Created:
    api, resource, method = inputs.take("restApi"), inputs.take("resourceId"), inputs.take("httpMethod")
    clients("apigateway").put_integration(
        restApiId=api,
        resourceId=resource,
        httpMethod=method,
        integrationHttpMethod=inputs.take("integrationHttpMethod"),
        type=inputs.take("type"),
        uri=inputs.take("uri"),
    )
    return f"agi-{api}-{resource}-{method}", {}


@creates("aws:apigateway/deployment:Deployment")
def _api_deployment(inputs: Inputs, clients: Clients) -> Created:
    inputs.take("triggers")  # Says when to deploy again, and nothing is deployed twice here.
    return clients("apigateway").create_deployment(restApiId=inputs.take("restApi"))["id"], {}


@creates("aws:apigateway/stage:Stage")
def _api_stage(inputs: Inputs, clients: Clients) -> Created:
    api, name = inputs.take("restApi"), inputs.take("stageName")
    gateway = clients("apigateway")
    gateway.create_stage(restApiId=api, stageName=name, deploymentId=inputs.take("deployment"), tags=_tags(inputs))
    access_log = inputs.take_object("accessLogSettings")
    _change_stage(
        gateway,
        api,
        name,
        {
            "/accessLogSettings/destinationArn": access_log.take("destinationArn"),
            "/accessLogSettings/format": access_log.take("format"),
        },
    )
    return f"ags-{api}-{name}", {"invokeUrl": f"https://{api}.execute-api.{clients.region}.amazonaws.com/{name}"}


@creates("aws:apigateway/methodSettings:MethodSettings")
def _api_method_settings(inputs: Inputs, clients: Clients) -> Created:
    api, stage, path = inputs.take("restApi"), inputs.take("stageName"), inputs.take("methodPath")
    settings = inputs.take_object("settings")
    _change_stage(
        clients("apigateway"),
        api,
        stage,
        {
            f"/{path}/throttling/rateLimit": settings.take("throttlingRateLimit"),
            f"/{path}/throttling/burstLimit": settings.take("throttlingBurstLimit"),
        },
    )
    return f"{api}-{stage}-{path}", {}


def _change_stage(gateway: Any, api: str, stage: str, changes: dict[str, Any]) -> None:
    gateway.update_stage(
        restApiId=api,
        stageName=stage,
        patchOperations=[
            {"op": "replace", "path": path, "value": str(value)} for path, value in changes.items() if value is not None
        ],
    )
