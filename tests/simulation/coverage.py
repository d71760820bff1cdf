"""Which branches of handlers/ the histories enter, and how often."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from components.handler_function import HANDLERS

# build-worker has no part in a file's way: it fetches a build from a web server.
_LEFT_OUT = ("build_worker", "__init__")

Branch = tuple[str, int]
"""A module of handlers/, and the line of the first statement."""

entered: Counter[Branch] = Counter()
"""In this process, since :func:`watch` was called for the first time."""


@cache
def branches() -> frozenset[Branch]:
    """Every branch of every statement that has some, and of every function."""
    return frozenset(
        (path.stem, line)
        for path in HANDLERS.glob("*.py")
        if path.stem not in _LEFT_OUT
        for line in _beginnings(ast.parse(path.read_text(encoding="utf-8")))
    )


def _beginnings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.For | ast.While):
            yield node.body[0].lineno
            if node.orelse:
                yield node.orelse[0].lineno
        elif isinstance(node, ast.ExceptHandler | ast.match_case):
            yield node.body[0].lineno


def watch() -> None:
    """Counts the branches that the greenlet which runs now enters."""
    sys.settrace(_on_call)


def source_line(branch: Branch) -> str:
    name, line = branch
    return (HANDLERS / f"{name}.py").read_text(encoding="utf-8").splitlines()[line - 1].strip()


_FOLDER = str(HANDLERS)


def _on_call(frame: FrameType, _event: str, _argument: object) -> Any:
    return _on_line if frame.f_code.co_filename.startswith(_FOLDER) else None


@cache
def _wanted(filename: str, line: int) -> Branch | None:
    branch = Path(filename).stem, line
    return branch if branch in branches() else None


def _on_line(frame: FrameType, event: str, _argument: object) -> Any:
    if event == "line" and (branch := _wanted(frame.f_code.co_filename, frame.f_lineno)):
        entered[branch] += 1
    return _on_line
