"""Starts the workflow by hand: ``POST /step-function``, or a direct invocation with the workflow's input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from . import clients, copy_job, http, log
from .environment import Variables

# Step Functions API reference, StartExecution and "Common errors".
_THROTTLING = {"ThrottlingException", "ExecutionLimitExceeded", "TooManyRequestsException"}


@dataclass(frozen=True, kw_only=True)
class Environment(Variables):
    """Environment variables, by their names in lower case."""

    state_machine_arn: str


def handler(event: Any, _context: object) -> dict[str, Any]:
    """Answers 202 with the execution's ARN; 400 with every problem; 429 or 503 if the execution could not be started.

    A direct invocation, with the workflow's input as the event, returns the ARN, or raises the error.
    """
    if not isinstance(event, dict) or "httpMethod" not in event:
        return _start(event)
    try:
        started = _start(http.json_body(event))
    except http.BadRequestError as error:
        return http.bad_request(error)
    except ClientError as error:
        if error.response["Error"]["Code"] in _THROTTLING:
            log.error("Execution not started: throttled", error)
            return http.response(429, {"message": "Step Functions throttled the request. Try again later."}, _RETRY)
        return _unavailable(error)
    except BotoCoreError as error:
        return _unavailable(error)
    return http.response(202, started)


_RETRY = {"Retry-After": "5"}


def _unavailable(error: Exception) -> dict[str, Any]:
    log.error("Execution not started", error)
    return http.response(503, {"message": "The execution could not be started. Try again later."}, _RETRY)


def _start(job: Any) -> dict[str, str]:
    if problems := copy_job.problems(job):
        raise http.BadRequestError(problems)
    log.about(bucket=job["sourceBucket"], key=job["sourceKey"])
    started = clients.stepfunctions().start_execution(
        stateMachineArn=Environment.read().state_machine_arn,
        input=json.dumps({name: job[name] for name in copy_job.MEMBERS if name in job}),
    )
    log.info("Execution started", executionArn=started["executionArn"])
    return {"executionArn": started["executionArn"], "startDate": started["startDate"].isoformat()}
