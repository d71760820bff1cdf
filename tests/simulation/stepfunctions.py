"""Step Functions as AWS documents it, for definitions in JSONata: standard workflows, one transition at a time.

From the Step Functions developer guide: "Transforming data with JSONata", "Passing data between states with variables",
"Handling errors in Step Functions workflows", "Using Map state in Inline mode", "Quotas"; and its API reference.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .choices import Choices
from .jsonata import Memories, QueryEvaluationError, Scope, Template, Value, iso
from .scheduler import Process, Scheduler

# "Quotas": of a state's payload, and of an execution's history.
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_EVENTS = 25_000

# "Error names": errors that the wildcard does not match.
_NEVER_CAUGHT = ("States.DataLimitExceeded", "States.Runtime")

# The quarters of the delay between which full jitter chooses.
_JITTER_STEPS = 5

Variables = dict[str, Value]


class StateError(Exception):
    """An error of a state, by the name that Retry and Catch match."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


Task = Callable[["Execution", str, Any, float], Any]
"""Calls a resource, such as ``sns:publish``, for an execution: arguments, and seconds until ``States.Timeout``."""


# The fields that are evaluated when a state is entered, and after each retry.
_ENTERING = ("Arguments", "Items", "Seconds", "Error", "Cause")
_NO_ARGUMENTS = Value({})

# A field beside the variables that a state assigns. No variable can have this name.
_OUTPUT = "Output of the state"


def _leaving(fields: Mapping[str, Any], memories: Memories) -> Template:
    """What is evaluated when a state is left: its variables and its output."""
    output = {_OUTPUT: fields["Output"]} if "Output" in fields else {}
    return Template({**fields.get("Assign", {}), **output}, memories)


class State:
    """A state with its fields compiled."""

    def __init__(self, name: str, fields: Mapping[str, Any], memories: Memories) -> None:
        self.name, self.type = name, fields["Type"]
        self.next: str | None = fields.get("Next")
        self.entering = Template({name: fields[name] for name in _ENTERING if name in fields}, memories)
        self.leaving = _leaving(fields, memories)
        self.resource = str(fields.get("Resource", "")).split(":::")[-1]
        self.timeout = float(fields.get("TimeoutSeconds", 99_999_999))
        self.concurrency = fields.get("MaxConcurrency", 0) or 40
        self.retriers: list[dict[str, Any]] = fields.get("Retry", [])
        self.catchers = [Branch(rule, memories) for rule in fields.get("Catch", [])]
        self.choices = [Branch(rule, memories) for rule in fields.get("Choices", [])]
        self.default: str | None = fields.get("Default")
        self.processor = StateMachine(fields["ItemProcessor"], memories) if "ItemProcessor" in fields else None
        known = {"Type", "Next", "End", "Output", "Assign", "Resource", "TimeoutSeconds", "MaxConcurrency", "Retry"}
        known |= {"Catch", "Choices", "Default", "ItemProcessor", "Comment", *_ENTERING}
        if left := fields.keys() - known:
            raise NotImplementedError(f"The simulation has no field {', '.join(left)}, as {name} has.")


class Branch:
    """A catcher, or a rule of a Choice."""

    def __init__(self, fields: Mapping[str, Any], memories: Memories) -> None:
        self.next: str = fields["Next"]
        self.errors: list[str] = fields.get("ErrorEquals", [])
        self.condition = Template({"Condition": fields.get("Condition", True)}, memories)
        self.leaving = _leaving(fields, memories)


class StateMachine:
    """A definition, or the processor of a Map, compiled."""

    def __init__(self, definition: Mapping[str, Any], memories: Memories | None = None) -> None:
        self.memories: Memories = {} if memories is None else memories
        self.start: str = definition["StartAt"]
        self.timeout = float(definition.get("TimeoutSeconds", 99_999_999))
        self.states = {name: State(name, fields, self.memories) for name, fields in definition["States"].items()}

    def parts(self) -> list[str]:
        """The names of what an execution can enter: states, catchers, retriers and the rules of Choices."""
        found = []
        for name, state in self.states.items():
            found.append(name)
            found += [f"{name} Retry {index}" for index, one in enumerate(state.retriers) if one.get("MaxAttempts", 3)]
            found += [f"{name} Catch {index}" for index in range(len(state.catchers))]
            found += [f"{name} Choice {index}" for index in range(len(state.choices))]
            found += [f"{name} Default"] if state.default else []
            found += state.processor.parts() if state.processor else []
        return found


@dataclass(eq=False)
class Execution:
    """An execution, as DescribeExecution shows it."""

    arn: str
    name: str
    input: str
    started: float
    job: Any
    status: str = "RUNNING"
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    stopped: float | None = None
    events: int = 1
    entered: list[str] = field(default_factory=list)
    """States and catchers, in order."""
    processes: list[Process] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return self.status == "RUNNING"


class Engine:
    """Runs the executions of one state machine."""

    def __init__(
        self,
        machine: StateMachine,
        arn: str,
        scheduler: Scheduler,
        choices: Choices,
        task: Task,
        on_end: Callable[[Execution], None],
    ) -> None:
        self.machine, self.arn = machine, arn
        self.executions: dict[str, Execution] = {}
        self.entered: Counter[str] = Counter()
        self.on_state: Callable[[Execution, str], None] | None = None
        self._scheduler, self._choices, self._task, self._on_end = scheduler, choices, task, on_end

    # --- Executions -------------------------------------------------------------------------------------------

    def start(self, name: str, document: str) -> Execution:
        """Starts an execution. The caller has seen to it that the name is new."""
        arn = f"{self.arn.replace(':stateMachine:', ':execution:')}:{name}"
        execution = Execution(arn, name, document, self._scheduler.now, json.loads(document))
        self.executions[arn] = execution
        execution.processes.append(self._scheduler.spawn(name, lambda: self._run(execution)))
        self._scheduler.after(self.machine.timeout, lambda: self.stop(execution, "TIMED_OUT", "States.Timeout"))
        return execution

    def stop(self, execution: Execution, status: str, error: str | None = None, cause: str | None = None) -> None:
        """Ends an execution where it is, if it is running. What it has asked for still happens."""
        if execution.is_running:
            self._end(execution, status, error=error, cause=cause)
            for process in execution.processes:
                process.kill()

    def _run(self, execution: Execution) -> None:
        context = Value({"Execution": {"Id": execution.arn, "StartTime": iso(execution.started)}})
        try:
            output = self._run_states(execution, self.machine, Value(execution.job), {}, context)
        except StateError as error:
            self._end(execution, "FAILED", error=error.name, cause=error.cause)
        else:
            self._end(execution, "SUCCEEDED", output=output.text)

    def _end(self, execution: Execution, status: str, **outcome: str | None) -> None:
        execution.status, execution.stopped = status, self._scheduler.now
        for name, value in outcome.items():
            setattr(execution, name, value)
        self._on_end(execution)

    # --- States -----------------------------------------------------------------------------------------------

    def _run_states(
        self, execution: Execution, machine: StateMachine, given: Value, variables: Variables, context: Value
    ) -> Value:
        """Runs the states from the first to an end, and returns the output of the last."""
        name: str | None = machine.start
        while name is not None:
            state = machine.states[name]
            self.entered[name] += 1
            execution.entered.append(name)
            if self.on_state:
                self.on_state(execution, name)
            self._count(execution, 2)
            known = {"input": given, "context": context}
            given, name = self._run_state(execution, state, known, variables)
        return given

    def _run_state(
        self, execution: Execution, state: State, known: dict[str, Value], variables: Variables
    ) -> tuple[Value, str | None]:
        """The output of a state, and the name of the next one. It assigns to ``variables``."""
        if state.type in ("Task", "Map"):
            return self._run_with_errors(execution, state, known, variables)
        if state.type == "Fail":
            texts = _evaluated(state.entering, self._scope(known, variables))
            raise StateError(*(texts[name].content if name in texts else "" for name in ("Error", "Cause")))
        if state.type == "Choice":
            return self._choose(state, known, variables)
        if state.type == "Wait":
            self._scheduler.sleep(_evaluated(state.entering, self._scope(known, variables))["Seconds"].content)
        elif state.type not in ("Pass", "Succeed"):
            raise NotImplementedError(f"The simulation has no state of type {state.type}.")
        return self._leave(state, known["input"], known, variables), state.next

    def _choose(self, state: State, known: dict[str, Value], variables: Variables) -> tuple[Value, str | None]:
        scope = self._scope(known, variables)
        for index, rule in enumerate(state.choices):
            if _evaluated(rule.condition, scope)["Condition"].content is True:
                self.entered[f"{state.name} Choice {index}"] += 1
                return self._leave(rule, known["input"], known, variables), rule.next
        if state.default is None:
            raise StateError("States.NoChoiceMatched", state.name)
        self.entered[f"{state.name} Default"] += 1
        return self._leave(state, known["input"], known, variables), state.default

    def _leave(self, state: State | Branch, default: Value, known: dict[str, Value], variables: Variables) -> Value:
        """The output of a state. ``Assign`` and ``Output`` both see the variables as they were before."""
        found = _evaluated(state.leaving, self._scope(known, variables))
        # "Quotas": the variables that one state assigns have 256 KiB together.
        if sum(value.max_length for value in found.values()) > MAX_PAYLOAD_BYTES // 4:
            _limit_all(found)
        variables.update(found)
        return variables.pop(_OUTPUT, default)

    def _scope(self, known: dict[str, Value], variables: Variables) -> Scope:
        return Scope(variables, known, self._scheduler.now)

    # --- Tasks and Maps, which may fail -----------------------------------------------------------------------

    def _run_with_errors(
        self, execution: Execution, state: State, known: dict[str, Value], variables: Variables
    ) -> tuple[Value, str | None]:
        tried = [0] * len(state.retriers)
        run = self._run_task if state.type == "Task" else self._run_map
        while True:
            try:
                result = run(execution, state, known, variables)
                return self._leave(state, result, {**known, "result": result}, variables), state.next
            except StateError as error:
                if not self._wait_for_retry(state, error, tried):
                    return self._catch(execution, state, error, known, variables)

    def _wait_for_retry(self, state: State, error: StateError, tried: list[int]) -> bool:
        """Waits, and returns True, if the first retrier that matches the error has an attempt left."""
        for index, retrier in enumerate(state.retriers):
            if _matches(error, retrier["ErrorEquals"]):
                if tried[index] >= retrier.get("MaxAttempts", 3):
                    return False
                delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** tried[index]
                delay = min(delay, retrier.get("MaxDelaySeconds", delay))
                if retrier.get("JitterStrategy") == "FULL":
                    delay *= self._choices.one_of("jitter", _JITTER_STEPS) / (_JITTER_STEPS - 1)
                tried[index] += 1
                self.entered[f"{state.name} Retry {index}"] += 1
                self._scheduler.sleep(delay)
                return True
        return False

    def _catch(
        self, execution: Execution, state: State, error: StateError, known: dict[str, Value], variables: Variables
    ) -> tuple[Value, str | None]:
        for index, catcher in enumerate(state.catchers):
            if _matches(error, catcher.errors):
                self.entered[f"{state.name} Catch {index}"] += 1
                execution.entered.append(f"{state.name} Catch {index}")
                output = Value({"Error": error.name, "Cause": error.cause})
                return self._leave(catcher, output, {**known, "errorOutput": output}, variables), catcher.next
        raise error

    def _run_task(self, execution: Execution, state: State, known: dict[str, Value], variables: Variables) -> Value:
        self._count(execution, 3)
        arguments = _evaluated(state.entering, self._scope(known, variables)).get("Arguments", _NO_ARGUMENTS)
        _limit(arguments)
        result = Value(self._task(execution, state.resource, arguments.content, state.timeout))
        _limit(result)
        return result

    def _run_map(self, execution: Execution, state: State, known: dict[str, Value], variables: Variables) -> Value:
        self._count(execution, 2)
        items = _evaluated(state.entering, self._scope(known, variables))["Items"].content
        if not isinstance(items, list):
            raise StateError("States.QueryEvaluationError", f"Items of {state.name} is not an array.")
        results: list[Any] = [None] * len(items)
        failed: list[StateError] = []
        waiting, started = iter(range(len(items))), list[Process]()
        everybody = self._scheduler.gate()

        def iterate(index: int) -> None:
            self._count(execution, 2)
            try:
                output = self._run_states(execution, _of(state), Value(items[index]), dict(variables), known["context"])
                results[index] = output.content
            except StateError as error:
                failed.append(error)

        def begin_next() -> None:
            # An iteration that ends because the execution was stopped makes room for none.
            index = next(waiting, None) if execution.is_running else None
            if index is not None and not failed:
                process = self._scheduler.spawn(f"{execution.name}[{index}]", lambda: iterate(index))
                process.on_end.append(begin_next)
                started.append(process)
                execution.processes.append(process)
            elif failed or all(process.is_over for process in started):
                everybody.open()

        for _ in range(min(state.concurrency, len(items))):
            begin_next()
        if items:
            everybody.wait()
        for process in started:
            process.kill()
        if failed:
            raise failed[0]
        result = Value(results)
        _limit(result)
        return result

    # --- Limits -----------------------------------------------------------------------------------------------

    def _count(self, execution: Execution, events: int) -> None:
        execution.events += events
        if execution.events > MAX_EVENTS:
            raise StateError(
                "States.Runtime", f"The execution reached the maximum number of history events ({MAX_EVENTS})"
            )


def _limit(value: Value) -> None:
    # No character has more than four bytes.
    if value.max_length > MAX_PAYLOAD_BYTES // 4 and (size := len(value.text.encode())) > MAX_PAYLOAD_BYTES:
        raise StateError("States.DataLimitExceeded", f"A payload has {size} bytes.")


def _limit_all(found: Mapping[str, Value]) -> None:
    for value in found.values():
        _limit(value)
    if sum(len(value.text) for name, value in found.items() if name != _OUTPUT) > MAX_PAYLOAD_BYTES:
        raise StateError("States.DataLimitExceeded", "Together, the variables have more than 256 KiB.")


def _of(state: State) -> StateMachine:
    assert state.processor is not None
    return state.processor


def _evaluated(template: Template, scope: Scope) -> Mapping[str, Value]:
    try:
        return template.values(scope)
    except QueryEvaluationError as error:
        raise StateError("States.QueryEvaluationError", str(error)) from error


def _matches(error: StateError, names: list[str]) -> bool:
    """True if a retrier or catcher of ``names`` matches the error."""
    if error.name in names:
        return True
    if "States.ALL" in names:
        return error.name not in _NEVER_CAUGHT
    return "States.TaskFailed" in names and error.name not in (*_NEVER_CAUGHT, "States.Timeout")
