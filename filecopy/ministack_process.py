"""The emulator's process: MiniStack, with its DynamoDB writes in a row.

MiniStack answers requests one after the other, but a state machine's DynamoDB Tasks run in threads beside them. A write
there is a read, a change and a write back, so of two at once one is lost, which never happens on AWS (docs/engines.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from ministack.app import main
from ministack.services import dynamodb

# What reads items to write them back.
WRITES = ("_put_item", "_update_item", "_delete_item", "_batch_write_item", "_transact_write_items")

_turn = threading.RLock()


def _in_turn(write: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(write)
    def wait_for_turn(*arguments: Any, **options: Any) -> Any:
        with _turn:
            return write(*arguments, **options)

    return wait_for_turn


if __name__ == "__main__":
    for name in WRITES:
        setattr(dynamodb, name, _in_turn(getattr(dynamodb, name)))
    main()
