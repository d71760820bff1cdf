"""The states of a state machine and the transitions between them, read from its definition (Amazon States Language)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.workflow.definition import copy_workflow_definition

Definition = Mapping[str, Any]

NEXT, CHOICE, CATCH = "next", "choice", "catch"


@dataclass(frozen=True)
class Node:
    """A state. ``group`` is the Map whose item processor holds it, or None."""

    name: str
    type: str
    group: str | None
    is_end: bool


@dataclass(frozen=True)
class Edge:
    """A transition between two states. ``kind`` is NEXT, CHOICE or CATCH; ``label`` is ``meaning``, shortened."""

    source: str
    target: str
    kind: str
    label: str
    meaning: str


@dataclass(frozen=True)
class Graph:
    """The states of a state machine, in the definition's order, and the transitions between them.

    ``starts`` has the first state of the state machine (under None) and of each Map (under the Map's name).
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    starts: Mapping[str | None, str]


@dataclass(frozen=True)
class Path:
    """The path of an execution: how often it entered each state, which states failed, and the transitions it took.

    A transition is (source, target, whether it was taken because the source had failed).
    """

    entered: Mapping[str, int] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    edges: frozenset[tuple[str, str, bool]] = frozenset()


def graph(definition: Definition) -> Graph:
    """Read the states and transitions of ``definition``, those inside Maps included."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    starts: dict[str | None, str] = {}

    def read(machine: Definition, group: str | None) -> None:
        starts[group] = machine["StartAt"]
        for name, state in machine["States"].items():
            is_end = bool(state.get("End")) or state["Type"] in ("Succeed", "Fail")
            nodes.append(Node(name, state["Type"], group, is_end))
            edges.extend(_transitions(name, state))
            if inside := state.get("ItemProcessor") or state.get("Iterator"):
                read(inside, name)

    read(definition, None)
    return Graph(tuple(nodes), tuple(edges), starts)


def _transitions(name: str, state: Mapping[str, Any]) -> list[Edge]:
    """Read the transitions that leave a state: its choices, its next state and its catchers."""
    found = []
    for rule in state.get("Choices", []):
        condition = _one_line(rule.get("Condition", rule.get("Variable", "")))
        found.append(Edge(name, rule["Next"], CHOICE, _short_condition(condition), condition))
    if "Default" in state:
        found.append(Edge(name, state["Default"], CHOICE, "otherwise", "otherwise"))
    if "Next" in state:
        found.append(Edge(name, state["Next"], NEXT, "", ""))
    for catcher in state.get("Catch", []):
        errors = ", ".join(catcher["ErrorEquals"])
        label = "any error" if errors == "States.ALL" else ", ".join(map(_short_error, catcher["ErrorEquals"]))
        found.append(Edge(name, catcher["Next"], CATCH, label, f"Catch {errors}"))
    return found


def _one_line(expression: object) -> str:
    """Return an expression without its delimiters and line ends."""
    text = str(expression).strip().removeprefix("{%").removesuffix("%}")
    return " ".join(text.split())


def _short_condition(condition: str) -> str:
    """Return a condition without the clauses that only test whether a value exists."""
    clauses = condition.split(" and ")
    comparisons = [clause for clause in clauses if not re.fullmatch(r"\$exists\([^()]*\)", clause.strip())]
    return " and ".join(comparisons or clauses)


def _short_error(name: str) -> str:
    """Return an error's name without its service: ``ConditionalCheckFailed``."""
    return name.rpartition(".")[2].removesuffix("Exception")


def own_definition() -> Definition:
    """Return the definition that the program deploys, with names in the place of ARNs."""
    return copy_workflow_definition(
        partition="aws",
        table_name="FileCopyTracking",
        topic_arn="file-copy-failures",
        copy_worker_arn="copy-worker",
        max_concurrency=10,
    )
