"""The source bucket and the destination buckets, which the stack creates or which exist already."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import document
from .settings import Destination, Settings

# Abort incomplete uploads after a week: S3 bills their parts.
UNFINISHED_UPLOAD_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class BucketRef:
    """A bucket, of the stack or external."""

    label: str
    """The part of Pulumi's logical names: the bucket's name without the stack's prefix. So a new prefix does not change
    logical names. Pulumi then sees that a bucket would be replaced, and refuses that if the bucket is protected."""
    former_label: str
    """The part of logical names in older versions of the program: the physical name."""
    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    region: str | None = None
    """The bucket's region; ``None`` for the stack's own region."""
    account: str | None = None
    """The account that owns the bucket; ``None`` for the stack's own account."""


def formerly(name: str, *, now: str) -> list[pulumi.Alias]:
    """The alias by which Pulumi keeps a resource whose logical name was ``name``; none if the name is the same."""
    return [] if name == now else [pulumi.Alias(name=name)]


class BuildBuckets(pulumi.ComponentResource):
    """The source bucket and every destination bucket, each with its configuration, in the bucket's own region.

    ``existing_destinations`` are external: their owners configure them, also their notifications.

    Unless ``forceDestroy`` is set, all buckets and their configuration are protected. If somebody lifts the protection
    and removes a bucket from the stack, the bucket stays, with its configuration (docs/operations.md).
    """

    source: BucketRef
    destinations: list[BucketRef]
    owned_destinations: list[BucketRef]
    existing_destinations: list[BucketRef]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        # Protect the configuration, too: otherwise "pulumi destroy" would delete a bucket's policy, encryption
        # and versioning.
        protected = pulumi.ResourceOptions(protect=not settings.force_destroy)
        super().__init__(
            "file-copy-workflow:index:BuildBuckets", name, None, pulumi.ResourceOptions.merge(protected, opts)
        )
        self._settings = settings
        self.source = self._create(settings.source_bucket, None, settings.kms_key_arn)
        self.destinations = []
        self.owned_destinations = []
        self.existing_destinations = []
        for destination in settings.destinations:
            if destination.existing:
                bucket = self._refer(destination)
                self.destinations.append(bucket)
                self.existing_destinations.append(bucket)
            else:
                bucket = self._create(destination.bucket, destination.region, destination.kms_key_arn)
                self.destinations.append(bucket)
                self.owned_destinations.append(bucket)
        self.register_outputs(
            {"source": self.source.name, "destinations": [bucket.name for bucket in self.destinations]}
        )

    @property
    def destination_names(self) -> pulumi.Output[list[str]]:
        return pulumi.Output.all(*[bucket.name for bucket in self.destinations])

    @property
    def owned_destination_arns(self) -> pulumi.Output[list[str]]:
        return pulumi.Output.all(*[bucket.arn for bucket in self.owned_destinations])

    @property
    def existing_destination_arns(self) -> pulumi.Output[list[str]]:
        return pulumi.Output.all(*[bucket.arn for bucket in self.existing_destinations])

    @property
    def owning_regions(self) -> list[str | None]:
        """``None``, for the stack's own region, and each other region in which the stack has created destinations."""
        return list(dict.fromkeys([None, *(bucket.region for bucket in self.owned_destinations)]))

    def owned_in(self, region: str | None) -> list[BucketRef]:
        """The destinations that the stack creates in this region; ``None`` is the stack's own region."""
        return [bucket for bucket in self.owned_destinations if bucket.region == region]

    def existing_in(self, region: str | None) -> list[BucketRef]:
        """The external destinations in this region; ``None`` is the stack's own region."""
        return [bucket for bucket in self.existing_destinations if bucket.region == region]

    def _create(self, name: str, region: str | None, kms_key_arn: str | None) -> BucketRef:
        settings = self._settings
        label = name.removeprefix(settings.name_prefix)
        bucket = aws.s3.Bucket(
            label,
            bucket=name,
            region=region,
            force_destroy=settings.force_destroy,
            opts=pulumi.ResourceOptions(
                parent=self, retain_on_delete=not settings.force_destroy, aliases=formerly(name, now=label)
            ),
        )

        def belonging(kind: str) -> pulumi.ResourceOptions:
            """The options of a resource that is deleted with the bucket, and stays with it."""
            former = formerly(f"{name}-{kind}", now=f"{label}-{kind}")
            return pulumi.ResourceOptions(parent=self, deleted_with=bucket, aliases=former)

        # An execution copies the version that its event named, so the bucket has to keep versions.
        versioning = aws.s3.BucketVersioning(
            f"{label}-versioning",
            bucket=bucket.bucket,
            region=region,
            versioning_configuration={"status": "Enabled"},
            opts=belonging("versioning"),
        )
        aws.s3.BucketPublicAccessBlock(
            f"{label}-public-access-block",
            bucket=bucket.bucket,
            region=region,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=belonging("public-access-block"),
        )
        # No ACLs: the bucket's owner owns each object, also one that another account puts.
        aws.s3.BucketOwnershipControls(
            f"{label}-ownership",
            bucket=bucket.bucket,
            region=region,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=belonging("ownership"),
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{label}-encryption",
            bucket=bucket.bucket,
            region=region,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": kms_key_arn,
                    },
                    # One data key for many objects. Without it, every copy is a call to KMS.
                    "bucket_key_enabled": True,
                }
                if kms_key_arn
                else {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
            ],
            opts=belonging("encryption"),
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{label}-lifecycle",
            bucket=bucket.bucket,
            region=region,
            rules=[
                {
                    "id": "abort-unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": UNFINISHED_UPLOAD_DAYS},
                },
                *self._expire_old_versions(),
            ],
            # S3 accepts rules for old versions only if the bucket keeps versions.
            opts=pulumi.ResourceOptions.merge(belonging("lifecycle"), pulumi.ResourceOptions(depends_on=[versioning])),
        )
        if settings.requires_tls:
            aws.s3.BucketPolicy(
                f"{label}-policy",
                bucket=bucket.bucket,
                region=region,
                policy=document(policies.bucket_refuses_plain_http, bucket_arn=bucket.arn),
                opts=belonging("policy"),
            )
        return BucketRef(label=label, former_label=name, name=bucket.bucket, arn=bucket.arn, region=region)

    def _expire_old_versions(self) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
        if self._settings.noncurrent_version_days == 0:
            return []
        return [
            {
                "id": "expire-old-versions",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": self._settings.noncurrent_version_days},
                # The delete marker that remains when all versions of a deleted file have expired.
                "expiration": {"expired_object_delete_marker": True},
            }
        ]

    def _refer(self, destination: Destination) -> BucketRef:
        name = destination.bucket
        arn = self.source.arn.apply(lambda source_arn: policies.bucket_arn(name, like=source_arn))
        return BucketRef(
            label=name,
            former_label=name,
            name=pulumi.Output.from_input(name),
            arn=arn,
            region=destination.region,
            account=destination.account,
        )
