"""Starting the workflow by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from handlers import clients, http
from handlers.step_function_invoker import handler

from .conftest import DESTINATIONS, SOURCE, StateMachine, api_event, before_call, client_error, fail_with, log_lines

JOB = {"sourceBucket": SOURCE, "sourceKey": "build-123.zip", "destinationBuckets": DESTINATIONS}
MEMBERS = ["sourceBucket", "sourceKey", "destinationBuckets"]


def post(body: str | None, *, is_base64: bool = False) -> tuple[int, dict[str, Any], dict[str, str]]:
    """The answer's status, parsed body, and headers."""
    answer = handler(api_event(body, is_base64=is_base64), None)
    return answer["statusCode"], json.loads(answer["body"]), answer["headers"]


@pytest.mark.parametrize("is_base64", [False, True])
def test_the_guides_request_starts_an_execution(is_base64: bool, state_machine: StateMachine) -> None:
    """The user's curl command is answered with the ARN of an execution that has just that input."""
    body = json.dumps(JOB)
    status, answer, _ = post(base64.b64encode(body.encode()).decode() if is_base64 else body, is_base64=is_base64)
    assert (status, [answer["executionArn"]]) == (202, state_machine.execution_arns())
    assert state_machine.inputs() == [JOB]


def test_the_version_and_a_retry_are_passed_on(state_machine: StateMachine) -> None:
    """A version that was asked for is the one copied, and a retry is one."""
    assert post(json.dumps({**JOB, "sourceVersionId": "v1", "retry": True}))[0] == 202
    assert state_machine.inputs() == [{**JOB, "sourceVersionId": "v1", "retry": True}]


def test_the_same_request_twice_is_two_executions(state_machine: StateMachine) -> None:
    """Who asks again by hand wants another copy, so no name is made up that would make it the same execution."""
    assert [post(json.dumps(JOB))[0], post(json.dumps(JOB))[0]] == [202, 202]
    assert len(state_machine.execution_arns()) == 2


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (None, ["body is missing"]),
        ("", ["body is missing"]),
        ("sourceKey=build-123.zip", ["must be a JSON object"]),
        (json.dumps([JOB]), ["must be an object"]),
        ("null", ["must be an object"]),
        ("{}", MEMBERS),
        (json.dumps(dict.fromkeys(MEMBERS, 1)), MEMBERS),
        (json.dumps(dict.fromkeys(MEMBERS)), MEMBERS),
        (json.dumps(dict.fromkeys(MEMBERS, "")), MEMBERS),
        # White space is a key, and no bucket's name.
        (json.dumps(dict.fromkeys(MEMBERS, " ")), ["sourceBucket", "destinationBuckets"]),
        (json.dumps({**JOB, "destinationBuckets": []}), ["destinationBuckets"]),
        (json.dumps({**JOB, "destinationBuckets": [" "]}), ["destinationBuckets"]),
        (json.dumps({**JOB, "destinationBuckets": [f"region-{n}" for n in range(1_001)]}), ["not of 1001"]),
        (json.dumps({**JOB, "padding": "x" * 256 * 1024}), ["at most 262144"]),
    ],
)
def test_a_bad_request_names_everything_and_starts_nothing(
    body: str | None, named: list[str], state_machine: StateMachine
) -> None:
    """A wrong request is answered with each of its problems in one answer, and copies nothing."""
    status, answer, _ = post(body)
    assert status == 400
    assert len(answer["problems"]) == len(named)
    assert all(name in problem for name, problem in zip(named, answer["problems"], strict=True))
    assert state_machine.execution_arns() == []


@pytest.mark.parametrize("body", ["{}", base64.b64encode(b"{}").decode()])
def test_a_base64_body_is_judged_decoded(body: str, state_machine: StateMachine) -> None:
    """A body that claims Base64 is a bad request both when it is none and when what it holds is wrong."""
    assert post(body, is_base64=True)[0] == 400
    assert state_machine.execution_arns() == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (client_error("ThrottlingException"), 429),
        (client_error("ExecutionLimitExceeded"), 429),
        (client_error("TooManyRequestsException", 429), 429),
        (client_error("StateMachineDoesNotExist"), 503),
        (client_error("AccessDeniedException"), 503),
        (client_error("InternalServerError", 500), 503),
        (EndpointConnectionError(endpoint_url="https://states.us-east-1.amazonaws.com"), 503),
    ],
)
def test_a_failure_of_step_functions_is_told_to_come_back(
    error: Exception, status: int, state_machine: StateMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Throttled or down, the caller learns that waiting helps and nothing of our account; the log has the cause."""
    before_call(clients.stepfunctions(), "StartExecution", fail_with(error))
    answered, answer, headers = post(json.dumps(JOB))
    assert (answered, headers["Retry-After"]) == (status, "5")
    assert str(error) not in answer["message"]
    assert state_machine.execution_arns() == []
    line = log_lines(capsys)[-1]
    assert (line["error"], line["key"], line["bucket"]) == (str(error), JOB["sourceKey"], JOB["sourceBucket"])


def test_invoked_directly_it_returns_the_execution(state_machine: StateMachine) -> None:
    """With the bare input as the event, the ARN is the answer itself, as another function or the CLI needs it."""
    assert [handler(dict(JOB), None)["executionArn"]] == state_machine.execution_arns()
    assert state_machine.inputs() == [JOB]


def test_invoked_directly_it_raises_what_is_wrong(state_machine: StateMachine) -> None:
    """A direct invocation fails visibly, naming every problem: a 400 in its answer would count as a success."""
    with pytest.raises(http.BadRequestError, match=r"sourceBucket.+sourceKey.+destinationBuckets"):
        handler({}, None)
    for event in (None, 1, "httpMethod", ["httpMethod"]):
        with pytest.raises(http.BadRequestError, match="must be an object"):
            handler(event, None)
    before_call(clients.stepfunctions(), "StartExecution", fail_with(client_error("ThrottlingException")))
    with pytest.raises(ClientError, match="ThrottlingException"):
        handler(dict(JOB), None)
    assert state_machine.execution_arns() == []
