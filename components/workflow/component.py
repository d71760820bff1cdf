"""The state machine that copies one file to every destination. definition.py lists its states."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from components import policies
from components.buckets import BuildBuckets
from components.documents import document
from components.failures import FailureTopic
from components.handler_function import HandlerFunction
from components.settings import Settings
from components.tracking import TrackingTable

from .definition import copy_workflow_definition
from .limits import COPY_TIMEOUT, COPY_WORKER_TASK_TIMEOUT


class CopyWorkflow(pulumi.ComponentResource):
    """file-copy-workflow, its role and its log.

    The log contains the states that an execution passed, but not its data: keys may be personal. The execution's
    history contains the data.
    """

    physical_name: str
    arn: pulumi.Output[str]
    version_arn: pulumi.Output[str]
    """The version with the definition of the last deployment."""
    role_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        buckets: BuildBuckets,
        tracking: TrackingTable,
        failures: FailureTopic,
        copy_worker: HandlerFunction,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("file-copy-workflow:index:CopyWorkflow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical_name = self.physical_name = settings.name("file-copy-workflow")
        # Step Functions developer guide: all groups below /aws/vendedlogs/ share one statement of the account's
        # resource policy for logs. With other names, some state machines would fill that policy.
        log_group = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/vendedlogs/states/{physical_name}",
            retention_in_days=settings.log_retention_days,
            opts=child,
        )
        role = aws.iam.Role(
            name,
            name=physical_name,
            assume_role_policy=document(policies.trust_state_machines, table_arn=tracking.arn),
            opts=child,
        )
        role_policy = aws.iam.RolePolicy(
            name,
            name=physical_name,
            role=role.name,
            policy=document(
                policies.copy_workflow,
                source_bucket_arn=buckets.source.arn,
                # copy-worker copies to the other regions.
                owned_bucket_arns=[bucket.arn for bucket in buckets.owned_in(None)],
                existing_bucket_arns=[bucket.arn for bucket in buckets.existing_in(None)],
                table_arn=tracking.arn,
                topic_arn=failures.arn,
                copy_worker_arn=copy_worker.arn,
                keys=settings.keys,
                kms_key_arns=settings.kms_key_arns_in(None),
            ),
            opts=child,
        )
        state_machine = aws.sfn.StateMachine(
            name,
            name=physical_name,
            type="STANDARD",
            role_arn=role.arn,
            definition=document(
                copy_workflow_definition,
                partition=tracking.arn.apply(policies.partition_of),
                table_name=tracking.table_name,
                topic_arn=failures.arn,
                copy_worker_arn=copy_worker.arn,
                max_concurrency=settings.max_concurrency,
                multipart_threshold=settings.multipart_threshold,
                record_retention_days=settings.record_retention_days,
                destinations=buckets.destination_names,
                regions=settings.regions,
                owners=settings.owners,
            ),
            logging_configuration={
                "level": "ALL",
                "include_execution_data": False,
                "log_destination": pulumi.Output.concat(log_group.arn, ":*"),
            },
            # Executions start without a version. Versions keep earlier definitions (docs/operations.md, "Roll back").
            publish=True,
            tracing_configuration={"enabled": True} if settings.keeps_traces else None,
            # An execution that starts before its role has its policy fails, and Step Functions refuses a log that the
            # role may not deliver.
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[role_policy],
                # Step Functions deletes a state machine when no execution is in a Task any more.
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{COPY_WORKER_TASK_TIMEOUT + COPY_TIMEOUT}s"),
            ),
        )
        self.arn = state_machine.arn
        self.version_arn = state_machine.state_machine_version_arn
        self.role_arn = role.arn
        self.register_outputs({"arn": self.arn})
