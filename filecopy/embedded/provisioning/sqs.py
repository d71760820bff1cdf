"""SQS: queues and their policies."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tags_of


@creates("aws:sqs/queue:Queue")
def _queue(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    attributes = {
        "MessageRetentionPeriod": inputs.take("messageRetentionSeconds"),
        "VisibilityTimeout": inputs.take("visibilityTimeoutSeconds"),
        "RedrivePolicy": inputs.take("redrivePolicy"),
        "SqsManagedSseEnabled": str(inputs.take("sqsManagedSseEnabled", False)).lower(),
    }
    sqs = clients("sqs")
    url = sqs.create_queue(
        QueueName=name,
        Attributes={key: str(value) for key, value in attributes.items() if value is not None},
        tags=tags_of(inputs),
    )["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, {"arn": arn, "url": url}


@creates("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
def _redrive_allow_policy(inputs: Inputs, clients: Clients) -> Created:
    url = inputs.take("queueUrl")
    clients("sqs").set_queue_attributes(
        QueueUrl=url, Attributes={"RedriveAllowPolicy": inputs.take("redriveAllowPolicy")}
    )
    return url, {}


@creates("aws:sqs/queuePolicy:QueuePolicy")
def _queue_policy(inputs: Inputs, clients: Clients) -> Created:
    url = inputs.take("queueUrl")
    clients("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": inputs.take("policy")})
    return url, {}
