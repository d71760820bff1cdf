"""What an execution did: a model of it, made from its events, its description and its file's record.

AWS and LocalStack record every event, and each names the one before it in its own branch. MiniStack records the calls
inside a Map and nothing else of it (docs/engines.md), so there a call cannot be told to be one destination's, and the
outcome of a copy comes from the Map's output or the record. What is not recorded is ``None``, and never guessed.

A copy that S3 makes at once has one iteration of the first Map. One that copy-worker makes has one in each round of
the second, its runs, of which the last has its result.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from filecopy import executions
from handlers.text import printable

from .states import Path

MAP_STATE = "CopyToMultipleBuckets"
COPY_STATE = "CopyToBucket"
COPY_FAILED_STATE = "CopyFailed"
WORKER_MAP_STATE = "CopyThroughWorker"
RUN_STATE = "RunCopyWorker"
NOT_RECORDED = "not recorded"

Event = Mapping[str, Any]

_ATTEMPT_ENDS = {
    "TaskSucceeded": "SUCCEEDED",
    "TaskFailed": "FAILED",
    "TaskTimedOut": "TIMED_OUT",
    "TaskStartFailed": "FAILED",
    "TaskSubmitFailed": "FAILED",
}


class StateStatus(StrEnum):
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    CAUGHT = "CAUGHT"
    """It failed, and the execution went on at one of its Catches."""
    FAILED = "FAILED"
    ABORTED = "ABORTED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_failure(self) -> bool:
        return self not in (StateStatus.RUNNING, StateStatus.SUCCEEDED)


class Outcome(StrEnum):
    """Of a copy."""

    COPIED = "copied"
    FAILED = "failed"
    UNDER_WAY = "under way"
    WAITING = "waiting"
    NOT_TRIED = "not tried"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Attempt:
    """One call of a Task. ``status`` is None, and so is ``ended``, while it has no end."""

    scheduled: datetime | None
    started: datetime | None
    ended: datetime | None
    status: str | None
    error: str | None
    cause: str | None


@dataclass(frozen=True)
class Calls:
    """How many calls were made inside a Map, where it is not recorded which destination each was for."""

    scheduled: int
    succeeded: int
    failed: int


@dataclass(frozen=True)
class State:
    """A state that was entered. Input and output are JSON texts, None where they are not recorded."""

    name: str
    type: str
    status: StateStatus
    entered: datetime
    exited: datetime | None
    input: str | None
    output: str | None
    error: str | None
    cause: str | None
    attempts: tuple[Attempt, ...]
    calls: Calls | None

    @property
    def retries(self) -> int:
        return max(len(self.attempts) - 1, 0)


@dataclass(frozen=True)
class Copy:
    """The copy to one destination. ``attempts``, of all its runs, is None where they are not recorded by destination.

    ``runs`` says in how many rounds copy-worker was called for it: 0 of a copy that S3 made at once, or that was not
    tried. None where it is not recorded which.
    """

    bucket: str
    outcome: Outcome
    started: datetime | None
    ended: datetime | None
    attempts: tuple[Attempt, ...] | None
    runs: int | None
    error: str | None
    cause: str | None
    etag: str | None
    version_id: str | None
    check: str | None
    """By what it is known to be the source's bytes: a checksum's name, ``ETag``, or ``none``."""
    arrival: Mapping[str, Any] | None
    """What regional-sync says of it in the record."""

    @property
    def retries(self) -> int | None:
        """Attempts beyond the first of each run."""
        return None if self.attempts is None else max(len(self.attempts) - max(self.runs or 0, 1), 0)


@dataclass(frozen=True)
class History:
    """An execution, so far. ``read_at`` is when it was looked at: the end of what still runs."""

    execution_arn: str
    state_machine_arn: str
    status: str
    started: datetime
    stopped: datetime | None
    read_at: datetime
    input: str | None
    output: str | None
    error: str | None
    cause: str | None
    states: tuple[State, ...]
    copies: tuple[Copy, ...]
    path: Path
    record: Mapping[str, Any] | None
    """The file's tracking record, which may be another execution's by now."""

    @property
    def record_is_of_this_execution(self) -> bool:
        return self.record is not None and self.record.get("executionId") == self.execution_arn

    @property
    def ended(self) -> datetime:
        return self.stopped or self.read_at

    @property
    def job(self) -> Mapping[str, Any]:
        """The input, or nothing where that is not an object."""
        return _object(self.input)

    def as_json(self) -> dict[str, Any]:
        """Everything, in what JSON has: times in ISO 8601, inputs and outputs as values, null for what is not known."""
        whole: dict[str, Any] = plain(asdict(self))
        del whole["path"]
        for part in (whole, *whole["states"]):
            part["input"], part["output"] = parsed(part["input"]), parsed(part["output"])
        made: list[State | Copy] = [*self.states, *self.copies]
        for part, its in zip((*whole["states"], *whole["copies"]), made, strict=True):
            part["retries"] = its.retries
        whole["record_is_of_this_execution"] = self.record_is_of_this_execution
        camel: dict[str, Any] = _camel(whole, keep={"record", "input", "output", "arrival"})
        return camel


# --- Reading it -------------------------------------------------------------------------------------------------


def load(stepfunctions: Any, described: Mapping[str, Any], record: Mapping[str, Any] | None = None) -> History:
    """The execution, as it is now.

    Args:
        stepfunctions: a boto3 client.
        described: what DescribeExecution has just answered; asked again where the execution has ended since.
        record: of the execution's file, in Python's types, where there is one.
    """
    execution_arn = described["executionArn"]
    events = executions.history(stepfunctions, execution_arn)
    if described["status"] == "RUNNING" and _has_ended(events):
        described = stepfunctions.describe_execution(executionArn=execution_arn)
    return history_of(described, events, record)


def load_definition(stepfunctions: Any, execution_arn: str) -> dict[str, Any]:
    """The definition that the execution runs by, which may be older than the state machine's."""
    machine = stepfunctions.describe_state_machine_for_execution(executionArn=execution_arn)
    definition: dict[str, Any] = json.loads(machine["definition"])
    return definition


def history_of(
    described: Mapping[str, Any],
    events: Sequence[Event],
    record: Mapping[str, Any] | None = None,
    read_at: datetime | None = None,
) -> History:
    """The model of an execution.

    Args:
        described: what DescribeExecution answers.
        events: of GetExecutionHistory, oldest first.
        record: of the execution's file, where there is one.
        read_at: when the other three were read; now, if not given.
    """
    branches = _branches(events)
    failure = _failure(events)
    error, cause = described.get("error") or failure[0], described.get("cause") or failure[1]
    states = tuple(_state(group, described["status"], error, cause) for group in branches.main)
    input_ = described.get("input")
    is_ours = record is not None and record.get("executionId") == described["executionArn"]
    copies = _copies(_destinations(input_), states, branches, described, record if record and is_ours else {})
    return History(
        execution_arn=described["executionArn"],
        state_machine_arn=described["stateMachineArn"],
        status=described["status"],
        started=described["startDate"],
        stopped=described.get("stopDate"),
        read_at=read_at or datetime.now(UTC),
        input=input_,
        # MiniStack gives a failed execution an output, which AWS does not.
        output=described.get("output") if described["status"] == "SUCCEEDED" else None,
        error=error,
        cause=cause,
        states=states,
        copies=copies,
        path=_path(states, copies, branches),
        record=record,
    )


@dataclass(frozen=True)
class _Branches:
    """The events of each state entered, those outside the Map, and those of each iteration of it."""

    main: list[list[Event]]
    iterations: list[list[list[Event]]]
    are_linked: bool


def _branches(events: Sequence[Event]) -> _Branches:
    """Sorts events by the state they are of. Where they are not linked, each follows the one before it."""
    are_linked = any(event.get("previousEventId") for event in events)
    main: list[list[Event]] = []
    iterations: list[list[list[Event]]] = []
    # The iteration and the state that each event is of, by the event's id; those after it take them over.
    iteration_of: dict[int, list[list[Event]] | None] = {}
    state_of: dict[int, list[Event] | None] = {}
    before = 0
    for event in events:
        previous = event.get("previousEventId", 0) if are_linked else before
        before = event["id"]
        iteration, state = iteration_of.get(previous), state_of.get(previous)
        kind: str = event["type"]
        if kind.startswith("Execution"):
            iteration, state = None, None
        elif kind == "MapIterationStarted":
            # With less room than iterations, the event before it is the last one of another iteration.
            iteration, state = [], None
            iterations.append(iteration)
        elif "stateEnteredEventDetails" in event:
            state = []
            (main if iteration is None else iteration).append(state)
        elif kind.startswith("MapState") and kind != "MapStateStarted":
            # It ends the Map, and the event before it is the last one of an iteration.
            iteration, state = None, next((group for group in reversed(main) if _type(group[0]) == "Map"), None)
        if state is not None:
            state.append(event)
        iteration_of[event["id"]], state_of[event["id"]] = iteration, state
    return _Branches(main, iterations, are_linked)


def _has_ended(events: Sequence[Event]) -> bool:
    return bool(events) and events[-1]["type"] in (
        "ExecutionSucceeded",
        "ExecutionFailed",
        "ExecutionAborted",
        "ExecutionTimedOut",
    )


def _failure(events: Sequence[Event]) -> tuple[str | None, str | None]:
    for event in reversed(events):
        for kind in ("Failed", "Aborted", "TimedOut"):
            if details := event.get(f"execution{kind}EventDetails"):
                return details.get("error") or None, details.get("cause") or None
    return None, None


def _type(entered: Event) -> str:
    return str(entered["type"]).removesuffix("StateEntered")


def _state(events: Sequence[Event], status: str, error: str | None, cause: str | None) -> State:
    """The state whose events these are, of an execution that is or ended as ``status``, with that error."""
    entered = events[0]
    kind = _type(entered)
    exit_ = next((event for event in events if "stateExitedEventDetails" in event), None)
    aborted = next((event for event in events if event["type"].endswith("StateAborted")), None)
    is_map = kind == "Map"
    attempts = () if is_map else _attempts(events)
    failed = attempts[-1] if attempts and attempts[-1].error else None
    evaluations = [event["evaluationFailedEventDetails"] for event in events if "evaluationFailedEventDetails" in event]
    evaluation = evaluations[-1] if evaluations else None
    if exit_ is not None:
        its = StateStatus.CAUGHT if failed or evaluation else StateStatus.SUCCEEDED
    elif kind == "Fail":
        its = StateStatus.FAILED
    else:
        # A state that was not left when the execution ended, ended with it.
        its = StateStatus.__members__.get(status, StateStatus.RUNNING)
    if evaluation:
        error, cause = evaluation.get("error"), evaluation.get("cause")
    elif failed:
        error, cause = failed.error, failed.cause
    elif its is not StateStatus.FAILED:
        error, cause = None, None
    return State(
        name=entered["stateEnteredEventDetails"]["name"],
        type=kind,
        status=its,
        entered=entered["timestamp"],
        exited=exit_["timestamp"] if exit_ else aborted["timestamp"] if aborted else None,
        input=entered["stateEnteredEventDetails"].get("input"),
        output=_exited(exit_).get("output") if exit_ else None,
        error=error,
        cause=cause,
        attempts=attempts,
        calls=_calls(events) if is_map else None,
    )


def _attempts(events: Iterable[Event]) -> tuple[Attempt, ...]:
    """The calls of a Task, of which each ends before the next begins."""
    found: list[Attempt] = []
    scheduled: datetime | None = None
    started: datetime | None = None
    is_open = False
    for event in events:
        kind = event["type"]
        if kind == "TaskScheduled":
            scheduled, started, is_open = event["timestamp"], None, True
        elif kind == "TaskStarted":
            started = event["timestamp"]
        elif kind in _ATTEMPT_ENDS:
            details = event.get(f"{kind[0].lower()}{kind[1:]}EventDetails", {})
            status = _ATTEMPT_ENDS[kind]
            failed = status != "SUCCEEDED"
            found.append(
                Attempt(
                    # A Task whose arguments could not be evaluated fails without having been scheduled.
                    scheduled=scheduled if is_open else None,
                    started=started if is_open else None,
                    ended=event["timestamp"],
                    status=status,
                    error=details.get("error", "States.TaskFailed") if failed else None,
                    cause=details.get("cause") if failed else None,
                )
            )
            is_open = False
    if is_open:
        found.append(Attempt(scheduled, started, None, None, None, None))
    return tuple(found)


def _calls(events: Iterable[Event]) -> Calls | None:
    """Of a Map whose inside has no events but those of calls."""
    kinds = Counter(event["type"] for event in events)
    if not kinds["TaskScheduled"]:
        return None
    failed = sum(kinds[kind] for kind, status in _ATTEMPT_ENDS.items() if status != "SUCCEEDED")
    return Calls(kinds["TaskScheduled"], kinds["TaskSucceeded"], failed)


def _destinations(input_: str | None) -> list[str]:
    """Those that the execution is asked to copy to, without repeats."""
    given = _object(input_).get("destinationBuckets")
    return list(dict.fromkeys(bucket for bucket in given if isinstance(bucket, str))) if isinstance(given, list) else []


def _copies(
    destinations: Sequence[str],
    states: Sequence[State],
    branches: _Branches,
    described: Mapping[str, Any],
    record: Mapping[str, Any],
) -> tuple[Copy, ...]:
    """The copies that the execution is to make. ``record`` is empty where it is not this execution's."""
    rounds = _rounds(destinations, states)
    tasks = _tasks(branches)
    results = _results(rounds, record, described["startDate"])
    calls = _calls_of_the_only_copy(destinations, branches)
    copies = []
    for bucket in destinations:
        trace = _trace(bucket, tasks.get(bucket, []), rounds, are_linked=branches.are_linked)
        result = results.get(bucket) or trace.output
        arrival = record.get("arrivals", {}).get(bucket)
        if arrival and not _is_since(described["startDate"], arrival.get("arrivedAt")):
            arrival = None
        attempts = _copy_attempts(trace, result.get("success"), calls)
        outcome = _outcome(trace, result.get("success"), is_over=described["status"] != "RUNNING")
        copies.append(_copy(bucket, trace, result, outcome, attempts, arrival))
    return tuple(copies)


def _tasks(branches: _Branches) -> dict[object, list[Sequence[Event]]]:
    """The events of the Tasks that made each destination's copy, one in each iteration that began with it."""
    tasks: dict[object, list[Sequence[Event]]] = {}
    for iteration in branches.iterations:
        if _is_for_text(iteration):
            tasks.setdefault(parsed(_entered(iteration[0][0]).get("input")), []).append(iteration[0])
    return tasks


def _results(rounds: Iterable[_Round], record: Mapping[str, Any], started: datetime) -> dict[object, Mapping[str, Any]]:
    """The results by destination, from the record and from the Maps' outputs, which are the later ones."""
    # A retry's record holds results of an earlier execution until it has its own.
    recorded = [result for result in record.get("copyResults", []) if _is_since(started, result.get("timestamp"))]
    returned = [result for one in rounds for result in one.results]
    return {result.get("destinationBucket"): result for result in (*recorded, *returned) if "success" in result}


def _calls_of_the_only_copy(destinations: Sequence[str], branches: _Branches) -> tuple[Attempt, ...] | None:
    """The calls inside the Maps where they are not linked and can only be one destination's."""
    if branches.are_linked or len(destinations) != 1:
        return None
    maps = [group for group in branches.main if _name(group) in (MAP_STATE, WORKER_MAP_STATE)]
    return tuple(attempt for group in maps for attempt in _attempts(group))


@dataclass(frozen=True)
class _Trace:
    """What the events and the rounds tell of one destination's copy."""

    tasks: Sequence[Sequence[Event]]
    """The events of its Tasks, where they are recorded by destination."""
    exit: Event | None
    """Of the last of these Tasks."""
    runs: int | None
    is_untouched: bool
    """No Map has begun with it."""
    is_left: bool
    """The last Task or round with it has ended."""

    @property
    def output(self) -> Mapping[str, Any]:
        """The last Task's, or nothing where that is not an object."""
        return _object(_exited(self.exit).get("output")) if self.exit else {}


def _trace(bucket: str, tasks: Sequence[Sequence[Event]], rounds: Iterable[_Round], *, are_linked: bool) -> _Trace:
    exit_ = next((event for event in tasks[-1] if "stateExitedEventDetails" in event), None) if tasks else None
    if are_linked:
        runs = sum(_name(task) == RUN_STATE for task in tasks)
        return _Trace(tasks, exit_, runs, is_untouched=not tasks, is_left=exit_ is not None)
    its_rounds = [one for one in rounds if bucket in one.buckets]
    if not its_rounds:
        return _Trace(tasks, exit_, 0, is_untouched=True, is_left=False)
    last = its_rounds[-1]
    # Which of the destinations the first Map is at work on is not recorded.
    is_known = last.is_over or last.is_of_worker
    rounds_of_worker = sum(one.is_of_worker for one in its_rounds)
    return _Trace(tasks, exit_, rounds_of_worker if is_known else None, is_untouched=False, is_left=last.is_over)


def _outcome(trace: _Trace, success: bool | None, *, is_over: bool) -> Outcome:
    if success is not None:
        return Outcome.COPIED if success else Outcome.FAILED
    if trace.is_untouched:
        return Outcome.NOT_TRIED if is_over else Outcome.WAITING
    if not is_over:
        return Outcome.UNDER_WAY
    # The last run came to its end without the copy's, or nobody knows what became of it.
    return Outcome.FAILED if trace.is_left else Outcome.UNKNOWN


def _copy_attempts(
    trace: _Trace, success: bool | None, calls: tuple[Attempt, ...] | None
) -> tuple[Attempt, ...] | None:
    """The attempts of a copy. ``calls`` are those inside the Maps where all of them are its own."""
    if trace.tasks:
        return tuple(attempt for task in trace.tasks for attempt in _attempts(task))
    if trace.is_untouched and success is None:
        return ()
    # Of one that failed through copy-worker the last call may be AbortCopy's.
    return None if trace.runs and success is False else calls


def _copy(
    bucket: str,
    trace: _Trace,
    result: Mapping[str, Any],
    outcome: Outcome,
    attempts: tuple[Attempt, ...] | None,
    arrival: Mapping[str, Any] | None,
) -> Copy:
    last = attempts[-1] if attempts else None
    return Copy(
        bucket=bucket,
        outcome=outcome,
        started=_began(trace, attempts),
        ended=None if result.get("success") is None else _ended(trace, result),
        attempts=attempts,
        runs=trace.runs,
        error=result.get("error") or (last.error if last else None),
        cause=result.get("cause") or (last.cause if last else None),
        etag=result.get("etag"),
        version_id=result.get("versionId"),
        check=result.get("check"),
        arrival=arrival,
    )


def _began(trace: _Trace, attempts: Sequence[Attempt] | None) -> datetime | None:
    if trace.tasks:
        entered: datetime = trace.tasks[0][0]["timestamp"]
        return entered
    return attempts[0].scheduled if attempts else None


def _ended(trace: _Trace, result: Mapping[str, Any]) -> datetime | None:
    if trace.exit:
        left: datetime = trace.exit["timestamp"]
        return left
    return _time(result.get("timestamp"))


@dataclass(frozen=True)
class _Round:
    """One time that a Map of copies was entered: its destinations, and once it ``is_over`` what it says of each, which
    has no ``success`` where the next round goes on with it."""

    is_of_worker: bool
    is_over: bool
    buckets: frozenset[object]
    results: tuple[Mapping[str, Any], ...]


def _rounds(destinations: Sequence[str], states: Iterable[State]) -> list[_Round]:
    """The rounds, from the Maps' outputs. The destinations of one that is not over yet are those without a result."""
    found: list[_Round] = []
    remaining = set(destinations)
    for state in states:
        if state.name not in (MAP_STATE, WORKER_MAP_STATE):
            continue
        output = parsed(state.output)
        is_over = isinstance(output, list)
        results = tuple(result for result in output if isinstance(result, dict)) if isinstance(output, list) else ()
        buckets = frozenset(result.get("destinationBucket") for result in results) if is_over else frozenset(remaining)
        found.append(_Round(state.name == WORKER_MAP_STATE, is_over, buckets, results))
        remaining -= {str(result.get("destinationBucket")) for result in results if "success" in result}
    return found


def _path(states: Sequence[State], copies: Sequence[Copy], branches: _Branches) -> Path:
    """The states entered and the ways between them, for a drawing."""
    # Nothing of what failed on the way counts where the last try did not fail: a turn that was waited for.
    failed = {state.name for state in {state.name: state for state in states}.values() if state.status.is_failure}
    entered = Counter(state.name for state in states)
    edges = {(one.name, other.name, one.status is StateStatus.CAUGHT) for one, other in pairwise(states)}
    if branches.iterations:
        for iteration in branches.iterations:
            did_fail = {_name(group) for group in iteration if _has_failed(group)}
            names = [_name(group) for group in iteration]
            entered.update(names)
            failed |= did_fail
            edges.update((one, other, one in did_fail) for one, other in pairwise(names))
    else:
        # A result tells which way a copy went; of one that copy-worker made, no more than that it was called.
        direct = [copy for copy in copies if copy.outcome in (Outcome.COPIED, Outcome.FAILED) and not copy.runs]
        if direct:
            entered[COPY_STATE] = len(direct)
        if caught := sum(copy.outcome is Outcome.FAILED and copy.error != "ChecksumMismatch" for copy in direct):
            entered[COPY_FAILED_STATE] = caught
            failed.add(COPY_STATE)
            edges.add((COPY_STATE, COPY_FAILED_STATE, True))
        if runs := sum(copy.runs or 0 for copy in copies):
            entered[RUN_STATE] = runs
    return Path(entered=dict(entered), failed=frozenset(failed), edges=frozenset(edges))


def _has_failed(group: Sequence[Event]) -> bool:
    """Whether a Task was left after an attempt that failed: one that waits to be tried again has not failed yet."""
    attempts = _attempts(group)
    return bool(attempts and attempts[-1].error) and any("stateExitedEventDetails" in event for event in group)


def _entered(event: Event) -> Mapping[str, Any]:
    details: Mapping[str, Any] = event["stateEnteredEventDetails"]
    return details


def _name(group: Sequence[Event]) -> str:
    return str(_entered(group[0])["name"])


def _exited(event: Event) -> Mapping[str, Any]:
    details: Mapping[str, Any] = event["stateExitedEventDetails"]
    return details


def _is_for_text(iteration: Sequence[Sequence[Event]]) -> bool:
    """Whether it has begun, and with a text: a destination."""
    return bool(iteration) and isinstance(parsed(_entered(iteration[0][0]).get("input")), str)


def _is_since(started: datetime, text: object) -> bool:
    time = _time(text)
    return time is not None and time >= started


def parsed(text: str | None) -> Any:
    """What a JSON text says; the text itself where it is none, as one that was cut off is not."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def _object(text: str | None) -> Mapping[str, Any]:
    value = parsed(text)
    return value if isinstance(value, dict) else {}


def _time(text: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time if time is None or time.tzinfo else time.replace(tzinfo=UTC)


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(member) for member in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(member) for member in value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _camel(value: Any, keep: set[str]) -> Any:
    """Names as in the record and in AWS's answers. What is in a member of ``keep`` is left as it is."""
    if isinstance(value, list):
        return [_camel(member, keep) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:]): member
        if name in keep
        else _camel(member, keep)
        for name, member in value.items()
    }


# --- Showing it -------------------------------------------------------------------------------------------------

_STYLES = {
    "SUCCEEDED": "green",
    "RUNNING": "cyan",
    "CAUGHT": "yellow",
    "FAILED": "red",
    "ABORTED": "red",
    "TIMED_OUT": "red",
    Outcome.COPIED: "green",
    Outcome.FAILED: "red",
    Outcome.UNDER_WAY: "cyan",
}
_SIGNS = {
    "SUCCEEDED": "✔",
    "RUNNING": "…",
    "CAUGHT": "!",
    Outcome.COPIED: "✔",
    Outcome.FAILED: "✘",
    Outcome.UNDER_WAY: "…",
    Outcome.WAITING: "…",
    Outcome.NOT_TRIED: "○",
    Outcome.UNKNOWN: "?",
}


def seconds(since: datetime | None, until: datetime | None) -> str:
    """How long it was, as a person says it."""
    if since is None or until is None:
        return NOT_RECORDED
    length = (until - since).total_seconds()
    if length < 60:
        return f"{length:.3f} s" if length < 1 else f"{length:.1f} s"
    minutes, rest = divmod(round(length), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def moment(time: datetime) -> str:
    """A time, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def tries(state: State) -> str:
    """How often a state's work was tried; of a Map without a history of its own, the calls inside it."""
    if state.calls is not None:
        calls = "1 call" if state.calls.scheduled == 1 else f"{state.calls.scheduled} calls"
        return f"{calls} inside, {state.calls.failed} failed"
    return str(len(state.attempts)) if state.attempts else ""


def attempts_of(copy: Copy) -> str:
    """How often a copy was tried, and in how many runs where it took several."""
    said = NOT_RECORDED if copy.attempts is None else str(len(copy.attempts))
    return f"{said}, {copy.runs} runs" if copy.runs and copy.runs > 1 else said


def compared_by(check: str | None) -> str:
    """By what a copy is known to be the source's bytes; empty where there is no copy."""
    return "not compared" if check == "none" else check or ""


def told(error: str | None, cause: str | None) -> str:
    return ": ".join(part for part in (error, cause) if part)


def show(console: Console, history: History, full: bool = False) -> None:
    """Prints the execution: what it was, its states, its copies; with ``full`` the states' inputs and outputs."""
    for name, text in (
        ("Execution", history.execution_arn),
        ("Status", history.status),
        ("File", history.job.get("sourceKey")),
        ("Source bucket", history.job.get("sourceBucket")),
        ("Started", moment(history.started)),
        ("Took" if history.stopped else "Runs since", seconds(history.started, history.ended)),
        ("Error", told(history.error, history.cause) or None),
    ):
        if text is not None:
            _print(console, Text.assemble((f"{name}: ", "bold"), (_shown(text), _STYLES.get(str(text), ""))))
    console.print(_states_table(history))
    if history.copies:
        console.print(_copies_table(history))
    if not history.record_is_of_this_execution and history.record is not None:
        _print(console, Text("The file's record is another execution's by now."))
    if not full:
        return
    _print_data(console, "The execution", history.input, history.output)
    for state in history.states:
        _print_data(console, state.name, state.input, state.output)


def _states_table(history: History) -> Table:
    table = Table(title="States", title_justify="left", box=None, pad_edge=False)
    table.add_column("State", no_wrap=True)
    table.add_column("After", justify="right", no_wrap=True)
    table.add_column("Took", justify="right", no_wrap=True)
    table.add_column("Attempts")
    table.add_column("Result", overflow="fold", ratio=1)
    for state in history.states:
        until = state.exited or (history.ended if state.type != "Fail" else state.entered)
        table.add_row(
            Text(_shown(state.name)),
            seconds(history.started, state.entered),
            seconds(state.entered, until),
            tries(state),
            _result(state.status, state.error, state.cause),
        )
        if state.retries:
            for number, attempt in enumerate(state.attempts, 1):
                _add_attempt(table, history, number, attempt, attempt.scheduled)
    return table


def _copies_table(history: History) -> Table:
    table = Table(title="Copies", title_justify="left", box=None, pad_edge=False)
    table.add_column("Destination", overflow="fold")
    table.add_column("Began after", justify="right")
    table.add_column("Ended after", justify="right")
    table.add_column("Attempts")
    table.add_column("Check")
    table.add_column("Outcome", overflow="fold", ratio=1)
    for copy in history.copies:
        is_open = copy.attempts == () or copy.outcome is Outcome.UNDER_WAY
        table.add_row(
            Text(_shown(copy.bucket)),
            "" if copy.attempts == () else seconds(history.started, copy.started),
            "" if is_open and not copy.ended else seconds(history.started, copy.ended),
            attempts_of(copy),
            Text(_shown(compared_by(copy.check))),
            _result(copy.outcome, copy.error, copy.cause)
            if copy.outcome is not Outcome.COPIED
            else _result(copy.outcome),
        )
        if copy.retries and copy.attempts:
            for number, attempt in enumerate(copy.attempts, 1):
                _add_attempt(table, history, number, attempt, history.started, "")
    return table


def _add_attempt(
    table: Table, history: History, number: int, attempt: Attempt, since: datetime | None, *empty: str
) -> None:
    """A line for an attempt; its second time is counted from ``since``. ``empty`` are cells that it leaves so."""
    table.add_row(
        Text(f"  attempt {number}", style="dim"),
        Text(seconds(history.started, attempt.scheduled), style="dim"),
        Text(seconds(since, attempt.ended or history.ended), style="dim"),
        "",
        *empty,
        _result(attempt.status or "RUNNING", attempt.error, attempt.cause),
    )


def _result(status: str, error: str | None = None, cause: str | None = None) -> Text:
    said = f"{_SIGNS.get(status, '✘')} {status}" + (f" ({told(error, cause)})" if error else "")
    return Text(_shown(said), style=_STYLES.get(status, ""))


def _print_data(console: Console, name: str, input_: str | None, output: str | None) -> None:
    for what, text in (("input", input_), ("output", output)):
        _print(console, Text(f"{_shown(name)}: {what}", style="bold"))
        for line in pretty(text).split("\n"):
            _print(console, Text(f"  {line}"))


def pretty(text: str | None) -> str:
    """A JSON text on lines of its own, members sorted because AWS gives them in no particular order, without what a
    terminal would obey or a page would turn around."""
    if text is None:
        return NOT_RECORDED
    document = json.dumps(parsed(text), indent=2, ensure_ascii=False, sort_keys=True)
    return "\n".join(printable(line) for line in document.split("\n"))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _shown(text: object) -> str:
    return printable(str(text))
