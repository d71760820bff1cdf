"""The state machine as a Mermaid flowchart, for a document."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from filecopy.executions.states import CATCH, Definition, Edge, Graph, Node, graph
from handlers.text import printable

INDENT = "    "


def mermaid(definition: Definition) -> str:
    """Draw ``definition``. Transitions after an error are dashed; the inside of a Map is a subgraph."""
    machine = graph(definition)
    ids = {node.name: f"s{index}" for index, node in enumerate(machine.nodes)}
    lines = [
        "flowchart TD",
        *_states(machine, ids, None, INDENT),
        f"{INDENT}start((start)) --> {ids[machine.starts[None]]}",
        *(f"{INDENT}{_transition(edge, ids)}" for edge in machine.edges),
    ]
    return "\n".join(lines) + "\n"


def _states(machine: Graph, ids: Mapping[str, str], group: str | None, indent: str) -> Iterator[str]:
    """Draw the states of a group: those of a Map, or with None those outside of all Maps."""
    for node in machine.nodes:
        if node.group != group:
            continue
        if node.name in machine.starts:
            yield f'{indent}subgraph {ids[node.name]}["{_text(node.name)}"]'
            yield from _states(machine, ids, node.name, indent + INDENT)
            yield f"{indent}end"
        else:
            left, right = _brackets(node)
            yield f'{indent}{ids[node.name]}{left}"{_text(node.name)}"{right}'


def _brackets(node: Node) -> tuple[str, str]:
    """Return Mermaid's brackets for a state's shape: a diamond for a choice, round for an end, else a rectangle."""
    if node.type == "Choice":
        return "{", "}"
    return ("([", "])") if node.is_end else ("[", "]")


def _transition(edge: Edge, ids: Mapping[str, str]) -> str:
    arrow = "-.->" if edge.kind == CATCH else "-->"
    label = f'|"{_text(edge.label)}"|' if edge.label else ""
    return f"{ids[edge.source]} {arrow}{label} {ids[edge.target]}"


def _text(text: str) -> str:
    """Escape as numbers all characters that Mermaid or a page could read as syntax."""
    return re.sub(r"[^A-Za-z0-9 ,=!]", lambda found: f"#{ord(found[0])};", printable(text))
