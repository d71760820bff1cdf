"""The REST API: one POST route per function."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from .handler_function import HandlerFunction
from .settings import Settings

STAGE = "live"


class RestApi(pulumi.ComponentResource):
    """file-copy-api. ``url`` is what a caller puts in front of a route, wherever the stack is."""

    url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        routes: Mapping[str, HandlerFunction],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            routes: the function behind each path part: ``{"builds": build_worker}`` is ``POST /builds``.
        """
        super().__init__("file-copy-workflow:index:RestApi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        api = aws.apigateway.RestApi(
            name,
            name=settings.name("file-copy-api"),
            description="Starts the file copy workflow by hand, and brings builds into it.",
            endpoint_configuration={"types": "REGIONAL"},
            opts=child,
        )
        integrations: list[pulumi.Resource] = []
        for path, function in routes.items():
            resource = aws.apigateway.Resource(
                f"{name}-{path}", rest_api=api.id, parent_id=api.root_resource_id, path_part=path, opts=child
            )
            method = aws.apigateway.Method(
                f"{name}-{path}",
                rest_api=api.id,
                resource_id=resource.id,
                http_method="POST",
                authorization=settings.api_authorization,
                opts=child,
            )
            integrations.append(
                aws.apigateway.Integration(
                    f"{name}-{path}",
                    rest_api=api.id,
                    resource_id=resource.id,
                    http_method=method.http_method,
                    integration_http_method="POST",
                    type="AWS_PROXY",
                    uri=function.invoke_arn,
                    opts=child,
                )
            )
            aws.lambda_.Permission(
                f"{name}-{path}",
                action="lambda:InvokeFunction",
                function=function.name,
                principal="apigateway.amazonaws.com",
                source_arn=pulumi.Output.concat(api.execution_arn, f"/{STAGE}/POST/{path}"),
                opts=child,
            )
        deployment = aws.apigateway.Deployment(
            name,
            rest_api=api.id,
            # A deployment is a snapshot: without this, a changed route would never reach the stage.
            triggers={
                "routes": pulumi.Output.all(
                    settings.api_authorization, *routes, *[function.invoke_arn for function in routes.values()]
                ).apply(_fingerprint)
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=integrations),
        )
        stage = aws.apigateway.Stage(name, rest_api=api.id, deployment=deployment.id, stage_name=STAGE, opts=child)
        if settings.emulator_endpoint:
            self.url = pulumi.Output.concat(
                settings.emulator_endpoint, "/restapis/", api.id, "/", stage.stage_name, "/_user_request_"
            )
        else:
            self.url = stage.invoke_url
        self.register_outputs({"url": self.url})


def _fingerprint(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
