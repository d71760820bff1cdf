"""The state machine as a drawing, made from its definition: Mermaid for a document, SVG for a page.

The main path goes down the middle, from the start to the end that an execution without trouble comes to. What leads
to failure is on its right, what comes back or ends otherwise on its left. A Map has its inside in a box of its own,
which makes room for itself on the main path, and beside it reaches down over the rows that follow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from itertools import pairwise
from typing import Any

from components.definition import copy_workflow_definition
from handlers.text import printable

Definition = Mapping[str, Any]

NEXT, CHOICE, CATCH = "next", "choice", "catch"


@dataclass(frozen=True)
class Node:
    """A state. ``group`` is the Map that it is inside of."""

    name: str
    type: str
    group: str | None
    is_end: bool


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    kind: str
    label: str
    """Short; ``meaning`` is the whole of it."""
    meaning: str


@dataclass(frozen=True)
class Graph:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    starts: Mapping[str | None, str]
    """The first state, of the state machine (None) and of each Map."""


@dataclass(frozen=True)
class Path:
    """What of the state machine an execution went through: how often each state was entered, which failed, and the
    ways between them, each with whether it was taken because the state it leaves had failed."""

    entered: Mapping[str, int] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    edges: frozenset[tuple[str, str, bool]] = frozenset()


def graph(definition: Definition) -> Graph:
    """The states of ``definition`` and the ways between them."""
    nodes: list[Node] = []
    edges: list[Edge] = []
    starts: dict[str | None, str] = {}

    def add(machine: Definition, group: str | None) -> None:
        starts[group] = machine["StartAt"]
        for name, state in machine["States"].items():
            is_end = bool(state.get("End")) or state["Type"] in ("Succeed", "Fail")
            nodes.append(Node(name, state["Type"], group, is_end))
            edges.extend(_edges(name, state))
            if inside := state.get("ItemProcessor") or state.get("Iterator"):
                add(inside, name)

    add(definition, None)
    return Graph(tuple(nodes), tuple(edges), starts)


def _edges(name: str, state: Mapping[str, Any]) -> list[Edge]:
    found = []
    for rule in state.get("Choices", []):
        condition = _one_line(rule.get("Condition", rule.get("Variable", "")))
        found.append(Edge(name, rule["Next"], CHOICE, _short(condition), condition))
    if "Default" in state:
        found.append(Edge(name, state["Default"], CHOICE, "otherwise", "otherwise"))
    if "Next" in state:
        found.append(Edge(name, state["Next"], NEXT, "", ""))
    for catcher in state.get("Catch", []):
        errors = ", ".join(catcher["ErrorEquals"])
        label = "any error" if errors == "States.ALL" else ", ".join(map(_error, catcher["ErrorEquals"]))
        found.append(Edge(name, catcher["Next"], CATCH, label, f"Catch {errors}"))
    return found


def _one_line(expression: object) -> str:
    text = str(expression).strip().removeprefix("{%").removesuffix("%}")
    return " ".join(text.split())


def _short(condition: str) -> str:
    """A condition without what only asks whether something is there."""
    clauses = condition.split(" and ")
    telling = [clause for clause in clauses if not re.fullmatch(r"\$exists\([^()]*\)", clause.strip())]
    return " and ".join(telling or clauses)


def _error(name: str) -> str:
    return name.rpartition(".")[2].removesuffix("Exception")


# --- Mermaid ----------------------------------------------------------------------------------------------------


def mermaid(definition: Definition) -> str:
    """A Mermaid flowchart. Ways of failure are dashed; a Map's inside is a group."""
    drawn = graph(definition)
    ids = {node.name: f"s{index}" for index, node in enumerate(drawn.nodes)}
    groups = {group for group in drawn.starts if group is not None}
    lines = ["flowchart TD"]

    def add(group: str | None, indent: str) -> None:
        for node in (node for node in drawn.nodes if node.group == group):
            text = _mermaid_text(node.name)
            if node.name in groups:
                lines.append(f'{indent}subgraph {ids[node.name]}["{text}"]')
                add(node.name, indent + "    ")
                lines.append(f"{indent}end")
            else:
                left, right = ("{", "}") if node.type == "Choice" else ("([", "])") if node.is_end else ("[", "]")
                lines.append(f'{indent}{ids[node.name]}{left}"{text}"{right}')

    add(None, "    ")
    lines.append(f"    start((start)) --> {ids[drawn.starts[None]]}")
    for edge in drawn.edges:
        arrow = "-.->" if edge.kind == CATCH else "-->"
        label = f'|"{_mermaid_text(edge.label)}"|' if edge.label else ""
        lines.append(f"    {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def _mermaid_text(text: str) -> str:
    """``text`` with everything that Mermaid or a page might read as more than text written as a number."""
    return re.sub(r"[^A-Za-z0-9 ,=!]", lambda found: f"#{ord(found[0])};", printable(text))


# --- Where everything goes --------------------------------------------------------------------------------------

BOX_WIDTH, BOX_HEIGHT = 196.0, 46.0
COLUMN, ROW_GAP = 270.0, 50.0
GROUP_TITLE, GROUP_PADDING = 34.0, 20.0
MARGIN = 24.0
LINE = 14.0
# Of the labels' 11 px font: wide enough for a line of capitals and digits.
LABEL_CHARACTER = 6.4
LABEL_LENGTH = 26


@dataclass(frozen=True)
class Box:
    """Where a state is: its upper left corner and its size."""

    node: Node
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Label:
    """Lines of text, the first one's baseline at ``y``; they end at ``x`` where ``is_left`` and else begin there."""

    lines: tuple[str, ...]
    x: float
    y: float
    is_left: bool = False

    @property
    def width(self) -> float:
        return max((len(line) for line in self.lines), default=0) * LABEL_CHARACTER


@dataclass(frozen=True)
class Route:
    """An edge's way, with an arrow at its end."""

    edge: Edge
    points: tuple[tuple[float, float], ...]
    label: Label | None


@dataclass(frozen=True)
class Layout:
    width: float
    height: float
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    start: tuple[float, float]


@dataclass(frozen=True)
class _Place:
    column: int
    row: int


def layout(definition: Definition) -> Layout:
    """Where each state and each way of ``definition`` goes."""
    drawn = graph(definition)
    groups = [group for group in drawn.starts if group is not None]
    inner_edges = {group: [edge for edge in drawn.edges if _group_of(drawn, edge.source) == group] for group in groups}
    top = [node for node in drawn.nodes if node.group is None]
    top_edges = [edge for edge in drawn.edges if _group_of(drawn, edge.source) is None]

    sizes = {}
    for node in top:
        count = sum(inner.group == node.name for inner in drawn.nodes)
        height = GROUP_TITLE + count * BOX_HEIGHT + (count - 1) * ROW_GAP + GROUP_PADDING if count else BOX_HEIGHT
        sizes[node.name] = (BOX_WIDTH + (2 * GROUP_PADDING if count else 0), height)
    spans = {name: math.ceil((height + ROW_GAP) / (BOX_HEIGHT + ROW_GAP)) for name, (_, height) in sizes.items()}
    places = _places(top, top_edges, drawn.starts[None], spans)
    heights = [
        max((sizes[name][1] for name, place in places.items() if place == _Place(0, row)), default=BOX_HEIGHT)
        for row in range(max(place.row for place in places.values()) + 1)
    ]
    tops = [sum(heights[:row]) + row * ROW_GAP for row in range(len(heights))]

    boxes: dict[str, Box] = {}
    for node in top:
        place, (width, height) = places[node.name], sizes[node.name]
        x, y = place.column * COLUMN - width / 2, tops[place.row]
        boxes[node.name] = Box(node, x, y, width, height)
        inside = [inner for inner in drawn.nodes if inner.group == node.name]
        for index, inner in enumerate(inside):
            inner_y = y + GROUP_TITLE + index * (BOX_HEIGHT + ROW_GAP)
            boxes[inner.name] = Box(inner, x + GROUP_PADDING, inner_y, BOX_WIDTH, BOX_HEIGHT)

    routes = [_route(edge, boxes, places, top_edges) for edge in top_edges]
    for group, edges in inner_edges.items():
        rows = {inner.name: _Place(0, row) for row, inner in enumerate(n for n in drawn.nodes if n.group == group)}
        routes += [_route(edge, boxes, rows, edges) for edge in edges]

    first = boxes[drawn.starts[None]]
    start = (first.middle[0], first.y - 36)
    return _moved(tuple(boxes.values()), tuple(routes), start)


def _group_of(drawn: Graph, name: str) -> str | None:
    return next(node.group for node in drawn.nodes if node.name == name)


def _moved(boxes: tuple[Box, ...], routes: tuple[Route, ...], start: tuple[float, float]) -> Layout:
    """All of it, with the upper left corner of everything at the margin."""
    labels = [route.label for route in routes if route.label]
    xs = [x for route in routes for x, _ in route.points] + [box.x for box in boxes] + [box.right for box in boxes]
    xs += [label.x - label.width if label.is_left else label.x + label.width for label in labels]
    ys = [y for route in routes for _, y in route.points] + [box.bottom for box in boxes] + [start[1] - 8]
    dx, dy = MARGIN - min(xs), MARGIN - min(ys)
    return Layout(
        width=max(xs) + dx + MARGIN,
        height=max(ys) + dy + MARGIN,
        boxes=tuple(replace(box, x=box.x + dx, y=box.y + dy) for box in boxes),
        routes=tuple(
            replace(
                route,
                points=tuple((x + dx, y + dy) for x, y in route.points),
                label=route.label and replace(route.label, x=route.label.x + dx, y=route.label.y + dy),
            )
            for route in routes
        ),
        start=(start[0] + dx, start[1] + dy),
    )


def _places(nodes: Sequence[Node], edges: Sequence[Edge], start: str, spans: Mapping[str, int]) -> dict[str, _Place]:
    """A column and a row for each state: the main path in column 0, failures on its right, the rest on its left.

    Args:
        spans: over how many rows a state reaches where it is not on the main path.
    """
    by_name = {node.name: node for node in nodes}
    forward = [edge for edge in edges if edge.kind != CATCH]

    def reach(name: str, ways: Iterable[Edge]) -> set[str]:
        ways, found, open_ = list(ways), {name}, [name]
        while open_:
            current = open_.pop()
            new = {edge.target for edge in ways if edge.source == current} - found
            found |= new
            open_ += new
        return found

    def succeeds(name: str) -> bool:
        return any(by_name[other].is_end and by_name[other].type != "Fail" for other in reach(name, forward))

    main = [start]
    while not by_name[main[-1]].is_end:
        ways = [edge for edge in forward if edge.source == main[-1] and edge.target not in main]
        # The last one is a Choice's Default.
        good = [edge for edge in reversed(ways) if succeeds(edge.target)]
        if not good:
            break
        main.append(good[0].target)

    back = _back_edges(start, edges)
    rows = dict.fromkeys(by_name, 0)
    for _ in nodes:
        for edge in edges:
            if edge not in back:
                rows[edge.target] = max(rows[edge.target], rows[edge.source] + 1)

    places = {name: _Place(0, rows[name]) for name in main}
    taken = set(places.values())
    # Next to the main path is what comes back to it.
    others = sorted(
        (name for name in by_name if name not in places),
        key=lambda name: (not any(edge.source == name and edge.target in main for edge in forward), rows[name]),
    )
    for name in others:
        side = -1 if succeeds(name) else 1
        before = {places[edge.source].column for edge in edges if edge.target == name and edge.source in places}
        # What follows on a state aside stays below it; what the main path leads to has a column for itself.
        follows = 0 not in before and any(column * side > 0 for column in before)
        column = next(column for column in sorted(before, key=abs) if column * side > 0) if follows else side
        row = rows[name]
        while not taken.isdisjoint(room := [_Place(column, row + below) for below in range(spans[name])]):
            column, row = (column, row + 1) if follows else (column + side, row)
        places[name] = _Place(column, row)
        taken.update(room)
    return places


def _back_edges(start: str, edges: Sequence[Edge]) -> set[Edge]:
    """The edges that close a circle."""
    found: set[Edge] = set()
    seen: set[str] = set()

    def visit(name: str, above: frozenset[str]) -> None:
        seen.add(name)
        for edge in edges:
            if edge.source != name:
                continue
            if edge.target in above | {name}:
                found.add(edge)
            elif edge.target not in seen:
                visit(edge.target, above | {name})

    visit(start, frozenset())
    return found


def _route(edge: Edge, boxes: Mapping[str, Box], places: Mapping[str, _Place], edges: Sequence[Edge]) -> Route:
    """The way of an edge, along the grid, so that it meets no box but those it joins."""
    source, target = boxes[edge.source], boxes[edge.target]
    from_, to = places[edge.source], places[edge.target]
    (source_x, source_y), (target_x, target_y) = source.middle, target.middle
    twins = [other for other in edges if (other.source, other.target) == (edge.source, edge.target)]
    between = [
        name for name, place in places.items() if place.column == from_.column and from_.row < place.row < to.row
    ]

    def is_upright(other: Edge) -> bool:
        return places[other.source].column == places[other.target].column

    # Beside the main path, labels and ways round something are on the side that is away from it.
    is_outer_left = from_.column < 0
    if from_.column == to.column and to.row > from_.row and not between and twins.index(edge) == 0:
        points = [(source_x, source.bottom), (target_x, target.y)]
        label = _label(edge, source_x + (-8 if is_outer_left else 8), source.bottom + 20, is_outer_left)
        return Route(edge, tuple(points), label)
    if from_.column == to.column:
        # Around what is between, or beside the way that goes straight.
        out = 20 + 12 * max(twins.index(edge) - 1, 0)
        x = min(source.x, target.x) - out if is_outer_left else max(source.right, target.right) + out
        ends = (source.x, target.x) if is_outer_left else (source.right, target.right)
        points = [(ends[0], source_y + 12), (x, source_y + 12), (x, target_y - 12), (ends[1], target_y - 12)]
        middle = source.bottom + (target.y - source.bottom) / 2
        label_y = middle + 4 if not between else target.y - 12
        return Route(edge, tuple(points), _label(edge, x + (-6 if is_outer_left else 6), label_y, is_outer_left))
    is_left = to.column < from_.column
    if to.row > from_.row and from_.column * to.column < 0:
        # Across the main path, above the row that it comes from, and then down into it.
        x, y = (source.x - 20 if is_left else source.right + 20), source.y - ROW_GAP / 2
        points = [
            (source.x if is_left else source.right, source_y),
            (x, source_y),
            (x, y),
            (target_x, y),
            (target_x, target.y),
        ]
        return Route(edge, tuple(points), _label(edge, x + (-8 if is_left else 8), y - 5, is_left))
    if to.row > from_.row and not (to.column == 0 and from_.row + 1 == to.row):
        # Aside, and then down into it. Ways of failure come together before it.
        x = target_x + (44 if edge.kind == CATCH and not is_left else 0)
        # A Catch that leads here from above arrives at the upper end of the right side.
        is_taken = any((other.target, other.kind) == (edge.source, CATCH) for other in edges if is_upright(other))
        y = source_y + (0 if edge.kind != CATCH else 12 if is_taken and not is_left else -12)
        points = [(source.x if is_left else source.right, y), (x, y), (x, target.y)]
        if edge.kind == CATCH and not is_left:
            return Route(edge, tuple(points), _label(edge, source.right + 8, y - 5))
        outside = to.column < -1
        return Route(edge, tuple(points), _label(edge, x + (8 if outside else -8), target.y - 22, not outside))
    if to.row > from_.row:
        # Down, and then aside into it.
        points = [(source_x, source.bottom), (source_x, target_y), (target.right if is_left else target.x, target_y)]
        return Route(edge, tuple(points), _label(edge, source_x + 8, source.bottom + 20))
    # Back up, between the columns.
    x = target.right + 14 if is_left else target.x - 14
    points = [
        (source.x if is_left else source.right, source_y),
        (x, source_y),
        (x, target_y + 12),
        (target.right if is_left else target.x, target_y + 12),
    ]
    return Route(edge, tuple(points), _label(edge, x + 6, target.bottom + 20))


def _label(edge: Edge, x: float, y: float, is_left: bool = False) -> Label | None:
    if not edge.label:
        return None
    lines = _wrapped(printable(edge.label))
    return Label(lines, x, y - LINE * (len(lines) - 1) / 2, is_left)


def _wrapped(text: str) -> tuple[str, ...]:
    """``text`` on two short lines at most."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LABEL_LENGTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]} …"]
    return tuple(_cut(line, LABEL_LENGTH) for line in lines)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# --- SVG --------------------------------------------------------------------------------------------------------

STYLE = """
.machine { --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #818b98; --box: #f6f8fa; --group: #fbfcfd;
  --taken: #0550ae; --taken-box: #ddf4ff; --bad: #b3121d; --bad-box: #ffebe9; color: var(--ink); }
@media (prefers-color-scheme: dark) { .machine { --paper: #0d1117; --ink: #e6edf3; --quiet: #9da7b3; --line: #7d8590;
  --box: #161b22; --group: #10151c; --taken: #79c0ff; --taken-box: #10233d; --bad: #ff9a92; --bad-box: #3a1418; } }
@media print { .machine { --paper: #ffffff; --ink: #1f2328; --quiet: #59636e; --line: #818b98; --box: #f6f8fa;
  --group: #ffffff; --taken: #0550ae; --taken-box: #ddf4ff; --bad: #b3121d; --bad-box: #ffebe9; } }
.machine text { font: 11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: currentColor; }
.machine .paper { fill: var(--paper); }
.machine .name { font-size: 12.5px; font-weight: 600; }
.machine .type, .machine .label { fill: var(--quiet); }
.machine .label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.machine .state rect { fill: var(--box); stroke: var(--line); stroke-width: 1.2; }
.machine .state .ending { fill: none; }
.machine .group > rect { fill: var(--group); stroke-dasharray: 2 3; }
.machine .entered > rect { stroke: var(--taken); stroke-width: 2; }
.machine .entered > rect:first-of-type { fill: var(--taken-box); }
.machine .failed > rect { stroke: var(--bad); }
.machine .failed > rect:first-of-type { fill: var(--bad-box); }
.machine .group.entered > rect:first-of-type { fill: var(--group); }
.machine .missed .name { fill: var(--quiet); font-weight: 400; }
.machine .badge circle { fill: var(--taken); }
.machine .failed .badge circle { fill: var(--bad); }
.machine .badge path { fill: none; stroke: var(--paper); stroke-width: 2; stroke-linecap: round; }
.machine .way { fill: none; stroke: var(--line); stroke-width: 1.3; }
.machine .tip, .machine .start { fill: var(--line); }
.machine .catch { stroke-dasharray: 5 4; }
.machine .taken { stroke: var(--taken); stroke-width: 2.2; }
.machine .tip.taken, .machine .start.taken { fill: var(--taken); stroke: none; }
"""

_TICK, _CROSS = "M-4 0 L-1 3 L4 -3", "M-3 -3 L3 3 M3 -3 L-3 3"


def svg(definition: Definition, path_taken: Path | None = None) -> str:
    """A drawing that needs nothing else. It follows the reader's choice of a light or a dark page.

    Args:
        path_taken: what an execution went through, which is set off: what was entered has a frame and a tick, what
            failed a cross.
    """
    placed = layout(definition)
    name = "The state machine" + (", and the way that the execution took" if path_taken else "")
    width, height = round(placed.width), round(placed.height)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    start_x, start_y = placed.start
    taken = " taken" if path_taken and path_taken.entered else ""
    first = min(box.y for box in placed.boxes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="machine" role="img" aria-label="{name}" {size}>',
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
        *(_box(box, path_taken) for box in placed.boxes if box.height > BOX_HEIGHT),
        f'<circle class="start{taken}" cx="{start_x:g}" cy="{start_y:g}" r="7"/>',
        _line([(start_x, start_y), (start_x, first)], f"{taken}", "The start"),
        # Those taken are drawn last, to be on top.
        *(_way(route, path_taken) for route in sorted(placed.routes, key=lambda route: _is_taken(route, path_taken))),
        *(_box(box, path_taken) for box in placed.boxes if box.height <= BOX_HEIGHT),
        *(_text(route.label, "label") for route in placed.routes if route.label),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _is_taken(route: Route, path: Path | None) -> bool:
    return path is not None and (route.edge.source, route.edge.target, route.edge.kind == CATCH) in path.edges


def _way(route: Route, path: Path | None) -> str:
    edge = route.edge
    style = (" catch" if edge.kind == CATCH else "") + (" taken" if _is_taken(route, path) else "")
    return _line(route.points, style, f"{edge.source} to {edge.target}" + (f": {edge.meaning}" if edge.meaning else ""))


def _line(points: Sequence[tuple[float, float]], style: str, title: str) -> str:
    (x0, y0), (x1, y1) = points[-2:]
    # The tip is 8 long; the line ends in it.
    length = abs(x1 - x0) + abs(y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    inner = [*points[:-1], (x1 - 6 * ux, y1 - 6 * uy)]
    drawn = " ".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(inner))
    # Dashes are counted from the tip, so that ways that come together have them in the same places.
    dashes = -sum(abs(x - x_) + abs(y - y_) for (x_, y_), (x, y) in pairwise(inner)) % 9
    offset = f' stroke-dashoffset="{dashes:g}"' if "catch" in style else ""
    base = [(x1 - 8 * ux + 4 * side * uy, y1 - 8 * uy + 4 * side * ux) for side in (1, -1)]
    tip = " ".join(f"{x:g},{y:g}" for x, y in ((x1, y1), *base))
    solid = style.replace(" catch", "")
    return (
        f'<g class="edge"><title>{escaped(title)}</title><path class="way{style}" d="{drawn}"{offset}/>'
        f'<polygon class="tip{solid}" points="{tip}"/></g>'
    )


def _box(box: Box, path: Path | None) -> str:
    node = box.node
    is_group = box.height > BOX_HEIGHT
    count = path.entered.get(node.name, 0) if path else 0
    is_failed = path is not None and node.name in path.failed
    said = [node.type, *(["end"] if node.is_end else [])]
    if count > 1:
        # Beside a Map's name there is no room for both.
        said = [*([] if is_group else said), f"{count} times"]
    told = "" if path is None else ", failed" if is_failed else ", entered" if count else ", not entered"
    classes = ["state", *(["group"] if is_group else [])]
    if path is not None:
        classes += ["entered"] if count else ["missed"]
        classes += ["failed"] if is_failed else []
    x, y, middle = box.x, box.y, box.middle[0]
    parts = [
        f'<g class="{" ".join(classes)}"><title>{escaped(f"{node.name}, {node.type}{told}")}</title>',
        f'<rect x="{x:g}" y="{y:g}" width="{box.width:g}" height="{box.height:g}" rx="8"/>',
    ]
    if node.is_end:
        inner = f'x="{x + 3:g}" y="{y + 3:g}" width="{box.width - 6:g}" height="{box.height - 6:g}" rx="6"'
        parts.append(f'<rect class="ending" {inner}/>')
    name, kind = escaped(_cut(printable(node.name), 25)), escaped(" · ".join(said))
    if is_group:
        parts.append(f'<text class="name" x="{x + 14:g}" y="{y + 22:g}">{name}</text>')
        parts.append(f'<text class="type" text-anchor="end" x="{box.right - 14:g}" y="{y + 22:g}">{kind}</text>')
    else:
        parts.append(f'<text class="name" text-anchor="middle" x="{middle:g}" y="{y + 20:g}">{name}</text>')
        parts.append(f'<text class="type" text-anchor="middle" x="{middle:g}" y="{y + 36:g}">{kind}</text>')
    if count or is_failed:
        parts.append(
            f'<g class="badge" transform="translate({box.right - 4:g} {y + 4:g})"><circle r="8"/>'
            f'<path d="{_CROSS if is_failed else _TICK}"/></g>'
        )
    return "".join([*parts, "</g>"])


def _text(label: Label, style: str) -> str:
    anchor = ' text-anchor="end"' if label.is_left else ""
    lines = "".join(
        f'<tspan x="{label.x:g}" y="{label.y + LINE * index:g}">{escaped(line)}</tspan>'
        for index, line in enumerate(label.lines)
    )
    return f'<text class="{style}"{anchor}>{lines}</text>'


def escaped(text: str) -> str:
    """``text`` as a page or a drawing shows it, without what would be read as more than text."""
    return escape(printable(text))


def own_definition() -> Definition:
    """The definition that the program deploys."""
    return copy_workflow_definition(
        partition="aws",
        table_name="FileCopyTracking",
        topic_arn="file-copy-failures",
        copy_worker_arn="copy-worker",
        max_concurrency=10,
    )
