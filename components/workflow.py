"""The state machine that copies one file to every destination. What it does is in definition.py."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from . import policies
from .buckets import BuildBuckets
from .definition import copy_workflow_definition
from .documents import document
from .failures import FailureTopic
from .settings import Settings
from .tracking import TrackingTable


class CopyWorkflow(pulumi.ComponentResource):
    """file-copy-workflow and its role."""

    arn: pulumi.Output[str]
    role_arn: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        buckets: BuildBuckets,
        tracking: TrackingTable,
        failures: FailureTopic,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("file-copy-workflow:index:CopyWorkflow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        physical_name = settings.name("file-copy-workflow")
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
                owned_bucket_arns=buckets.owned_destination_arns,
                existing_bucket_arns=buckets.existing_destination_arns,
                table_arn=tracking.arn,
                topic_arn=failures.arn,
                keys=settings.keys,
                kms_key_arn=settings.kms_key_arn,
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
                max_concurrency=settings.max_concurrency,
            ),
            # An execution that starts before its role may do anything fails.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role_policy]),
        )
        self.arn = state_machine.arn
        self.role_arn = role.arn
        self.register_outputs({"arn": self.arn})
