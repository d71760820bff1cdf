"""The source bucket, and the destination buckets that the stack makes or that are there already."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies
from .settings import Settings


@dataclass(frozen=True, kw_only=True)
class BucketRef:
    """A bucket, whoever made it."""

    label: str
    """What Pulumi's logical names are made from: the physical name."""
    name: pulumi.Output[str]
    arn: pulumi.Output[str]


class BuildBuckets(pulumi.ComponentResource):
    """The source bucket and every destination bucket.

    ``owned_destinations`` leaves out those that were there already: their notifications are their owner's.
    """

    source: BucketRef
    destinations: list[BucketRef]
    owned_destinations: list[BucketRef]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("file-copy-workflow:index:BuildBuckets", name, None, opts)
        self._settings = settings
        self.source = self._create(settings.source_bucket)
        self.destinations = []
        self.owned_destinations = []
        for destination in settings.destinations:
            if destination.existing:
                self.destinations.append(self._refer(destination.bucket))
            else:
                bucket = self._create(destination.bucket)
                self.destinations.append(bucket)
                self.owned_destinations.append(bucket)
        self.register_outputs(
            {"source": self.source.name, "destinations": [bucket.name for bucket in self.destinations]}
        )

    @property
    def destination_names(self) -> pulumi.Output[list[str]]:
        return pulumi.Output.all(*[bucket.name for bucket in self.destinations])

    @property
    def destination_arns(self) -> pulumi.Output[list[str]]:
        return pulumi.Output.all(*[bucket.arn for bucket in self.destinations])

    def _create(self, name: str) -> BucketRef:
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(name, bucket=name, force_destroy=self._settings.force_destroy, opts=child)
        # A copy is pinned to the version that its event named, so the bucket has to keep versions.
        aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=child,
        )
        aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access-block",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        return BucketRef(label=name, name=bucket.bucket, arn=bucket.arn)

    def _refer(self, name: str) -> BucketRef:
        arn = self.source.arn.apply(lambda source_arn: policies.bucket_arn(name, like=source_arn))
        return BucketRef(label=name, name=pulumi.Output.from_input(name), arn=arn)
