"""The bucket policy that the owner of an external destination needs."""

from __future__ import annotations

from components import outputs, policies
from components.policies import Policy
from filecopy.errors import StackError
from filecopy.terminal import quoted

from .stack import Stack


def destination_policy(stack: Stack, bucket: str) -> tuple[Policy, bool]:
    """Build the bucket policy that lets the workflow copy into ``bucket``.

    Returns:
        The policy, and whether the bucket needs it. The stack's own buckets do not.

    Raises:
        StackError: it is not a destination of the stack.
    """
    if bucket not in stack.destinations:
        raise StackError(
            f"{quoted(bucket)} is not a destination of the stack. Its destinations are"
            f" {', '.join(stack.destinations)}. Add the bucket to the setting destinations, with existing: true, and"
            " deploy."
        )
    roles = [stack.output(outputs.STEP_FUNCTION_ROLE_ARN), stack.output(outputs.COPY_WORKER_ROLE_ARN)]
    # The stack of an older program does not say which buckets are external.
    existing: list[str] = stack.outputs.get(outputs.EXISTING_DESTINATION_BUCKETS, stack.destinations)
    return policies.existing_destination(policies.bucket_arn(bucket, like=roles[0]), roles), bucket in existing
