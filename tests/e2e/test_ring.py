"""Two stacks that copy to each other, in one emulator: a file goes round once, from either side."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from filecopy.embedded.configuration import stack_configuration
from filecopy.embedded.program import run_program
from filecopy.embedded.provisioning import EmulatorProvider
from filecopy.embedded.stack import STACK, EmbeddedStack
from filecopy.stack.clients import Clients

from .conftest import NO_WAITS
from .system import System, stack_up

pytestmark = pytest.mark.slow

LIMIT_MIB = 5
IN_PARTS = TransferConfig(multipart_threshold=LIMIT_MIB * 1024**2, multipart_chunksize=LIMIT_MIB * 1024**2)
SMALL, LARGE = b"ring", b"r" * (LIMIT_MIB * 1024**2 + 1)


@pytest.fixture(scope="module")
def stacks() -> Iterator[tuple[System, System]]:
    """The source of each stack is the other one's destination."""

    def settings(destination: str) -> dict[str, str]:
        return {
            "destinations": json.dumps([{"bucket": destination, "existing": True}]),
            "multipartThresholdMiB": str(LIMIT_MIB),
        }

    given = [argument for pair in settings("two-source").items() for argument in ("-c", "=".join(pair))]
    with stack_up(*NO_WAITS, *given) as one:
        assert one.endpoint
        overrides = {**settings(one.source), "namePrefix": "two-", "sourceBucket": "source"}
        configuration = stack_configuration(STACK, endpoint=one.endpoint, overrides=overrides)
        found = run_program(EmulatorProvider(Clients(one.endpoint, one.region)), configuration, stack="two")
        two = System.embedded(EmbeddedStack(one.stack.port, one.region, found))
        assert (one.destinations, two.destinations) == ([two.source], [one.source])
        yield one, two


def versions(system: System, key: str) -> int:
    return len(system.s3.list_object_versions(Bucket=system.source, Prefix=key).get("Versions", []))


@pytest.mark.parametrize("is_reversed", [False, True], ids=["from the first", "from the second"])
@pytest.mark.parametrize(("key", "content"), [("small.zip", SMALL), ("an odd key.zip", SMALL), ("large.zip", LARGE)])
def test_a_file_goes_round_once(stacks: tuple[System, System], key: str, content: bytes, *, is_reversed: bool) -> None:
    """The other stack gets the file, finds that the first one has it, and copies nothing back."""
    first, second = reversed(stacks) if is_reversed else stacks
    key = f"{is_reversed}/{key}"
    for count in (1, 2):
        # An overwritten file goes round once more.
        body = content if count == 1 else content[::-1] + b"2"
        # Large files go in the parts in which they are copied: MiniStack has no checksum of them, only their ETag.
        extra: Any = {"Metadata": {"count": str(count)}}
        first.s3.upload_fileobj(io.BytesIO(body), first.source, key, ExtraArgs=extra, Config=IN_PARTS)

        def ended(number: int = count) -> dict[str, Any] | None:
            """The record of the second stack, once it is of the newest version that the second stack has."""
            newest = second.s3.list_object_versions(Bucket=second.source, Prefix=key).get("Versions", [])
            record = second.record(key) or {}
            is_of_it = len(newest) == number and record.get("sourceVersionId") == newest[0]["VersionId"]
            return record if is_of_it and "completedAt" in record else None

        record = second.wait_for("the end of the round", ended)
        assert (record["status"], record["successfulBuckets"]) == ("COMPLETED", [first.source])
        assert (versions(first, key), versions(second, key)) == (count, count)
        assert second.get(second.source, key) == body
        assert len(first.executions_of(key)) == len(second.executions_of(key)) == count
        for system in (first, second):
            system.wait_for_no_messages(system.uploads)
