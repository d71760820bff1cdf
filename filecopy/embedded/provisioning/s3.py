"""S3: buckets and their configuration."""

from __future__ import annotations

from typing import Any

from filecopy.stack.clients import Clients

from .provider import Created, Inputs, creates, tag_list


@creates("aws:s3/bucket:Bucket")
def _bucket(inputs: Inputs, clients: Clients) -> Created:
    name = inputs.take("bucket")
    inputs.take("forceDestroy")  # Nothing is deleted here.
    location = {} if clients.region == "us-east-1" else {"LocationConstraint": clients.region}
    clients("s3").create_bucket(Bucket=name, **({"CreateBucketConfiguration": location} if location else {}))
    if tags := tag_list(inputs):
        clients("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags})
    return name, {"arn": f"arn:aws:s3:::{name}"}


@creates("aws:s3/bucketVersioning:BucketVersioning")
def _bucket_versioning(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    configuration = inputs.take_object("versioningConfiguration")
    clients("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": configuration.take("status")})
    return bucket, {}


@creates("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
def _bucket_public_access_block(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    clients("s3").put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": inputs.take("blockPublicAcls", False),
            "BlockPublicPolicy": inputs.take("blockPublicPolicy", False),
            "IgnorePublicAcls": inputs.take("ignorePublicAcls", False),
            "RestrictPublicBuckets": inputs.take("restrictPublicBuckets", False),
        },
    )
    return bucket, {}


@creates("aws:s3/bucketOwnershipControls:BucketOwnershipControls")
def _bucket_ownership_controls(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    ownership = inputs.take_object("rule").take("objectOwnership")
    clients("s3").put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]}
    )
    return bucket, {}


@creates("aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
def _bucket_encryption(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    rules = []
    for rule in inputs.take_objects("rules"):
        default = rule.take_object("applyServerSideEncryptionByDefault")
        key = default.take("kmsMasterKeyId")
        rules.append(
            {
                "ApplyServerSideEncryptionByDefault": {
                    "SSEAlgorithm": default.take("sseAlgorithm"),
                    **({"KMSMasterKeyID": key} if key else {}),
                },
                "BucketKeyEnabled": rule.take("bucketKeyEnabled", False),
            }
        )
    clients("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    return bucket, {}


@creates("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
def _bucket_lifecycle(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    rules = []
    for rule in inputs.take_objects("rules"):
        new: dict[str, Any] = {
            "ID": rule.take("id"),
            "Status": rule.take("status"),
            "Filter": {"Prefix": rule.take_object("filter").take("prefix", "")},
        }
        if days := rule.take_object("abortIncompleteMultipartUpload").take("daysAfterInitiation"):
            new["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
        if days := rule.take_object("noncurrentVersionExpiration").take("noncurrentDays"):
            new["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
        if rule.take_object("expiration").take("expiredObjectDeleteMarker"):
            new["Expiration"] = {"ExpiredObjectDeleteMarker": True}
        rules.append(new)
    clients("s3").put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    return bucket, {}


@creates("aws:s3/bucketPolicy:BucketPolicy")
def _bucket_policy(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    clients("s3").put_bucket_policy(Bucket=bucket, Policy=inputs.take("policy"))
    return bucket, {}


@creates("aws:s3/bucketNotification:BucketNotification")
def _bucket_notification(inputs: Inputs, clients: Clients) -> Created:
    bucket = inputs.take("bucket")
    queues = []
    for queue in inputs.take_objects("queues"):
        rules = [
            {"Name": name, "Value": value}
            for name, value in (("prefix", queue.take("filterPrefix")), ("suffix", queue.take("filterSuffix")))
            if value
        ]
        queues.append(
            {
                "QueueArn": queue.take("queueArn"),
                "Events": queue.take("events"),
                **({"Filter": {"Key": {"FilterRules": rules}}} if rules else {}),
            }
        )
    clients("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": queues}
    )
    return bucket, {}
