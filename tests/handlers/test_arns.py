"""ARNs, and names of executions."""

from __future__ import annotations

import hashlib
import re

import pytest

from handlers import arns

MACHINE = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:file-copy-workflow"
EXECUTION = "arn:aws-cn:states:cn-north-1:123456789012:execution:file-copy-workflow:a-1"


def test_parts_of_an_arn() -> None:
    """An execution's ARN is in the partition and region of its state machine."""
    assert arns.execution_arn(MACHINE, "a-1") == EXECUTION
    assert arns.region_of(EXECUTION) == "cn-north-1"


@pytest.mark.parametrize("kind", ["", "backfill-"])
@pytest.mark.parametrize("key", ["build 123.zip", "x/" * 500 + "é.zip", "\n", "---", "k" * 1024])
def test_a_name_is_one_that_step_functions_takes(key: str, kind: str) -> None:
    """At most 80 characters that break no log, with the end of the key, and the same for the same identity only."""
    name = arns.execution_name(key, ["a", 1, None], kind)
    assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", name)
    assert name == arns.execution_name(key, ["a", 1, None], kind)
    assert name != arns.execution_name(key, ["a", 2, None], kind)


def test_names_stay_as_they_are() -> None:
    """An event that comes again after an update starts nothing, because its execution still has the same name."""
    digest = hashlib.sha256(b'["b", "k.zip", "v", "s"]').hexdigest()[:32]
    assert arns.execution_name("r/k.zip", ["b", "k.zip", "v", "s"]) == f"r-k-zip-{digest}"
    assert arns.execution_name("r/k.zip", ["b", "k.zip", "v", "s"], "backfill-") == f"r-k-zip-backfill-{digest}"
