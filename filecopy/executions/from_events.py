"""Builds the model of an execution from its events, its description and its file's record.

AWS and LocalStack record every event, and link each to the one before it in its own branch. Inside a Map, MiniStack
records only the calls (docs/engines.md). There it is not known which destination a call was for, so the outcome of a
copy comes from the Map's output or the record. What is not recorded is ``None``, and never guessed.

A copy that S3 makes at once has one iteration of the first Map. A copy that copy-worker makes has one iteration in each
round of the second Map: its runs, of which the last has its result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from filecopy.stack.records import Arrival, CopyResult, TrackingRecord

from .inputs import Job, parse_json, parse_object
from .model import (
    COPY_FAILED_STATE,
    COPY_STATE,
    MAP_STATE,
    RUN_STATE,
    RUNNING,
    SUCCEEDED,
    WORKER_MAP_STATE,
    Attempt,
    Calls,
    Copy,
    CopyCalls,
    History,
    Outcome,
    State,
    StateStatus,
)
from .states import Path

Event = Mapping[str, Any]

_ATTEMPT_ENDS = {
    "TaskSucceeded": "SUCCEEDED",
    "TaskFailed": "FAILED",
    "TaskTimedOut": "TIMED_OUT",
    "TaskStartFailed": "FAILED",
    "TaskSubmitFailed": "FAILED",
}

_EXECUTION_ENDS = {
    "ExecutionSucceeded": "SUCCEEDED",
    "ExecutionFailed": "FAILED",
    "ExecutionTimedOut": "TIMED_OUT",
    "ExecutionAborted": "ABORTED",
}

# The actions that copy. AWS names the action alone, an emulator the whole integration.
_COPY_OBJECT, _INVOKE = "copyObject", "invoke"


def history_of(
    described: Mapping[str, Any],
    events: Sequence[Event],
    record: TrackingRecord | None = None,
    read_at: datetime | None = None,
) -> History:
    """Build the model of an execution.

    Args:
        described: the answer of DescribeExecution. It may be older than the events.
        events: the events of GetExecutionHistory, oldest first.
        record: the record of the execution's file, if there is one.
        read_at: the time when these were read; now, if not given.
    """
    branches = _branches(events)
    ended = _end(events)
    status = described["status"]
    if status == RUNNING and ended:
        status = _EXECUTION_ENDS[ended["type"]]
    failure = _failure(ended)
    error, cause = described.get("error") or failure[0], described.get("cause") or failure[1]
    states = tuple(_state(group, status, error, cause) for group in branches.main)
    own_record = record if record and record.is_of(described["executionArn"]) else None
    started: datetime = described["startDate"]
    copies = _copies(Job.parse(described.get("input")).destinations, states, branches, own_record, started, status)
    return History(
        execution_arn=described["executionArn"],
        state_machine_arn=described["stateMachineArn"],
        status=status,
        started=started,
        stopped=described.get("stopDate") or (ended["timestamp"] if ended else None),
        read_at=read_at or datetime.now(UTC),
        input=described.get("input"),
        output=_output(described, ended) if status == SUCCEEDED else None,
        error=error,
        cause=cause,
        states=states,
        copies=copies,
        path=_path(states, copies, branches),
        record=record,
        copy_calls=_copy_calls(events),
        inner=tuple(_state(group, status, None, None) for iteration in branches.iterations for group in iteration),
    )


def _end(events: Sequence[Event]) -> Event | None:
    """The event that ended the execution."""
    return events[-1] if events and events[-1]["type"] in _EXECUTION_ENDS else None


def _output(described: Mapping[str, Any], ended: Event | None) -> str | None:
    # MiniStack also gives a failed execution an output, which AWS does not.
    output: str | None = described.get("output")
    return output or (ended or {}).get("executionSucceededEventDetails", {}).get("output")


def _failure(ended: Event | None) -> tuple[str | None, str | None]:
    """The error and the cause of an execution that failed."""
    for kind in ("Failed", "Aborted", "TimedOut"):
        if details := (ended or {}).get(f"execution{kind}EventDetails"):
            return details.get("error") or None, details.get("cause") or None
    return None, None


def _copy_calls(events: Iterable[Event]) -> CopyCalls:
    scheduled = copied = failed = unfinished = 0
    for event in events:
        details: Mapping[str, Any] = next((value for name, value in event.items() if name.startswith("task")), {})
        resource = str(details.get("resource", ""))
        if not resource.endswith((_COPY_OBJECT, _INVOKE)):
            continue
        if event["type"] == "TaskScheduled":
            scheduled += 1
        elif event["type"] in ("TaskFailed", "TaskTimedOut", "TaskSubmitFailed"):
            failed += 1
        elif event["type"] == "TaskSucceeded" and resource.endswith(_COPY_OBJECT):
            copied += 1
        elif event["type"] == "TaskSucceeded":
            # copy-worker returns the copy's result when it has one.
            payload = parse_object(details.get("output")).get("Payload")
            success = payload.get("success") if isinstance(payload, dict) else None
            copied += success is True
            failed += success is False
            unfinished += success is None
    return CopyCalls(scheduled, copied, failed, unfinished)


@dataclass(frozen=True)
class _Branches:
    """The events of each state that was entered: outside the Maps, and in each iteration of a Map."""

    main: list[list[Event]]
    iterations: list[list[list[Event]]]
    are_linked: bool


def _branches(events: Sequence[Event]) -> _Branches:
    """Group events by state. If they are not linked, each follows the one before it."""
    are_linked = any(event.get("previousEventId") for event in events)
    main: list[list[Event]] = []
    iterations: list[list[list[Event]]] = []
    # The iteration and the state of each event, by its id. The events after it inherit them.
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
            # If not all iterations run at once, the event before it is the last one of another iteration.
            iteration, state = [], None
            iterations.append(iteration)
        elif "stateEnteredEventDetails" in event:
            state = []
            (main if iteration is None else iteration).append(state)
        elif kind.startswith("MapState") and kind != "MapStateStarted":
            # This ends the Map. The event before it is the last one of an iteration.
            iteration, state = None, next((group for group in reversed(main) if _type(group[0]) == "Map"), None)
        if state is not None:
            state.append(event)
        iteration_of[event["id"]], state_of[event["id"]] = iteration, state
    return _Branches(main, iterations, are_linked)


def _type(entered: Event) -> str:
    return str(entered["type"]).removesuffix("StateEntered")


def _state(events: Sequence[Event], status: str, error: str | None, cause: str | None) -> State:
    """Build a state from its events. ``status``, ``error`` and ``cause`` are those of the execution."""
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
        state_status = StateStatus.CAUGHT if failed or evaluation else StateStatus.SUCCEEDED
    elif kind == "Fail":
        state_status = StateStatus.FAILED
    else:
        # The end of the execution ended the state that it was in.
        state_status = StateStatus.__members__.get(status, StateStatus.RUNNING)
    if evaluation:
        error, cause = evaluation.get("error"), evaluation.get("cause")
    elif failed:
        error, cause = failed.error, failed.cause
    elif state_status is not StateStatus.FAILED:
        error, cause = None, None
    return State(
        name=entered["stateEnteredEventDetails"]["name"],
        type=kind,
        status=state_status,
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
    """The calls of a Task. Each ends before the next begins."""
    attempts: list[Attempt] = []
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
            attempts.append(
                Attempt(
                    # A Task fails before it is scheduled if its arguments cannot be evaluated.
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
        attempts.append(Attempt(scheduled, started, None, None, None, None))
    return tuple(attempts)


def _calls(events: Iterable[Event]) -> Calls | None:
    """The calls inside a Map, if nothing else inside it is recorded."""
    kinds = Counter(event["type"] for event in events)
    if not kinds["TaskScheduled"]:
        return None
    failed = sum(kinds[kind] for kind, status in _ATTEMPT_ENDS.items() if status != "SUCCEEDED")
    return Calls(kinds["TaskScheduled"], kinds["TaskSucceeded"], failed)


def _copies(
    destinations: Sequence[str],
    states: Sequence[State],
    branches: _Branches,
    record: TrackingRecord | None,
    started: datetime,
    status: str,
) -> tuple[Copy, ...]:
    """The copies that the execution makes. ``record`` is ``None`` if it describes another execution."""
    rounds = _rounds(destinations, states)
    tasks = _tasks(branches)
    results = _results(rounds, record, started)
    calls = _calls_of_the_only_copy(destinations, branches)
    copies = []
    for bucket in destinations:
        trace = _trace(bucket, tasks.get(bucket, []), rounds, are_linked=branches.are_linked)
        result = results.get(bucket) or trace.result
        arrival = record.arrivals.get(bucket) if record else None
        if arrival and not _is_since(started, arrival.arrived):
            arrival = None
        attempts = _copy_attempts(trace, result, calls)
        outcome = _outcome(trace, result, is_over=status != RUNNING)
        copies.append(_copy(bucket, trace, result, outcome, attempts, arrival))
    return tuple(copies)


def _tasks(branches: _Branches) -> dict[object, list[Sequence[Event]]]:
    """The events of the Tasks that made each destination's copy: one for each iteration."""
    tasks: dict[object, list[Sequence[Event]]] = {}
    for iteration in branches.iterations:
        if _is_for_text(iteration):
            tasks.setdefault(parse_json(_entered(iteration[0][0]).get("input")), []).append(iteration[0])
    return tasks


def _results(rounds: Iterable[_Round], record: TrackingRecord | None, started: datetime) -> dict[str, CopyResult]:
    """The results by destination, from the record and from the Maps' outputs, which are later."""
    # The record of a retry has the results of an earlier execution until it has its own.
    recorded = [result for result in (record.results.values() if record else ()) if _is_since(started, result.ended)]
    returned = [result for one in rounds for result in one.results]
    return {result.bucket: result for result in (*recorded, *returned)}


def _calls_of_the_only_copy(destinations: Sequence[str], branches: _Branches) -> tuple[Attempt, ...] | None:
    """The calls inside the Maps, if the execution has only one destination and events are not linked."""
    if branches.are_linked or len(destinations) != 1:
        return None
    maps = [group for group in branches.main if _name(group) in (MAP_STATE, WORKER_MAP_STATE)]
    return tuple(attempt for group in maps for attempt in _attempts(group))


@dataclass(frozen=True)
class _Trace:
    """The events and rounds of one destination's copy."""

    tasks: Sequence[Sequence[Event]]
    """The events of its Tasks, if they are recorded by destination."""
    exit: Event | None
    """Exit of the last Task."""
    runs: int | None
    is_untouched: bool
    """No Map has started it."""
    is_left: bool
    """Its last Task or round has ended."""

    @property
    def result(self) -> CopyResult | None:
        """The output of the last Task, if that is a result."""
        return _result(parse_object(_exited(self.exit).get("output"))) if self.exit else None


def _result(output: Mapping[str, Any]) -> CopyResult | None:
    return CopyResult.of(output) if "success" in output else None


def _trace(bucket: str, tasks: Sequence[Sequence[Event]], rounds: Iterable[_Round], *, are_linked: bool) -> _Trace:
    exit_ = next((event for event in tasks[-1] if "stateExitedEventDetails" in event), None) if tasks else None
    if are_linked:
        runs = sum(_name(task) == RUN_STATE for task in tasks)
        return _Trace(tasks, exit_, runs, is_untouched=not tasks, is_left=exit_ is not None)
    own_rounds = [one for one in rounds if bucket in one.buckets]
    if not own_rounds:
        return _Trace(tasks, exit_, 0, is_untouched=True, is_left=False)
    last = own_rounds[-1]
    # It is not recorded which destinations the first Map is copying to.
    is_known = last.is_over or last.is_of_worker
    rounds_of_worker = sum(one.is_of_worker for one in own_rounds)
    return _Trace(tasks, exit_, rounds_of_worker if is_known else None, is_untouched=False, is_left=last.is_over)


def _outcome(trace: _Trace, result: CopyResult | None, *, is_over: bool) -> Outcome:
    if result is not None:
        return Outcome.COPIED if result.is_copied else Outcome.FAILED
    if trace.is_untouched:
        return Outcome.NOT_TRIED if is_over else Outcome.WAITING
    if not is_over:
        return Outcome.IN_PROGRESS
    # Either the last run ended without the copy, or its end is not recorded.
    return Outcome.FAILED if trace.is_left else Outcome.UNKNOWN


def _copy_attempts(
    trace: _Trace, result: CopyResult | None, calls: tuple[Attempt, ...] | None
) -> tuple[Attempt, ...] | None:
    """The attempts of a copy. ``calls`` are the calls inside the Maps if all of them belong to it."""
    if trace.tasks:
        return tuple(attempt for task in trace.tasks for attempt in _attempts(task))
    if trace.is_untouched and result is None:
        return ()
    # The last call for a copy that failed through copy-worker may be AbortCopy's.
    return None if trace.runs and result and not result.is_copied else calls


def _copy(
    bucket: str,
    trace: _Trace,
    result: CopyResult | None,
    outcome: Outcome,
    attempts: tuple[Attempt, ...] | None,
    arrival: Arrival | None,
) -> Copy:
    last = attempts[-1] if attempts else None
    known = result or CopyResult(bucket, is_copied=False)
    return Copy(
        bucket=bucket,
        outcome=outcome,
        started=_copy_start(trace, attempts),
        ended=_copy_end(trace, result) if result else None,
        attempts=attempts,
        runs=trace.runs,
        error=known.error or (last.error if last else None),
        cause=known.cause or (last.cause if last else None),
        etag=known.etag,
        version_id=known.version_id,
        check=known.check,
        arrival=arrival,
    )


def _copy_start(trace: _Trace, attempts: Sequence[Attempt] | None) -> datetime | None:
    if trace.tasks:
        entered: datetime = trace.tasks[0][0]["timestamp"]
        return entered
    return attempts[0].scheduled if attempts else None


def _copy_end(trace: _Trace, result: CopyResult) -> datetime | None:
    if trace.exit:
        left: datetime = trace.exit["timestamp"]
        return left
    return result.ended


@dataclass(frozen=True)
class _Round:
    """A Map of copies that was entered once."""

    is_of_worker: bool
    is_over: bool
    buckets: frozenset[str]
    results: tuple[CopyResult, ...]
    """The results of the round. The next round continues the other copies."""


def _rounds(destinations: Sequence[str], states: Iterable[State]) -> list[_Round]:
    """The rounds, from the Maps' outputs. A round that is not over has the destinations that have no result yet."""
    rounds: list[_Round] = []
    remaining = set(destinations)
    for state in states:
        if state.name not in (MAP_STATE, WORKER_MAP_STATE):
            continue
        output = parse_json(state.output)
        is_over = isinstance(output, list)
        outputs = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        results = tuple(result for result in map(_result, outputs) if result)
        buckets = {str(item.get("destinationBucket")) for item in outputs} if is_over else remaining
        rounds.append(_Round(state.name == WORKER_MAP_STATE, is_over, frozenset(buckets), results))
        remaining = remaining - {result.bucket for result in results}
    return rounds


def _path(states: Sequence[State], copies: Sequence[Copy], branches: _Branches) -> Path:
    """The states that were entered and the transitions between them, for a diagram."""
    failed = {state.name for state in states if state.status.is_failure and not state.is_lease_refusal}
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
        # The result shows which transitions a copy took. For copy-worker's copies only the calls are known.
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
    """Return true if the last attempt of a Task failed, and the execution left it. A Task may wait for a retry."""
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
    """Return true if an iteration has started with a string, which is a destination."""
    return bool(iteration) and isinstance(parse_json(_entered(iteration[0][0]).get("input")), str)


def _is_since(started: datetime, time: datetime | None) -> bool:
    return time is not None and time >= started
