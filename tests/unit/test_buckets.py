"""components/buckets.py: the configuration of the stack's buckets, and none of external buckets."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from components import policies
from components.buckets import BucketRef, BuildBuckets
from components.settings import Destination

from .mocks import DEFAULTS, EMULATOR, REGION, Recording, arn, record

OWN = ["global-builds", "region-a-builds", "region-b-builds"]
KEY = arn("kms", "key/0a1b")

BELONGINGS = {
    "s3/bucketVersioning:BucketVersioning": "versioning",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "public-access-block",
    "s3/bucketOwnershipControls:BucketOwnershipControls": "ownership",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "encryption",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "lifecycle",
    "s3/bucketPolicy:BucketPolicy": "policy",
}
"""The resources of each bucket, and the ends of their logical names."""

ABORT_UPLOADS = {
    "id": "abort-unfinished-uploads",
    "status": "Enabled",
    "filter": {"prefix": ""},
    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
}


@functools.cache
def buckets(**changes: Any) -> Recording:
    """The buckets of a stack with these settings."""
    return record(lambda: BuildBuckets("builds", replace(DEFAULTS, **changes)))


def of_each(recording: Recording, resource_type: str) -> dict[str, Any]:
    """The inputs of the resources of a type, by bucket. Each bucket has one."""
    found = recording.inputs(resource_type)
    assert found.keys() == {f"{bucket}-{BELONGINGS[resource_type]}" for bucket in OWN}
    return {inputs["bucket"]: {key: inputs[key] for key in inputs if key != "bucket"} for inputs in found.values()}


def names(buckets: Sequence[BucketRef]) -> pulumi.Output[list[str]]:
    return pulumi.Output.all(*[bucket.name for bucket in buckets])


@pytest.mark.parametrize("force_destroy", [False, True])
def test_a_bucket_that_holds_files_is_destroyed_only_where_that_is_asked_for(force_destroy: bool) -> None:
    """Unless the setting allows it, a bucket with files is not destroyed: Pulumi refuses before it deletes the
    policy."""
    recording = buckets(force_destroy=force_destroy)
    made = recording.of("s3/bucket:Bucket")
    assert {name: (bucket.inputs, bucket.retain_on_delete) for name, bucket in made.items()} == {
        name: ({"bucket": name, "forceDestroy": force_destroy}, not force_destroy) for name in OWN
    }
    # Their configuration is protected, too: Pulumi deletes every resource that is not.
    assert len(recording.registered) == 1 + len(OWN) * (1 + len(BELONGINGS))
    assert {found.protect for found in recording.registered} == {not force_destroy}


@pytest.mark.parametrize("resource_type", BELONGINGS)
def test_what_belongs_to_a_bucket_goes_with_it_or_stays(resource_type: str) -> None:
    """A bucket that is removed from the stack stays, with its policy, its versions and its encryption."""
    recording = buckets()
    made = recording.of("s3/bucket:Bucket")
    for name, found in recording.of(resource_type).items():
        assert found.deleted_with == made[name.removesuffix(f"-{BELONGINGS[resource_type]}")].urn


@pytest.mark.parametrize("resource_type", ["s3/bucket:Bucket", *BELONGINGS])
def test_logical_names_do_not_change_with_the_prefix(resource_type: str) -> None:
    """With another prefix, Pulumi would replace a protected bucket, and refuses. Logical names do not have the prefix.
    Aliases have the former names, which had it, so an existing stack keeps its buckets."""
    prefixed = buckets(
        name_prefix="acme-",
        source_bucket=f"acme-{OWN[0]}",
        destinations=tuple(Destination(bucket=f"acme-{name}") for name in OWN[1:]),
    )
    assert prefixed.of(resource_type).keys() == buckets().of(resource_type).keys()
    assert {found.inputs["bucket"] for found in prefixed.of(resource_type).values()} == {f"acme-{one}" for one in OWN}
    assert {name: found.former_names for name, found in prefixed.of(resource_type).items()} == {
        name: {f"acme-{name}"} for name in prefixed.of(resource_type)
    }
    assert {found.former_names for found in buckets().of(resource_type).values()} == {frozenset()}


@pytest.mark.parametrize(
    ("resource_type", "expected"),
    [
        ("s3/bucketVersioning:BucketVersioning", {"versioningConfiguration": {"status": "Enabled"}}),
        (
            "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
            {
                "blockPublicAcls": True,
                "blockPublicPolicy": True,
                "ignorePublicAcls": True,
                "restrictPublicBuckets": True,
            },
        ),
        ("s3/bucketOwnershipControls:BucketOwnershipControls", {"rule": {"objectOwnership": "BucketOwnerEnforced"}}),
    ],
)
def test_buckets_keep_versions_are_private_and_know_no_acls(resource_type: str, expected: dict[str, Any]) -> None:
    """A bucket keeps versions, so a copy is of the version in the event. It is not public, and its owner owns all
    objects."""
    assert of_each(buckets(), resource_type) == dict.fromkeys(OWN, expected)


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        (None, {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}),
        (
            KEY,
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
                "bucketKeyEnabled": True,
            },
        ),
    ],
)
def test_buckets_encrypt_what_is_put_into_them(key: str | None, rule: dict[str, Any]) -> None:
    """S3 encrypts with its own keys, or with a KMS key and a bucket key, so that a copy needs no call of KMS."""
    encryption = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    destinations = tuple(Destination(bucket=bucket, kms_key_arn=key) for bucket in OWN[1:])
    made = buckets(kms_key_arn=key, destinations=destinations)
    assert of_each(made, encryption) == {bucket: {"rules": [rule]} for bucket in OWN}


def test_a_bucket_in_another_region_is_there_with_all_that_belongs_to_it() -> None:
    """A bucket in another region has its configuration and its key there. The other buckets stay as they are."""
    key = KEY.replace(REGION, "eu-west-1")
    far = Destination(bucket="far-builds", region="eu-west-1", kms_key_arn=key)
    theirs = Destination(bucket="theirs", existing=True, region="eu-west-1", account="111111111111")
    settings = replace(DEFAULTS, kms_key_arn=KEY, destinations=(*DEFAULTS.destinations, far, theirs))
    made: list[BuildBuckets] = []
    recording = record(lambda: made.append(BuildBuckets("builds", settings)))
    for resource_type in ("s3/bucket:Bucket", *BELONGINGS):
        regions = {inputs["bucket"]: inputs.get("region") for inputs in recording.inputs(resource_type).values()}
        assert regions == {**dict.fromkeys(OWN, None), "far-builds": "eu-west-1"}, resource_type
    encryption = "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    [rule] = recording.inputs(encryption)["far-builds-encryption"]["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == key

    [found] = made
    assert found.owning_regions == [None, "eu-west-1"]
    assert [bucket.label for bucket in found.owned_in(None)] == OWN[1:]
    assert [bucket.label for bucket in found.owned_in("eu-west-1")] == ["far-builds"]
    assert [(bucket.label, bucket.region, bucket.account) for bucket in found.destinations[2:]] == [
        ("far-builds", "eu-west-1", None),
        ("theirs", "eu-west-1", "111111111111"),
    ]


@pytest.mark.parametrize("days", [0, 1, 90])
def test_nothing_is_paid_for_that_nobody_needs(days: int) -> None:
    """Incomplete uploads expire after a week, and old versions after the days in the setting, or never."""
    lifecycle = "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    recording = buckets(noncurrent_version_days=days)
    old_versions = {
        "id": "expire-old-versions",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "noncurrentVersionExpiration": {"noncurrentDays": days},
        "expiration": {"expiredObjectDeleteMarker": True},
    }
    rules = [ABORT_UPLOADS, old_versions] if days else [ABORT_UPLOADS]
    assert of_each(recording, lifecycle) == {bucket: {"rules": rules} for bucket in OWN}
    # S3 refuses rules for old versions if the bucket does not keep versions.
    versioning = recording.of("s3/bucketVersioning:BucketVersioning")
    for made in recording.of(lifecycle).values():
        assert versioning[f"{made.inputs['bucket']}-versioning"].urn in made.dependencies


@pytest.mark.parametrize(
    ("endpoint", "requires_tls"),
    [(None, True), (EMULATOR, False), ("http://127.0.0.1:4570", False), ("https://localhost.localstack.cloud", True)],
)
def test_buckets_are_reached_over_tls_alone(endpoint: str | None, requires_tls: bool) -> None:
    """A bucket refuses plain HTTP, except on an emulator without TLS."""
    recording = buckets(emulator_endpoint=endpoint)
    policy = "s3/bucketPolicy:BucketPolicy"
    if not requires_tls:
        assert recording.inputs(policy) == {}
        return
    for bucket, inputs in of_each(recording, policy).items():
        assert json.loads(inputs["policy"]) == policies.bucket_refuses_plain_http(f"arn:aws:s3:::{bucket}")


def test_an_existing_destination_is_referred_to_and_not_made() -> None:
    """An external bucket is a destination at its place in the list. No resource creates or configures it."""
    ours = [Destination(bucket=bucket) for bucket in OWN[1:]]
    settings = replace(DEFAULTS, destinations=(ours[0], Destination(bucket="theirs", existing=True), ours[1]))

    def program() -> None:
        made = BuildBuckets("builds", settings)
        pulumi.export("names", made.destination_names)
        pulumi.export("owned", names(made.owned_destinations))
        pulumi.export("owned_arns", made.owned_destination_arns)
        pulumi.export("existing", names(made.existing_destinations))
        pulumi.export("existing_arns", made.existing_destination_arns)

    recording = record(program)
    for resource_type in ("s3/bucket:Bucket", *BELONGINGS):
        assert {inputs["bucket"] for inputs in recording.inputs(resource_type).values()} == set(OWN)
    assert not any("theirs" in json.dumps([resource.name, resource.inputs]) for resource in recording.registered)
    assert recording.outputs == {
        "names": ["region-a-builds", "theirs", "region-b-builds"],
        "owned": ["region-a-builds", "region-b-builds"],
        "owned_arns": ["arn:aws:s3:::region-a-builds", "arn:aws:s3:::region-b-builds"],
        "existing": ["theirs"],
        "existing_arns": ["arn:aws:s3:::theirs"],
    }
