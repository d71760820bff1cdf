"""Statements and ARNs, which all policies are made of. No Pulumi here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Statement = dict[str, Any]
Policy = dict[str, Any]


def policy(*statements: Statement) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: Sequence[str], resources: Sequence[str], **members: Any) -> Statement:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources), **members}


# --- ARNs and patterns ------------------------------------------------------------------------------------------


def partition_of(arn: str) -> str:
    """``aws``, ``aws-cn`` or ``aws-us-gov``."""
    return arn.split(":")[1]


def region_of(arn: str) -> str:
    """The region in an ARN that has one, such as a queue's or a table's."""
    return arn.split(":")[3]


def account_of(arn: str) -> str:
    """The account in an ARN that has one."""
    return arn.split(":")[4]


def bucket_arn(name: str, like: str) -> str:
    """The ARN of the bucket ``name``, in the partition of the bucket ARN ``like``."""
    return f"arn:{partition_of(like)}:s3:::{name}"


def executions_of(state_machine_arn: str) -> str:
    """The beginning of the ARNs of a state machine's executions."""
    return state_machine_arn.replace(":stateMachine:", ":execution:")


def keys_like(prefix: str, suffix: str) -> str:
    """The pattern, in an object's ARN, of the keys with this prefix and suffix. Settings refuse the characters that
    have a meaning in a pattern.
    """
    return f"{prefix}*{suffix}"


# --- Parts of statements ----------------------------------------------------------------------------------------

WRITE_OBJECTS = ("s3:PutObject", "s3:PutObjectTagging")
# To resume a copy in parts, or to abort it.
WRITE_PARTS = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
# To find a copy that exists already.
READ_COPIES = "s3:GetObject"


def in_account_of(arn: str) -> dict[str, Any]:
    return in_account(account_of(arn))


def in_account(account: str) -> dict[str, Any]:
    """The condition that a bucket is in ``account``. After a deletion, another account may create one of this ARN."""
    return {"Condition": {"StringEquals": {"aws:ResourceAccount": account}}}


def use_key(kms_key_arn: str | None, *actions: str) -> list[Statement]:
    """The use of the stack's KMS key, if it has one, through S3 only."""
    return use_keys([kms_key_arn] if kms_key_arn else [], *actions)


def use_keys(kms_key_arns: Sequence[str], *actions: str) -> list[Statement]:
    """The use of the KMS keys of the stack's buckets, through S3 only: a statement for each region."""
    statements = []
    for region in dict.fromkeys(map(region_of, kms_key_arns)):
        keys = [arn for arn in kms_key_arns if region_of(arn) == region]
        domain = "amazonaws.com.cn" if partition_of(keys[0]) == "aws-cn" else "amazonaws.com"
        through_s3 = {"StringEquals": {"kms:ViaService": f"s3.{region}.{domain}"}}
        statements.append(allow(actions, keys, Condition=through_s3))
    return statements
