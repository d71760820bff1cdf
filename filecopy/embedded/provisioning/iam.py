"""IAM: roles and their policies."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:iam/role:Role")
def _role(inputs: Inputs, clients: Clients) -> Created:
    role = clients("iam").create_role(
        RoleName=inputs.take("name"),
        AssumeRolePolicyDocument=inputs.take("assumeRolePolicy"),
        Tags=tag_list(inputs),
    )["Role"]
    return role["RoleName"], {"arn": role["Arn"]}


@creates("aws:iam/rolePolicy:RolePolicy")
def _role_policy(inputs: Inputs, clients: Clients) -> Created:
    role, name = inputs.take("role"), inputs.take("name")
    clients("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=inputs.take("policy"))
    return f"{role}:{name}", {}
