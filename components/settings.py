"""The stack's settings: the only module that reads Pulumi's configuration, and checks it.

Names, defaults and descriptions are the same as in ``Pulumi.yaml``; a test compares the two.
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
from .aws_rules import (
    ACCOUNT,
    KEY_FILTER,
    LOG_RETENTION_DAYS,
    MAX_CONCURRENCY_BOUND,
    MAX_DAYS,
    MAX_ENVIRONMENT_BYTES,
    MAX_KEY_BYTES,
    MAX_RESERVED_CONCURRENCY,
    MAX_ROLE_POLICY_CHARACTERS,
    MAX_TAGS,
    NAME_PREFIX,
    TAG_KEY,
    TAG_VALUE,
    bucket_name_problem,
    partition_of_region,
    region_of_key,
)
from .policies.deployer import characters
from .policies.sizes import longest_role_policies
from .workflow.limits import MIN_RECORD_RETENTION_DAYS, MULTIPART_THRESHOLD_MIB

API_AUTHORIZATIONS = ("AWS_IAM", "NONE")

_DESTINATION_MEMBERS = ("bucket", "existing", "region", "account", "kmsKeyArn")

# The bytes of replication-worker's environment that the destinations may have. The names of the variables, and the
# state machine's ARN with the longest prefix and region, need fewer than 200.
_MAX_DESTINATION_BYTES = MAX_ENVIRONMENT_BYTES - 200

# A commit of 64 digits, and ".zip".
_MAX_BUILD_KEY_BYTES = 68

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

OWN_TAGS = ("Project", "Stack")
"""The tags that the stack itself sets."""


class SettingsError(pulumi.RunError):
    """A wrong setting. Pulumi prints the message without a traceback, and creates nothing."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A bucket to which every upload is copied."""

    bucket: str
    """The physical name, prefix included."""
    existing: bool = False
    """True for an external bucket, which the stack does not create."""
    region: str | None = None
    """The bucket's region; ``None`` for the stack's own region."""
    account: str | None = None
    """The twelve digits of the account that owns the bucket; ``None`` for the stack's own account."""
    kms_key_arn: str | None = None
    """The key that a bucket of the stack encrypts with; ``None`` for S3's own keys."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The stack's settings, checked. Bucket names in it are physical names."""

    name_prefix: str
    source_bucket: str
    destinations: tuple[Destination, ...]
    key_prefix: str
    key_suffix: str
    notification_emails: tuple[str, ...]
    """The recipients of notifications of failed copies."""
    operations_emails: tuple[str, ...]
    """The recipients of alarms."""
    api_authorization: str
    manage_api_logging_role: bool
    artifact_base_url: str
    kms_key_arn: str | None
    """The key that the stack's own buckets in its own region encrypt with; ``None`` for S3's own keys."""
    noncurrent_version_days: int
    """Days for which the stack's own buckets keep old versions; 0 keeps them forever."""
    max_concurrency: int
    copy_worker_concurrency: int
    """The reserved concurrency of copy-worker; 0 for none."""
    multipart_threshold: int
    """Bytes. A larger file is copied in parts."""
    record_retention_days: int
    log_retention_days: int
    force_destroy: bool
    tags: Mapping[str, str]
    """The tags of every resource, in addition to the stack's own tags."""
    emulator_endpoint: str | None
    """The endpoint of an emulator, such as ``http://localhost:4566``; ``None`` on AWS."""

    def name(self, base: str) -> str:
        """The physical name: ``base`` after the stack's prefix."""
        return f"{self.name_prefix}{base}"

    @property
    def kms_key_arns(self) -> list[str]:
        """All KMS keys of the stack's own buckets, each once."""
        own = (one.kms_key_arn for one in self.destinations)
        return list(dict.fromkeys(key for key in (self.kms_key_arn, *own) if key))

    def kms_key_arns_in(self, region: str | None) -> list[str]:
        """The source bucket's key and those of the stack's own destinations in this region, each once."""
        there = (one.kms_key_arn for one in self.destinations if one.region == region)
        return list(dict.fromkeys(key for key in (self.kms_key_arn, *there) if key))

    @property
    def regions(self) -> dict[str, str]:
        """The regions of the destinations that are not in the stack's own region, by bucket name."""
        return {one.bucket: one.region for one in self.destinations if one.region}

    @property
    def owners(self) -> dict[str, str]:
        """The accounts of the destinations that are not in the stack's own account, by bucket name."""
        return {one.bucket: one.account for one in self.destinations if one.account}

    @property
    def keys(self) -> str:
        """The pattern, in policies, of the keys that the stack distributes."""
        return policies.keys_like(self.key_prefix, self.key_suffix)

    @property
    def requires_tls(self) -> bool:
        """True if plain HTTP is refused: everywhere except on an emulator without TLS."""
        return not (self.emulator_endpoint or "").startswith("http:")

    @property
    def keeps_traces(self) -> bool:
        """True if executions are traced: everywhere except on an emulator. An emulator keeps no traces and does not
        return the setting, so each deployment would find a change (docs/engines.md)."""
        return self.emulator_endpoint is None

    @classmethod
    def load(cls) -> Settings:
        """Reads and checks the stack's configuration.

        Raises:
            SettingsError: names every wrong setting, what it must be, and its value.
        """
        return _Reader().settings()


class _Reader:
    """Reads settings one by one and collects all problems, so that one run shows all of them."""

    def __init__(self) -> None:
        self.config = pulumi.Config()
        self.problems: list[str] = []

    def settings(self) -> Settings:
        endpoint = _emulator_endpoint()
        prefix = self.text("namePrefix", "")
        may_be_global = self.boolean("allowGlobalNames", False)
        if not prefix and endpoint is None and not may_be_global:
            self.problem(
                "namePrefix",
                prefix,
                "set on AWS, such as acme-",
                "Bucket names are global: if another account owns one of them, the deployment stops half-way. To use"
                " the names without a prefix, set allowGlobalNames to true.",
            )
        if not NAME_PREFIX.fullmatch(prefix):
            allowed = "at most 30 characters of a-z, 0-9 and '-', the first of them a letter or digit"
            self.problem("namePrefix", prefix, allowed)
            # Report a wrong prefix once, not again for every name that begins with it.
            prefix = ""
        source = prefix + self.text("sourceBucket", "global-builds")
        self.check_bucket_name("sourceBucket", source)
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
                "noncurrentVersionDays", 90, range(MAX_DAYS + 1), f"an integer from 0 (keep forever) to {MAX_DAYS}"
            ),
            max_concurrency=self.integer(
                "maxConcurrency", 10, range(1, MAX_CONCURRENCY_BOUND + 1), "an integer from 1 to 40"
            ),
            copy_worker_concurrency=self.integer(
                "copyWorkerConcurrency",
                0,
                range(MAX_RESERVED_CONCURRENCY + 1),
                f"an integer from 0 (no limit) to {MAX_RESERVED_CONCURRENCY}",
            ),
            multipart_threshold=self.integer(
                "multipartThresholdMiB",
                MULTIPART_THRESHOLD_MIB,
                range(5, 5121),
                "an integer from 5 to 5120 (the limit of CopyObject)",
            )
            * 1024**2,
            record_retention_days=self.integer(
                "recordRetentionDays",
                0,
                (0, *range(MIN_RECORD_RETENTION_DAYS, MAX_DAYS + 1)),
                f"0 (keep forever) or an integer from {MIN_RECORD_RETENTION_DAYS} to {MAX_DAYS}",
            ),
            log_retention_days=self.integer(
                "logRetentionDays", 30, LOG_RETENTION_DAYS, f"one of {', '.join(map(str, LOG_RETENTION_DAYS))}"
            ),
            force_destroy=self.boolean("forceDestroy", False),
            tags=self.tags(),
            emulator_endpoint=endpoint,
        )
        self.check_together(settings)
        if self.problems:
            raise SettingsError(
                "Nothing was created or changed, because these settings are wrong:\n  " + "\n  ".join(self.problems)
            )
        return settings

    def problem(self, name: str, value: object, allowed: str, advice: str = "") -> None:
        """Adds ``NAME must be ALLOWED, not VALUE.``, and the sentences of ``advice``."""
        sentence = f"{name} must be {allowed}, not {json.dumps(value, ensure_ascii=False)}."
        self.problems.append(f"{sentence} {advice}".rstrip())

    def text(self, name: str, default: str) -> str:
        value = self.config.get(name)
        return default if value is None else value

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, allowed[0])
        if value not in allowed:
            self.problem(name, value, " or ".join(allowed))
        return value

    def integer(self, name: str, default: int, values: range | tuple[int, ...], allowed: str) -> int:
        value = self.text(name, str(default))
        if not re.fullmatch(r"-?[0-9]{1,9}", value) or int(value) not in values:
            self.problem(name, value, allowed)
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
        """A list or an object from the configuration, which holds both as JSON; a string if it is not JSON."""
        value = self.config.get(name)
        if value is None:
            return default
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value

    def key_filter(self, name: str) -> str:
        value = self.text(name, "")
        if not KEY_FILTER.fullmatch(value):
            self.problem(name, value, f"at most {MAX_KEY_BYTES} characters of a-z, A-Z, 0-9 and !-_.'()/")
            return ""
        return value

    def emails(self, name: str) -> tuple[str, ...]:
        addresses = self.items(name, [])
        for index, address in enumerate(addresses):
            if not isinstance(address, str) or not _EMAIL.fullmatch(address):
                self.problem(f"{name}[{index}]", address, "an e-mail address")
            elif address in addresses[:index]:
                self.problem(f"{name}[{index}]", address, "different from the other addresses")
        return tuple(addresses)

    def tags(self) -> Mapping[str, str]:
        tags = self.structured("tags", {})
        if not isinstance(tags, dict):
            self.problem("tags", tags, "an object of strings")
            return {}
        if len(tags) > MAX_TAGS - len(OWN_TAGS):
            self.problem("tags", len(tags), f"at most {MAX_TAGS - len(OWN_TAGS)} tags")
        seen = {name.lower() for name in OWN_TAGS}
        for key, value in tags.items():
            if not TAG_KEY.fullmatch(key):
                allowed = "1 to 128 letters, digits, spaces and _ . : / = + - @, without aws: at the beginning"
                self.problem("A key in tags", key, allowed)
            elif key.lower() in seen:
                allowed = f"different from the other keys and from {' and '.join(OWN_TAGS)}, whatever their case"
                self.problem("A key in tags", key, allowed)
            if not isinstance(value, str) or not TAG_VALUE.fullmatch(value):
                allowed = "a string of at most 256 letters, digits, spaces and _ . : / = + - @"
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
                "AWS_IAM on AWS",
                "With NONE, anybody on the internet could start copies and fetch builds. To allow that, also set"
                " allowPublicApi to true.",
            )
        return value

    def kms_key_arn(self) -> str | None:
        value = self.text("kmsKeyArn", "")
        if value and region_of_key(value) != _own_region():
            self.problem(
                "kmsKeyArn", value, "the ARN of a KMS key (not of an alias) in the stack's own region, or empty"
            )
            return None
        return value or None

    def artifact_base_url(self, endpoint: str | None) -> str:
        value = self.text("artifactBaseUrl", "")
        pattern = (r"https?://" if endpoint else r"https://") + r"[^\s/?#@]+(/[^\s?#]*)?"
        if value and not (value.isascii() and re.fullmatch(pattern, value)):
            allowed = "empty, or an https:// URL (on an emulator also http://) in ASCII without user or query"
            self.problem("artifactBaseUrl", value, allowed)
        return value.rstrip("/")

    def destinations(self, prefix: str, source: str, stacks_key: str | None) -> tuple[Destination, ...]:
        items = self.items("destinations", [{"bucket": "region-a-builds"}, {"bucket": "region-b-builds"}])
        if not items:
            allowed = f"a list with at least one object {{{', '.join(_DESTINATION_MEMBERS)}}}"
            self.problem("destinations", items, allowed)
        found: list[Destination] = []
        for index, item in enumerate(items):
            where = f"destinations[{index}]"
            if not isinstance(item, dict) or not isinstance(item.get("bucket"), str):
                allowed = f"an object {{{', '.join(_DESTINATION_MEMBERS)}}} with the bucket's name as a string"
                self.problem(where, item, allowed)
                continue
            for unknown in sorted(item.keys() - set(_DESTINATION_MEMBERS)):
                self.problem(f"A member of {where}", unknown, f"one of {', '.join(_DESTINATION_MEMBERS)}")
            existing = item.get("existing", False)
            if not isinstance(existing, bool):
                self.problem(f"{where}.existing", existing, "true or false")
            name = item["bucket"] if existing else prefix + item["bucket"]
            self.check_bucket_name(f"{where}.bucket", name)
            if name == source:
                self.problem(f"{where}.bucket", name, "different from the source bucket")
            if name in (other.bucket for other in found):
                self.problem(f"{where}.bucket", name, "different from the other destinations")
            region = self.region(f"{where}.region", item.get("region"))
            found.append(
                Destination(
                    bucket=name,
                    existing=existing is True,
                    region=region,
                    account=self.account(f"{where}.account", item.get("account"), is_external=existing is True),
                    kms_key_arn=None
                    if existing
                    else self.destinations_key(f"{where}.kmsKeyArn", item.get("kmsKeyArn"), region, stacks_key),
                )
            )
            if existing and "kmsKeyArn" in item:
                self.problem(
                    f"{where}.kmsKeyArn",
                    item["kmsKeyArn"],
                    "left out if existing is true",
                    "The owner of the bucket chooses how it is encrypted.",
                )
        return tuple(found)

    def region(self, setting: str, region: object) -> str | None:
        """A destination's region; ``None`` for the stack's own."""
        own = _own_region()
        if region is None or region == own:
            return None
        if own is None:
            self.problem(
                setting,
                region,
                "left out until aws:region is set",
                "Set aws:region first: without it, the stack's own region is unknown.",
            )
            return None
        allowed = sorted(
            one.value for one in pulumi_aws.Region if partition_of_region(one.value) == partition_of_region(own)
        )
        if not isinstance(region, str) or region not in allowed:
            self.problem(
                setting, region, "a region of the stack's own partition", f"Its regions are {', '.join(allowed)}."
            )
            return None
        return region

    def account(self, setting: str, account: object, *, is_external: bool) -> str | None:
        if account is None:
            return None
        if not is_external:
            self.problem(
                setting, account, "left out unless existing is true", "The stack's own buckets are in its own account."
            )
            return None
        if not isinstance(account, str) or not ACCOUNT.fullmatch(account):
            self.problem(setting, account, "the twelve digits of the account that owns the bucket, in quotes")
            return None
        return account

    def destinations_key(self, setting: str, key_arn: object, region: str | None, stacks_key: str | None) -> str | None:
        """The key of a bucket that the stack creates: its own or, in the stack's own region, the stack's key."""
        if key_arn is None:
            if region and stacks_key:
                self.problem(
                    setting,
                    None,
                    f"the ARN of a KMS key in {region}",
                    f"The stack's kmsKeyArn is a key in another region, which a bucket in {region} cannot use.",
                )
            return None if region else stacks_key
        if not isinstance(key_arn, str) or region_of_key(key_arn) != (region or _own_region()):
            self.problem(setting, key_arn, "the ARN of a KMS key (not of an alias) in the bucket's own region")
            return None
        return key_arn

    def check_together(self, settings: Settings) -> None:
        """Checks the settings that limit each other."""
        if settings.artifact_base_url and not ".zip".endswith(settings.key_suffix):
            self.problem(
                "keySuffix",
                settings.key_suffix,
                "empty or the end of .zip if artifactBaseUrl is set",
                "build-worker stores a build as COMMIT.zip.",
            )
        if settings.artifact_base_url and len(settings.key_prefix.encode()) > MAX_KEY_BYTES - _MAX_BUILD_KEY_BYTES:
            self.problem(
                "keyPrefix",
                settings.key_prefix,
                f"at most {MAX_KEY_BYTES - _MAX_BUILD_KEY_BYTES} bytes if artifactBaseUrl is set",
                "build-worker stores a build as this prefix and COMMIT.zip.",
            )
        names = json.dumps([destination.bucket for destination in settings.destinations])
        if len(names) > _MAX_DESTINATION_BYTES:
            self.problem(
                "destinations",
                len(names),
                f"at most {_MAX_DESTINATION_BYTES} bytes of bucket names",
                f"replication-worker has the names in its environment, and Lambda allows {MAX_ENVIRONMENT_BYTES} bytes"
                " for a function's environment. Use fewer destinations, or shorter names.",
            )
        used = max(characters(policy) for policy in longest_role_policies(settings))
        if used > MAX_ROLE_POLICY_CHARACTERS:
            self.problem(
                "destinations",
                used,
                f"few enough that the policy of a role has at most {MAX_ROLE_POLICY_CHARACTERS} characters",
                "Use fewer destinations, or shorter names and key filters. IAM's limit is enough for about 103 names"
                " of 20 letters.",
            )

    def check_bucket_name(self, setting: str, name: str) -> None:
        if allowed := bucket_name_problem(name):
            self.problem(setting, name, allowed)


def _own_region() -> str | None:
    return pulumi.Config("aws").get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")


def _emulator_endpoint() -> str | None:
    """The endpoint of API Gateway in ``aws:endpoints``, if it is on this machine or in a private network. AWS itself
    also has other endpoints, and a proxy may stand before them.
    """
    endpoints = json.loads(pulumi.Config("aws").get("endpoints") or "[]")
    for entry in endpoints if isinstance(endpoints, list) else [endpoints]:
        endpoint = str(entry.get("apigateway") or "").rstrip("/")
        if endpoint and _is_local(urlsplit(endpoint).hostname or ""):
            return endpoint
    return None


def _is_local(host: str) -> bool:
    """True if the host is this machine, a private address, a name without a domain such as a container's, or
    LocalStack's name for this machine."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        is_single_label = host != "" and "." not in host
        return is_single_label or f".{host}".endswith((".localhost", ".localhost.localstack.cloud"))
