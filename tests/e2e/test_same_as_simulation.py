"""Histories without faults give the same records, copies and notifications on an engine and in the simulation.

A history is some rounds of acts on files of its own. After each round, the engine has to come to what the simulation
came to; then the next one begins.
"""

from __future__ import annotations

import difflib
import json
import os
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from botocore.exceptions import ClientError

from tests.simulation import functions, stack
from tests.simulation.choices import Choices
from tests.simulation.services import contents
from tests.simulation.stepfunctions import StateMachine
from tests.simulation.world import World

from .conftest import NO_WAITS, Given
from .system import System, stack_up

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("HISTORIES", "100"))
LIMIT = 5 * 1024**2
"""Bytes. copy-worker copies larger files in parts."""
SMALL, LARGE = 20, 2 * LIMIT + 7

# How many differences an error shows.
_SHOWN = 5

Json = dict[str, Any]


# --- Histories --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """What a person does: a method of a :class:`Place`, and its arguments after the key."""

    method: str
    key: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class History:
    """Rounds of acts. Those of a round are done at once, those of the next when everything has come to rest."""

    number: int
    keys: tuple[str, ...]
    bucket: str
    """A destination that does not exist at first."""
    rounds: tuple[tuple[Act, ...], ...]


def history(number: int) -> History:
    """The history of a number."""
    chance = random.Random(number)  # noqa: S311 - the same histories in each run
    keys = tuple(f"same/{number}{name}" for name in chance.sample([".zip", " ä.zip", "-b.zip"], 2))
    bucket = f"late-{number}"
    contents_made = 0

    def data() -> bytes:
        nonlocal contents_made
        contents_made += 1
        return f"{number} {contents_made} ".encode()

    def uploads(key: str) -> tuple[Act, ...]:
        size = LARGE if chance.random() < 0.15 else SMALL
        match chance.randrange(6):
            case 0:
                return (Act("put", key, (data(), size)), Act("put", key, (data(), SMALL)))
            case 1:
                return (Act("put_in_parts", key, (data(), LARGE)),)
            case _:
                return (Act("put", key, (data(), size)),)

    def following(key: str) -> list[tuple[Act, ...]]:
        match chance.randrange(7):
            case 0:
                return [(Act("start", key, (("ONE",), False)),)]
            case 1 | 2:
                failing = (Act("start", key, (("ONE", bucket), False)),)
                return [failing, (Act("make_bucket", key, (bucket,)),), (Act("start", key, ((bucket,), True)),)]
            case 3:
                return [(Act("delete", key),), (Act("start", key, (("ONE", "TWO"), False)),)]
            case 4:
                return [(Act("start", key, ((), False)),)]
            case 5:
                # MiniStack gives the copy of a file that was uploaded in parts the ETag of its parts.
                return [(Act("put", key, (data(), SMALL)),), (Act("copy_to", key, (keys[1],)),)]
            case _:
                return [uploads(key)]

    first = (*uploads(keys[0]), *(uploads(keys[1]) if chance.random() < 0.3 else ()))
    return History(number, keys, bucket, (first, *following(keys[0])))


# --- Places where they happen -------------------------------------------------------------------------------------


class Place(Protocol):
    """Where a history happens. Buckets have the names ``SOURCE``, ``ONE`` and ``TWO`` in it, and others their own."""

    def put(self, key: str, data: bytes, size: int) -> None: ...
    def put_in_parts(self, key: str, data: bytes, size: int) -> None: ...
    def copy_to(self, key: str, other: str) -> None: ...
    def delete(self, key: str) -> None: ...
    def start(self, key: str, buckets: Sequence[str], is_retry: bool) -> None: ...
    def make_bucket(self, _key: str, name: str) -> None: ...


def act(place: Place, acts: Sequence[Act]) -> None:
    for one in acts:
        getattr(place, one.method)(one.key, *one.arguments)


class Services:
    """Acts and looks by AWS's operations. What performs them is an engine or the simulation."""

    def __init__(self, names: dict[str, str], machine: str, table: str) -> None:
        self.names, self.machine, self.table = names, machine, table

    def call(self, service: str, operation: str, arguments: Json) -> Json:
        raise NotImplementedError

    def key(self, name: str) -> str:
        return name

    def notices(self) -> list[tuple[str, str]]:
        """The subjects and the messages of all notifications."""
        raise NotImplementedError

    def _s3(self, operation: str, bucket: str, key: str, **arguments: Any) -> Json:
        place = {"Bucket": self.names.get(bucket, bucket), "Key": self.key(key)}
        return self.call("s3", operation, {**place, **arguments})

    # --- Acts

    def put(self, key: str, data: bytes, size: int) -> None:
        whole = data + bytes(size - len(data))
        self._s3("PutObject", "SOURCE", key, Body=whole, ChecksumAlgorithm="CRC32", **_described(data))

    def put_in_parts(self, key: str, data: bytes, size: int) -> None:
        whole = data + bytes(size - len(data))
        more = {"ChecksumAlgorithm": "CRC32", **_described(data)}
        begun = self._s3("CreateMultipartUpload", "SOURCE", key, **more)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, size, LIMIT + 1), start=1):
            part = {"PartNumber": number, "UploadId": begun, "Body": whole[start : start + LIMIT + 1]}
            answer = self._s3("UploadPart", "SOURCE", key, **part, ChecksumAlgorithm="CRC32")
            checksum = {"ChecksumCRC32": answer["ChecksumCRC32"]} if "ChecksumCRC32" in answer else {}
            parts.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})
        self._s3("CompleteMultipartUpload", "SOURCE", key, UploadId=begun, MultipartUpload={"Parts": parts})

    def copy_to(self, key: str, other: str) -> None:
        source = {"Bucket": self.names["SOURCE"], "Key": self.key(key)}
        self._s3("CopyObject", "SOURCE", other, CopySource=source)

    def delete(self, key: str) -> None:
        self._s3("DeleteObject", "SOURCE", key)

    def start(self, key: str, buckets: Sequence[str], is_retry: bool) -> None:
        job = {
            "sourceBucket": self.names["SOURCE"],
            "sourceKey": self.key(key),
            "destinationBuckets": [self.names.get(bucket, bucket) for bucket in buckets],
            **({"retry": True} if is_retry else {}),
        }
        self.call("stepfunctions", "StartExecution", {"stateMachineArn": self.machine, "input": json.dumps(job)})

    # --- Looks

    def seen(self, history: History) -> str:
        """The records, the copies and the notifications of a history, in a form that is the same everywhere."""
        found = {
            "records": [self._items(key) for key in history.keys],
            "copies": {
                f"{bucket} {key}": self._copy(bucket, key)
                for bucket in ("ONE", "TWO", history.bucket)
                for key in history.keys
            },
            "notices": sorted(
                [subject, _plain_message(message)]
                for subject, message in self.notices()
                if any(self.key(key) in message for key in history.keys)
            ),
        }
        shown = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
        # A subject has "?" in the place of a letter that is not ASCII, so the beginning of the key is replaced alone.
        shown = shown.replace(self.key(""), "")
        for name, real in self.names.items():
            shown = shown.replace(real, name)
        return shown.replace(self.table, "TABLE")

    def _items(self, key: str) -> list[Json]:
        arguments = {
            "TableName": self.table,
            "KeyConditionExpression": "fileKey = :key",
            "ExpressionAttributeValues": {":key": {"S": self.key(key)}},
            "ConsistentRead": True,
        }
        return [_plain_record(item) for item in self.call("dynamodb", "Query", arguments)["Items"]]

    def _copy(self, bucket: str, key: str) -> Json | None:
        try:
            head = self._s3("HeadObject", bucket, key)
        except ClientError:
            return None
        return {name: head[name] for name in ("ETag", "ContentLength", "ContentType", "Metadata")}


def _described(data: bytes) -> Json:
    """Headers and metadata of a file."""
    return {"ContentType": "application/zip", "Metadata": {"build": data.decode().strip()}}


# Times, IDs, the names of versions, and texts of engines. docs/engines.md says which checksums engines have.
_UNCOMPARED = re.compile(
    r"\w*Time|\w*At|timestamp|executionId|leaseOwner|noLeaseBefore|versionId|sourceVersionId|uploadId|cause|check"
    r"|expiresAt"
)


def _plain_record(item: Json) -> Json:
    found: Json = {name: _plain_value(value) for name, value in item.items() if not _UNCOMPARED.fullmatch(name)}
    found["isReleased"] = item.get("leaseOwner", {"S": ""})["S"].endswith("#ended")
    return found


def _plain_value(value: Json) -> Any:
    ((kind, content),) = value.items()
    if kind == "M":
        return {name: _plain_value(inner) for name, inner in content.items() if not _UNCOMPARED.fullmatch(name)}
    if kind == "L":
        return sorted((_plain_value(inner) for inner in content), key=json.dumps)
    return content


def _plain_message(message: str) -> list[str]:
    """The lines of a notification, without the ARN of the execution and without the texts of S3's errors.

    ``$string`` of an object writes a letter that is not ASCII as it is, or as an escape sequence (docs/engines.md).
    """
    message = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), message)
    lines = [re.sub(r"arn:aws:states:\S+", "EXECUTION", line) for line in message.splitlines()]
    return [re.sub(r"(❌ [^:]+: [^:]+): .*", r"\1", line) for line in lines]


# --- The simulation -----------------------------------------------------------------------------------------------


class Simulated(Services):
    """A stack with the default settings in the simulation."""

    def __init__(self, deployed: stack.Stack, machine: StateMachine) -> None:
        self.world = World(deployed, machine, Choices(made={}))
        names = {"SOURCE": "global-builds", "ONE": "region-a-builds", "TWO": "region-b-builds"}
        super().__init__(names, deployed.state_machine, next(iter(deployed.tables)))

    def call(self, service: str, operation: str, arguments: Json) -> Json:
        if service == "stepfunctions":
            answer: Json = self.world.start(arguments)
            return answer
        return {"s3": self.world.s3, "dynamodb": self.world.dynamodb}[service].call(operation, arguments)

    def make_bucket(self, _key: str, name: str) -> None:
        self.world.s3.create_bucket(name, account=self.machine.split(":")[4])

    def notices(self) -> list[tuple[str, str]]:
        return [(notice.subject or "", notice.message) for notice in self.world.notices]

    def rest(self) -> None:
        self.world.scheduler.run()


def simulated(histories: Sequence[History]) -> list[list[str]]:
    """What is seen after each round of each history."""
    deployed = stack.deployed(multipartThresholdMiB=str(LIMIT // 1024**2), allowGlobalNames="true")
    machine = StateMachine(deployed.definition)
    found = []
    with functions.installed(deployed):
        for one in histories:
            place = Simulated(deployed, machine)
            seen = []
            with functions.of_world(place.world):
                for acts in one.rounds:
                    act(place, acts)
                    place.rest()
                    seen.append(place.seen(one))
                place.world.scheduler.end()
            found.append(seen)
    return found


# --- An engine ----------------------------------------------------------------------------------------------------


class Deployed(Services):
    """A stack on an engine."""

    def __init__(self, system: System) -> None:
        self.system, self.inbox = system, system.inbox()
        names = dict(zip(("SOURCE", "ONE", "TWO"), (system.source, *system.destinations), strict=True))
        super().__init__(names, system.state_machine, system.table)

    def call(self, service: str, operation: str, arguments: Json) -> Json:
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        answer: Json = getattr(self.system.clients(service), method)(**arguments)
        return answer

    def key(self, name: str) -> str:
        return self.system.key(name)

    def make_bucket(self, _key: str, name: str) -> None:
        self.system.make_bucket(name)

    def notices(self) -> list[tuple[str, str]]:
        return [(notice["Subject"], notice["Message"]) for notice in self.inbox.received]

    def come_to(self, expected: Sequence[tuple[History, str]]) -> None:
        """Waits until each history shows what is expected of it."""
        left = list(expected)

        def look() -> bool | None:
            while self.inbox.receive():
                pass
            left[:] = [(one, shown) for one, shown in left if self.seen(one) != shown]
            return None if left else True

        try:
            self.system.wait_for("the same as in the simulation", look)
        except AssertionError as error:
            differences = "\n".join(self._difference(one, shown) for one, shown in left[:_SHOWN])
            raise AssertionError(f"{len(left)} histories differ from the simulation:\n{differences}") from error

    def _difference(self, one: History, shown: str) -> str:
        lines = difflib.unified_diff(
            shown.splitlines(), self.seen(one).splitlines(), "simulated", "deployed", "", "", 2
        )
        return "\n".join([f"History {one.number}: {one.rounds}", *lines])


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest, given: Given | None) -> Iterator[Deployed]:
    if given is None:
        with stack_up(*NO_WAITS, "-c", f"multipartThresholdMiB={LIMIT // 1024**2}") as system:
            yield Deployed(system)
        return
    systems: Callable[[bool], System] = request.getfixturevalue("systems")
    if systems(False).variables_of("copy-worker")["MULTIPART_THRESHOLD"] != str(LIMIT):
        pytest.skip("the stack's setting multipartThresholdMiB is not 5: no test is to copy 512 MiB")
    yield Deployed(systems(False))


def test_histories_end_as_in_the_simulation(engine: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    # The ETags of large files are those of their bytes, as on the engine.
    monkeypatch.setattr(contents, "HASHED", 2 * LARGE)
    histories = [history(number) for number in range(HISTORIES)]
    expected = simulated(histories)
    # Each round of them has to end within the engine's deadline.
    size = min(25, engine.system.engine.burst)
    for begin in range(0, HISTORIES, size):
        chosen = list(zip(histories, expected, strict=True))[begin : begin + size]
        for number in range(max(len(one.rounds) for one, _ in chosen)):
            acting = [(one, seen[number]) for one, seen in chosen if number < len(one.rounds)]
            for one, _ in acting:
                act(engine, one.rounds[number])
            engine.come_to(acting)
