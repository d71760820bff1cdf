"""The emulator's process: MiniStack with five changes, because of what MiniStack does without them.

- DynamoDB writes run one after the other. MiniStack answers requests in turn, but runs a state machine's DynamoDB Tasks
  in threads beside them. A write reads, changes and writes back, so of two at once it loses one (docs/engines.md).
- An expression may take a minute. MiniStack stops it after a second, which a busy machine needs for a correct one.
- An expression is parsed once. MiniStack parses it at each evaluation, which takes longer than to evaluate it.
- The event of a call that is scheduled has the call's parameters, as on AWS. MiniStack leaves them out.
- 32 executions run at once. MiniStack runs all, and thousands of threads of one process have a tenth of the speed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import lru_cache, wraps
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ministack.app import main
from ministack.services import dynamodb, stepfunctions

from filecopy.embedded.emulator import ENDS_WITH

Parser = stepfunctions.jsonata.parser.Parser

# The functions that read items to write them back.
WRITES = ("_put_item", "_update_item", "_delete_item", "_batch_write_item", "_transact_write_items")

# Milliseconds. An expression of this program takes some tens of them.
EVALUATION_LIMIT = 60_000

# The rest have the status RUNNING, as on AWS, and have entered no state yet.
EXECUTIONS_AT_ONCE = 32

# The state machine has about a hundred expressions. Tests add some with other names of tables and topics.
EXPRESSIONS_KEPT = 2_000

_turn = threading.RLock()


def _in_turn(write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def wait_for_turn(*arguments: Any, **options: Any) -> Any:
        with _turn:
            return write(*arguments, **options)

    return wait_for_turn


def _with_time(compile_expression: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(compile_expression)
    def compile_with_time(expression: str, **_limits: Any) -> Any:
        return compile_expression(expression, timeout=EVALUATION_LIMIT)

    return compile_with_time


def parsed_once(parse: Callable[..., Any]) -> Callable[..., Any]:
    """Make ``Parser.parse`` return the same syntax tree for the same expression.

    An evaluation reads the tree and does not change it: closures are new objects, and variables live in frames. Each
    tree has a parser of its own, because a parser keeps the state of what it parsed last.
    """

    @lru_cache(EXPRESSIONS_KEPT)
    def tree_of(*arguments: Any) -> Any:
        return parse(Parser(), *arguments)

    @wraps(parse)
    def parse_once(_parser: Any, *arguments: Any) -> Any:
        return tree_of(*arguments)

    return parse_once


def with_parameters(
    evaluate: Callable[..., Any], add_event: Callable[..., Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Make the event that follows on the evaluation of a call's arguments have them as its parameters."""
    latest = threading.local()

    @wraps(evaluate)
    def evaluate_and_keep(*arguments: Any, **options: Any) -> Any:
        latest.parameters = evaluate(*arguments, **options)
        return latest.parameters

    @wraps(add_event)
    def add_with_parameters(execution: Any, kind: str, details: Any = None) -> Any:
        if kind == "TaskScheduled" and hasattr(latest, "parameters"):
            details["taskScheduledEventDetails"]["parameters"] = json.dumps(latest.parameters)
            del latest.parameters
        return add_event(execution, kind, details)

    return evaluate_and_keep, add_with_parameters


def in_workers(run: Callable[[str], None], workers: int) -> Callable[[str], None]:
    """Make ``run`` return at once: ``workers`` threads do what it did, in the order of the calls."""
    waiting: SimpleQueue[tuple[Context, str]] = SimpleQueue()

    def work() -> None:
        while True:
            # No error comes out: ``run`` makes it the execution's result.
            context, execution_arn = waiting.get()
            context.run(run, execution_arn)

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    return lambda execution_arn: waiting.put((copy_context(), execution_arn))


def end_with(owner: int, folder: Path) -> None:
    """End this process group as soon as the process ``owner`` has ended, however it ended, and remove ``folder``."""

    def wait() -> None:
        _wait_for_the_end_of(owner)
        # A function may write a file meanwhile.
        for _ in range(100):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
        with contextlib.suppress(OSError):
            # The folder of all stacks goes with the last of them.
            folder.parent.rmdir()
        # The signal ends this process, too.
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _wait_for_the_end_of(pid: int) -> None:
    try:
        if sys.platform == "linux":
            descriptor = os.pidfd_open(pid)
            select.select([descriptor], [], [])
        else:
            while True:
                os.kill(pid, 0)
                threading.Event().wait(1)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    # Functions inherit the environment, and need not know.
    if ended_by := os.environ.pop(ENDS_WITH, None):
        end_with(int(ended_by), Path.cwd())
    for name in WRITES:
        setattr(dynamodb, name, _in_turn(getattr(dynamodb, name)))
    stepfunctions.jsonata.Jsonata.jsonata = staticmethod(_with_time(stepfunctions.jsonata.Jsonata.jsonata))
    Parser.parse = parsed_once(Parser.parse)
    stepfunctions._apply_jsonata_arguments, stepfunctions._add_event = with_parameters(
        stepfunctions._apply_jsonata_arguments, stepfunctions._add_event
    )
    stepfunctions._run_execution = in_workers(stepfunctions._run_execution, EXECUTIONS_AT_ONCE)
    main()
