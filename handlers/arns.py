"""ARNs, and names of executions, as AWS writes them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

# Step Functions API reference, StartExecution: at most 80 characters; others than these break CloudWatch logs.
_MAX_NAME_LENGTH = 80
_NOT_IN_A_NAME = re.compile(r"[^0-9A-Za-z_-]+")
_DIGEST_LENGTH = 32


def region_of(arn: str) -> str:
    """The region in an ARN that has one, such as a topic's."""
    return arn.split(":")[3]


def execution_arn(state_machine_arn: str, name: str) -> str:
    """The ARN of an execution."""
    return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"


def name_of(arn: str) -> str:
    """The name in an execution's ARN."""
    return arn.rpartition(":")[2]


def in_a_name(key: str) -> str:
    """The key with ``-`` for the characters that an execution's name cannot have."""
    return _NOT_IN_A_NAME.sub("-", key).strip("-")


def execution_name(key: str, identity: Sequence[object], kind: str = "") -> str:
    """The name of the one execution for ``identity``: the end of the key, which people look for, and a digest.

    Args:
        identity: as JSON can hold it. Equal ones have the same name.
        kind: a prefix of the digest, such as ``backfill-``.
    """
    digest = kind + hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:_DIGEST_LENGTH]
    readable = in_a_name(key)[-(_MAX_NAME_LENGTH - len(digest) - 1) :].strip("-")
    return f"{readable}-{digest}" if readable else digest
