"""The deployer's policy (``filecopy policy --deployer``) on an emulator that enforces IAM."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from components import outputs
from components.policies import Policy, allow, policy
from components.policies.deployer import managed_policies
from filecopy.deployer import policy_of
from filecopy.embedded.configuration import stack_configuration
from filecopy.embedded.program import run_program
from filecopy.embedded.provisioning import EmulatorProvider
from filecopy.stack.clients import Clients

from .system import ACCOUNT, stack_up

REGION = "us-east-1"

# MiniStack checks these without a resource. AWS checks them for an alarm, a table, a topic, a rule or a function.
WITHOUT_RESOURCE = {
    *("dynamodb:ListTagsOfResource", "lambda:CreateFunction"),
    *("events:ListTargetsByRule", "events:PutTargets", "events:RemoveTargets"),
    *(
        f"{service}:{action}"
        for service in ("dynamodb", "events", "sns", "states")
        for action in ("ListTagsForResource", "TagResource", "UntagResource")
    ),
}


@pytest.fixture(scope="module")
def root() -> Iterator[Clients]:
    """The root user's clients of an emulator that enforces IAM."""
    with stack_up("--emulator", "AUTH=true") as system:
        yield system.clients


def test_a_deployer_creates_the_stack_of_the_policy_and_no_other(root: Clients) -> None:
    """A user who has only the policy of a stack creates every resource of it. A stack of another name is refused."""
    mine, other = {"namePrefix": "mine-"}, {"namePrefix": "other-"}
    deployer = make_deployer(root, mine)
    created = deploy(deployer, mine)
    assert created[outputs.SOURCE_BUCKET] == "mine-global-builds"
    assert root("stepfunctions").describe_state_machine(stateMachineArn=created[outputs.STEP_FUNCTION_ARN])
    before = buckets(root)
    with pytest.raises(Exception, match="is not authorized to perform"):
        deploy(deployer, other)
    assert buckets(root) == before


def deploy(clients: Clients, overrides: dict[str, str]) -> dict[str, Any]:
    """Creates the resources of a local stack with these clients, and returns its outputs."""
    configuration = stack_configuration("local", endpoint=endpoint_of(clients), overrides=overrides)
    return run_program(EmulatorProvider(clients), configuration, stack="local")


def make_deployer(root: Clients, overrides: dict[str, str]) -> Clients:
    """The clients of a new user who has only the deployer's policy of a local stack."""
    iam, name = root("iam"), f"deployer-{overrides['namePrefix']}"
    iam.create_user(UserName=name)
    document = policy_of(stack="local", account=ACCOUNT, region=None, overrides=overrides)
    for number, part in enumerate(managed_policies(as_ministack_checks(document)), 1):
        iam.put_user_policy(UserName=name, PolicyName=f"part-{number}", PolicyDocument=json.dumps(part))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Clients(endpoint_of(root), REGION, key["AccessKeyId"], key["SecretAccessKey"])


def endpoint_of(clients: Clients) -> str:
    endpoint: str = clients("s3").meta.endpoint_url
    return endpoint


def buckets(root: Clients) -> set[str]:
    return {bucket["Name"] for bucket in root("s3").list_buckets()["Buckets"]}


def as_ministack_checks(document: Policy) -> Policy:
    """The same actions, on the resources with which MiniStack checks them, where those are not AWS's."""
    statements: list[dict[str, Any]] = copy.deepcopy(document["Statement"])
    # MiniStack checks a call for one event source mapping as ListEventSourceMappings. The embedded stack waits for a
    # function with GetFunctionConfiguration, where Pulumi's provider calls GetFunction.
    without_resource = {"lambda:ListEventSourceMappings", "lambda:GetFunctionConfiguration"}
    for statement in statements:
        actions, resources = statement["Action"], statement["Resource"]
        without_resource.update(
            action for action in actions if action.startswith("cloudwatch:") or action in WITHOUT_RESOURCE
        )
        # MiniStack has the name of the bus in front of a rule's name, also that of the default bus.
        resources += [arn.replace(":rule/", ":rule/default/") for arn in resources if ":rule/" in arn]
        if "lambda:CreateEventSourceMapping" in actions:
            # MiniStack has no condition key for the function of a mapping.
            del statement["Condition"]
    return policy(*statements, allow(sorted(without_resource), ["*"]))
