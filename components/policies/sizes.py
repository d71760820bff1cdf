"""The roles' policies at their longest, for the check before a deployment that IAM accepts them. No Pulumi here."""

from __future__ import annotations

import typing

from components.names import in_region

from .roles import copy_through_worker, copy_workflow, handler_function, verify_arrivals
from .statements import Policy, bucket_arn

if typing.TYPE_CHECKING:
    from components.settings import Settings


def longest_role_policies(settings: Settings) -> list[Policy]:
    """The policies that name each destination, with ARNs of the greatest length."""
    region, account = "us-gov-west-1", "123456789012"

    def arn(service: str, resource: str) -> str:
        return f"arn:aws-us-gov:{service}:{region}:{account}:{resource}"

    source = f"arn:aws-us-gov:s3:::{settings.source_bucket}"
    table, topic = arn("dynamodb", "table/" + settings.name("FileCopyTracking")), arn("sns", settings.name("x" * 20))
    own, existing = (
        [bucket_arn(one.bucket, like=source) for one in settings.destinations if one.existing is external]
        for external in (False, True)
    )
    keys, all_keys = settings.keys, settings.kms_key_arns
    worker = arn("lambda", "function:" + settings.name("copy-worker"))
    copy = copy_through_worker(source, own, existing, table, keys, all_keys)
    found = [
        copy_workflow(source, own, existing, table, topic, worker, keys, all_keys),
        handler_function(copy, arn("logs", "log-group:" + settings.name("x" * 40)), None),
    ]
    for place in dict.fromkeys(one.region for one in settings.destinations):
        here = [one.bucket for one in settings.destinations if one.region == place and not one.existing]
        arns = [bucket_arn(bucket, like=source) for bucket in here]
        verify = verify_arrivals(source, arns, table, topic, keys, settings.kms_key_arns_in(place))
        log_group = arn("logs", "log-group:/aws/lambda/" + settings.name(in_region("regional-sync", place)))
        queue = arn("sqs", settings.name(in_region("file-copy-arrivals", place)))
        found.append(handler_function(verify, log_group, queue))
    return found
