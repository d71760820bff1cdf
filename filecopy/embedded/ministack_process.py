"""The emulator's process: MiniStack, with its DynamoDB writes in a row, and with time for its expressions.

MiniStack answers requests one after the other, but a state machine's DynamoDB Tasks run in threads beside them. A write
there is a read, a change and a write back, so of two at once one is lost, which never happens on AWS (docs/engines.md).

It also gives up on an expression after a second by the clock, which on a busy machine is no sign of an endless one; and
it runs all executions at once, however many, which thousands of threads of one process do at a tenth of their speed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import wraps
from queue import SimpleQueue
from typing import Any

from ministack.app import main
from ministack.services import dynamodb, stepfunctions

# What reads items to write them back.
WRITES = ("_put_item", "_update_item", "_delete_item", "_batch_write_item", "_transact_write_items")

# Milliseconds. An expression of this program takes some tens of them.
EVALUATION_LIMIT = 60_000

# The rest are RUNNING, as they are on AWS, and have passed no state yet.
EXECUTIONS_AT_ONCE = 32

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


def in_workers(run: Callable[[str], None], workers: int) -> Callable[[str], None]:
    """What has ``run`` called in one of so many threads, in the order of the calls, and does not wait for it."""
    waiting: SimpleQueue[tuple[Context, str]] = SimpleQueue()

    def work() -> None:
        while True:
            # What goes wrong in an execution, ``run`` makes its result.
            context, execution_arn = waiting.get()
            context.run(run, execution_arn)

    for _ in range(workers):
        threading.Thread(target=work, daemon=True).start()
    return lambda execution_arn: waiting.put((copy_context(), execution_arn))


if __name__ == "__main__":
    for name in WRITES:
        setattr(dynamodb, name, _in_turn(getattr(dynamodb, name)))
    stepfunctions.jsonata.Jsonata.jsonata = staticmethod(_with_time(stepfunctions.jsonata.Jsonata.jsonata))
    stepfunctions._run_execution = in_workers(stepfunctions._run_execution, EXECUTIONS_AT_ONCE)
    main()
