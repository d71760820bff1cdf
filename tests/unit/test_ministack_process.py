"""filecopy/embedded/ministack_process.py: the changes to MiniStack."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from enum import Enum
from queue import Queue
from typing import Any

import pytest
from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.parser import Parser

from filecopy.embedded.ministack_process import in_workers, parsed_once, with_parameters

from . import test_expressions

SECONDS = 30

account: ContextVar[str] = ContextVar("account")


def test_executions_wait_for_those_before_them() -> None:
    """Only so many run at once, the next in turn as soon as one has ended, each in the account that started it."""
    began: Queue[tuple[str, str]] = Queue()
    ends = {name: threading.Event() for name in "abcd"}

    def run(name: str) -> None:
        began.put((name, account.get()))
        ends[name].wait(SECONDS)

    start = in_workers(run, 2)
    for name in ends:
        account.set(f"account of {name}")
        start(name)
    account.set("another")
    under_way = {began.get(timeout=SECONDS) for _ in range(2)}
    assert under_way == {("a", "account of a"), ("b", "account of b")}
    for ended, next_one in (("b", "c"), ("a", "d")):
        assert began.empty()
        ends[ended].set()
        assert began.get(timeout=SECONDS) == (next_one, f"account of {next_one}")
    for name in "cd":
        ends[name].set()


def test_a_call_has_its_own_parameters() -> None:
    """The event of a call that is scheduled has the arguments that its thread has evaluated, as JSON, and no other
    event has them."""
    added: Queue[tuple[str, Any]] = Queue()
    both = threading.Barrier(2)
    evaluate, add = with_parameters(
        lambda state, _input: {"Bucket": state}, lambda execution, _kind, details: added.put((execution, details))
    )

    def call(name: str) -> None:
        evaluate(f"to {name}", None)
        both.wait(SECONDS)
        for kind in ("TaskScheduled", "TaskSucceeded", "TaskScheduled"):
            add(name, kind, {"taskScheduledEventDetails": {"resource": kind}})

    threads = [threading.Thread(target=call, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    events = [added.get(timeout=SECONDS) for _ in range(6)]
    for name in "ab":
        found = [details["taskScheduledEventDetails"].get("parameters") for owner, details in events if owner == name]
        assert found == [f'{{"Bucket": "to {name}"}}', None, None]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The expressions that were really parsed since expressions are parsed once."""
    parse, seen = Parser.parse, []

    def recorded(parser: Parser, expression: str, *arguments: Any) -> Any:
        seen.append(expression)
        return parse(parser, expression, *arguments)

    monkeypatch.setattr(Parser, "parse", parsed_once(recorded))
    return seen


def expressions_in(value: Any) -> Iterator[str]:
    """Every JSONata expression of a definition."""
    if isinstance(value, str) and value.startswith("{%"):
        yield value.removeprefix("{%").removesuffix("%}").strip()
    elif isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from expressions_in(member)


def shape_of(node: Any, seen: tuple[int, ...] = ()) -> Any:
    """A syntax tree as plain values, which can be compared."""
    if isinstance(node, list):
        return [shape_of(member, seen) for member in node]
    if not isinstance(node, Parser.Symbol):
        return node.value if isinstance(node, Enum) else repr(node)
    if id(node) in seen:
        return "above"
    members = {name: value for name, value in vars(node).items() if name != "_outer_instance"}
    return {name: shape_of(value, (*seen, id(node))) for name, value in members.items()}


def test_an_expression_is_parsed_once(parsed: list[str]) -> None:
    """The values are those of each evaluation; the syntax tree is that of the first, in every thread."""
    expression = "($double := function($x) { $x * 2 }; [$map($numbers, $double)])"
    values: Queue[Any] = Queue()

    def evaluate(numbers: list[int]) -> None:
        values.put(Jsonata.jsonata(expression).evaluate(None, {"numbers": numbers}))

    evaluate([1, 2])
    evaluate([5])
    thread = threading.Thread(target=evaluate, args=([7, 8, 9],))
    thread.start()
    thread.join(SECONDS)
    assert [values.get(timeout=SECONDS) for _ in range(3)] == [[2, 4], [10], [14, 16, 18]]
    assert parsed == [expression]


def test_an_expression_that_cannot_be_parsed_fails_each_time(parsed: list[str]) -> None:
    """An error is not kept as if it were a syntax tree."""
    for _ in range(2):
        with pytest.raises(JException):
            Jsonata.jsonata("1 +")
    assert parsed == ["1 +"] * 2


@pytest.mark.usefixtures("parsed")
def test_an_evaluation_changes_no_syntax_tree() -> None:
    """Each expression of the definition has the same syntax tree after its evaluation, whether that fails or not."""
    expressions = sorted({*expressions_in(test_expressions.STATES)})
    assert len(expressions) > 50
    job = {**test_expressions.JOB, "destinationBuckets": ["near-builds", "far-builds"]}
    states = {"input": job, "result": {"ETag": '"e"', "ContentLength": 5}, "context": {"Execution": {"Input": job}}}
    variables = {
        "states": states,
        "job": job,
        "problem": test_expressions.NO_PROBLEM,
        "executionId": test_expressions.EXECUTION,
    }
    evaluated = 0
    for expression in expressions:
        tree = Jsonata.jsonata(expression).ast
        before = shape_of(tree)
        for _ in range(2):
            with contextlib.suppress(JException, TypeError, ValueError):
                Jsonata.jsonata(expression).evaluate(None, variables)
                evaluated += 1
        assert Jsonata.jsonata(expression).ast is tree
        assert shape_of(tree) == before, expression
    assert evaluated > len(expressions)
