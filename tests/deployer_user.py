"""An IAM user who may deploy a stack and nothing else, on a MiniStack that enforces IAM (``AUTH=true``).

``python -m tests.deployer_user ENDPOINT [STACK]`` makes one for the stack with the settings of ``Pulumi.STACK.yaml``
or ``Pulumi.local.yaml``, and prints its keys as ``aws:accessKey`` and ``aws:secretKey`` take them. Run again with other
settings, it gives the same user the new policy, and new keys.
"""

from __future__ import annotations

import contextlib
import copy
import json
import sys
from typing import Any

from components.policies import Policy, allow, policy
from components.policies.deployer import managed_policies
from filecopy.deployer import policy_of
from filecopy.stack.clients import Clients

ACCOUNT = "000000000000"
REGION = "us-east-1"
NAME = "deployer"

# MiniStack asks for these on no resource, where AWS asks for them on an alarm, a table, a topic, a rule, a function.
OF_NO_RESOURCE = {
    *("dynamodb:ListTagsOfResource", "lambda:CreateFunction"),
    *("events:ListTargetsByRule", "events:PutTargets", "events:RemoveTargets"),
    *(
        f"{service}:{action}"
        for service in ("dynamodb", "events", "sns", "states")
        for action in ("ListTagsForResource", "TagResource", "UntagResource")
    ),
}


def make_deployer(clients: Clients, document: Policy) -> tuple[str, str]:
    """The user with this policy, and nothing else.

    Args:
        clients: of the emulator's root user.

    Returns:
        Access key and secret key.
    """
    iam = clients("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=NAME)
    for key in iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=NAME, AccessKeyId=key["AccessKeyId"])
    for old in iam.list_user_policies(UserName=NAME)["PolicyNames"]:
        iam.delete_user_policy(UserName=NAME, PolicyName=old)
    for number, part in enumerate(managed_policies(as_ministack_asks(document)), 1):
        iam.put_user_policy(UserName=NAME, PolicyName=f"part-{number}", PolicyDocument=json.dumps(part))
    made = iam.create_access_key(UserName=NAME)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def as_ministack_asks(document: Policy) -> Policy:
    """The same actions, on the resources that MiniStack asks them for where those are not AWS's."""
    statements: list[dict[str, Any]] = copy.deepcopy(document["Statement"])
    on_anything = {"lambda:ListEventSourceMappings"}
    """What is asked for no resource, and how MiniStack calls to get one mapping."""
    for statement in statements:
        actions, resources = statement["Action"], statement["Resource"]
        on_anything.update(action for action in actions if action.startswith("cloudwatch:") or action in OF_NO_RESOURCE)
        # A rule has its bus in front of its name, the default one as well.
        resources += [arn.replace(":rule/", ":rule/default/") for arn in resources if ":rule/" in arn]
        if "lambda:CreateEventSourceMapping" in actions:
            # MiniStack does not say whose function a mapping is.
            del statement["Condition"]
    return policy(*statements, allow(sorted(on_anything), ["*"]))


def main() -> None:
    endpoint, *rest = sys.argv[1:]
    document = policy_of(stack=rest[0] if rest else "local", account=ACCOUNT, region=None, overrides=None)
    access_key, secret_key = make_deployer(Clients(endpoint, REGION), document)
    print(access_key, secret_key)


if __name__ == "__main__":
    main()
