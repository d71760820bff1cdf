"""Step Functions: state machines."""

from __future__ import annotations

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tags_of


@creates("aws:sfn/stateMachine:StateMachine")
def _state_machine(inputs: Inputs, clients: Clients) -> Created:
    logging = inputs.take_object("loggingConfiguration")
    destination = logging.take("logDestination")
    created = clients("stepfunctions").create_state_machine(
        name=inputs.take("name"),
        type=inputs.take("type", "STANDARD"),
        roleArn=inputs.take("roleArn"),
        publish=inputs.take("publish", False),
        definition=inputs.take("definition"),
        loggingConfiguration={
            "level": logging.take("level", "OFF"),
            "includeExecutionData": logging.take("includeExecutionData", False),
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": destination}}] if destination else [],
        },
        tracingConfiguration={"enabled": inputs.take_object("tracingConfiguration").take("enabled", False)},
        tags=[{"key": key, "value": value} for key, value in tags_of(inputs).items()],
    )
    arn = created["stateMachineArn"]
    return arn, {"arn": arn, "stateMachineVersionArn": created.get("stateMachineVersionArn")}
