"""Executions do what the Step Functions developer guide says of errors, variables, Maps and limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .choices import Choices
from .jsonata import Scope, Template, Value
from .scheduler import START, Scheduler
from .stepfunctions import MAX_PAYLOAD_BYTES, Engine, Execution, StateError, StateMachine

Json = dict[str, Any]
Answer = Callable[[Any], Any]

TASK: Json = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}
CAUGHT: Json = {"Type": "Pass", "Output": "caught", "End": True}
ALL: Json = {"ErrorEquals": ["States.ALL"], "Next": "Caught"}


class Run:
    """An execution of some states, the first of which is ``First``, and the times at which its Tasks were called."""

    def __init__(self, first: Json, answer: Answer = lambda _: None, **states: Json) -> None:
        self.scheduler, self.times = Scheduler(), list[float]()
        definition = {"StartAt": "First", "TimeoutSeconds": 10_000, "States": {"First": first, **states}}

        def task(_execution: Execution, _resource: str, arguments: Any, _timeout: float) -> Any:
            self.times.append(self.scheduler.now - START)
            return answer(arguments)

        arn = "arn:aws:states:us-east-1:000000000000:stateMachine:machine"
        engine = Engine(StateMachine(definition), arn, self.scheduler, Choices(0), task, lambda _: None)
        self.execution = engine.start("name", '"input"')
        self.scheduler.run()

    @property
    def end(self) -> tuple[str, str | None]:
        """The status, and the output or the error."""
        return self.execution.status, self.execution.output or self.execution.error


def failing(*names: str) -> Answer:
    """Fails with these errors, one after the other."""
    left = iter(names)

    def answer(_: Any) -> Any:
        if (name := next(left, None)) is not None:
            raise StateError(name, "why")
        return "done"

    return answer


def retrier(*errors: str, **fields: Any) -> Json:
    return {"ErrorEquals": list(errors), "IntervalSeconds": 1, **fields}


def test_the_first_retrier_that_matches_decides_and_each_counts_its_own_attempts() -> None:
    retry = [retrier("A", MaxAttempts=1), retrier("States.ALL", MaxAttempts=2, IntervalSeconds=10, BackoffRate=3)]
    run = Run({**TASK, "Retry": retry}, failing("A", "B", "B"))
    assert run.end == ("SUCCEEDED", '"done"')
    assert run.times == [0, 1, 11, 41]
    assert Run({**TASK, "Retry": retry}, failing("A", "A")).end == ("FAILED", "A")


def test_no_attempts_mean_no_retry_and_the_error_is_caught() -> None:
    retry = [retrier("A", MaxAttempts=0), retrier("States.ALL")]
    run = Run({**TASK, "Retry": retry, "Catch": [ALL]}, failing("A"), Caught=CAUGHT)
    assert (run.end, run.times) == (("SUCCEEDED", '"caught"'), [0])


def test_delays_have_a_limit_and_full_jitter_shortens_them() -> None:
    fields = {"MaxAttempts": 8, "BackoffRate": 2.0, "MaxDelaySeconds": 5}
    run = Run({**TASK, "Retry": [retrier("States.ALL", **fields)]}, failing(*"AAAAAAAA"))
    waits = [later - earlier for earlier, later in zip(run.times, run.times[1:], strict=False)]
    assert waits == [1, 2, 4, 5, 5, 5, 5, 5]
    jitter = Run({**TASK, "Retry": [retrier("States.ALL", **fields, JitterStrategy="FULL")]}, failing(*"AAAAAAAA"))
    shorter = [later - earlier for earlier, later in zip(jitter.times, jitter.times[1:], strict=False)]
    assert shorter != waits
    assert all(0 <= wait <= longest for wait, longest in zip(shorter, waits, strict=True))


@pytest.mark.parametrize(
    ("error", "names", "is_caught"),
    [
        ("A", ["States.ALL"], True),
        ("States.Timeout", ["States.ALL"], True),
        ("States.QueryEvaluationError", ["States.ALL"], True),
        ("States.DataLimitExceeded", ["States.ALL"], False),
        ("States.Runtime", ["States.ALL"], False),
        ("A", ["States.TaskFailed"], True),
        ("States.Timeout", ["States.TaskFailed"], False),
    ],
)
def test_what_wildcards_catch(error: str, names: list[str], is_caught: bool) -> None:
    catch = [{"ErrorEquals": names, "Next": "Caught"}]
    run = Run({**TASK, "Catch": catch}, failing(error), Caught=CAUGHT)
    assert run.end == (("SUCCEEDED", '"caught"') if is_caught else ("FAILED", error))


def test_an_expression_without_a_value_is_an_error_of_its_state() -> None:
    assert Run({**TASK, "Output": "{% $states.result.missing %}"}).end == ("FAILED", "States.QueryEvaluationError")
    run = Run({**TASK, "Output": "{% $states.result.missing %}", "Catch": [ALL]}, Caught=CAUGHT)
    assert run.end == ("SUCCEEDED", '"caught"')


def test_a_state_sees_the_variables_as_they_were_when_it_began() -> None:
    first = {"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "Second"}
    second = {"Type": "Pass", "Assign": {"a": "{% $b %}", "b": "{% $a %}"}, "Output": "{% $a %}", "Next": "Third"}
    third = {"Type": "Pass", "Output": "{% [$states.input, $a, $b] %}", "End": True}
    assert Run(first, Second=second, Third=third).end == ("SUCCEEDED", "[1, 2, 1]")


def map_of(processor: Json, **fields: Any) -> Json:
    states = {"StartAt": "Inner", "States": {"Inner": processor, "Last": {"Type": "Pass", "End": True}}}
    return {"Type": "Map", "Items": [1, 2, 3], "ItemProcessor": states, "End": True, **fields}


def test_iterations_read_the_variables_around_them_and_change_only_their_own() -> None:
    first = {"Type": "Pass", "Assign": {"a": 10}, "Next": "Map"}
    inner = {"Type": "Pass", "Assign": {"own": "{% $states.input %}"}, "Output": "{% $states.input + $a %}"}
    done = map_of({**inner, "Next": "Last"}, Assign={"a": "{% $a + 1 %}"}, Next="End")
    del done["End"]
    end = {"Type": "Pass", "Output": "{% [$states.input, $a, $exists($own)] %}", "End": True}
    assert Run(first, Map=done, End=end).end == ("SUCCEEDED", "[11, 12, 13, 11, false]")


def test_an_iteration_that_fails_ends_the_map_and_the_other_iterations() -> None:
    def answer(arguments: Any) -> Any:
        if arguments == 1:
            raise StateError("A", "why")

    inner = {**TASK, "Arguments": "{% $states.input %}"}
    run = Run(map_of(inner, MaxConcurrency=1), answer)
    assert (run.end, len(run.times)) == (("FAILED", "A"), 1)
    caught = Run(map_of(inner, Catch=[ALL]), answer, Caught=CAUGHT)
    assert caught.end == ("SUCCEEDED", '"caught"')


def test_a_map_of_no_items_has_no_results() -> None:
    assert Run(map_of(TASK, Items=[])).end == ("SUCCEEDED", "[]")


def test_limits_of_payloads_and_of_the_variables_of_a_state() -> None:
    text = "x" * (MAX_PAYLOAD_BYTES - 2)
    done: Json = {"Type": "Pass", "End": True}
    assert Run({**done, "Output": text}).end[0] == "SUCCEEDED"
    assert Run({**done, "Output": text + "x"}).end == ("FAILED", "States.DataLimitExceeded")
    assert Run({**TASK, "Catch": [ALL]}, lambda _: text + "x", Caught=CAUGHT).end[0] == "FAILED"
    half = "x" * (MAX_PAYLOAD_BYTES // 2 - 2)
    assert Run({**done, "Assign": {"a": half, "b": half}}).end[0] == "SUCCEEDED"
    assert Run({**done, "Assign": {"a": half, "b": half + "x"}}).end == ("FAILED", "States.DataLimitExceeded")


def test_a_history_has_25000_events_at_most() -> None:
    first = {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "First"}], "Default": "First"}
    run = Run(first)
    assert (run.end, run.execution.events) == (("FAILED", "States.Runtime"), 25_001)


def test_an_execution_that_takes_too_long_times_out() -> None:
    wait = {"Type": "Wait", "Seconds": 4_000, "Next": "First"}
    run = Run(wait)
    assert run.end == ("TIMED_OUT", "States.Timeout")
    assert run.scheduler.now - START >= 10_000


def test_a_time_is_compared_with_the_clock_of_each_evaluation() -> None:
    """Also if the values that the same time gave before are remembered."""
    later = "{% $until > $floor($millis() / 1000) ? $until : $floor($millis() / 1000) %}"
    template = Template({"End": later}, {})
    until = int(START) + 5

    def end(seconds: float) -> int:
        scope = Scope({"until": Value(until)}, {}, START + seconds)
        return int(template.values(scope)["End"].content)

    assert [end(seconds) - int(START) for seconds in (*[0.0] * 5, 4.9, 5.0, 7.5, 3.0)] == [*[5] * 7, 7, 5]
