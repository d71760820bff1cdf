"""EventBridge: rules and targets."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:cloudwatch/eventRule:EventRule")
def _event_rule(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    rule = clients("events").put_rule(
        Name=name,
        Description=inputs.take("description", ""),
        EventPattern=inputs.take("eventPattern"),
        Tags=tag_list(inputs),
    )
    return name, {"arn": rule["RuleArn"]}


@creates("aws:cloudwatch/eventTarget:EventTarget")
def _event_target(inputs: Inputs, clients: Clients) -> Created:
    rule, arn = inputs.take("rule"), inputs.take("arn")
    target = f"{rule}-target"
    clients("events").put_targets(Rule=rule, Targets=[{"Id": target, "Arn": arn}])
    return f"{rule}-{target}", {"targetId": target}
