"""The REST API: one POST route per function. A caller signs the request, a schema checks its body, and both the rate
of calls and who made them are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import as_json, document
from .handler_function import HandlerFunction
from .request_models import EXAMPLES, Schema
from .settings import Settings

STAGE = "live"

# Who called what, and what came of it. No body, and nothing that a caller can write freely.
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "sourceIp": "$context.identity.sourceIp",
    "userArn": "$context.identity.userArn",
    "httpMethod": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "status": "$context.status",
    "errorType": "$context.error.responseType",
    "responseLatencyMs": "$context.responseLatency",
    "integrationRequestId": "$context.integration.requestId",
}

# API Gateway's own answer to a body that its model refuses names nothing. The text is fixed: what the gateway could
# say of the body is not escaped for JSON.
_BAD_BODY = as_json(
    {
        "message": "The request is not valid.",
        "problems": [
            "The body is not what the path takes: "
            + "; ".join(f"POST /{path} takes {json.dumps(example)}" for path, example in EXAMPLES.items())
            + ". Check the types, and that no member is misspelt."
        ],
    }
)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path's function, the schema of what it takes, and how many calls of all callers together it takes."""

    function: HandlerFunction
    schema: Schema
    rate_limit: int
    """Calls a second."""
    burst_limit: int
    """How many may come at once, before the rate limit holds."""


class RestApi(pulumi.ComponentResource):
    """file-copy-api. ``url`` is what a caller puts in front of a route, wherever the stack is."""

    physical_name: str
    url: pulumi.Output[str]
    execution_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        routes: Mapping[str, Route],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            routes: by path part: ``{"builds": …}`` is ``POST /builds``.
        """
        super().__init__("file-copy-workflow:index:RestApi", name, None, opts)
        self._name, self._settings = name, settings
        self.physical_name = settings.name("file-copy-api")
        child = pulumi.ResourceOptions(parent=self)
        api = aws.apigateway.RestApi(
            name,
            name=self.physical_name,
            description="Starts the file copy workflow by hand, and brings builds into it.",
            endpoint_configuration={"types": "REGIONAL"},
            opts=child,
        )
        validator = aws.apigateway.RequestValidator(
            name, rest_api=api.id, name="body", validate_request_body=True, opts=child
        )
        bad_body = aws.apigateway.Response(
            f"{name}-bad-body",
            rest_api_id=api.id,
            response_type="BAD_REQUEST_BODY",
            status_code="400",
            response_templates={"application/json": _BAD_BODY},
            opts=child,
        )
        routed = [
            self._route(api, validator, path=path, function=route.function, schema=route.schema)
            for path, route in routes.items()
        ]
        deployment = aws.apigateway.Deployment(
            name,
            rest_api=api.id,
            # A deployment is a snapshot: without this, a changed route would never reach the stage.
            triggers={
                "routes": pulumi.Output.all(
                    settings.api_authorization,
                    _BAD_BODY,
                    *[json.dumps([path, route.schema]) for path, route in routes.items()],
                    *[route.function.invoke_arn for route in routes.values()],
                ).apply(_fingerprint)
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bad_body, *routed]),
        )
        stage = self._stage(api, deployment)
        for path, route in routes.items():
            aws.apigateway.MethodSettings(
                f"{name}-{path}",
                rest_api=api.id,
                stage_name=stage.stage_name,
                method_path=f"{path}/POST",
                settings={"throttling_rate_limit": route.rate_limit, "throttling_burst_limit": route.burst_limit},
                # They go with the stage: not every engine can take them from it (docs/engines.md).
                opts=pulumi.ResourceOptions(parent=self, deleted_with=stage),
            )
        if settings.emulator_endpoint:
            self.url = pulumi.Output.concat(
                settings.emulator_endpoint, "/restapis/", api.id, "/", stage.stage_name, "/_user_request_"
            )
        else:
            self.url = stage.invoke_url
        self.execution_arn = api.execution_arn
        self.register_outputs({"url": self.url})

    def _route(
        self,
        api: aws.apigateway.RestApi,
        validator: aws.apigateway.RequestValidator,
        *,
        path: str,
        function: HandlerFunction,
        schema: Schema,
    ) -> pulumi.Resource:
        child = pulumi.ResourceOptions(parent=self)
        name = f"{self._name}-{path}"
        resource = aws.apigateway.Resource(
            name, rest_api=api.id, parent_id=api.root_resource_id, path_part=path, opts=child
        )
        model = aws.apigateway.Model(
            name,
            rest_api=api.id,
            name=schema["title"],
            content_type="application/json",
            schema=as_json(schema),
            opts=child,
        )
        method = aws.apigateway.Method(
            name,
            rest_api=api.id,
            resource_id=resource.id,
            http_method="POST",
            authorization=self._settings.api_authorization,
            request_validator_id=validator.id,
            # $default: a body is not let through because its caller calls it something else than JSON.
            request_models={"application/json": model.name, "$default": model.name},
            opts=child,
        )
        aws.lambda_.Permission(
            name,
            action="lambda:InvokeFunction",
            function=function.name,
            principal="apigateway.amazonaws.com",
            source_arn=pulumi.Output.concat(api.execution_arn, f"/{STAGE}/POST/{path}"),
            opts=child,
        )
        return aws.apigateway.Integration(
            name,
            rest_api=api.id,
            resource_id=resource.id,
            http_method=method.http_method,
            integration_http_method="POST",
            type="AWS_PROXY",
            uri=function.invoke_arn,
            opts=child,
        )

    def _stage(self, api: aws.apigateway.RestApi, deployment: aws.apigateway.Deployment) -> aws.apigateway.Stage:
        """The deployment, with its access log."""
        settings, name = self._settings, self._name
        child = pulumi.ResourceOptions(parent=self)
        physical_name = self.physical_name
        log_group = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/apigateway/{physical_name}",
            retention_in_days=settings.log_retention_days,
            opts=child,
        )
        may_log: list[pulumi.Resource] = [log_group]
        if settings.manage_api_logging_role:
            role = aws.iam.Role(
                f"{name}-logs",
                name=f"{physical_name}-logs",
                assume_role_policy=document(policies.trust, service="apigateway.amazonaws.com"),
                opts=child,
            )
            role_policy = aws.iam.RolePolicy(
                f"{name}-logs",
                name=f"{physical_name}-logs",
                role=role.name,
                policy=as_json(policies.write_api_logs()),
                opts=child,
            )
            may_log.append(
                aws.apigateway.Account(
                    name,
                    cloudwatch_role_arn=role.arn,
                    opts=pulumi.ResourceOptions(parent=self, depends_on=[role_policy]),
                )
            )
        return aws.apigateway.Stage(
            name,
            rest_api=api.id,
            deployment=deployment.id,
            stage_name=STAGE,
            access_log_settings={"destination_arn": log_group.arn, "format": as_json(ACCESS_LOG)},
            # API Gateway refuses an access log as long as it has no role to write it with.
            opts=pulumi.ResourceOptions(parent=self, depends_on=may_log),
        )


def _fingerprint(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
