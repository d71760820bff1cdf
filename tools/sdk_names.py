"""Checks the names of arguments in the definition: ``make lint``.

Step Functions names the arguments of an ``aws-sdk`` integration after the accessors of the AWS SDK for Java 2, with a
capital letter (developer guide, "Integrating services with Step Functions"): ``Acl`` and not ``ACL``. AWS fails at
another name with ``States.Runtime``, which no Catch handles. The emulators also take S3's names, so no test on them
finds the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from filecopy.executions.states import own_definition

# AWS SDK for Java 2, API reference, ``software.amazon.awssdk.services.s3.model``: HeadObjectRequest, CopyObjectRequest.
# CopyObjectRequest has ``bucket()`` and ``key()`` beside ``destinationBucket()`` and ``destinationKey()``.
ACCESSORS: Mapping[str, frozenset[str]] = {
    "s3:headObject": frozenset({"bucket", "checksumMode", "key"}),
    "s3:copyObject": frozenset(
        {
            *("bucket", "checksumAlgorithm", "copySource", "expectedBucketOwner", "key", "storageClass"),
            "websiteRedirectLocation",
        }
    ),
}

_INTEGRATION = ":states:::aws-sdk:"
# A member of an object that a JSONata expression makes.
_MEMBER = re.compile(r'[{,]\s*"(\w+)"\s*:')


def problems(definition: Mapping[str, Any]) -> list[str]:
    """The arguments that have no accessor in the table, in words."""
    found = []
    for name, state in _states(definition):
        _, is_sdk, action = str(state.get("Resource", "")).partition(_INTEGRATION)
        if not is_sdk:
            continue
        known = {accessor[0].upper() + accessor[1:] for accessor in ACCESSORS.get(action, ())}
        found += [
            f"{name}: an argument of {action} must be one of {', '.join(sorted(known)) or 'none'}, not {argument}. Look"
            " the accessor up in the AWS SDK for Java 2, and add it to tools/sdk_names.py."
            for argument in _arguments(state["Arguments"])
            if argument not in known
        ]
    return found


def _states(machine: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from _states(state["ItemProcessor"])


def _arguments(arguments: object) -> list[str]:
    """The names of a Task's arguments: constants, and members of the objects that an expression makes."""
    return list(arguments) if isinstance(arguments, dict) else sorted(set(_MEMBER.findall(str(arguments))))


def main() -> None:
    if found := problems(own_definition()):
        raise SystemExit("error: " + "\nerror: ".join(found))


if __name__ == "__main__":
    main()
