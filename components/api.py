"""The REST API and its functions: ``POST /step-function`` and ``POST /builds``.

A caller signs the request, the function checks its body, the rate of calls is limited, and an access log names the
callers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies
from .buckets import BuildBuckets
from .documents import as_json, document
from .handler_function import HandlerFunction
from .request_models import BUILD, COPY_JOB, Schema
from .settings import Settings
from .tracking import TrackingTable
from .workflow.component import CopyWorkflow

STAGE = "live"

# Seconds. API Gateway waits 29 seconds at most, so an answer after that reaches nobody.
INVOKER_TIMEOUT = 29

# Seconds, Lambda's maximum. A call through the API ends sooner: see handlers/build_worker.py.
BUILD_WORKER_TIMEOUT = 900

# The caller, the route and the result. No body, and no text that a caller can choose freely.
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

# The answer to a body that its model refuses, in the form of the functions' answers. The text is fixed, because API
# Gateway does not escape its variables for JSON.
_BAD_BODY = as_json({"message": "The request is not valid.", "problems": ["The body must be a JSON object."]})


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path's function, the schema of its body, and the limits of its calls, for all callers together."""

    function: HandlerFunction
    schema: Schema
    rate_limit: int
    """Calls a second."""
    burst_limit: int
    """Calls that may come at once, before the rate limit applies."""


class RestApi(pulumi.ComponentResource):
    """file-copy-api. A route's URL is ``url``, a slash and its path, on AWS as on an emulator."""

    physical_name: str
    functions: Sequence[HandlerFunction]
    """The functions of the routes."""
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
        self.functions = [route.function for route in routes.values()]
        child = pulumi.ResourceOptions(parent=self)
        api = aws.apigateway.RestApi(
            name,
            name=self.physical_name,
            description="Starts the file copy workflow by hand, and fetches builds.",
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
            # A deployment is a snapshot. Without triggers, a changed route would never reach the stage.
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
                # They are deleted with the stage: some engines cannot remove them from it (docs/engines.md).
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
            # $default: the model also checks a body whose content type is not JSON.
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
            # API Gateway refuses an access log if it has no role to write it with.
            opts=pulumi.ResourceOptions(parent=self, depends_on=may_log),
        )


def _fingerprint(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def create_api(
    settings: Settings, *, buckets: BuildBuckets, tracking: TrackingTable, workflow: CopyWorkflow
) -> RestApi:
    """The API, which starts the workflow by hand and fetches builds, with its functions."""
    return RestApi(
        "api",
        settings,
        routes={
            "step-function": Route(
                function=_step_function_invoker(settings, workflow),
                schema=COPY_JOB,
                # Step Functions starts 300 executions a second, and uploads need most of them.
                rate_limit=100,
                burst_limit=200,
            ),
            "builds": Route(
                function=_build_worker(settings, buckets, tracking),
                schema=BUILD,
                # A build may take half a minute, so some 60 run at once, of the 1,000 calls that an account may run.
                rate_limit=2,
                burst_limit=5,
            ),
        },
    )


def _step_function_invoker(settings: Settings, workflow: CopyWorkflow) -> HandlerFunction:
    """The function that starts an execution: ``POST /step-function``."""
    return HandlerFunction(
        "step-function-invoker",
        settings,
        statements=workflow.arn.apply(policies.start_workflow),
        environment={"STATE_MACHINE_ARN": workflow.arn},
        timeout=INVOKER_TIMEOUT,
    )


def _build_worker(settings: Settings, buckets: BuildBuckets, tracking: TrackingTable) -> HandlerFunction:
    """The function that fetches a build's artifact into the source bucket: ``POST /builds``."""
    return HandlerFunction(
        "build-worker",
        settings,
        statements=pulumi.Output.all(
            source_bucket_arn=buckets.source.arn,
            account=tracking.arn.apply(policies.account_of),
            # Builds get the prefix, so that their uploads start the workflow.
            keys=policies.keys_like(settings.key_prefix, ".zip"),
            kms_key_arn=settings.kms_key_arn,
        ).apply(lambda inputs: policies.store_builds(**inputs)),
        environment={
            "ARTIFACT_BASE_URL": settings.artifact_base_url,
            "SOURCE_BUCKET": buckets.source.name,
            "KEY_PREFIX": settings.key_prefix,
        },
        timeout=BUILD_WORKER_TIMEOUT,
        # More memory is more network bandwidth: an artifact of gigabytes passes through the function in parts.
        memory_size=1024,
    )
