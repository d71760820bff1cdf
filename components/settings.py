"""Every setting of the stack: the one place that reads Pulumi configuration, and checks it.

Names, defaults and descriptions are those of ``Pulumi.yaml``; a test keeps the two alike.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pulumi_aws

from . import policies
from .names import in_region

# Amazon S3 user guide, "General purpose bucket naming rules".
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_BUCKET_NAME_ALLOWED = "3 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit, and no '..'"
_RESERVED_BUCKET_AFFIXES = (
    ("xn--", "sthree-", "amzn-s3-demo-"),
    ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"),
)

# 30 leaves room for the longest name that the prefix goes in front of: an IAM role's 64 characters.
_NAME_PREFIX = re.compile(r"(?:[a-z0-9][a-z0-9-]{0,29})?")

# CloudWatch Logs API reference, PutRetentionPolicy, retentionInDays.
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip

API_AUTHORIZATIONS = ("AWS_IAM", "NONE")

# Step Functions developer guide, "Map state in inline mode": at most 40 iterations run at once.
MAX_CONCURRENCY_BOUND = 40

# S3 user guide: a key is at most 1,024 bytes. Its "safe characters" mean themselves in a notification's filter, which
# is otherwise URL-encoded, and in a policy's resource.
_MAX_KEY_BYTES = 1024
_KEY_FILTER = re.compile(rf"[0-9A-Za-z!_.'()/-]{{0,{_MAX_KEY_BYTES}}}")

# IAM quotas: a role's inline policies have 10,240 characters together, white space not counted.
_MAX_ROLE_POLICY_CHARACTERS = 10_240

# Lambda quotas: a function's environment variables have 4 KB together. Their names, and the state machine's ARN with
# the longest prefix and region, take less than 200.
_MAX_DESTINATION_BYTES = 4_096 - 200

# A commit of 64 digits, and ".zip".
_MAX_BUILD_KEY_BYTES = 68

# AWS KMS developer guide, "Key ARN". An alias is no resource that a policy can name.
_KMS_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")

_DESTINATION_MEMBERS = ("bucket", "existing", "region", "account", "kmsKeyArn")
_ACCOUNT = re.compile(r"[0-9]{12}")

# S3 API reference, NoncurrentVersionExpiration, takes more, but a century is as good as for ever.
_MAX_DAYS = 36_500

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

# Tagging AWS resources user guide, "Tag naming limits and requirements": what every service takes. 50 tags at most, of
# which the stack gives two. IAM tells no key from another by its case.
_TAG_KEY = re.compile(r"(?![Aa][Ww][Ss]:)[\w .:/=+@-]{1,128}")
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
OWN_TAGS = ("Project", "Stack")
_MAX_TAGS = 50 - len(OWN_TAGS)


class SettingsError(pulumi.RunError):
    """A setting is wrong. Pulumi prints the message without a traceback, and creates nothing."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A bucket that every upload is copied to."""

    bucket: str
    """The physical name, prefix included."""
    existing: bool = False
    """Whether somebody else made and keeps it."""
    region: str | None = None
    """Where it is; ``None`` for the stack's own region."""
    account: str | None = None
    """Whose it is, by the account's twelve digits; ``None`` for the stack's own account."""
    kms_key_arn: str | None = None
    """The key that the bucket encrypts with, where it is the stack's own; ``None`` for S3's own keys."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The stack's settings, checked. Bucket names in it are physical names."""

    name_prefix: str
    source_bucket: str
    destinations: tuple[Destination, ...]
    key_prefix: str
    key_suffix: str
    notification_emails: tuple[str, ...]
    """Who is told of failed copies."""
    operations_emails: tuple[str, ...]
    """Who is told of alarms."""
    api_authorization: str
    manage_api_logging_role: bool
    artifact_base_url: str
    kms_key_arn: str | None
    """The key that the stack's own buckets in its own region encrypt with; ``None`` for S3's own keys."""
    noncurrent_version_days: int
    """How long the stack's own buckets keep old versions; 0 for ever."""
    max_concurrency: int
    multipart_threshold: int
    """Bytes; a file of more is copied in parts."""
    log_retention_days: int
    force_destroy: bool
    tags: Mapping[str, str]
    """What every resource is tagged with, besides the stack's own tags."""
    emulator_endpoint: str | None
    """The endpoint of an emulator, such as ``http://localhost:4566``; ``None`` on AWS."""

    def name(self, base: str) -> str:
        """The physical name of what is called ``base``."""
        return f"{self.name_prefix}{base}"

    @property
    def kms_key_arns(self) -> list[str]:
        """Every key of the stack's own buckets, each once."""
        own = (one.kms_key_arn for one in self.destinations)
        return list(dict.fromkeys(key for key in (self.kms_key_arn, *own) if key))

    def kms_key_arns_in(self, region: str | None) -> list[str]:
        """The source bucket's key and those of the stack's own destinations in this region, each once."""
        there = (one.kms_key_arn for one in self.destinations if one.region == region)
        return list(dict.fromkeys(key for key in (self.kms_key_arn, *there) if key))

    @property
    def regions(self) -> dict[str, str]:
        """Where the destinations are that are not in the stack's own region, by their buckets' names."""
        return {one.bucket: one.region for one in self.destinations if one.region}

    @property
    def owners(self) -> dict[str, str]:
        """Whose the destinations are that are not in the stack's own account, by their buckets' names."""
        return {one.bucket: one.account for one in self.destinations if one.account}

    @property
    def keys(self) -> str:
        """The pattern of the keys that the stack distributes, as policies name them."""
        return policies.keys_like(self.key_prefix, self.key_suffix)

    @property
    def requires_tls(self) -> bool:
        """Whether plain HTTP is refused: everywhere but on an emulator that has nothing else."""
        return not (self.emulator_endpoint or "").startswith("http:")

    @property
    def keeps_traces(self) -> bool:
        """Whether executions are traced: everywhere but on an emulator, which keeps no traces, and does not give the
        setting back, so that each deployment would find it changed (docs/engines.md)."""
        return self.emulator_endpoint is None

    @classmethod
    def load(cls) -> Settings:
        """Reads and checks the stack's configuration.

        Raises:
            SettingsError: with every setting that is wrong, its value, and what is allowed.
        """
        return _Reader().settings()


class _Reader:
    """Reads settings one by one and gathers what is wrong with them, so that one run shows all of it."""

    def __init__(self) -> None:
        self.config = pulumi.Config()
        self.problems: list[str] = []

    def settings(self) -> Settings:
        prefix = self.text("namePrefix", "")
        if not _NAME_PREFIX.fullmatch(prefix):
            self.problem("namePrefix", prefix, "at most 30 of a-z, 0-9 and '-', beginning with a letter or digit")
            # What is wrong with the prefix is said once, not again of every name that has it.
            prefix = ""
        source = prefix + self.text("sourceBucket", "global-builds")
        self.check_bucket_name("sourceBucket", source)
        endpoint = _emulator_endpoint()
        stacks_key = self.kms_key_arn()
        settings = Settings(
            name_prefix=prefix,
            source_bucket=source,
            destinations=self.destinations(prefix, source, stacks_key),
            key_prefix=self.key_filter("keyPrefix"),
            key_suffix=self.key_filter("keySuffix"),
            notification_emails=self.emails("notificationEmails"),
            operations_emails=self.emails("operationsEmails"),
            api_authorization=self.api_authorization(endpoint),
            manage_api_logging_role=self.boolean("manageApiLoggingRole", False),
            artifact_base_url=self.artifact_base_url(endpoint),
            kms_key_arn=stacks_key,
            noncurrent_version_days=self.integer(
                "noncurrentVersionDays", 90, range(_MAX_DAYS + 1), f"0 (for ever) to {_MAX_DAYS}"
            ),
            max_concurrency=self.integer("maxConcurrency", 10, range(1, MAX_CONCURRENCY_BOUND + 1), "1 to 40"),
            multipart_threshold=self.integer(
                "multipartThresholdMiB", 5120, range(5, 5121), "5 to 5120, which is the most that CopyObject takes"
            )
            * 1024**2,
            log_retention_days=self.integer(
                "logRetentionDays", 30, LOG_RETENTION_DAYS, ", ".join(map(str, LOG_RETENTION_DAYS))
            ),
            force_destroy=self.boolean("forceDestroy", False),
            tags=self.tags(),
            emulator_endpoint=endpoint,
        )
        self.check_together(settings)
        if self.problems:
            raise SettingsError(
                "Nothing was created, because of the stack's settings:\n  " + "\n  ".join(self.problems)
            )
        return settings

    def problem(self, name: str, value: object, allowed: str) -> None:
        self.problems.append(f"{name}: {json.dumps(value, ensure_ascii=False)} is not allowed; it takes {allowed}.")

    def text(self, name: str, default: str) -> str:
        value = self.config.get(name)
        return default if value is None else value

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, allowed[0])
        if value not in allowed:
            self.problem(name, value, " or ".join(allowed))
        return value

    def integer(self, name: str, default: int, allowed: range | tuple[int, ...], said: str) -> int:
        value = self.text(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,9}", value) or int(value) not in allowed:
            self.problem(name, value, f"one of {said}" if isinstance(allowed, tuple) else f"a whole number, {said}")
            return default
        return int(value)

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name, str(default).lower())
        if value not in ("true", "false"):
            self.problem(name, value, "true or false")
        return value == "true"

    def items(self, name: str, default: list[Any]) -> list[Any]:
        parsed = self.structured(name, default)
        if not isinstance(parsed, list):
            self.problem(name, parsed, "a list")
            return []
        return parsed

    def structured(self, name: str, default: Any) -> Any:
        """A list or an object from the configuration, which holds both as JSON; a text where it is no JSON."""
        value = self.config.get(name)
        if value is None:
            return default
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value

    def key_filter(self, name: str) -> str:
        value = self.text(name, "")
        if not _KEY_FILTER.fullmatch(value):
            self.problem(name, value, f"at most {_MAX_KEY_BYTES} of a-z, A-Z, 0-9 and !-_.'()/, without spaces")
            return ""
        return value

    def emails(self, name: str) -> tuple[str, ...]:
        addresses = self.items(name, [])
        for index, address in enumerate(addresses):
            if not isinstance(address, str) or not _EMAIL.fullmatch(address):
                self.problem(f"{name}[{index}]", address, "an e-mail address")
            elif address in addresses[:index]:
                self.problem(f"{name}[{index}]", address, "each address once")
        return tuple(addresses)

    def tags(self) -> Mapping[str, str]:
        tags = self.structured("tags", {})
        if not isinstance(tags, dict):
            self.problem("tags", tags, "an object of texts")
            return {}
        if len(tags) > _MAX_TAGS:
            self.problem("tags", f"an object of {len(tags)}", f"{_MAX_TAGS} at most")
        seen = {name.lower() for name in OWN_TAGS}
        for key, value in tags.items():
            if not _TAG_KEY.fullmatch(key):
                allowed = "as keys 1 to 128 letters, digits, spaces and _ . : / = + - @, not beginning with aws:"
                self.problem("tags", key, allowed)
            elif key.lower() in seen:
                self.problem("tags", key, f"each key once, in whatever case, and neither of {' and '.join(OWN_TAGS)}")
            if not isinstance(value, str) or not _TAG_VALUE.fullmatch(value):
                allowed = "a text of at most 256 letters, digits, spaces and _ . : / = + - @"
                self.problem(f"tags.{key}", value, allowed)
            seen.add(key.lower())
        return tags

    def api_authorization(self, endpoint: str | None) -> str:
        value = self.one_of("apiAuthorization", API_AUTHORIZATIONS)
        may_be_public = self.boolean("allowPublicApi", False)
        if value == "NONE" and endpoint is None and not may_be_public:
            self.problem(
                "apiAuthorization",
                value,
                "AWS_IAM on AWS, because with NONE anybody on the internet may start copies and fetch builds."
                " If that is meant, set allowPublicApi to true as well",
            )
        return value

    def kms_key_arn(self) -> str | None:
        value = self.text("kmsKeyArn", "")
        if value and _region_of_key(value) != _own_region():
            self.problem(
                "kmsKeyArn", value, "the ARN of a KMS key (not of an alias) in the stack's own region, or nothing"
            )
            return None
        return value or None

    def artifact_base_url(self, endpoint: str | None) -> str:
        value = self.text("artifactBaseUrl", "")
        pattern = (r"https?://" if endpoint else r"https://") + r"[^\s/?#@]+(/[^\s?#]*)?"
        if value and not (value.isascii() and re.fullmatch(pattern, value)):
            allowed = "an https:// URL in ASCII without user or query, or nothing (http:// on an emulator only)"
            self.problem("artifactBaseUrl", value, allowed)
        return value.rstrip("/")

    def destinations(self, prefix: str, source: str, stacks_key: str | None) -> tuple[Destination, ...]:
        items = self.items("destinations", [{"bucket": "region-a-builds"}, {"bucket": "region-b-builds"}])
        if not items:
            self.problem("destinations", items, f"at least one {{{', '.join(_DESTINATION_MEMBERS)}}}")
        found: list[Destination] = []
        for index, item in enumerate(items):
            where = f"destinations[{index}]"
            if not isinstance(item, dict) or not isinstance(item.get("bucket"), str):
                self.problem(where, item, f"an object with a bucket name: {{{', '.join(_DESTINATION_MEMBERS)}}}")
                continue
            for unknown in sorted(item.keys() - set(_DESTINATION_MEMBERS)):
                self.problem(f"{where}.{unknown}", item[unknown], f"only {', '.join(_DESTINATION_MEMBERS)}")
            existing = item.get("existing", False)
            if not isinstance(existing, bool):
                self.problem(f"{where}.existing", existing, "true or false")
            name = item["bucket"] if existing else prefix + item["bucket"]
            self.check_bucket_name(f"{where}.bucket", name)
            if name == source:
                self.problem(f"{where}.bucket", name, "any bucket but the source bucket")
            if name in (other.bucket for other in found):
                self.problem(f"{where}.bucket", name, "each bucket once")
            region = self.region(f"{where}.region", item.get("region"))
            found.append(
                Destination(
                    bucket=name,
                    existing=existing is True,
                    region=region,
                    account=self.account(f"{where}.account", item.get("account"), is_theirs=existing is True),
                    kms_key_arn=None
                    if existing
                    else self.destinations_key(f"{where}.kmsKeyArn", item.get("kmsKeyArn"), region, stacks_key),
                )
            )
            if existing and "kmsKeyArn" in item:
                self.problem(
                    f"{where}.kmsKeyArn", item["kmsKeyArn"], "nothing where existing is true: its owner decides"
                )
        return tuple(found)

    def region(self, setting: str, region: object) -> str | None:
        """A destination's region; ``None`` for the stack's own."""
        own = _own_region()
        if region is None or region == own:
            return None
        if own is None:
            self.problem(setting, region, "nothing as long as aws:region does not name the stack's own region")
            return None
        allowed = sorted(one.value for one in pulumi_aws.Region if _partition_of(one.value) == _partition_of(own))
        if not isinstance(region, str) or region not in allowed:
            self.problem(setting, region, f"a region of the stack's own partition: {', '.join(allowed)}")
            return None
        return region

    def account(self, setting: str, account: object, *, is_theirs: bool) -> str | None:
        if account is None:
            return None
        if not is_theirs or not isinstance(account, str) or not _ACCOUNT.fullmatch(account):
            self.problem(setting, account, "an account's twelve digits, in quotes, and only where existing is true")
            return None
        return account

    def destinations_key(self, setting: str, key_arn: object, region: str | None, stacks_key: str | None) -> str | None:
        """The key of a bucket that the stack makes: its own, or in the stack's own region the stack's."""
        if key_arn is None:
            if region and stacks_key:
                self.problem(
                    setting, None, f"the ARN of a KMS key in {region}, because kmsKeyArn is no key of that region"
                )
            return None if region else stacks_key
        if not isinstance(key_arn, str) or _region_of_key(key_arn) != (region or _own_region()):
            self.problem(setting, key_arn, "the ARN of a KMS key (not of an alias) in the bucket's own region")
            return None
        return key_arn

    def check_together(self, settings: Settings) -> None:
        """What one setting allows only because of another."""
        if settings.artifact_base_url and not ".zip".endswith(settings.key_suffix):
            self.problem(
                "keySuffix",
                settings.key_suffix,
                "an end of .zip where artifactBaseUrl is set, because build-worker stores COMMIT.zip",
            )
        if settings.artifact_base_url and len(settings.key_prefix.encode()) > _MAX_KEY_BYTES - _MAX_BUILD_KEY_BYTES:
            self.problem(
                "keyPrefix",
                settings.key_prefix,
                f"at most {_MAX_KEY_BYTES - _MAX_BUILD_KEY_BYTES} bytes where artifactBaseUrl is set, because"
                " build-worker stores COMMIT.zip behind it",
            )
        names = json.dumps([destination.bucket for destination in settings.destinations])
        if len(names) > _MAX_DESTINATION_BYTES:
            self.problem(
                "destinations",
                f"a list of {len(settings.destinations)}",
                f"fewer, or shorter names: they take {len(names):,} bytes of replication-worker's environment, and"
                f" {_MAX_DESTINATION_BYTES:,} of Lambda's 4,096 are theirs",
            )
        used = max(len(json.dumps(policy, separators=(",", ":"))) for policy in _longest_role_policies(settings))
        if used > _MAX_ROLE_POLICY_CHARACTERS:
            self.problem(
                "destinations",
                f"a list of {len(settings.destinations)}",
                f"fewer, or shorter names and key filters: a role's policy would have {used:,} characters, and IAM"
                f" takes {_MAX_ROLE_POLICY_CHARACTERS:,}, which is room for about 103 names of 20 letters",
            )

    def check_bucket_name(self, setting: str, name: str) -> None:
        prefixes, suffixes = _RESERVED_BUCKET_AFFIXES
        if not _BUCKET_NAME.fullmatch(name) or ".." in name:
            self.problem(setting, name, f"a bucket name: {_BUCKET_NAME_ALLOWED}")
        elif name.startswith(prefixes) or name.endswith(suffixes) or _is_ip_address(name):
            self.problem(setting, name, "a bucket name that S3 does not reserve, and no IP address")


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _own_region() -> str | None:
    return pulumi.Config("aws").get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _partition_of(region: str) -> str:
    """What a region's name tells of its partition: no copy goes from one to another."""
    parts = ("cn", "us-gov", "us-iso", "us-isob", "us-isof", "eu-isoe", "eusc")
    return next((part for part in parts if region.startswith(f"{part}-")), "aws")


def _region_of_key(arn: str) -> str | None:
    """The region of a KMS key; ``None`` where ``arn`` is no key's."""
    found = _KMS_KEY_ARN.fullmatch(arn)
    return found[1] if found else None


def _longest_role_policies(settings: Settings) -> list[policies.Policy]:
    """The policies that name each destination, with ARNs as long as they get."""
    region, account = "us-gov-west-1", "123456789012"

    def arn(service: str, resource: str) -> str:
        return f"arn:aws-us-gov:{service}:{region}:{account}:{resource}"

    source = f"arn:aws-us-gov:s3:::{settings.source_bucket}"
    table, topic = arn("dynamodb", "table/" + settings.name("FileCopyTracking")), arn("sns", settings.name("x" * 20))
    own, existing = (
        [policies.bucket_arn(one.bucket, like=source) for one in settings.destinations if one.existing is there]
        for there in (False, True)
    )
    keys, all_keys = settings.keys, settings.kms_key_arns
    worker = arn("lambda", "function:" + settings.name("copy-worker"))
    copy = policies.copy_through_worker(source, own, existing, table, keys, all_keys)
    found = [
        policies.copy_workflow(source, own, existing, table, topic, worker, keys, all_keys),
        policies.handler_function(copy, arn("logs", "log-group:" + settings.name("x" * 40)), None),
    ]
    for place in dict.fromkeys(one.region for one in settings.destinations):
        here = [one.bucket for one in settings.destinations if one.region == place and not one.existing]
        arns = [policies.bucket_arn(bucket, like=source) for bucket in here]
        verify = policies.verify_arrivals(source, arns, table, topic, keys, settings.kms_key_arns_in(place))
        log_group = arn("logs", "log-group:/aws/lambda/" + settings.name(in_region("regional-sync", place)))
        queue = arn("sqs", settings.name(in_region("file-copy-arrivals", place)))
        found.append(policies.handler_function(verify, log_group, queue))
    return found


def _emulator_endpoint() -> str | None:
    """Where ``aws:endpoints`` sends API Gateway's calls, if that is a machine or a network of one's own: AWS has other
    names for its endpoints, too, and a proxy leads there.
    """
    endpoints = json.loads(pulumi.Config("aws").get("endpoints") or "[]")
    for entry in endpoints if isinstance(endpoints, list) else [endpoints]:
        endpoint = str(entry.get("apigateway") or "").rstrip("/")
        if endpoint and _is_local(urlsplit(endpoint).hostname or ""):
            return endpoint
    return None


def _is_local(host: str) -> bool:
    """Whether the host is this machine, a private address, a name without a domain such as a container's, or
    LocalStack's name for this machine."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        is_single_label = host != "" and "." not in host
        return is_single_label or f".{host}".endswith((".localhost", ".localhost.localstack.cloud"))
