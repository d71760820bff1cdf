"""What whoever deploys the program may do, as a pure function from a stack's settings to IAM policies. No Pulumi here.

The table says, for each type of resource that the program makes, which actions Pulumi's AWS provider takes to create,
read, update, tag and delete it. The provider tags most of them as it creates them, so the actions of tagging are
needed for that as well. Actions, their resources and their conditions: Service Authorization Reference, "Actions,
resources, and condition keys for AWS services", the page of each service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from components.names import ALARM_NAMES_BEGIN_WITH, in_region

from .roles import Policy, Statement, allow, policy

# IAM quotas: the characters of a managed policy, white space not counted.
MAX_CHARACTERS = 6_144


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A stack as its deployer's policy sees it, whether it is there or not."""

    partition: str
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""
    account: str
    """Twelve digits."""
    region: str
    name_prefix: str
    buckets: Sequence[str]
    """The physical names of the buckets that the stack makes."""
    other_regions: Sequence[str]
    """Those that the stack makes buckets in, without ``region``."""
    manage_api_logging_role: bool
    force_destroy: bool
    """Whether the stack may be destroyed with its table and its files."""


class Place(StrEnum):
    """What actions are done to: the ARNs that a statement has."""

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
    ALL_ALARMS = "alarms, whatever they are called"
    DASHBOARD = "the dashboard"
    ANYTHING = "actions that take no resource"


Needs = dict[Place, tuple[str, ...]]

# API Gateway's actions are the methods of its calls.
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
        # One call may ask for many alarms: it is checked against all of them.
        Place.ALL_ALARMS: ("cloudwatch:DescribeAlarms",),
    },
    "aws:dynamodb/table:Table": {
        Place.TABLE: (
            *("dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:DeleteTable"),
            *("dynamodb:DescribeContinuousBackups", "dynamodb:UpdateContinuousBackups", "dynamodb:DescribeTimeToLive"),
            *("dynamodb:ListTagsOfResource", "dynamodb:TagResource", "dynamodb:UntagResource"),
        ),
    },
    "aws:iam/role:Role": {
        Place.ROLES: (
            *("iam:CreateRole", "iam:GetRole", "iam:UpdateAssumeRolePolicy", "iam:DeleteRole"),
            # Whatever the role has is read, and, before the role is deleted, whatever it is in.
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
        # To get one is not bound to its function: the provider asks for it until it is gone, and what is gone has none.
        Place.FUNCTIONS: (
            *("lambda:GetEventSourceMapping", "lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"),
        ),
    },
    "aws:lambda/function:Function": {
        Place.FUNCTIONS: (
            *("lambda:CreateFunction", "lambda:GetFunction", "lambda:DeleteFunction"),
            *("lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
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
            # The provider reads all of these, whether they are set or not.
            *("s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLogging"),
            *("s3:GetBucketObjectLockConfiguration", "s3:GetBucketPolicy", "s3:GetBucketRequestPayment"),
            *("s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration"),
            *("s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration"),
            # Tags through S3 Control since version 7.13 of pulumi-aws; where S3 Control has none, through S3.
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
        # It is never taken from its bucket, but goes with it.
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
            *("states:DeleteStateMachine", "states:ListStateMachineVersions"),
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
"""By Pulumi's type. A resource of a type that is not here cannot be deployed with the policy."""

TO_DESTROY = frozenset(
    {
        *("dynamodb:DeleteTable", "s3:DeleteBucket"),
        *("s3:ListBucketVersions", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    }
)
"""Actions that nobody needs as long as ``forceDestroy`` is not set: the table is protected, and buckets are kept."""

FUNCTIONS = (
    "build-worker",
    "copy-worker",
    "execution-watcher",
    "regional-sync",
    "replication-worker",
    "step-function-invoker",
)
QUEUE_READERS = ("execution-watcher", "regional-sync", "replication-worker")
"""The functions that have an event source mapping."""

IN_EACH_REGION = "regional-sync"
"""The function that there is once for each region."""


def deployer_policy(stack: Deployment) -> Policy:
    """What it takes to deploy and update the stack and, with ``force_destroy``, to destroy it."""
    return policy(*_statements(stack))


def managed_policies(document: Policy) -> list[Policy]:
    """The policy as managed policies, each as long as IAM lets one be at most. All are needed together."""
    found = [policy()]
    for statement in document["Statement"]:
        for piece in _pieces(statement):
            longer = policy(*found[-1]["Statement"], piece)
            if characters(longer) <= MAX_CHARACTERS:
                found[-1] = longer
            else:
                found.append(policy(piece))
    return found


def characters(document: Policy) -> int:
    """How long the policy is to IAM, which counts no white space. There is none in the names of a policy."""
    return len(json.dumps(document, separators=(",", ":")))


def _statements(stack: Deployment) -> Iterator[Statement]:
    """A statement for each place, with all that the types of resources need there."""
    needed: dict[Place, set[str]] = {}
    for of_type, needs in NEEDS.items():
        if of_type == "aws:apigateway/account:Account" and not stack.manage_api_logging_role:
            continue
        for place, actions in needs.items():
            allowed = set(actions) if stack.force_destroy else set(actions) - TO_DESTROY
            needed.setdefault(place, set()).update(allowed)
    for place in Place:
        if needed.get(place):
            resources, condition = _resources(place, stack)
            yield allow(sorted(needed[place]), resources, **({"Condition": condition} if condition else {}))


def _resources(place: Place, stack: Deployment) -> tuple[list[str], dict[str, dict[str, list[str]]]]:
    """The ARNs of a place, and the condition under which they are meant."""
    match place:
        case Place.API_ACCOUNT:
            return [_api("/account", stack)], {}
        case Place.APIS:
            # An API's ARN has its identifier, which is not known before, and no name. A new API is tagged by a PUT.
            return [_api(path, stack) for path in ("/restapis", "/restapis/*", "/tags/*")], {}
        case Place.BUCKETS:
            return [f"arn:{stack.partition}:s3:::{bucket}" for bucket in stack.buckets], {}
        case Place.FILES:
            return [f"arn:{stack.partition}:s3:::{bucket}/*" for bucket in stack.buckets], {}
        case Place.TABLE:
            return [_own("dynamodb", "table/{}", "FileCopyTracking", stack)], {}
        case Place.QUEUES:
            return [
                _own("sqs", "{}", "file-copy-*", stack),
                *_elsewhere("sqs", "{}*", "file-copy-arrivals", stack),
            ], {}
        case Place.TOPICS:
            return [
                _own("sns", "{}", "file-copy-failures", stack),
                _own("sns", "{}", "file-copy-operations", stack),
                *_elsewhere("sns", "{}", "file-copy-operations", stack),
            ], {}
        case Place.LOG_GROUPS:
            # Some actions ask for a group's ARN with, some for one without ":*" or a stream at its end.
            groups = [_own("logs", "log-group:/aws/lambda/{}*", name, stack) for name in FUNCTIONS]
            return [
                _own("logs", "log-group:/aws/apigateway/{}*", "file-copy-api", stack),
                *groups,
                *_elsewhere("logs", "log-group:/aws/lambda/{}*", IN_EACH_REGION, stack),
                _own("logs", "log-group:/aws/vendedlogs/states/{}*", "file-copy-workflow", stack),
            ], {}
        case Place.ROLES:
            return _roles(stack), {}
        case Place.PASSED_ROLES:
            services = ["apigateway"] if stack.manage_api_logging_role else []
            passed_to = [f"{service}.amazonaws.com" for service in (*services, "lambda", "states")]
            return _roles(stack), {"StringEquals": {"iam:PassedToService": passed_to}}
        case Place.FUNCTIONS:
            # A mapping's ARN has its identifier, and no name.
            mappings = [
                f"arn:{stack.partition}:lambda:{region}:{stack.account}:event-source-mapping:*"
                for region in (stack.region, *stack.other_regions)
            ]
            return [*_functions(FUNCTIONS, stack), *mappings], {}
        case Place.MAPPINGS:
            # To create one takes no resource; whose it is says the function.
            return ["*"], {"ArnEquals": {"lambda:FunctionArn": _functions(QUEUE_READERS, stack)}}
        case Place.STATE_MACHINE:
            return [_own("states", "stateMachine:{}", "file-copy-workflow", stack)], {}
        case Place.RULES:
            return [_own("events", "rule/{}", "file-copy-endings", stack)], {}
        case Place.ALARMS:
            alarms = f"{ALARM_NAMES_BEGIN_WITH}*"
            return [
                _own("cloudwatch", "alarm:{}", alarms, stack),
                *_elsewhere("cloudwatch", "alarm:{}", alarms, stack),
            ], {}
        case Place.ALL_ALARMS:
            return [
                f"arn:{stack.partition}:cloudwatch:{region}:{stack.account}:alarm:*"
                for region in (stack.region, *stack.other_regions)
            ], {}
        case Place.DASHBOARD:
            name = f"{stack.name_prefix}file-copy-workflow"
            return [f"arn:{stack.partition}:cloudwatch::{stack.account}:dashboard/{name}"], {}
        case Place.ANYTHING:
            return ["*"], {}


def _roles(stack: Deployment) -> list[str]:
    names = [
        *FUNCTIONS,
        *(in_region(IN_EACH_REGION, region) for region in stack.other_regions),
        *(["file-copy-api-logs"] if stack.manage_api_logging_role else []),
        "file-copy-workflow",
    ]
    return [f"arn:{stack.partition}:iam::{stack.account}:role/{stack.name_prefix}{name}" for name in names]


def _functions(names: Sequence[str], stack: Deployment) -> list[str]:
    own = [_own("lambda", "function:{}", name, stack) for name in names]
    return [*own, *_elsewhere("lambda", "function:{}", IN_EACH_REGION, stack)]


def _own(service: str, resource: str, name: str, stack: Deployment) -> str:
    """The ARN of what is in the stack's own region. ``{}`` in ``resource`` is its name with the prefix."""
    named = resource.format(f"{stack.name_prefix}{name}")
    return f"arn:{stack.partition}:{service}:{stack.region}:{stack.account}:{named}"


def _elsewhere(service: str, resource: str, name: str, stack: Deployment) -> Iterator[str]:
    """The ARNs of what there is once for each other region."""
    for region in stack.other_regions:
        named = resource.format(f"{stack.name_prefix}{in_region(name, region)}")
        yield f"arn:{stack.partition}:{service}:{region}:{stack.account}:{named}"


def _api(path: str, stack: Deployment) -> str:
    return f"arn:{stack.partition}:apigateway:{stack.region}::{path}"


def _pieces(statement: Statement) -> Iterator[Statement]:
    """The statement, or, where it is too long for a policy, several of it, each on some of its resources."""
    resources = statement["Resource"]
    if characters(policy(statement)) <= MAX_CHARACTERS or len(resources) == 1:
        yield statement
        return
    middle = len(resources) // 2
    for half in (resources[:middle], resources[middle:]):
        yield from _pieces({**statement, "Resource": half})
