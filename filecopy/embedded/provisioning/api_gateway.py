"""API Gateway: a REST API and all that belongs to it."""

from __future__ import annotations

from typing import Any

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tags_of


@creates("aws:apigateway/restApi:RestApi")
def _rest_api(inputs: Inputs, clients: Clients) -> Created:
    gateway = clients("apigateway")
    api = gateway.create_rest_api(
        name=inputs.take("name"),
        description=inputs.take("description", ""),
        endpointConfiguration={"types": [inputs.take_object("endpointConfiguration").take("types", "EDGE")]},
        tags=tags_of(inputs),
    )
    # Not next(): Pulumi would wait forever after a StopIteration.
    [root] = [item for item in gateway.get_resources(restApiId=api["id"])["items"] if item["path"] == "/"]
    account = clients("sts").get_caller_identity()["Account"]
    return api["id"], {
        "rootResourceId": root["id"],
        "executionArn": f"arn:aws:execute-api:{clients.region}:{account}:{api['id']}",
    }


@creates("aws:apigateway/account:Account")
def _api_account(inputs: Inputs, clients: Clients) -> Created:
    role = {"op": "replace", "path": "/cloudwatchRoleArn", "value": inputs.take("cloudwatchRoleArn")}
    clients("apigateway").update_account(patchOperations=[role])
    return "api-gateway-account", {}


@creates("aws:apigateway/requestValidator:RequestValidator")
def _api_request_validator(inputs: Inputs, clients: Clients) -> Created:
    validator = clients("apigateway").create_request_validator(
        restApiId=inputs.take("restApi"),
        name=inputs.take("name"),
        validateRequestBody=inputs.take("validateRequestBody", False),
        validateRequestParameters=inputs.take("validateRequestParameters", False),
    )
    return validator["id"], {}


@creates("aws:apigateway/model:Model")
def _api_model(inputs: Inputs, clients: Clients) -> Created:
    model = clients("apigateway").create_model(
        restApiId=inputs.take("restApi"),
        name=inputs.take("name"),
        contentType=inputs.take("contentType"),
        schema=inputs.take("schema"),
    )
    return model["id"], {}


@creates("aws:apigateway/response:Response")
def _api_gateway_response(inputs: Inputs, clients: Clients) -> Created:
    api, kind = inputs.take("restApiId"), inputs.take("responseType")
    clients("apigateway").put_gateway_response(
        restApiId=api,
        responseType=kind,
        statusCode=inputs.take("statusCode"),
        responseTemplates=inputs.take("responseTemplates", {}),
    )
    return f"aggr-{api}-{kind}", {}


@creates("aws:apigateway/resource:Resource")
def _api_resource(inputs: Inputs, clients: Clients) -> Created:
    resource = clients("apigateway").create_resource(
        restApiId=inputs.take("restApi"), parentId=inputs.take("parentId"), pathPart=inputs.take("pathPart")
    )
    return resource["id"], {}


@creates("aws:apigateway/method:Method")
def _api_method(inputs: Inputs, clients: Clients) -> Created:
    api, resource, method = inputs.take("restApi"), inputs.take("resourceId"), inputs.take("httpMethod")
    clients("apigateway").put_method(
        restApiId=api,
        resourceId=resource,
        httpMethod=method,
        authorizationType=inputs.take("authorization"),
        requestValidatorId=inputs.take("requestValidatorId"),
        requestModels=inputs.take("requestModels", {}),
    )
    return f"agm-{api}-{resource}-{method}", {}


@creates("aws:apigateway/integration:Integration")
def _api_integration(inputs: Inputs, clients: Clients) -> Created:
    api, resource, method = inputs.take("restApi"), inputs.take("resourceId"), inputs.take("httpMethod")
    clients("apigateway").put_integration(
        restApiId=api,
        resourceId=resource,
        httpMethod=method,
        integrationHttpMethod=inputs.take("integrationHttpMethod"),
        type=inputs.take("type"),
        uri=inputs.take("uri"),
    )
    return f"agi-{api}-{resource}-{method}", {}


@creates("aws:apigateway/deployment:Deployment")
def _api_deployment(inputs: Inputs, clients: Clients) -> Created:
    inputs.take("triggers")  # They tell Pulumi when to deploy again.
    return clients("apigateway").create_deployment(restApiId=inputs.take("restApi"))["id"], {}


@creates("aws:apigateway/stage:Stage")
def _api_stage(inputs: Inputs, clients: Clients) -> Created:
    api, name = inputs.take("restApi"), inputs.take("stageName")
    gateway = clients("apigateway")
    gateway.create_stage(restApiId=api, stageName=name, deploymentId=inputs.take("deployment"), tags=tags_of(inputs))
    access_log = inputs.take_object("accessLogSettings")
    _change_stage(
        gateway,
        api,
        name,
        {
            "/accessLogSettings/destinationArn": access_log.take("destinationArn"),
            "/accessLogSettings/format": access_log.take("format"),
        },
    )
    return f"ags-{api}-{name}", {"invokeUrl": f"https://{api}.execute-api.{clients.region}.amazonaws.com/{name}"}


@creates("aws:apigateway/methodSettings:MethodSettings")
def _api_method_settings(inputs: Inputs, clients: Clients) -> Created:
    api, stage, path = inputs.take("restApi"), inputs.take("stageName"), inputs.take("methodPath")
    settings = inputs.take_object("settings")
    _change_stage(
        clients("apigateway"),
        api,
        stage,
        {
            f"/{path}/throttling/rateLimit": settings.take("throttlingRateLimit"),
            f"/{path}/throttling/burstLimit": settings.take("throttlingBurstLimit"),
        },
    )
    return f"{api}-{stage}-{path}", {}


def _change_stage(gateway: Any, api: str, stage: str, changes: dict[str, Any]) -> None:
    gateway.update_stage(
        restApiId=api,
        stageName=stage,
        patchOperations=[
            {"op": "replace", "path": path, "value": str(value)} for path, value in changes.items() if value is not None
        ],
    )
