"""AWS's rules for names, keys and tags, and its quotas, as far as the settings depend on them. No Pulumi here."""

from __future__ import annotations

import ipaddress
import re

# --- Buckets and keys -------------------------------------------------------------------------------------------

# Amazon S3 user guide, "General purpose bucket naming rules".
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_BUCKET_NAME_ALLOWED = "3 to 63 characters of a-z, 0-9, '-' and '.', with a letter or digit at both ends and no '..'"
_RESERVED_BUCKET_AFFIXES = (
    ("xn--", "sthree-", "amzn-s3-demo-"),
    ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"),
)

# S3 user guide: a key has at most 1,024 bytes. A notification's filter is URL-encoded, and a policy's resource is a
# pattern. S3's "safe characters" have no special meaning in either.
MAX_KEY_BYTES = 1024
KEY_FILTER = re.compile(rf"[0-9A-Za-z!_.'()/-]{{0,{MAX_KEY_BYTES}}}")

# S3 API reference, NoncurrentVersionExpiration, allows more. A century is as good as forever.
MAX_DAYS = 36_500


def bucket_name_problem(name: str) -> str | None:
    """The rule that the bucket name breaks, to follow "must be"; ``None`` for a valid name."""
    prefixes, suffixes = _RESERVED_BUCKET_AFFIXES
    if not _BUCKET_NAME.fullmatch(name) or ".." in name:
        return f"a bucket name of {_BUCKET_NAME_ALLOWED}"
    if name.startswith(prefixes) or name.endswith(suffixes) or _is_ip_address(name):
        return "a bucket name that S3 does not reserve, and that is not an IP address"
    return None


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


# --- Other names ------------------------------------------------------------------------------------------------

# 30 characters leave space for the longest name after the prefix: an IAM role's name has at most 64.
NAME_PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,29})?")

ACCOUNT = re.compile(r"[0-9]{12}")

# AWS KMS developer guide, "Key ARN". A policy cannot name an alias as its resource.
_KMS_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")

# Tagging AWS resources user guide, "Tag naming limits and requirements": the characters that every service allows. IAM
# ignores the case of keys.
TAG_KEY = re.compile(r"(?![Aa][Ww][Ss]:)[\w .:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
MAX_TAGS = 50


def region_of_key(arn: str) -> str | None:
    """The region of a KMS key; ``None`` if ``arn`` is not the ARN of a key."""
    found = _KMS_KEY_ARN.fullmatch(arn)
    return found[1] if found else None


def partition_of_region(region: str) -> str:
    """A name for the region's partition, taken from the region's name. S3 cannot copy between partitions."""
    parts = ("cn", "us-gov", "us-iso", "us-isob", "us-isof", "eu-isoe", "eusc")
    return next((part for part in parts if region.startswith(f"{part}-")), "aws")


# --- Quotas -----------------------------------------------------------------------------------------------------

# CloudWatch Logs API reference, PutRetentionPolicy, retentionInDays.
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip

# Step Functions developer guide, "Map state in inline mode": at most 40 iterations run at once.
MAX_CONCURRENCY_BOUND = 40

# Lambda quotas: the functions that an account runs at once by default. A new account has fewer, and Lambda refuses to
# reserve what does not leave enough for the other functions.
MAX_RESERVED_CONCURRENCY = 1_000

# IAM quotas: a role's inline policies have 10,240 characters together, white space not counted.
MAX_ROLE_POLICY_CHARACTERS = 10_240

# Lambda quotas: a function's environment variables have 4 KB together.
MAX_ENVIRONMENT_BYTES = 4_096
