"""Document paths of DynamoDB: ``a.b[0].#c``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .values import Value, invalid

Path = tuple[str | int, ...]
Item = dict[str, Value]

_NO_SUCH_PATH = "The document path provided in the update expression is invalid for update"


def get(item: Mapping[str, Value], path: Path) -> Value | None:
    """The value at the path; ``None`` if there is none."""
    found = item.get(path[0])  # type: ignore[arg-type] # a path begins with a name
    for step in path[1:]:
        if found is None:
            return None
        found = _member(found, step)
    return found


def _member(value: Value, step: str | int) -> Value | None:
    if isinstance(step, str):
        members: dict[str, Value] = value.get("M", {})
        return members.get(step)
    elements: list[Value] = value.get("L", [])
    return elements[step] if step < len(elements) else None


def put(item: Item, path: Path, value: Value) -> Item:
    """A copy of the item with another value at the path. A position beyond the end of a list is its end."""
    return _changed_map(item, path, value)


def remove(item: Item, path: Path) -> Item:
    """A copy of the item without the value at the path."""
    return _changed_map(item, path, None)


def _changed_map(members: dict[str, Value], path: Path, value: Value | None) -> dict[str, Value]:
    name, rest = str(path[0]), path[1:]
    changed = dict(members)
    if rest:
        changed[name] = _changed(members.get(name), rest, value)
    elif value is None:
        changed.pop(name, None)
    else:
        changed[name] = value
    return changed


def _changed(parent: Value | None, path: Path, value: Value | None) -> Value:
    step, rest = path[0], path[1:]
    if parent is not None and isinstance(step, str) and "M" in parent:
        return {"M": _changed_map(parent["M"], path, value)}
    if parent is None or "L" not in parent or isinstance(step, str):
        raise invalid(_NO_SUCH_PATH)
    elements = list(parent["L"])
    if rest:
        inner = elements[step] if step < len(elements) else None
        elements[step : step + 1] = [_changed(inner, rest, value)]
    else:
        elements[step : step + 1] = [] if value is None else [value]
    return {"L": elements}


def project(item: Mapping[str, Value], paths: Iterable[Path]) -> Item:
    """The parts of an item at the paths. Elements of a list move together."""
    tree: dict[str | int, Any] = {}
    for path in paths:
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
    found = {str(name): _projected(item[str(name)], branch) for name, branch in tree.items() if name in item}
    return {name: value for name, value in found.items() if value is not None}


def _projected(value: Value, branch: Mapping[str | int, Any]) -> Value | None:
    if not branch:
        return value
    if "M" in value:
        members = {name: _projected(value["M"][name], inner) for name, inner in branch.items() if name in value["M"]}
        kept = {name: inner for name, inner in members.items() if inner is not None}
        return {"M": kept} if kept else None
    if "L" in value:
        numbers = sorted(step for step in branch if isinstance(step, int) and step < len(value["L"]))
        elements = [_projected(value["L"][step], branch[step]) for step in numbers]
        present = [element for element in elements if element is not None]
        return {"L": present} if present else None
    return None


def overlapping(paths: Iterable[Path]) -> tuple[Path, Path] | None:
    """Two paths of which one begins with the other."""
    seen: list[Path] = []
    for path in paths:
        for other in seen:
            shorter = min(len(path), len(other))
            if path[:shorter] == other[:shorter]:
                return other, path
        seen.append(path)
    return None


def shown(path: Path) -> str:
    return "[" + ", ".join(f"[{step}]" if isinstance(step, int) else step for step in path) + "]"
