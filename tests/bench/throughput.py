"""Files through a stack, beside two floors: the same copies without a workflow, and a workflow that does nothing."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from components import outputs
from tests.e2e.system import System

from .figures import percentile
from .processes import EmulatorProcesses, Memory

T = TypeVar("T")

THREADS = 10
CONTENT = os.urandom(10_000)

# Uploaded before anything is measured: enough that every function's processes have been started, on AWS as here.
WARM_UP_FILES = 50

# Seconds in which no file is completed, after which those that are left are lost.
PATIENCE = 90.0

# What floors are measured with at most. Their times grow in proportion, so those of more are told by that.
FLOOR_FILES = 1_000

BARE = {"StartAt": "Nothing", "States": {"Nothing": {"Type": "Pass", "End": True}}}


@dataclass(frozen=True)
class Took:
    seconds: float
    processor: float | None
    """Seconds of a processor, of the emulator and its functions; ``None`` where the system does not tell."""

    def times(self, factor: float) -> Took:
        return Took(self.seconds * factor, None if self.processor is None else self.processor * factor)


@dataclass(frozen=True)
class Single:
    """Seconds from one upload to COMPLETED, with nothing else under way."""

    files: int
    median: float
    p95: float


@dataclass(frozen=True)
class Burst:
    """Many files, uploaded in ten threads. Times begin with the first upload."""

    files: int
    destinations: int
    uploaded: float
    """Seconds."""
    waiting: int
    """Messages in the queue when the last file was uploaded."""
    completed: Took
    lost: int
    """Files that were not COMPLETED, or not in every destination with the uploaded content."""
    plain_copies: Took
    """The same copies by plain boto3, measured before and after, and averaged."""
    bare_executions: Took
    """As many executions of a state machine of one Pass state, as above."""
    memory: Memory | None

    @property
    def files_per_second(self) -> float:
        return self.files / self.completed.seconds

    @property
    def processor_of_a_file(self) -> float | None:
        """Seconds."""
        return None if self.completed.processor is None else self.completed.processor / self.files


def warm_up(system: System) -> None:
    complete(system, upload(system, "warm-up", WARM_UP_FILES))


def measure_single(system: System, files: int) -> Single:
    seconds = []
    for number in range(files):
        started = time.perf_counter()
        complete(system, upload(system, f"single-{number}", 1))
        seconds.append(time.perf_counter() - started)
    return Single(files, statistics.median(seconds), percentile(seconds, 95))


def measure_burst(system: System, files: int, bare_machine: str) -> Burst:
    """The burst, between two rounds of its floors: what else the machine is busy with changes from minute to minute.

    Args:
        bare_machine: the ARN that ``make_bare_machine`` returns.
    """
    system.put("floor", CONTENT)
    processes = EmulatorProcesses(system.stack)

    def floors() -> tuple[Took, Took]:
        measured = min(files, FLOOR_FILES)
        copies = _timed(processes, lambda: copy_plainly(system, measured))
        bare = _timed(processes, lambda: _execute_bare(system, bare_machine, measured))
        return copies.times(files / measured), bare.times(files / measured)

    before = floors()
    processes.forget_peak()
    uploaded, waiting = 0.0, 0
    completed_keys: list[str] = []

    def burst() -> None:
        nonlocal uploaded, waiting, completed_keys
        started = time.perf_counter()
        keys = upload(system, f"burst-{files}", files)
        uploaded, waiting = time.perf_counter() - started, _waiting(system)
        completed_keys = complete(system, keys)

    completed = _timed(processes, burst)
    memory = processes.memory()
    after = floors()
    return Burst(
        files=files,
        destinations=len(system.destinations),
        uploaded=uploaded,
        waiting=waiting,
        completed=completed,
        lost=files - count_copied(system, completed_keys),
        plain_copies=_mean(before[0], after[0]),
        bare_executions=_mean(before[1], after[1]),
        memory=memory,
    )


def upload(system: System, prefix: str, files: int) -> list[str]:
    """Puts that many files, in ten threads, and returns their keys."""
    keys = [f"{prefix}/{number}" for number in range(files)]
    in_threads(lambda key: system.put(key, CONTENT), keys)
    return keys


def complete(system: System, keys: Sequence[str]) -> list[str]:
    """Waits until the files are COMPLETED, and returns those that are, which is fewer where some are lost."""

    def is_completed(key: str) -> bool:
        record = system.record(key)
        return record is not None and record.get("status") == "COMPLETED"

    return wait_for_each(keys, is_completed)


def wait_for_each(things: Sequence[T], is_done: Callable[[T], bool], patience: float = PATIENCE) -> list[T]:
    """Looks at the first until it is done, then at the next. Where one is not for ``patience`` seconds, looks at all
    that are left, and gives up if none of those is done either. Returns those that are done."""
    done: list[T] = []
    left = deque(things)
    while left:
        deadline = time.monotonic() + patience
        while not (is_first_done := is_done(left[0])) and time.monotonic() < deadline:
            time.sleep(0.02)
        if is_first_done:
            done.append(left.popleft())
            continue
        looked_at = [(thing, is_done(thing)) for thing in left]
        if not any(is_one for _, is_one in looked_at):
            break
        done += [thing for thing, is_one in looked_at if is_one]
        left = deque(thing for thing, is_one in looked_at if not is_one)
    return done


def in_threads(act: Callable[[T], object], items: Iterable[T]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(act, items):
            pass


def _waiting(system: System) -> int:
    attribute = "ApproximateNumberOfMessages"
    url = system.outputs[outputs.UPLOAD_QUEUE_URL]
    attributes = system.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"]
    return int(attributes[attribute])


def count_copied(system: System, keys: Sequence[str]) -> int:
    """How many of the files are in every destination as they were uploaded."""
    copied = []

    def look(key: str) -> None:
        if all(system.get(bucket, key) == CONTENT for bucket in system.destinations):
            copied.append(key)

    in_threads(look, keys)
    return len(copied)


def copy_plainly(system: System, files: int) -> None:
    """As many copies, of the object ``floor``, by one client with copy_object and nothing else."""
    copies = [(bucket, number) for number in range(files) for bucket in system.destinations]
    source = {"Bucket": system.source, "Key": "floor"}
    in_threads(lambda copy: system.s3.copy_object(Bucket=copy[0], Key=f"floor/{copy[1]}", CopySource=source), copies)


def make_bare_machine(system: System) -> str:
    """A state machine that does nothing, beside the stack's own. Returns its ARN."""
    role = system.outputs[outputs.STEP_FUNCTION_ROLE_ARN]
    made = system.stepfunctions.create_state_machine(name="bare", definition=json.dumps(BARE), roleArn=role)
    return str(made["stateMachineArn"])


def _execute_bare(system: System, machine: str, files: int) -> None:
    """As many executions, started in ten threads, and looked at until they have ended, as files are."""
    arns: list[str] = []
    in_threads(lambda number: arns.append(system.start({"number": number}, machine)), range(files))

    def has_ended(arn: str) -> bool:
        return str(system.stepfunctions.describe_execution(executionArn=arn)["status"]) == "SUCCEEDED"

    ended = wait_for_each(arns, has_ended)
    assert len(ended) == files, f"{files - len(ended)} of {files} bare executions did not end."


def _timed(processes: EmulatorProcesses, act: Callable[[], None]) -> Took:
    used, started = processes.processor_seconds(), time.perf_counter()
    act()
    seconds, now_used = time.perf_counter() - started, processes.processor_seconds()
    return Took(seconds, None if used is None or now_used is None else now_used - used)


def _mean(one: Took, other: Took) -> Took:
    both = [took.processor for took in (one, other) if took.processor is not None]
    return Took((one.seconds + other.seconds) / 2, statistics.mean(both) if both else None)
