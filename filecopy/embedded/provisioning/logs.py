"""CloudWatch Logs: log groups."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tags_of


@creates("aws:cloudwatch/logGroup:LogGroup")
def _log_group(inputs: Inputs, clients: Clients) -> Created:
    logs = clients("logs")
    name = inputs.take("name")
    # CloudWatch Logs refuses an empty dict of tags.
    logs.create_log_group(logGroupName=name, **({"tags": tags} if (tags := tags_of(inputs)) else {}))
    if days := inputs.take("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    group = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]
    # The service appends ":*" to the ARN; pulumi-aws removes it.
    return name, {"arn": group["arn"].removesuffix(":*")}
