"""components/policies/deployer.py: the deployer's policy, compared with all resources of the program."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest

from components.policies import Policy, deployer, policy
from components.policies.deployer import Deployment, Place
from filecopy.deployer import deployment
from filecopy.embedded.program import load_settings

from .mocks import ACCOUNT, REGION, Recording, Registered, arn, project

ELSEWHERE = "eu-west-1"
ALL_SETTINGS = project(
    namePrefix="acme-",
    destinations=json.dumps(
        [
            {"bucket": "near"},
            {"bucket": "far", "region": ELSEWHERE, "kmsKeyArn": arn("kms", "key/1", ELSEWHERE)},
            {"bucket": "theirs", "existing": True, "account": "111111111111"},
            {"bucket": "theirs-far", "existing": True, "region": "ap-south-1"},
        ]
    ),
    notificationEmails='["builds@example.com"]',
    operationsEmails='["operators@example.com"]',
    manageApiLoggingRole="true",
    artifactBaseUrl="https://artifacts.example.com",
    kmsKeyArn=arn("kms", "key/0"),
    forceDestroy="true",
    tags='{"team": "builds"}',
)

# Service Authorization Reference: actions without a resource. For event source mappings, a condition has the function.
WITHOUT_RESOURCE = {
    "logs:DescribeLogGroups",
    "sns:GetSubscriptionAttributes",
    "sns:Unsubscribe",
    "states:ValidateStateMachineDefinition",
}
OF_A_FUNCTION = {f"lambda:{verb}EventSourceMapping" for verb in ("Create", "Update", "Delete")}

# Services that have another name in botocore than in policies.
SERVICES = {"states": "stepfunctions"}

# Service Authorization Reference: permissions with another name than the operation that needs them, and permissions
# without an operation.
NOT_OPERATIONS = {
    "iam:PassRole": None,
    "s3:DeleteObjectVersion": "DeleteObject",
    "s3:GetAccelerateConfiguration": "GetBucketAccelerateConfiguration",
    "s3:GetBucketCORS": "GetBucketCors",
    "s3:GetBucketObjectLockConfiguration": "GetObjectLockConfiguration",
    "s3:GetBucketPublicAccessBlock": "GetPublicAccessBlock",
    "s3:GetEncryptionConfiguration": "GetBucketEncryption",
    "s3:GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
    "s3:GetReplicationConfiguration": "GetBucketReplication",
    "s3:ListBucket": "HeadBucket",
    "s3:ListBucketVersions": "ListObjectVersions",
    "s3:PutBucketPublicAccessBlock": "PutPublicAccessBlock",
    "s3:PutEncryptionConfiguration": "PutBucketEncryption",
    "s3:PutLifecycleConfiguration": "PutBucketLifecycleConfiguration",
}
S3_CONTROL = {"s3:ListTagsForResource", "s3:TagResource", "s3:UntagResource"}


def stack_of(configuration: dict[str, str]) -> Deployment:
    return deployment(load_settings(configuration), partition="aws", account=ACCOUNT, region=REGION)


STACK = stack_of(ALL_SETTINGS)
DEFAULT = stack_of(project())


@pytest.fixture(scope="module")
def run() -> Recording:
    """The program with every setting."""
    return Recording().run(ALL_SETTINGS)


@pytest.fixture(scope="module")
def resources(run: Recording) -> list[Registered]:
    return [found for found in run.registered if not found.is_component]


def statements(stack: Deployment = STACK) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployer.deployer_policy(stack)["Statement"]
    return found


def actions(stack: Deployment = STACK) -> set[str]:
    return {action for statement in statements(stack) for action in statement["Action"]}


def allowed(action: str, resource: str, stack: Deployment = STACK) -> bool:
    """True if IAM allows the action on the resource, with all conditions met."""
    return any(
        action in statement["Action"] and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        for statement in statements(stack)
    )


Arns = list[tuple[str, str]]


def _named(service: str, pattern: str) -> Callable[[Registered], Arns]:
    """The ARN of a resource in its own region; ``{}`` in ``pattern`` stands for its name."""

    def arns(resource: Registered) -> Arns:
        region = resource.inputs.get("region", REGION)
        return [(service, arn(service, pattern.format(resource.inputs.get("name")), region))]

    return arns


def _log_group(resource: Registered) -> Arns:
    group = arn("logs", f"log-group:{resource.inputs['name']}", resource.inputs.get("region", REGION))
    return [("logs", group), ("logs", f"{group}:log-stream:")]


def _queue_of(resource: Registered) -> Arns:
    name = resource.inputs["queueUrl"].rsplit("/", 1)[1]
    return [("sqs", arn("sqs", name, resource.inputs.get("region", REGION)))]


def _api_gateway(*paths: str) -> Arns:
    return [("apigateway", f"arn:aws:apigateway:{REGION}::{path}") for path in paths]


def _role(name: str) -> Arns:
    return [("iam", f"arn:aws:iam::{ACCOUNT}:role/{name}")]


# By module and type, or by module alone for all other types in it: Service Authorization Reference.
ARNS: dict[str, Callable[[Registered], Arns]] = {
    "s3": lambda one: [("s3", f"arn:aws:s3:::{one.inputs['bucket']}")],
    "dynamodb": _named("dynamodb", "table/{}"),
    "sqs/queue": _named("sqs", "{}"),
    "sqs": _queue_of,
    "sns/topic": _named("sns", "{}"),
    "sns": lambda one: [("sns", one.inputs.get("arn") or one.inputs["topic"])],
    "iam/role": lambda one: _role(one.inputs["name"]),
    "iam": lambda one: _role(one.inputs["role"]),
    "lambda/function": lambda one: [*_named("lambda", "function:{}")(one), ("iam", one.inputs["role"])],
    "lambda/permission": lambda one: [("lambda", arn("lambda", f"function:{one.inputs['function']}"))],
    "lambda": _named("lambda", "event-source-mapping:0a1b"),
    "sfn": lambda one: [*_named("states", "stateMachine:{}")(one), ("iam", one.inputs["roleArn"])],
    "cloudwatch/eventRule": _named("events", "rule/{}"),
    "cloudwatch/eventTarget": lambda one: [("events", arn("events", f"rule/{one.inputs['rule']}"))],
    "cloudwatch/logGroup": _log_group,
    "cloudwatch/metricAlarm": _named("cloudwatch", "alarm:{}"),
    "cloudwatch/dashboard": lambda one: [
        ("cloudwatch", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{one.inputs['dashboardName']}")
    ],
    "apigateway/account": lambda one: [*_api_gateway("/account"), ("iam", one.inputs["cloudwatchRoleArn"])],
    "apigateway": lambda _: _api_gateway("/restapis", "/restapis/0a1b/resources/2c", "/tags/arn%3Aaws%3Aapigateway"),
}


def arns_of(resource: Registered) -> Arns:
    """The ARNs with which IAM checks actions on the resource, each with the service's prefix in these actions."""
    path = resource.type.split(":")[1]
    arns = ARNS.get(path) or ARNS.get(path.split("/")[0])
    assert arns, f"ARNS must have an entry for {resource.type}: the ARN with which IAM checks actions on it."
    return arns(resource)


def test_the_table_has_the_programs_types_and_no_others(resources: list[Registered]) -> None:
    """The table has each resource type of the program, and no other."""
    assert {resource.type for resource in resources} == deployer.NEEDS.keys()


def test_whatever_a_resource_needs_may_be_done_to_it(resources: list[Registered]) -> None:
    """Each action of each resource's type is allowed on the resource's own ARN."""
    for resource in resources:
        needed = {action for taken in deployer.NEEDS[resource.type].values() for action in taken}
        for prefix, its_arn in arns_of(resource):
            done_to_it = {action for action in needed if action.startswith(f"{prefix}:")}
            assert done_to_it, resource.type
            for action in done_to_it:
                place = f"{its_arn}/file" if action.startswith("s3:DeleteObject") else its_arn
                assert allowed(action, place), f"{action} on {place}"


def test_every_arn_is_of_something_that_the_program_makes(resources: list[Registered]) -> None:
    """Each ARN in the policy matches a resource of the program."""
    made = {its_arn for resource in resources for _, its_arn in arns_of(resource)}
    made |= {f"{its_arn}/file" for its_arn in made if its_arn.startswith("arn:aws:s3:::")}
    for statement in statements():
        for pattern in statement["Resource"]:
            assert any(fnmatchcase(its_arn, pattern) for its_arn in made), pattern


def test_functions_that_read_queues_are_those_of_the_mappings(run: Recording) -> None:
    """The condition for event source mappings names exactly the functions that have one, in the right regions."""
    mappings = run.inputs("lambda/eventSourceMapping:EventSourceMapping").values()
    [statement] = [found for found in statements() if OF_A_FUNCTION & set(found["Action"])]
    assert statement["Condition"].keys() == {"ArnEquals"}
    named = statement["Condition"]["ArnEquals"]["lambda:FunctionArn"]
    assert sorted(named) == sorted(mapping["functionName"] for mapping in mappings)


def test_roles_are_passed_to_the_services_that_take_them_on(run: Recording) -> None:
    """The deployer may pass roles only to the services that the roles trust."""
    [statement] = [found for found in statements() if "iam:PassRole" in found["Action"]]
    trusted = {
        one["Principal"]["Service"]
        for role in run.inputs("iam/role:Role").values()
        for one in json.loads(role["assumeRolePolicy"])["Statement"]
    }
    assert statement["Action"] == ["iam:PassRole"]
    assert statement["Condition"].keys() == {"StringEquals"}
    assert set(statement["Condition"]["StringEquals"]["iam:PassedToService"]) == trusted


@pytest.mark.parametrize("stack", [DEFAULT, STACK], ids=["default", "all settings"])
def test_everything_else_is_out_of_reach(stack: Deployment) -> None:
    """Each action that AWS can limit to a resource has an ARN of this account, with the stack's prefix."""
    for statement in statements(stack):
        for pattern in statement["Resource"]:
            if pattern == "*":
                assert set(statement["Action"]) <= WITHOUT_RESOURCE | OF_A_FUNCTION
                continue
            partition, service, region, account, name = pattern.split(":", 5)[1:]
            assert partition == "aws"
            assert region in {REGION, *stack.other_regions} or service in ("s3", "iam") or "dashboard/" in name
            assert account == ("" if service in ("s3", "apigateway") else ACCOUNT)
            assert "?" not in pattern
            if service != "apigateway" and name not in ("alarm:*", "event-source-mapping:*"):
                bare = re.sub(r"^(?:[a-zA-Z]+[/:]|log-group:/aws/(?:[a-z]+/)+)", "", name)
                assert bare.startswith(stack.name_prefix), pattern
                assert not bare.removeprefix(stack.name_prefix).startswith("*"), pattern


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:PutBucketPolicy", "arn:aws:s3:::theirs"),
        ("s3:PutBucketPolicy", "arn:aws:s3:::near"),
        ("s3:DeleteObject", "arn:aws:s3:::acme-near-2/file"),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/acme-admin"),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/acme-admin"),
        ("lambda:UpdateFunctionCode", arn("lambda", "function:acme-billing")),
        ("lambda:UpdateFunctionCode", arn("lambda", "function:acme-copy-worker", ELSEWHERE)),
        ("sqs:DeleteQueue", arn("sqs", "acme-file-copy-uploads", ELSEWHERE)),
        ("dynamodb:DeleteTable", arn("dynamodb", "table/FileCopyTracking")),
        ("sns:DeleteTopic", arn("sns", "acme-orders")),
        ("logs:DeleteLogGroup", arn("logs", "log-group:/aws/lambda/acme-billing")),
        ("cloudwatch:DeleteAlarms", arn("cloudwatch", "alarm:acme-orders")),
        ("apigateway:DELETE", f"arn:aws:apigateway:{REGION}::/domainnames/example.com"),
        ("apigateway:PATCH", f"arn:aws:apigateway:{ELSEWHERE}::/account"),
    ],
)
def test_a_neighbour_is_out_of_reach(action: str, resource: str) -> None:
    """A resource with a similar name, or with the same prefix, is out of the deployer's reach."""
    assert action in actions()
    assert not allowed(action, resource)


def test_no_action_is_misspelt() -> None:
    """Each action is an operation of its service, or a permission with another name. IAM accepts any string, but a
    misspelt action allows nothing."""
    session = botocore.session.Session()
    operations: dict[str, set[str]] = {}
    for action in sorted(actions()):
        service, name = action.split(":")
        if service == "apigateway":
            assert name in ("GET", "POST", "PUT", "PATCH", "DELETE")
            continue
        service = "s3control" if action in S3_CONTROL else SERVICES.get(service, service)
        operation = NOT_OPERATIONS.get(action, name)
        if service not in operations:
            operations[service] = set(session.get_service_model(service).operation_names)
        assert operation is None or operation in operations[service], action


def test_permissions_that_are_no_operations_are_used() -> None:
    """The list has no permission that the policy does not use."""
    assert actions() >= NOT_OPERATIONS.keys() | S3_CONTROL


def test_no_action_has_a_wildcard() -> None:
    assert not any("*" in action for action in actions())


def test_nothing_is_destroyed_without_force_destroy() -> None:
    """Without ``forceDestroy``, a deployer may delete neither files nor buckets nor the table."""
    kept = actions(replace(STACK, force_destroy=False))
    assert actions() - kept == deployer.TO_DESTROY
    assert not {action for action in kept if action.startswith(("s3:Delete", "dynamodb:Delete"))}


def test_the_accounts_api_settings_are_only_theirs_who_manage_them() -> None:
    """Without manageApiLoggingRole, the deployer may not change the account's settings of API Gateway, or its role."""
    [apis] = [found for found in statements(DEFAULT) if "apigateway:PATCH" in found["Action"]]
    assert f"arn:aws:apigateway:{REGION}::/account" not in apis["Resource"]
    assert not allowed("apigateway:PATCH", f"arn:aws:apigateway:{REGION}::/account", DEFAULT)
    assert not allowed("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/file-copy-api-logs", DEFAULT)


def test_settings_are_in_the_arns() -> None:
    """The ARNs have the prefix, the buckets and the regions of the stack's own resources, but not of external
    buckets."""
    text = json.dumps(statements())
    assert STACK.buckets == ["acme-global-builds", "acme-near", "acme-far"]
    assert STACK.other_regions == [ELSEWHERE]
    assert "theirs" not in text
    assert "ap-south-1" not in text
    assert all(f'"arn:aws:s3:::{bucket}"' in text for bucket in STACK.buckets)
    assert arn("lambda", f"function:acme-regional-sync-{ELSEWHERE}", ELSEWHERE) in text


def granted(documents: list[Policy]) -> set[tuple[str, str, str]]:
    return {
        (action, resource, json.dumps(statement.get("Condition")))
        for document in documents
        for statement in document["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


@pytest.mark.parametrize(
    "stack",
    [
        DEFAULT,
        STACK,
        replace(STACK, buckets=[f"acme-{index:03}-builds" for index in range(103)]),
        replace(STACK, other_regions=[f"ap-southeast-{index}" for index in range(30)], name_prefix="p" * 30),
    ],
    ids=["default", "all settings", "many buckets", "many regions"],
)
def test_managed_policies_are_not_too_long(stack: Deployment) -> None:
    """The managed policies together allow what the policy allows, and each is short enough for IAM."""
    whole = deployer.deployer_policy(stack)
    parts = deployer.managed_policies(whole)
    assert all(0 < deployer.characters(part) <= 6144 for part in parts)
    assert all(part["Statement"] for part in parts)
    assert granted(parts) == granted([whole])


def test_a_short_policy_is_one_managed_policy() -> None:
    """A policy that is short enough stays unchanged."""
    short = policy(*statements()[:3])
    assert deployer.managed_policies(short) == [short]


def test_every_place_has_a_statement() -> None:
    """Each place in the list is needed by a resource type."""
    assert {place for needs in deployer.NEEDS.values() for place in needs} == set(Place)
