"""The emulator's process: MiniStack, with its DynamoDB writes in a row, and with time for its expressions.

MiniStack answers requests one after the other, but a state machine's DynamoDB Tasks run in threads beside them. A write
there is a read, a change and a write back, so of two at once one is lost, which never happens on AWS (docs/engines.md).

It also gives up on an expression after a second by the clock, which on a busy machine is no sign of an endless one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from ministack.app import main
from ministack.services import dynamodb, stepfunctions

# What reads items to write them back.
WRITES = ("_put_item", "_update_item", "_delete_item", "_batch_write_item", "_transact_write_items")

# Milliseconds. An expression of this program takes some tens of them.
EVALUATION_LIMIT = 60_000

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


if __name__ == "__main__":
    for name in WRITES:
        setattr(dynamodb, name, _in_turn(getattr(dynamodb, name)))
    stepfunctions.jsonata.Jsonata.jsonata = staticmethod(_with_time(stepfunctions.jsonata.Jsonata.jsonata))
    main()
