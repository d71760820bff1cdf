"""boto3 clients that check a call's parameters against AWS's own service models, and answer it from a script."""

from __future__ import annotations

import threading
from functools import cache
from types import SimpleNamespace
from typing import Any

import boto3

from filecopy.stack.clients import Clients

from .mocks import ACCOUNT, REGION, arn

ANSWERS: dict[str, dict[str, Any]] = {
    "CreateTable": {"TableDescription": {"TableArn": arn("dynamodb", "table/table")}},
    "CreateTopic": {"TopicArn": arn("sns", "topic")},
    "Subscribe": {"SubscriptionArn": arn("sns", "topic:subscription")},
    "CreateQueue": {"QueueUrl": "https://sqs.example.com/queue"},
    "GetQueueAttributes": {"Attributes": {"QueueArn": arn("sqs", "queue")}},
    "PutRule": {"RuleArn": arn("events", "rule/rule")},
    "CreateRole": {"Role": {"RoleName": "role", "Arn": f"arn:aws:iam::{ACCOUNT}:role/role"}},
    "DescribeLogGroups": {"logGroups": [{"arn": arn("logs", "log-group:group:*")}]},
    "CreateFunction": {"FunctionArn": arn("lambda", "function:function")},
    "GetFunctionConfiguration": {"State": "Active"},
    "CreateEventSourceMapping": {"UUID": "mapping"},
    "CreateStateMachine": {
        "stateMachineArn": arn("states", "stateMachine:machine"),
        "stateMachineVersionArn": arn("states", "stateMachine:machine:1"),
    },
    "CreateRestApi": {"id": "api"},
    "GetResources": {"items": [{"id": "root", "path": "/"}]},
    "CreateResource": {"id": "resource"},
    "CreateRequestValidator": {"id": "validator"},
    "CreateModel": {"id": "model"},
    "CreateDeployment": {"id": "deployment"},
    "GetCallerIdentity": {"Account": ACCOUNT},
    "Query": {"Items": []},
}

_making_a_client = threading.Lock()


@cache
def _session(region: str) -> boto3.Session:
    # A session reads each service's model once, which takes longer than all the rest.
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)


class ScriptedClients(Clients):
    """Nothing is ever sent. An operation that is not in the script answers with nothing."""

    def __init__(self, _endpoint: str = "", region: str = REGION, **answers: dict[str, Any]) -> None:
        super().__init__("http://127.0.0.1:1", region)
        self._session = _session(region)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.regions: list[tuple[str, str]] = []
        """The region of each call."""
        self._answers = ANSWERS | answers

    def _make(self, service: str) -> Any:
        with _making_a_client:
            client = super()._make(service)
        client.meta.events.register("provide-client-params.*.*", self._record)
        client.meta.events.register("before-call.*.*", self._answer)
        return client

    def of(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of every call of ``operation``."""
        return [parameters for name, parameters in self.calls if name == operation]

    def _record(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        self.calls.append((model.name, params))
        self.regions.append((model.name, context["client_region"]))

    def _answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        answer = self._answers.get(model.name, {})
        return SimpleNamespace(status_code=400 if "Error" in answer else 200), answer
