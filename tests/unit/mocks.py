"""Runs the program, or a part of it, with mocks instead of the provider, and records the registered resources."""

from __future__ import annotations

import functools
import runpy
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import yaml
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, rpc, set_mocks
from pulumi.runtime.mocks import MockMonitor

from components.settings import Destination, Settings
from filecopy.embedded import program as program_module
from filecopy.embedded.configuration import PROJECT, PROJECT_ROOT, stack_configuration
from filecopy.embedded.program import load_settings
from filecopy.embedded.provisioning import COMPONENT_PREFIX

__all__ = ["load_settings"]

REGION = "us-east-1"
ACCOUNT = "123456789012"
EMULATOR = "http://localhost:4566"

DEFAULTS = Settings(
    name_prefix="",
    source_bucket="global-builds",
    destinations=(Destination(bucket="region-a-builds"), Destination(bucket="region-b-builds")),
    key_prefix="",
    key_suffix="",
    notification_emails=(),
    operations_emails=(),
    api_authorization="AWS_IAM",
    manage_api_logging_role=False,
    artifact_base_url="",
    kms_key_arn=None,
    noncurrent_version_days=90,
    record_retention_days=0,
    max_concurrency=10,
    copy_worker_concurrency=0,
    multipart_threshold=512 * 1024**2,
    log_retention_days=30,
    force_destroy=False,
    tags={},
    emulator_endpoint=None,
)
"""The documented defaults."""


def arn(service: str, resource: str, region: str = REGION) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def project(**settings: str) -> dict[str, str]:
    """The configuration of a stack on AWS that has these settings. Without a prefix, it has the names of the guide."""
    settings = {"allowGlobalNames": "true"} | settings
    return {"aws:region": REGION} | {f"{PROJECT}:{name}": value for name, value in settings.items()}


def project_file(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / name).read_text(encoding="utf-8"))
    return content


def declared_settings() -> dict[str, dict[str, Any]]:
    """The settings that Pulumi.yaml declares."""
    declared: dict[str, dict[str, Any]] = project_file("Pulumi.yaml")["config"]
    return declared


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A resource as Pulumi's engine receives it: inputs with camelCase keys, and URNs for other resources."""

    type: str
    name: str
    inputs: dict[str, Any]
    urn: str
    parent: str
    dependencies: frozenset[str]
    protect: bool
    former_names: frozenset[str]
    """The logical names of its aliases."""
    deleted_with: str
    """The URN of the resource with which it is deleted; empty if there is none."""
    retain_on_delete: bool
    delete_timeout: str
    """How long the engine waits for its deletion; empty for the provider's default."""

    @property
    def is_component(self) -> bool:
        return self.type.startswith(COMPONENT_PREFIX)


class Recording(Mocks):
    """The resources and outputs of one run, also of a failed one."""

    def __init__(self) -> None:
        self.registered: list[Registered] = []
        self.outputs: dict[str, Any] = {}

    def run(
        self, configuration: Mapping[str, str] | None = None, *, program: Callable[[], object] | None = None
    ) -> Recording:
        """Runs ``program``, or all of ``__main__.py``, with ``configuration``, or with that of the local stack."""
        if configuration is None:
            configuration = stack_configuration("local")
        monitor = _Monitor(self)
        with ExitStack() as patches:
            recorded_mocks = functools.partial(set_mocks, monitor=monitor)
            patches.enter_context(patch.object(program_module, "set_mocks", recorded_mocks))
            if program:
                patches.enter_context(patch.object(runpy, "run_path", lambda *_, **__: program()))
            self.outputs = program_module.run_program(self, configuration, stack="test")
        return self

    def of(self, resource_type: str) -> dict[str, Registered]:
        """The resources of ``aws:RESOURCE_TYPE`` by their logical names."""
        return {found.name: found for found in self.registered if found.type == f"aws:{resource_type}"}

    def inputs(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """The inputs of these resources, by logical name."""
        return {name: found.inputs for name, found in self.of(resource_type).items()}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"The program calls {args.token}, which nothing here answers.")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.typ.startswith(COMPONENT_PREFIX):
            return None, {}
        name = args.inputs.get("name") or args.inputs.get("bucket") or args.name
        return f"{name}-id", args.inputs | _attributes(args.typ, name, args.inputs.get("region", REGION))


def record(program: Callable[[], object]) -> Recording:
    """Runs a part of a program as on AWS."""
    return Recording().run(project(), program=program)


class _Monitor(MockMonitor):
    """Pulumi's mocks do not get parents, dependencies and protection; its mock monitor does."""

    def __init__(self, recording: Recording) -> None:
        super().__init__(recording)
        self._recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self._recording.registered.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    inputs=rpc.deserialize_properties(request.object),
                    urn=response.urn,
                    parent=request.parent,
                    dependencies=frozenset(request.dependencies),
                    protect=request.protect,
                    former_names=frozenset(alias.spec.name for alias in request.aliases if alias.spec.name),
                    deleted_with=request.deletedWith,
                    retain_on_delete=request.retainOnDelete,
                    delete_timeout=request.customTimeouts.delete,
                )
            )
        return response


def _attributes(resource_type: str, name: str, region: str) -> dict[str, str]:
    """The attributes that AWS would return, in addition to the inputs."""
    match resource_type:
        case "aws:s3/bucket:Bucket":
            return {"arn": f"arn:aws:s3:::{name}"}
        case "aws:dynamodb/table:Table":
            return {"arn": arn("dynamodb", f"table/{name}", region)}
        case "aws:sns/topic:Topic":
            return {"arn": arn("sns", name, region)}
        case "aws:sqs/queue:Queue":
            url = f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/{name}"
            return {"arn": arn("sqs", name, region), "url": url}
        case "aws:cloudwatch/eventRule:EventRule":
            return {"arn": arn("events", f"rule/{name}", region)}
        case "aws:iam/role:Role":
            return {"arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"}
        case "aws:cloudwatch/logGroup:LogGroup":
            return {"arn": arn("logs", f"log-group:{name}", region)}
        case "aws:lambda/function:Function":
            return {"arn": arn("lambda", f"function:{name}", region), "invokeArn": f"invoke:{name}"}
        case "aws:sfn/stateMachine:StateMachine":
            machine = arn("states", f"stateMachine:{name}", region)
            return {"arn": machine, "stateMachineVersionArn": f"{machine}:1"}
        case "aws:apigateway/restApi:RestApi":
            return {"rootResourceId": "root", "executionArn": arn("execute-api", "api", region)}
        case "aws:apigateway/stage:Stage":
            return {"invokeUrl": f"https://api.execute-api.{region}.amazonaws.com/live"}
        case _:
            return {}
