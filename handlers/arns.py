"""ARNs, and names of executions, as AWS writes them."""

from __future__ import annotations

import hashlib
import json
import re

# Step Functions API reference, StartExecution: at most 80 characters; others than these break CloudWatch logs.
_MAX_NAME_LENGTH = 80
_NOT_IN_A_NAME = re.compile(r"[^0-9A-Za-z_-]+")
_DIGEST_LENGTH = 32


def region_of(arn: str) -> str:
    """The region in an ARN that has one, such as a topic's."""
    return arn.split(":")[3]


def account_of(arn: str) -> str:
    """The account in an ARN that has one, such as an execution's."""
    return arn.split(":")[4]


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of an execution."""
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def execution_name(key: str, identity: list[str]) -> str:
    """A name for the one execution for ``identity``: the end of the key, which people look for, and a digest."""
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_DIGEST_LENGTH]
    readable = _NOT_IN_A_NAME.sub("-", key)[-(_MAX_NAME_LENGTH - _DIGEST_LENGTH - 1) :].strip("-")
    return f"{readable}-{digest}" if readable else digest
