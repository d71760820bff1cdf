"""SNS: topics, policies and subscriptions."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:sns/topic:Topic")
def _topic(inputs: Inputs, clients: Clients) -> Created:
    key = inputs.take("kmsMasterKeyId")
    arn = clients("sns").create_topic(
        Name=inputs.take("name"), Attributes={"KmsMasterKeyId": key} if key else {}, Tags=tag_list(inputs)
    )["TopicArn"]
    return arn, {"arn": arn}


@creates("aws:sns/topicPolicy:TopicPolicy")
def _topic_policy(inputs: Inputs, clients: Clients) -> Created:
    arn = inputs.take("arn")
    clients("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=inputs.take("policy"))
    return arn, {}


@creates("aws:sns/topicSubscription:TopicSubscription")
def _topic_subscription(inputs: Inputs, clients: Clients) -> Created:
    arn = clients("sns").subscribe(
        TopicArn=inputs.take("topic"),
        Protocol=inputs.take("protocol"),
        Endpoint=inputs.take("endpoint"),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return arn, {"arn": arn}
