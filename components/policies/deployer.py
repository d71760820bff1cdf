"""The deployer's policy: a pure function from a stack's settings to IAM policies. No Pulumi here.

A table lists, for each type of resource that the program creates, the actions that Pulumi's AWS provider needs to
create, read, update, tag and delete it. The provider tags most resources while it creates them, so creating them needs
the actions for tags, too. The actions, their resources and their conditions are from the Service Authorization
Reference, "Actions, resources, and condition keys for AWS services", the page of each service.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from components.names import ALARM_NAMES_BEGIN_WITH, in_region

from .statements import Policy, Statement, allow, policy

# IAM quotas: the characters of a managed policy, white space not counted.
MAX_CHARACTERS = 6_144


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The properties of a stack on which the policy depends. The stack need not exist yet."""

    partition: str
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""
    account: str
    """Twelve digits."""
    region: str
    name_prefix: str
    buckets: Sequence[str]
    """The physical names of the buckets that the stack creates."""
    other_regions: Sequence[str]
    """The regions other than ``region`` in which the stack creates buckets."""
    manage_api_logging_role: bool
    force_destroy: bool
    """True if the stack may be destroyed with its table and its files."""


class Place(StrEnum):
    """A group of resources, which one statement of the policy names."""

    API_ACCOUNT = "API Gateway's settings of the account"
    APIS = "REST APIs"
    BUCKETS = "buckets"
    FILES = "files"
    TABLE = "the table"
    QUEUES = "queues"
    TOPICS = "topics"
    LOG_GROUPS = "log groups"
    ROLES = "roles"
    PASSED_ROLES = "roles that are passed to services"
    FUNCTIONS = "functions, and reading and tagging of event source mappings"
    MAPPINGS = "event source mappings of the stack's functions"
    STATE_MACHINE = "the state machine"
    RULES = "rules"
    ALARMS = "alarms"
    ALL_ALARMS = "all alarms, with any name"
    DASHBOARD = "the dashboard"
    ANYTHING = "actions that take no resource"


Needs = dict[Place, tuple[str, ...]]

# API Gateway's actions are HTTP methods.
_GET, _POST, _PUT, _PATCH, _DELETE = (f"apigateway:{verb}" for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"))

NEEDS: dict[str, Needs] = {
    "aws:apigateway/account:Account": {
        Place.API_ACCOUNT: (_GET, _PATCH),
        Place.PASSED_ROLES: ("iam:PassRole",),
    },
    "aws:apigateway/deployment:Deployment": {Place.APIS: (_POST, _GET, _DELETE)},
    "aws:apigateway/integration:Integration": {Place.APIS: (_PUT, _GET, _PATCH, _DELETE)},
    "aws:apigateway/method:Method": {Place.APIS: (_PUT, _GET, _PATCH, _DELETE)},
    "aws:apigateway/methodSettings:MethodSettings": {Place.APIS: (_PATCH, _GET)},
    "aws:apigateway/model:Model": {Place.APIS: (_POST, _GET, _PATCH, _DELETE)},
    "aws:apigateway/requestValidator:RequestValidator": {Place.APIS: (_POST, _GET, _PATCH, _DELETE)},
    "aws:apigateway/resource:Resource": {Place.APIS: (_POST, _GET, _PATCH, _DELETE)},
    "aws:apigateway/response:Response": {Place.APIS: (_PUT, _GET, _DELETE)},
    "aws:apigateway/restApi:RestApi": {Place.APIS: (_POST, _GET, _PUT, _PATCH, _DELETE)},
    "aws:apigateway/stage:Stage": {Place.APIS: (_POST, _GET, _PUT, _PATCH, _DELETE)},
    "aws:cloudwatch/dashboard:Dashboard": {
        Place.DASHBOARD: ("cloudwatch:PutDashboard", "cloudwatch:GetDashboard", "cloudwatch:DeleteDashboards"),
    },
    "aws:cloudwatch/eventRule:EventRule": {
        Place.RULES: (
            *("events:PutRule", "events:DescribeRule", "events:DeleteRule"),
            *("events:ListTagsForResource", "events:TagResource", "events:UntagResource"),
        ),
    },
    "aws:cloudwatch/eventTarget:EventTarget": {
        Place.RULES: ("events:PutTargets", "events:ListTargetsByRule", "events:RemoveTargets"),
    },
    "aws:cloudwatch/logGroup:LogGroup": {
        Place.LOG_GROUPS: (
            *("logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"),
            *("logs:ListTagsForResource", "logs:TagResource", "logs:UntagResource"),
        ),
        Place.ANYTHING: ("logs:DescribeLogGroups",),
    },
    "aws:cloudwatch/metricAlarm:MetricAlarm": {
        Place.ALARMS: (
            *("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
            *("cloudwatch:ListTagsForResource", "cloudwatch:TagResource", "cloudwatch:UntagResource"),
        ),
        # One call may read many alarms, so IAM checks it against all of them.
        Place.ALL_ALARMS: ("cloudwatch:DescribeAlarms",),
    },
    "aws:dynamodb/table:Table": {
        Place.TABLE: (
            *("dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:DeleteTable"),
            *("dynamodb:DescribeContinuousBackups", "dynamodb:UpdateContinuousBackups"),
            *("dynamodb:DescribeTimeToLive", "dynamodb:UpdateTimeToLive"),
            *("dynamodb:ListTagsOfResource", "dynamodb:TagResource", "dynamodb:UntagResource"),
        ),
    },
    "aws:iam/role:Role": {
        Place.ROLES: (
            *("iam:CreateRole", "iam:GetRole", "iam:UpdateAssumeRolePolicy", "iam:DeleteRole"),
            # The provider reads the role's policies and, before it deletes the role, its instance profiles.
            *("iam:ListRolePolicies", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole"),
            *("iam:TagRole", "iam:UntagRole"),
        ),
    },
    "aws:iam/rolePolicy:RolePolicy": {
        Place.ROLES: ("iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy"),
    },
    "aws:lambda/eventSourceMapping:EventSourceMapping": {
        Place.MAPPINGS: (
            *("lambda:CreateEventSourceMapping", "lambda:UpdateEventSourceMapping"),
            "lambda:DeleteEventSourceMapping",
        ),
        # The action that reads a mapping is not limited to its function: the provider reads a deleted mapping until it
        # is gone, and that mapping no longer has a function.
        Place.FUNCTIONS: (
            *("lambda:GetEventSourceMapping", "lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"),
        ),
    },
    "aws:lambda/function:Function": {
        Place.FUNCTIONS: (
            *("lambda:CreateFunction", "lambda:GetFunction", "lambda:DeleteFunction"),
            *("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
            *("lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"),
            *("lambda:ListVersionsByFunction", "lambda:GetFunctionCodeSigningConfig"),
            *("lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"),
        ),
        Place.PASSED_ROLES: ("iam:PassRole",),
    },
    "aws:lambda/permission:Permission": {
        Place.FUNCTIONS: ("lambda:AddPermission", "lambda:GetPolicy", "lambda:RemovePermission"),
    },
    "aws:s3/bucket:Bucket": {
        Place.BUCKETS: (
            *("s3:CreateBucket", "s3:ListBucket", "s3:DeleteBucket"),
            # The provider reads all of these, even if they are not set.
            *("s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLogging"),
            *("s3:GetBucketObjectLockConfiguration", "s3:GetBucketPolicy", "s3:GetBucketRequestPayment"),
            *("s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration"),
            *("s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration"),
            # Tags: through S3 Control since version 7.13 of pulumi-aws; through S3 where S3 Control has no tags.
            *("s3:ListTagsForResource", "s3:TagResource", "s3:UntagResource"),
            *("s3:GetBucketTagging", "s3:PutBucketTagging"),
            # To empty a bucket before it is deleted.
            "s3:ListBucketVersions",
        ),
        Place.FILES: ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    },
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": {
        Place.BUCKETS: ("s3:PutLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
    },
    "aws:s3/bucketNotification:BucketNotification": {
        Place.BUCKETS: ("s3:PutBucketNotification", "s3:GetBucketNotification"),
    },
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": {
        Place.BUCKETS: ("s3:PutBucketOwnershipControls", "s3:GetBucketOwnershipControls"),
    },
    "aws:s3/bucketPolicy:BucketPolicy": {
        # It is never deleted by itself, only with its bucket.
        Place.BUCKETS: ("s3:PutBucketPolicy", "s3:GetBucketPolicy"),
    },
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": {
        Place.BUCKETS: ("s3:PutBucketPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    },
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": {
        Place.BUCKETS: ("s3:PutEncryptionConfiguration", "s3:GetEncryptionConfiguration"),
    },
    "aws:s3/bucketVersioning:BucketVersioning": {
        Place.BUCKETS: ("s3:PutBucketVersioning", "s3:GetBucketVersioning"),
    },
    "aws:sfn/stateMachine:StateMachine": {
        Place.STATE_MACHINE: (
            *("states:CreateStateMachine", "states:DescribeStateMachine", "states:UpdateStateMachine"),
            *("states:DeleteStateMachine", "states:PublishStateMachineVersion", "states:ListStateMachineVersions"),
            *("states:ListTagsForResource", "states:TagResource", "states:UntagResource"),
        ),
        Place.ANYTHING: ("states:ValidateStateMachineDefinition",),
        Place.PASSED_ROLES: ("iam:PassRole",),
    },
    "aws:sns/topic:Topic": {
        Place.TOPICS: (
            *("sns:CreateTopic", "sns:GetTopicAttributes", "sns:SetTopicAttributes", "sns:DeleteTopic"),
            *("sns:ListTagsForResource", "sns:TagResource", "sns:UntagResource"),
        ),
    },
    "aws:sns/topicPolicy:TopicPolicy": {Place.TOPICS: ("sns:SetTopicAttributes", "sns:GetTopicAttributes")},
    "aws:sns/topicSubscription:TopicSubscription": {
        Place.TOPICS: ("sns:Subscribe",),
        Place.ANYTHING: ("sns:GetSubscriptionAttributes", "sns:Unsubscribe"),
    },
    "aws:sqs/queue:Queue": {
        Place.QUEUES: (
            *("sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes", "sqs:DeleteQueue"),
            *("sqs:ListQueueTags", "sqs:TagQueue", "sqs:UntagQueue"),
        ),
    },
    "aws:sqs/queuePolicy:QueuePolicy": {Place.QUEUES: ("sqs:SetQueueAttributes", "sqs:GetQueueAttributes")},
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": {
        Place.QUEUES: ("sqs:SetQueueAttributes", "sqs:GetQueueAttributes"),
    },
}
"""The needs of each type of resource. The policy does not allow deploying any other type."""

TO_DESTROY = frozenset(
    {
        *("dynamodb:DeleteTable", "s3:DeleteBucket"),
        *("s3:ListBucketVersions", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    }
)
"""Actions that only ``forceDestroy`` needs. Where it is not set, the table is protected, and buckets are kept."""

FUNCTIONS = (
    "build-worker",
    "copy-worker",
    "execution-watcher",
    "notification-digest",
    "regional-sync",
    "replication-worker",
    "step-function-invoker",
)
QUEUE_READERS = ("execution-watcher", "regional-sync", "replication-worker")
"""The functions that have an event source mapping."""

IN_EACH_REGION = "regional-sync"
"""The function that is created once in each region."""


def deployer_policy(stack: Deployment) -> Policy:
    """The policy to deploy and update the stack and, with ``force_destroy``, to destroy it."""
    return policy(*_statements(stack))


def managed_policies(document: Policy) -> list[Policy]:
    """The policy, split into managed policies that are short enough for IAM. All are needed together."""
    parts = [policy()]
    for statement in document["Statement"]:
        for piece in _pieces(statement):
            longer = policy(*parts[-1]["Statement"], piece)
            if characters(longer) <= MAX_CHARACTERS:
                parts[-1] = longer
            else:
                parts.append(policy(piece))
    return parts


def characters(document: Policy) -> int:
    """The length of the policy as IAM counts it, without white space. The names in a policy have none."""
    return len(json.dumps(document, separators=(",", ":")))


def _statements(stack: Deployment) -> Iterator[Statement]:
    """A statement for each place, with all actions that the types of resources need there."""
    needed: dict[Place, set[str]] = {}
    for of_type, needs in NEEDS.items():
        if of_type == "aws:apigateway/account:Account" and not stack.manage_api_logging_role:
            continue
        for place, actions in needs.items():
            allowed = set(actions) if stack.force_destroy else set(actions) - TO_DESTROY
            needed.setdefault(place, set()).update(allowed)
    for place in Place:
        if needed.get(place):
            condition = _condition(place, stack)
            resources = _RESOURCES[place](stack)
            yield allow(sorted(needed[place]), resources, **({"Condition": condition} if condition else {}))


def _condition(place: Place, stack: Deployment) -> dict[str, dict[str, list[str]]] | None:
    """The condition of a place's statement, if it has one."""
    if place == Place.PASSED_ROLES:
        services = ["apigateway"] if stack.manage_api_logging_role else []
        passed_to = [f"{service}.amazonaws.com" for service in (*services, "lambda", "states")]
        return {"StringEquals": {"iam:PassedToService": passed_to}}
    if place == Place.MAPPINGS:
        return {"ArnEquals": {"lambda:FunctionArn": _functions(QUEUE_READERS, stack)}}
    return None


# --- ARNs of each place -----------------------------------------------------------------------------------------


def _apis(stack: Deployment) -> list[str]:
    """An API's ARN has its ID, which is not known before the deployment, and no name. A new API is tagged by a PUT."""
    return [_api(path, stack) for path in ("/restapis", "/restapis/*", "/tags/*")]


def _buckets(stack: Deployment) -> list[str]:
    return [f"arn:{stack.partition}:s3:::{bucket}" for bucket in stack.buckets]


def _queues(stack: Deployment) -> list[str]:
    return [
        _own("sqs", "{}", "file-copy-*", stack),
        *_elsewhere("sqs", "{}*", "file-copy-arrivals", stack),
    ]


def _topics(stack: Deployment) -> list[str]:
    return [
        *(_own("sns", "{}", f"file-copy-{name}", stack) for name in ("failures", "digests", "operations")),
        *_elsewhere("sns", "{}", "file-copy-operations", stack),
    ]


def _log_groups(stack: Deployment) -> list[str]:
    """Some actions need a group's ARN with ":*" or a stream at its end, others without."""
    return [
        _own("logs", "log-group:/aws/apigateway/{}*", "file-copy-api", stack),
        *(_own("logs", "log-group:/aws/lambda/{}*", name, stack) for name in FUNCTIONS),
        *_elsewhere("logs", "log-group:/aws/lambda/{}*", IN_EACH_REGION, stack),
        _own("logs", "log-group:/aws/vendedlogs/states/{}*", "file-copy-workflow", stack),
    ]


def _roles(stack: Deployment) -> list[str]:
    names = [
        *FUNCTIONS,
        *(in_region(IN_EACH_REGION, region) for region in stack.other_regions),
        *(["file-copy-api-logs"] if stack.manage_api_logging_role else []),
        "file-copy-workflow",
    ]
    return [f"arn:{stack.partition}:iam::{stack.account}:role/{stack.name_prefix}{name}" for name in names]


def _functions_and_mappings(stack: Deployment) -> list[str]:
    """A mapping's ARN has its ID, and no name."""
    return [*_functions(FUNCTIONS, stack), *_anything_in_regions("lambda", "event-source-mapping:*", stack)]


def _alarms(stack: Deployment) -> list[str]:
    names = f"{ALARM_NAMES_BEGIN_WITH}*"
    return [
        _own("cloudwatch", "alarm:{}", names, stack),
        *_elsewhere("cloudwatch", "alarm:{}", names, stack),
    ]


def _dashboard(stack: Deployment) -> list[str]:
    name = f"{stack.name_prefix}file-copy-workflow"
    return [f"arn:{stack.partition}:cloudwatch::{stack.account}:dashboard/{name}"]


_RESOURCES: dict[Place, Callable[[Deployment], list[str]]] = {
    Place.API_ACCOUNT: lambda stack: [_api("/account", stack)],
    Place.APIS: _apis,
    Place.BUCKETS: _buckets,
    Place.FILES: lambda stack: [f"{bucket}/*" for bucket in _buckets(stack)],
    Place.TABLE: lambda stack: [_own("dynamodb", "table/{}", "FileCopyTracking", stack)],
    Place.QUEUES: _queues,
    Place.TOPICS: _topics,
    Place.LOG_GROUPS: _log_groups,
    Place.ROLES: _roles,
    Place.PASSED_ROLES: _roles,
    Place.FUNCTIONS: _functions_and_mappings,
    # The action that creates a mapping has no resource. A condition limits it to the stack's functions.
    Place.MAPPINGS: lambda _: ["*"],
    Place.STATE_MACHINE: lambda stack: [_own("states", "stateMachine:{}", "file-copy-workflow", stack)],
    Place.RULES: lambda stack: [
        _own("events", "rule/{}", f"file-copy-{name}", stack) for name in ("digests", "endings")
    ],
    Place.ALARMS: _alarms,
    Place.ALL_ALARMS: lambda stack: _anything_in_regions("cloudwatch", "alarm:*", stack),
    Place.DASHBOARD: _dashboard,
    Place.ANYTHING: lambda _: ["*"],
}


def _functions(names: Sequence[str], stack: Deployment) -> list[str]:
    own = [_own("lambda", "function:{}", name, stack) for name in names]
    return [*own, *_elsewhere("lambda", "function:{}", IN_EACH_REGION, stack)]


def _own(service: str, resource: str, name: str, stack: Deployment) -> str:
    """The ARN of a resource in the stack's own region. ``{}`` in ``resource`` is its name with the prefix."""
    named = resource.format(f"{stack.name_prefix}{name}")
    return f"arn:{stack.partition}:{service}:{stack.region}:{stack.account}:{named}"


def _elsewhere(service: str, resource: str, name: str, stack: Deployment) -> Iterator[str]:
    """The ARNs of a resource that is created once in each other region."""
    for region in stack.other_regions:
        named = resource.format(f"{stack.name_prefix}{in_region(name, region)}")
        yield f"arn:{stack.partition}:{service}:{region}:{stack.account}:{named}"


def _anything_in_regions(service: str, resource: str, stack: Deployment) -> list[str]:
    """The ARNs of ``resource``, which has a wildcard and no name, in each region of the stack."""
    regions = (stack.region, *stack.other_regions)
    return [f"arn:{stack.partition}:{service}:{region}:{stack.account}:{resource}" for region in regions]


def _api(path: str, stack: Deployment) -> str:
    return f"arn:{stack.partition}:apigateway:{stack.region}::{path}"


def _pieces(statement: Statement) -> Iterator[Statement]:
    """The statement or, if it is too long for a policy, several, each with some of its resources."""
    resources = statement["Resource"]
    if characters(policy(statement)) <= MAX_CHARACTERS or len(resources) == 1:
        yield statement
        return
    middle = len(resources) // 2
    for half in (resources[:middle], resources[middle:]):
        yield from _pieces({**statement, "Resource": half})
