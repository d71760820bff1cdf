"""EventBridge: rules and targets."""

from __future__ import annotations

from typing import Any

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:cloudwatch/eventRule:EventRule")
def _event_rule(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("name")
    when = {"EventPattern": inputs.take("eventPattern"), "ScheduleExpression": inputs.take("scheduleExpression")}
    rule = clients("events").put_rule(
        Name=name,
        Description=inputs.take("description", ""),
        Tags=tag_list(inputs),
        **{key: value for key, value in when.items() if value is not None},
    )
    return name, {"arn": rule["RuleArn"]}


@creates("aws:cloudwatch/eventTarget:EventTarget")
def _event_target(inputs: Inputs, clients: Clients) -> Created:
    rule, arn = inputs.take("rule"), inputs.take("arn")
    target, dead_letters = f"{rule}-target", inputs.take_object("deadLetterConfig").take("arn")
    options: Any = {"DeadLetterConfig": {"Arn": dead_letters}} if dead_letters else {}
    clients("events").put_targets(Rule=rule, Targets=[{"Id": target, "Arn": arn, **options}])
    return f"{rule}-{target}", {"targetId": target}
