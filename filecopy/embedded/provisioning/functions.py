"""Lambda: functions, their packages, triggers and permissions."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pulumi

from filecopy.errors import StackError
from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tags_of

# Seconds that a function may take to become active.
FUNCTION_DEADLINE = 30.0


@creates("aws:lambda/function:Function")
def _function(inputs: Inputs, clients: Clients) -> Created:
    lambda_ = clients("lambda")
    name = inputs.take("name")
    arn = lambda_.create_function(
        FunctionName=name,
        Runtime=inputs.take("runtime"),
        Handler=inputs.take("handler"),
        Role=inputs.take("role"),
        Timeout=inputs.take("timeout", 3),
        MemorySize=inputs.take("memorySize", 128),
        Environment={"Variables": inputs.take_object("environment").take("variables", {})},
        Code={"ZipFile": zip_of(inputs.take("code"))},
        TracingConfig={"Mode": inputs.take_object("tracingConfig").take("mode", "PassThrough")},
        Tags=tags_of(inputs),
    )["FunctionArn"]
    _wait_until_active(lambda_, name)
    if reserved := inputs.take("reservedConcurrentExecutions"):
        lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    path = f"arn:aws:apigateway:{clients.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    return name, {"arn": arn, "invokeArn": path}


def _wait_until_active(lambda_: Any, name: str) -> None:
    # boto3's waiter polls once a second, which is longer than everything else takes.
    deadline = time.monotonic() + FUNCTION_DEADLINE
    while (state := lambda_.get_function_configuration(FunctionName=name)["State"]) != "Active":
        if state != "Pending" or time.monotonic() > deadline:
            raise StackError(
                f"The function {name!r} did not become Active: its state is {state}. Run 'filecopy up' again."
            )
        time.sleep(0.05)


def zip_of(archive: pulumi.AssetArchive) -> bytes:
    """Pack an archive as a zip. The same content gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, asset in sorted(archive.assets.items()):
            if not isinstance(asset, pulumi.FileAsset):
                raise StackError(f"{name!r} in a function's package must be a FileAsset, not {asset!r}.")
            package.writestr(zipfile.ZipInfo(name), Path(asset.path).read_bytes())
    return buffer.getvalue()


@creates("aws:lambda/eventSourceMapping:EventSourceMapping")
def _event_source_mapping(inputs: Inputs, clients: Clients) -> Created:
    scaling = inputs.take_object("scalingConfig").take("maximumConcurrency")
    mapping = clients("lambda").create_event_source_mapping(
        EventSourceArn=inputs.take("eventSourceArn"),
        FunctionName=inputs.take("functionName"),
        BatchSize=inputs.take("batchSize", 10),
        FunctionResponseTypes=inputs.take("functionResponseTypes", []),
        Tags=tags_of(inputs),
        **({"ScalingConfig": {"MaximumConcurrency": int(scaling)}} if scaling else {}),
    )
    return mapping["UUID"], {}


@creates("aws:lambda/permission:Permission")
def _permission(inputs: Inputs, clients: Clients) -> Created:
    function, source = inputs.take("function"), inputs.take("sourceArn")
    statement = "pulumi-" + "".join(character if character.isalnum() else "-" for character in source)[-80:]
    clients("lambda").add_permission(
        FunctionName=function,
        StatementId=statement,
        Action=inputs.take("action"),
        Principal=inputs.take("principal"),
        SourceArn=source,
    )
    return statement, {}
