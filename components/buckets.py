"""The source bucket, and the destination buckets that the stack makes or that are there already."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from . import policies
from .documents import document
from .settings import Destination, Settings

# Nobody goes on with an upload after a week, and its parts are paid for.
UNFINISHED_UPLOAD_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class BucketRef:
    """A bucket, whoever made it."""

    label: str
    """What Pulumi's logical names are made from: the name without the stack's prefix, so that they stay as they are
    when the prefix changes, and Pulumi sees that a bucket would be replaced, which it refuses if it is protected."""
    former_label: str
    """What older versions of the program made them from: the physical name."""
    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    region: str | None = None
    """Where it is; ``None`` for the stack's own region."""
    account: str | None = None
    """Whose it is; ``None`` for the stack's own account."""


def formerly(name: str, *, now: str) -> list[pulumi.Alias]:
    """The alias by which Pulumi knows a resource again that has another logical name ``now``."""
    return [] if name == now else [pulumi.Alias(name=name)]


class BuildBuckets(pulumi.ComponentResource):
    """The source bucket and every destination bucket, each with all that belongs to it in the bucket's own region.

    ``existing_destinations`` were there already: what belongs to them, such as notifications, is their owner's.

    Where files may not be deleted with the stack, all of it is protected, and a bucket that is taken out of the stack
    after all stays as it is, with all that belongs to it (docs/operations.md).
    """

    source: BucketRef
    destinations: list[BucketRef]
    owned_destinations: list[BucketRef]
    existing_destinations: list[BucketRef]

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        # A bucket that is protected alone would lose its policy, its encryption and its versions to "pulumi destroy".
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
        """``None``, which is the stack's own region, and each other one that has destinations of the stack's own."""
        return list(dict.fromkeys([None, *(bucket.region for bucket in self.owned_destinations)]))

    def owned_in(self, region: str | None) -> list[BucketRef]:
        """The destinations of the stack's own that are in this region; ``None`` is the stack's own region."""
        return [bucket for bucket in self.owned_destinations if bucket.region == region]

    def existing_in(self, region: str | None) -> list[BucketRef]:
        """The destinations of others that are in this region; ``None`` is the stack's own region."""
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
            """Of what goes with the bucket, and stays with it."""
            former = formerly(f"{name}-{kind}", now=f"{label}-{kind}")
            return pulumi.ResourceOptions(parent=self, deleted_with=bucket, aliases=former)

        # A copy is pinned to the version that its event named, so the bucket has to keep versions.
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
        # No ACLs: whoever puts an object, it is the bucket owner's.
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
                    # One key for many objects: without it, every copy is a call to KMS.
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
            # S3 takes the rules for old versions only where there are versions.
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
                # What is left of a deleted file when its versions are gone.
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
