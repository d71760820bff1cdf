"""The deployer's policy of a stack, from the settings alone: the stack need not exist yet."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import botocore.session
from botocore.exceptions import UnknownRegionError

from components.policies import Policy
from components.policies.deployer import MAX_CHARACTERS, Deployment, characters, deployer_policy, managed_policies
from components.settings import Settings, SettingsError
from filecopy.embedded.configuration import stack_configuration
from filecopy.embedded.program import load_settings

from .errors import StackError

_ACCOUNT = re.compile(r"[0-9]{12}")


def policy_of(
    *, stack: str | None, account: str | None, region: str | None, overrides: Mapping[str, str] | None
) -> Policy:
    """The policy with which a stack can be deployed.

    Args:
        stack: a stack of the Pulumi CLI, whose settings are in ``Pulumi.STACK.yaml``; ``None`` for the defaults.
        account: twelve digits.
        region: the stack's own region; if it is not given, that of the settings, then that of the environment.
        overrides: settings by name, without the project, as for ``filecopy up -c``.

    Raises:
        StackError: an argument or a setting is missing or wrong.
    """
    if not _ACCOUNT.fullmatch(account or ""):
        raise StackError(f"--account must be the twelve digits of the AWS account, not {account or 'left out'}.")
    if stack and stack.endswith(".json"):
        raise StackError(
            f"--stack must be the name of a stack of the Pulumi CLI, not {stack!r}. A file with outputs does not have"
            " all settings."
        )
    # The CLI also accepts ORGANIZATION/PROJECT/STACK.
    configuration = stack_configuration(stack.rpartition("/")[2] if stack else None, overrides=overrides)
    configuration["aws:region"] = region = (
        region
        or configuration.get("aws:region")
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or ""
    )
    partition = _partition_of(region)
    try:
        settings = load_settings(configuration)
    except SettingsError as error:
        raise StackError(str(error)) from None
    return deployer_policy(deployment(settings, partition=partition, account=account or "", region=region))


def in_parts(document: Policy, part: int | None) -> tuple[Policy, str | None]:
    """The policy, or one of the managed policies into which it is split.

    Returns:
        The policy to print. If it is too long for one managed policy, also a sentence that says how to print the parts.

    Raises:
        StackError: the policy has fewer parts.
    """
    parts = managed_policies(document)
    if part is not None:
        if part > len(parts):
            raise StackError(f"--part must be {' or '.join(map(str, range(1, len(parts) + 1)))}, not {part}.")
        return parts[part - 1], None
    if len(parts) == 1:
        return document, None
    return document, (
        f"The policy has {characters(document):,} characters. IAM allows {MAX_CHARACTERS:,} in a managed policy, and"
        f" 10,240 in the inline policies of a role. For {len(parts)} managed policies, print each with --part, 1 to"
        f" {len(parts)}, and attach all."
    )


def deployment(settings: Settings, *, partition: str, account: str, region: str) -> Deployment:
    """The properties of a stack with these settings on which its deployer's policy depends."""
    owned = [destination for destination in settings.destinations if not destination.existing]
    return Deployment(
        partition=partition,
        account=account,
        region=region,
        name_prefix=settings.name_prefix,
        buckets=[settings.source_bucket, *(destination.bucket for destination in owned)],
        other_regions=list(dict.fromkeys(destination.region for destination in owned if destination.region)),
        manage_api_logging_role=settings.manage_api_logging_role,
        force_destroy=settings.force_destroy,
    )


def _partition_of(region: str) -> str:
    """The partition of a region. It follows from the region's name, so botocore need not know the region."""
    try:
        partition: str = botocore.session.Session().get_partition_for_region(region)
    except UnknownRegionError:
        raise StackError(f"--region must be a region of AWS, such as us-east-1, not {region or 'left out'}.") from None
    return partition
