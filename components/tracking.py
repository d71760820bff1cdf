"""The table that holds one record per file and source bucket."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from . import policies
from .names import LISTED_ATTRIBUTES, STATUS_INDEX
from .settings import Settings

PARTITION_KEY = "fileKey"
SORT_KEY = "sourceBucket"
INDEX_PARTITION_KEY = "status"
INDEX_SORT_KEY = "startTime"
EXPIRY = "expiresAt"


class TrackingTable(pulumi.ComponentResource):
    """The table ``FileCopyTracking``."""

    table_name: pulumi.Output[str]
    arn: pulumi.Output[str]
    region: pulumi.Output[str]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        protected = pulumi.ResourceOptions(protect=not settings.force_destroy)
        super().__init__(
            "file-copy-workflow:index:TrackingTable", name, None, pulumi.ResourceOptions.merge(protected, opts)
        )
        table = aws.dynamodb.Table(
            name,
            name=settings.name("FileCopyTracking"),
            billing_mode="PAY_PER_REQUEST",
            hash_key=PARTITION_KEY,
            range_key=SORT_KEY,
            attributes=[
                {"name": name, "type": "S"} for name in (PARTITION_KEY, SORT_KEY, INDEX_PARTITION_KEY, INDEX_SORT_KEY)
            ],
            # For operators, who list the failed files of a day: the index avoids reading all records.
            global_secondary_indexes=[
                {
                    "name": STATUS_INDEX,
                    # Not hash_key and range_key: they are deprecated, and Pulumi warns of each at every deployment.
                    "key_schemas": [
                        {"attribute_name": INDEX_PARTITION_KEY, "key_type": "HASH"},
                        {"attribute_name": INDEX_SORT_KEY, "key_type": "RANGE"},
                    ],
                    "projection_type": "INCLUDE",
                    "non_key_attributes": list(LISTED_ATTRIBUTES),
                }
            ],
            # Encrypt with the AWS managed KMS key: CloudTrail records its use, but not that of DynamoDB's default key.
            server_side_encryption={"enabled": True},
            point_in_time_recovery={"enabled": True},
            # Always on, because DynamoDB lets it be switched once an hour. Only items that have the attribute expire.
            ttl={"enabled": True, "attribute_name": EXPIRY},
            deletion_protection_enabled=not settings.force_destroy,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.table_name = table.name
        self.arn = table.arn
        self.region = table.arn.apply(policies.region_of)
        self.register_outputs({"table_name": self.table_name, "arn": self.arn})
