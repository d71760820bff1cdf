"""Each component by itself: what it makes, of what, and in which order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components import policies
from components.api import RestApi
from components.buckets import BucketRef, BuildBuckets
from components.failures import FailureTopic
from components.handler_function import HANDLERS, HandlerFunction, handlers_archive
from components.queues import BucketEventQueue
from components.settings import Destination, Settings
from components.tracking import TrackingTable
from components.workflow import CopyWorkflow

from .mocks import ACCOUNT, DEFAULTS, EMULATOR, REGION, Recording, arn, project

STATEMENT = policies.allow(["sns:Publish"], ["arn:aws:sns:::some-topic"])


def record(program: Callable[[], object]) -> Recording:
    return Recording().run(project(), program=program)


def refer(*names: str) -> list[BucketRef]:
    return [
        BucketRef(label=name, name=pulumi.Output.from_input(name), arn=pulumi.Output.from_input(f"arn:aws:s3:::{name}"))
        for name in names
    ]


def names(buckets: Sequence[BucketRef]) -> pulumi.Output[list[str]]:
    return pulumi.Output.all(*[bucket.name for bucket in buckets])


# --- Buckets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force_destroy", [False, True])
def test_buckets_keep_versions_and_are_private(force_destroy: bool) -> None:
    """Each bucket keeps versions, so a copy is of what its event named, and none is ever public."""
    recording = record(lambda: BuildBuckets("builds", replace(DEFAULTS, force_destroy=force_destroy)))
    made = ["global-builds", "region-a-builds", "region-b-builds"]
    assert recording.inputs("s3/bucket:Bucket") == {
        name: {"bucket": name, "forceDestroy": force_destroy} for name in made
    }
    assert recording.inputs("s3/bucketVersioning:BucketVersioning") == {
        f"{name}-versioning": {"bucket": name, "versioningConfiguration": {"status": "Enabled"}} for name in made
    }
    assert recording.inputs("s3/bucketPublicAccessBlock:BucketPublicAccessBlock") == {
        f"{name}-public-access-block": {
            "bucket": name,
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        }
        for name in made
    }


def test_an_existing_destination_is_referred_to_and_not_made() -> None:
    """Somebody else's bucket is a destination in its place in the list, and no resource claims it."""
    settings = replace(
        DEFAULTS,
        destinations=(
            Destination(bucket="region-a-builds"),
            Destination(bucket="theirs", existing=True),
            Destination(bucket="region-b-builds"),
        ),
    )

    def program() -> None:
        buckets = BuildBuckets("builds", settings)
        pulumi.export("names", buckets.destination_names)
        pulumi.export("arns", buckets.destination_arns)
        pulumi.export("owned", names(buckets.owned_destinations))

    recording = record(program)
    assert recording.inputs("s3/bucket:Bucket").keys() == {"global-builds", "region-a-builds", "region-b-builds"}
    assert not any("theirs" in json.dumps([resource.name, resource.inputs]) for resource in recording.registered)
    assert recording.outputs == {
        "names": ["region-a-builds", "theirs", "region-b-builds"],
        "arns": ["arn:aws:s3:::region-a-builds", "arn:aws:s3:::theirs", "arn:aws:s3:::region-b-builds"],
        "owned": ["region-a-builds", "region-b-builds"],
    }


# --- Table and topic --------------------------------------------------------------------------------------------


def test_the_table_has_the_guides_key() -> None:
    """A record is found by file key and source bucket, as the guide's get-item asks for it."""
    recording = record(lambda: TrackingTable("tracking", DEFAULTS))
    assert recording.inputs("dynamodb/table:Table") == {
        "tracking": {
            "name": "FileCopyTracking",
            "billingMode": "PAY_PER_REQUEST",
            "hashKey": "fileKey",
            "rangeKey": "sourceBucket",
            "attributes": [{"name": "fileKey", "type": "S"}, {"name": "sourceBucket", "type": "S"}],
        }
    }


@pytest.mark.parametrize("addresses", [(), ("a@example.com",), ("a@example.com", "b@example.com")])
def test_every_address_is_subscribed(addresses: tuple[str, ...]) -> None:
    """Each address is told of failures, and a stack without addresses still has its topic."""
    recording = record(lambda: FailureTopic("failures", replace(DEFAULTS, notification_emails=addresses)))
    assert recording.inputs("sns/topic:Topic") == {"failures": {"name": "file-copy-failures"}}
    topic = arn("sns", "file-copy-failures")
    assert recording.inputs("sns/topicSubscription:TopicSubscription") == {
        f"failures-{address}": {"topic": topic, "protocol": "email", "endpoint": address} for address in addresses
    }


# --- Queues -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function_timeout", [30, 60])
def test_a_queue_hands_out_messages_in_peace_and_gives_up_on_them_in_the_end(function_timeout: int) -> None:
    """A message is worked on once at a time, and lands with the dead letters, which are kept longest, after five."""

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


def test_a_queue_accepts_its_own_buckets_only() -> None:
    """The queue's policy names these buckets and this account, and is its own queue's."""
    recording = record(lambda: BucketEventQueue("uploads", DEFAULTS, buckets=refer("a", "b"), function_timeout=30))
    [policy] = recording.inputs("sqs/queuePolicy:QueuePolicy").values()
    assert policy["queueUrl"].endswith("/file-copy-uploads")
    assert json.loads(policy["policy"]) == policies.queue_accepts_bucket_events(
        arn("sqs", "file-copy-uploads"), ["arn:aws:s3:::a", "arn:aws:s3:::b"]
    )
    [statement] = json.loads(policy["policy"])["Statement"]
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


@pytest.mark.parametrize(
    ("key_filter", "expected"),
    [
        ({}, {}),
        ({"key_prefix": "in/"}, {"filterPrefix": "in/"}),
        ({"key_prefix": "in/", "key_suffix": ".zip"}, {"filterPrefix": "in/", "filterSuffix": ".zip"}),
    ],
)
def test_a_bucket_is_told_after_the_queue_is_ready_for_it(key_filter: dict[str, Any], expected: dict[str, str]) -> None:
    """A notification waits for the policy that S3 tests it against, and asks for the keys that were asked for."""
    recording = record(
        lambda: BucketEventQueue("uploads", DEFAULTS, buckets=refer("a", "b"), function_timeout=30, **key_filter)
    )
    notifications = recording.of("s3/bucketNotification:BucketNotification")
    assert notifications.keys() == {"uploads-a", "uploads-b"}
    [policy] = recording.of("sqs/queuePolicy:QueuePolicy").values()
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
    """Where every destination is somebody else's, there is no policy with an empty list, which SQS refuses."""
    recording = record(lambda: BucketEventQueue("arrivals", DEFAULTS, buckets=[], function_timeout=30))
    assert {resource.type for resource in recording.registered if not resource.is_component} == {"aws:sqs/queue:Queue"}


# --- Functions --------------------------------------------------------------------------------------------------


def function(name: str = "regional-sync", settings: Settings = DEFAULTS, **arguments: Any) -> HandlerFunction:
    return HandlerFunction(name, settings, statements=[STATEMENT], environment={"A": "b"}, timeout=60, **arguments)


def test_a_function_runs_its_own_module_with_its_own_role() -> None:
    """A function is its module of handlers/, may do what it was given and write its log, and keeps logs as long."""
    recording = record(lambda: function(settings=replace(DEFAULTS, log_retention_days=90)))
    [made] = recording.of("lambda/function:Function").values()
    code = made.inputs.pop("code")
    assert code.assets.keys() == handlers_archive().assets.keys()
    assert made.inputs == {
        "name": "regional-sync",
        "runtime": "python3.13",
        "handler": "handlers.regional_sync.handler",
        "role": f"arn:aws:iam::{ACCOUNT}:role/regional-sync",
        "timeout": 60,
        "memorySize": 256,
        "environment": {"variables": {"A": "b"}},
    }
    assert recording.inputs("cloudwatch/logGroup:LogGroup") == {
        "regional-sync": {"name": "/aws/lambda/regional-sync", "retentionInDays": 90}
    }
    [role] = recording.inputs("iam/role:Role").values()
    assert json.loads(role["assumeRolePolicy"]) == policies.trust("lambda.amazonaws.com")
    [policy] = recording.inputs("iam/rolePolicy:RolePolicy").values()
    assert policy["role"] == "regional-sync"
    assert json.loads(policy["policy"]) == policies.policy(
        policies.write_logs(arn("logs", "log-group:/aws/lambda/regional-sync")), STATEMENT
    )


def test_a_function_is_made_after_its_permissions_and_its_log_group() -> None:
    """The first run can write its log, into the group that has a retention and not into one that Lambda makes."""
    recording = record(function)
    [made] = recording.of("lambda/function:Function").values()
    [policy] = recording.of("iam/rolePolicy:RolePolicy").values()
    [group] = recording.of("cloudwatch/logGroup:LogGroup").values()
    assert {policy.urn, group.urn} <= made.dependencies


@pytest.mark.parametrize(("concurrency", "scaling"), [(None, {}), (5, {"scalingConfig": {"maximumConcurrency": 5}})])
def test_a_queue_feeds_a_function_message_by_message(concurrency: int | None, scaling: dict[str, Any]) -> None:
    """One bad message of a batch fails alone, and the function may read its queue and no other."""

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
    assert policies.consume_queue(queue_arn) in json.loads(policy["policy"])["Statement"]


def test_a_package_is_the_handlers_and_nothing_else() -> None:
    """Every module of handlers/ is in the package under its own name, and no cache or stray file is."""
    modules = {path.name: path for path in HANDLERS.iterdir() if path.suffix == ".py"}
    assets = handlers_archive().assets
    assert assets.keys() == {f"handlers/{name}" for name in modules}
    for name, asset in assets.items():
        assert isinstance(asset, pulumi.FileAsset)
        assert asset.path == str(modules[name.removeprefix("handlers/")])


# --- State machine ----------------------------------------------------------------------------------------------


def test_the_state_machine_works_with_its_own_table_and_topic() -> None:
    """The definition is JSON that names this stack's table and topic, and the role may do what it asks for."""
    settings = replace(DEFAULTS, name_prefix="acme-", max_concurrency=7)

    def program() -> None:
        workflow = CopyWorkflow(
            "workflow",
            settings,
            buckets=BuildBuckets("builds", settings),
            tracking=TrackingTable("tracking", settings),
            failures=FailureTopic("failures", settings),
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
    }
    assert recording.outputs == {"arn": arn("states", "stateMachine:acme-file-copy-workflow")}

    [role] = recording.inputs("iam/role:Role").values()
    assert json.loads(role["assumeRolePolicy"]) == policies.trust("states.amazonaws.com")
    [policy] = recording.of("iam/rolePolicy:RolePolicy").values()
    assert policy.urn in machine.dependencies
    assert policy.inputs["role"] == "acme-file-copy-workflow"
    assert json.loads(policy.inputs["policy"]) == policies.copy_workflow(
        "arn:aws:s3:::global-builds",
        ["arn:aws:s3:::region-a-builds", "arn:aws:s3:::region-b-builds"],
        arn("dynamodb", "table/acme-FileCopyTracking"),
        arn("sns", "acme-file-copy-failures"),
    )


# --- API --------------------------------------------------------------------------------------------------------


def api(settings: Settings, *paths: str) -> Recording:
    def program() -> None:
        routes = {path: function(path, settings) for path in paths}
        pulumi.export("url", RestApi("api", settings, routes=routes).url)

    return record(program)


@pytest.mark.parametrize("authorization", ["AWS_IAM", "NONE"])
def test_every_route_posts_to_its_function(authorization: str) -> None:
    """Each path invokes its own function, lets in whom the setting says, and may do so at this path alone."""
    paths = ("step-function", "builds")
    recording = api(replace(DEFAULTS, api_authorization=authorization), *paths)
    owner = {"restApi": "file-copy-api-id"}
    assert recording.inputs("apigateway/resource:Resource") == {
        f"api-{path}": {**owner, "parentId": "root", "pathPart": path} for path in paths
    }
    assert recording.inputs("apigateway/method:Method") == {
        f"api-{path}": {
            **owner,
            "resourceId": f"api-{path}-id",
            "httpMethod": "POST",
            "authorization": authorization,
        }
        for path in paths
    }
    assert recording.inputs("apigateway/integration:Integration") == {
        f"api-{path}": {
            **owner,
            "resourceId": f"api-{path}-id",
            "httpMethod": "POST",
            "integrationHttpMethod": "POST",
            "type": "AWS_PROXY",
            "uri": f"invoke:{path}",
        }
        for path in paths
    }
    assert recording.inputs("lambda/permission:Permission") == {
        f"api-{path}": {
            "action": "lambda:InvokeFunction",
            "function": path,
            "principal": "apigateway.amazonaws.com",
            "sourceArn": f"{arn('execute-api', 'api')}/live/POST/{path}",
        }
        for path in paths
    }


def test_the_stage_shows_every_route() -> None:
    """The deployment is a snapshot made after every integration: an earlier one would answer 403 for the rest."""
    recording = api(DEFAULTS, "step-function", "builds")
    [deployment] = recording.of("apigateway/deployment:Deployment").values()
    integrations = recording.of("apigateway/integration:Integration").values()
    assert {integration.urn for integration in integrations} <= deployment.dependencies
    [stage] = recording.inputs("apigateway/stage:Stage").values()
    assert stage == {"restApi": "file-copy-api-id", "deployment": "api-id", "stageName": "live"}


def test_changed_routes_are_deployed_again() -> None:
    """A route or an authorization that changes gives another deployment, and nothing else does."""

    def fingerprint(settings: Settings, *paths: str) -> str:
        [deployment] = api(settings, *paths).inputs("apigateway/deployment:Deployment").values()
        return str(deployment["triggers"]["routes"])

    first = fingerprint(DEFAULTS, "builds")
    assert fingerprint(DEFAULTS, "builds") == first
    assert (
        len({first, fingerprint(DEFAULTS, "build"), fingerprint(replace(DEFAULTS, api_authorization="NONE"), "builds")})
        == 3
    )


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, f"https://api.execute-api.{REGION}.amazonaws.com/live"),
        (EMULATOR, f"{EMULATOR}/restapis/file-copy-api-id/live/_user_request_"),
    ],
)
def test_the_url_works_where_the_stack_is(endpoint: str | None, url: str) -> None:
    """curl reaches the API as it is written, on AWS and on an emulator, which has no DNS name for it."""
    assert api(replace(DEFAULTS, emulator_endpoint=endpoint), "builds").outputs == {"url": url}
