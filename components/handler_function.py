"""A Lambda function: its code from handlers/, its role, its log group, and the queue that it reads, if any."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import document
from .names import in_region
from .queues import EventQueue
from .settings import Settings

RUNTIME = "python3.13"
HANDLERS = Path(__file__).resolve().parent.parent / "handlers"


def package(name: str) -> pulumi.AssetArchive:
    """The package of the function ``name``: its module, the modules of ``handlers/`` that it imports, and nothing else.

    A change to one module changes the packages of only the functions that use it.
    """
    return pulumi.AssetArchive(
        {f"handlers/{module}.py": pulumi.FileAsset(str(HANDLERS / f"{module}.py")) for module in _modules_of(name)}
    )


def _modules_of(name: str) -> list[str]:
    """The names of a function's module and of all modules of ``handlers/`` that it imports, directly or not."""
    found: set[str] = set()
    waiting = {"__init__", name.replace("-", "_")}
    while waiting:
        module = waiting.pop()
        found.add(module)
        for statement in ast.walk(ast.parse((HANDLERS / f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(statement, ast.ImportFrom) and statement.level == 1:
                # "from . import log" names modules; "from .s3_events import ObjectCreated" a module.
                waiting |= {statement.module} if statement.module else {alias.name for alias in statement.names}
        waiting -= found
    return sorted(found)


class HandlerFunction(pulumi.ComponentResource):
    """A function whose code is ``handlers/KIND.py``, ``kind`` being KIND with hyphens.

    Its role may write its own log group and traces, read its own queue, and do what ``statements`` say.
    """

    kind: str
    """The name without the prefix. It is the same in each region."""
    region: str | None
    """The function's region; ``None`` for the stack's own region."""
    physical_name: str
    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    invoke_arn: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(
        self,
        kind: str,
        settings: Settings,
        *,
        statements: pulumi.Input[list[policies.Statement]],
        environment: Mapping[str, pulumi.Input[str]],
        timeout: int,
        memory_size: int = 256,
        reserved_concurrency: int | None = None,
        is_traced: bool = True,
        queue: EventQueue | None = None,
        queue_concurrency: int | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """
        Args:
            timeout: seconds, at most 900.
            memory_size: MiB.
            reserved_concurrency: the calls that run at once, at most; no limit but the account's if not given.
            is_traced: X-Ray records calls that no trace has caused, by its sampling rule.
            queue: the queue that the function reads, in batches with partial failures. The function is in its region.
            queue_concurrency: the number of batches in parallel, 2 to 1,000; no limit if not given.
        """
        self.kind, self.region = kind, (region := queue.region if queue else None)
        name = in_region(kind, region)
        super().__init__("file-copy-workflow:index:HandlerFunction", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical_name = self.physical_name = settings.name(name)

        log_group = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/lambda/{physical_name}",
            region=region,
            retention_in_days=settings.log_retention_days,
            opts=child,
        )
        role = aws.iam.Role(
            name,
            name=physical_name,
            assume_role_policy=document(policies.trust, service="lambda.amazonaws.com"),
            opts=child,
        )
        role_policy = aws.iam.RolePolicy(
            name,
            name=physical_name,
            role=role.name,
            policy=document(
                policies.handler_function,
                statements=statements,
                log_group_arn=log_group.arn,
                queue_arn=queue.arn if queue else None,
            ),
            opts=child,
        )
        function = aws.lambda_.Function(
            name,
            name=physical_name,
            region=region,
            runtime=RUNTIME,
            handler=f"handlers.{kind.replace('-', '_')}.handler",
            code=package(kind),
            role=role.arn,
            timeout=timeout,
            memory_size=memory_size,
            reserved_concurrent_executions=reserved_concurrency,
            environment={"variables": environment},
            tracing_config={"mode": "Active" if is_traced else "PassThrough"},
            # The role must be able to write the logs, and the group must be there, before the first run.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_policy, log_group]),
        )
        if queue:
            aws.lambda_.EventSourceMapping(
                name,
                region=region,
                event_source_arn=queue.arn,
                function_name=function.arn,
                batch_size=10,
                function_response_types=["ReportBatchItemFailures"],
                scaling_config={"maximum_concurrency": queue_concurrency} if queue_concurrency else None,
                opts=child,
            )
        self.arn = function.arn
        self.name = function.name
        self.invoke_arn = function.invoke_arn
        self.role_arn = role.arn
        self.register_outputs({"arn": self.arn, "name": self.name})

    @property
    def label(self) -> str:
        """The name without the prefix, with the region if that is not the stack's own."""
        return in_region(self.kind, self.region)
