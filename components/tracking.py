"""The table that holds one record per file and source bucket."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from .settings import Settings

PARTITION_KEY = "fileKey"
SORT_KEY = "sourceBucket"


class TrackingTable(pulumi.ComponentResource):
    """FileCopyTracking."""

    table_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("file-copy-workflow:index:TrackingTable", name, None, opts)
        table = aws.dynamodb.Table(
            name,
            name=settings.name("FileCopyTracking"),
            billing_mode="PAY_PER_REQUEST",
            hash_key=PARTITION_KEY,
            range_key=SORT_KEY,
            attributes=[{"name": PARTITION_KEY, "type": "S"}, {"name": SORT_KEY, "type": "S"}],
            # With AWS's own KMS key, whose uses CloudTrail shows; every table is encrypted in some way.
            server_side_encryption={"enabled": True},
            point_in_time_recovery={"enabled": True},
            deletion_protection_enabled=not settings.force_destroy,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.table_name = table.name
        self.arn = table.arn
        self.register_outputs({"table_name": self.table_name, "arn": self.arn})
