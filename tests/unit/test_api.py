"""components/api.py: what the API lets in, how much of it, and what is kept of a call."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pulumi
import pytest

from components import api, policies, request_models
from components.api import RestApi, Route
from components.handler_function import HandlerFunction
from components.request_models import Schema
from components.settings import Settings

from .mocks import ACCOUNT, DEFAULTS, EMULATOR, REGION, Recording, arn, record

SCHEMAS = {"step-function": request_models.COPY_JOB, "builds": request_models.BUILD}
OWNER = {"restApi": "file-copy-api-id"}
LOG_GROUP = arn("logs", "log-group:/aws/apigateway/acme-file-copy-api")

# What is known of a caller that API Gateway itself found out, and that cannot be chosen freely.
HARMLESS = {
    "requestId", "requestTime", "identity.sourceIp", "identity.userArn", "httpMethod", "resourcePath", "status",
    "error.responseType", "responseLatency", "integration.requestId",
}  # fmt: skip


def made(settings: Settings = DEFAULTS, schemas: dict[str, Schema] = SCHEMAS) -> Recording:
    """An API with these routes, each to a function of its own."""
    functions = {"step-function": "step-function-invoker", "builds": "build-worker", "other": "regional-sync"}

    def program() -> None:
        routes = {
            path: Route(
                function=HandlerFunction(functions[path], settings, statements=[], environment={}, timeout=29),
                schema=schema,
                rate_limit=rate,
                burst_limit=10 * rate,
            )
            for rate, (path, schema) in enumerate(schemas.items(), 1)
        }
        pulumi.export("url", RestApi("api", settings, routes=routes).url)

    return record(program)


@pytest.mark.parametrize("authorization", ["AWS_IAM", "NONE"])
def test_every_route_posts_to_its_function(authorization: str) -> None:
    """Each path invokes its own function, lets in whom the setting says, and may do so at this path alone.

    There is no other method: no OPTIONS, so no page of another site can have a browser call the API.
    """
    recording = made(replace(DEFAULTS, api_authorization=authorization))
    functions = {"step-function": "step-function-invoker", "builds": "build-worker"}
    assert recording.inputs("apigateway/resource:Resource") == {
        f"api-{path}": {**OWNER, "parentId": "root", "pathPart": path} for path in functions
    }
    methods = recording.inputs("apigateway/method:Method")
    assert {name: (method["httpMethod"], method["authorization"]) for name, method in methods.items()} == {
        f"api-{path}": ("POST", authorization) for path in functions
    }
    assert recording.inputs("apigateway/integration:Integration") == {
        f"api-{path}": {
            **OWNER,
            "resourceId": f"api-{path}-id",
            "httpMethod": "POST",
            "integrationHttpMethod": "POST",
            "type": "AWS_PROXY",
            "uri": f"invoke:{function}",
        }
        for path, function in functions.items()
    }
    assert recording.inputs("lambda/permission:Permission") == {
        f"api-{path}": {
            "action": "lambda:InvokeFunction",
            "function": function,
            "principal": "apigateway.amazonaws.com",
            "sourceArn": f"{arn('execute-api', 'api')}/live/POST/{path}",
        }
        for path, function in functions.items()
    }


def test_no_answer_lets_other_sites_in() -> None:
    """Neither the gateway nor a response of it gives a CORS header: a page of another site cannot read an answer."""
    given = json.dumps([resource.inputs for resource in made().registered if "apigateway" in resource.type])
    assert "access-control" not in given.lower()
    assert "OPTIONS" not in given


# --- What a body has to be --------------------------------------------------------------------------------------


def test_every_body_is_checked_whatever_its_caller_calls_it() -> None:
    """Each method validates bodies against its route's model, of JSON and of every other content type."""
    recording = made()
    assert recording.inputs("apigateway/requestValidator:RequestValidator") == {
        "api": {**OWNER, "name": "body", "validateRequestBody": True}
    }
    models = recording.inputs("apigateway/model:Model")
    assert {name: json.loads(model["schema"]) for name, model in models.items()} == {
        f"api-{path}": schema for path, schema in SCHEMAS.items()
    }
    for name, method in recording.inputs("apigateway/method:Method").items():
        model = models[name]
        # API Gateway API reference, CreateModel: a name is letters and digits.
        assert re.fullmatch(r"[A-Za-z0-9]+", model["name"])
        assert (model["restApi"], model["contentType"]) == (OWNER["restApi"], "application/json")
        assert method["requestValidatorId"] == "body-id"
        assert method["requestModels"] == {"application/json": model["name"], "$default": model["name"]}
    assert len({model["name"] for model in models.values()}) == len(SCHEMAS)


def test_a_body_that_is_not_an_object_is_told_so() -> None:
    """The answer is shaped as the functions' own, is true of every route, and echoes nothing."""
    [response] = made().inputs("apigateway/response:Response").values()
    assert (response["responseType"], response["statusCode"]) == ("BAD_REQUEST_BODY", "400")
    assert response["restApiId"] == OWNER["restApi"]
    assert response.keys() == {"restApiId", "responseType", "statusCode", "responseTemplates"}
    [template] = response["responseTemplates"].items()
    assert template[0] == "application/json"
    assert json.loads(template[1]) == {
        "message": "The request is not valid.",
        "problems": ["The body must be a JSON object."],
    }
    # A variable of API Gateway begins with $, and its value is the caller's.
    assert "$" not in template[1]


# --- The stage: its deployment, its log, its limits -------------------------------------------------------------


def test_the_stage_shows_every_route() -> None:
    """The deployment is a snapshot made after all that it shows: an earlier one would answer 403 for the rest."""
    recording = made()
    [deployment] = recording.of("apigateway/deployment:Deployment").values()
    shown = [
        *recording.of("apigateway/integration:Integration").values(),
        *recording.of("apigateway/response:Response").values(),
    ]
    assert {resource.urn for resource in shown} <= deployment.dependencies
    [stage] = recording.inputs("apigateway/stage:Stage").values()
    assert stage.keys() == {"restApi", "deployment", "stageName", "accessLogSettings"}
    assert (stage["restApi"], stage["deployment"], stage["stageName"]) == (OWNER["restApi"], "api-id", "live")


def test_what_changed_is_deployed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, a schema, an authorization or an answer that changes gives another deployment, and nothing else does."""

    def fingerprint(settings: Settings = DEFAULTS, schemas: dict[str, Schema] = SCHEMAS) -> str:
        [deployment] = made(settings, schemas).inputs("apigateway/deployment:Deployment").values()
        return str(deployment["triggers"]["routes"])

    first = fingerprint()
    assert fingerprint(replace(DEFAULTS, log_retention_days=90)) == first
    stricter = {**request_models.BUILD, "properties": {"commit": {"type": "string", "pattern": "^[0-9a-f]{40}$"}}}
    changed = [
        fingerprint(schemas={"step-function": request_models.COPY_JOB, "builds": stricter}),
        fingerprint(schemas={"step-function": request_models.COPY_JOB}),
        fingerprint(schemas={"step-function": request_models.COPY_JOB, "other": request_models.BUILD}),
        fingerprint(replace(DEFAULTS, api_authorization="NONE")),
    ]
    monkeypatch.setattr(api, "_BAD_BODY", "{}")
    changed.append(fingerprint())
    assert len({first, *changed}) == 1 + len(changed)


def test_calls_are_limited() -> None:
    """No caller's loop uses up what the account shares: each route has limits of its own, and no route has none."""
    assert made().inputs("apigateway/methodSettings:MethodSettings") == {
        f"api-{path}": {
            **OWNER,
            "stageName": "live",
            "methodPath": f"{path}/POST",
            "settings": {"throttlingRateLimit": rate, "throttlingBurstLimit": 10 * rate},
        }
        for rate, path in enumerate(SCHEMAS, 1)
    }


def test_limits_go_with_their_stage() -> None:
    """ "pulumi destroy" takes the stage alone: not every engine can take a method's settings from it."""
    recording = made()
    [stage] = recording.of("apigateway/stage:Stage").values()
    limits = recording.of("apigateway/methodSettings:MethodSettings").values()
    assert {found.deleted_with for found in limits} == {stage.urn}


def test_every_call_is_kept_in_a_group_that_forgets() -> None:
    """Who called what, when, and what came of it is a line of JSON in a group with the stack's retention."""
    recording = made(replace(DEFAULTS, name_prefix="acme-", log_retention_days=90))
    group = recording.of("cloudwatch/logGroup:LogGroup")["api"]
    assert group.inputs == {"name": "/aws/apigateway/acme-file-copy-api", "retentionInDays": 90}
    [stage] = recording.of("apigateway/stage:Stage").values()
    log = stage.inputs["accessLogSettings"]
    assert log["destinationArn"] == LOG_GROUP
    assert group.urn in stage.dependencies
    # API Gateway developer guide: a format is one line.
    assert "\n" not in log["format"]
    kept = json.loads(log["format"])
    assert {kept[name] for name in ("requestId", "sourceIp", "userArn", "status")} == {
        "$context.requestId", "$context.identity.sourceIp", "$context.identity.userArn", "$context.status",
    }  # fmt: skip


def test_nothing_that_a_caller_writes_is_kept() -> None:
    """No body, header, query or error text is in the log: it holds no secret, and no quote breaks its JSON."""
    for value in api.ACCESS_LOG.values():
        assert value.removeprefix("$context.") in HARMLESS


def test_the_log_is_written_by_a_role_of_the_stack() -> None:
    """Where it is asked for, the account's API Gateway gets a role that can write logs before the stage needs one."""
    recording = made(replace(DEFAULTS, name_prefix="acme-", manage_api_logging_role=True))
    name = "acme-file-copy-api-logs"
    role = recording.inputs("iam/role:Role")["api-logs"]
    assert role["name"] == name
    assert json.loads(role["assumeRolePolicy"]) == policies.trust("apigateway.amazonaws.com")
    policy = recording.of("iam/rolePolicy:RolePolicy")["api-logs"]
    assert policy.inputs["role"] == name
    assert json.loads(policy.inputs["policy"]) == policies.write_api_logs()
    [account] = recording.of("apigateway/account:Account").values()
    assert account.inputs == {"cloudwatchRoleArn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}
    assert policy.urn in account.dependencies
    [stage] = recording.of("apigateway/stage:Stage").values()
    assert account.urn in stage.dependencies


def test_an_account_that_has_a_role_keeps_it() -> None:
    """The role of the account and region, which somebody else has made, is not replaced, and the stack still logs."""
    recording = made()
    assert recording.inputs("apigateway/account:Account") == {}
    assert "api-logs" not in recording.inputs("iam/role:Role") | recording.inputs("iam/rolePolicy:RolePolicy")
    [stage] = recording.inputs("apigateway/stage:Stage").values()
    assert stage["accessLogSettings"]["destinationArn"] == arn("logs", "log-group:/aws/apigateway/file-copy-api")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, f"https://api.execute-api.{REGION}.amazonaws.com/live"),
        (EMULATOR, f"{EMULATOR}/restapis/file-copy-api-id/live/_user_request_"),
    ],
)
def test_the_url_works_where_the_stack_is(endpoint: str | None, url: str) -> None:
    """curl reaches the API as it is written, on AWS and on an emulator, which has no DNS name for it."""
    assert made(replace(DEFAULTS, emulator_endpoint=endpoint)).outputs == {"url": url}
