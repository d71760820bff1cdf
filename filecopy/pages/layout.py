"""Layout of a diagram: the place of each state and transition of a state machine.

The main path goes down the middle: from the start to the end of an execution without errors. States that lead to
failure are on its right; states that lead back to it, or to another end, on its left. A Map has its item processor in
a box of its own. That box widens its row on the main path, and beside the path it covers the rows that follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from filecopy.executions.states import CATCH, Definition, Edge, Graph, Node, graph
from handlers.text import printable

BOX_WIDTH, BOX_HEIGHT = 196.0, 46.0
COLUMN, ROW_GAP = 270.0, 50.0
GROUP_TITLE, GROUP_PADDING = 34.0, 20.0
MARGIN = 24.0
LINE = 14.0
# Of the labels' 11 px font: wide enough for a line of capitals and digits.
LABEL_CHARACTER = 6.4
LABEL_LENGTH = 26
# From the start's dot to the first state, and the dot's own radius with its frame.
START_GAP, START_RADIUS = 36.0, 8.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """The rectangle of a state: its upper left corner and its size."""

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
    def middle(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Label:
    """Lines of text; ``y`` is the first one's baseline. They begin at ``x``, or end there if ``is_left``."""

    lines: tuple[str, ...]
    x: float
    y: float
    is_left: bool = False

    @property
    def width(self) -> float:
        return max((len(line) for line in self.lines), default=0) * LABEL_CHARACTER


@dataclass(frozen=True)
class Route:
    """The line of a transition, with an arrow at its last point."""

    edge: Edge
    points: tuple[Point, ...]
    label: Label | None


@dataclass(frozen=True)
class Layout:
    """A drawing. ``start`` is the middle of the dot from which the first state is entered."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    start: Point


@dataclass(frozen=True)
class _Cell:
    """A cell of the grid. Column 0 is the main path; columns left of it are negative."""

    column: int
    row: int


def layout(definition: Definition) -> Layout:
    """Place the states and the transitions of ``definition``."""
    machine = graph(definition)
    members = {group: [node for node in machine.nodes if node.group == group] for group in machine.starts}
    group_of = {node.name: node.group for node in machine.nodes}
    edges = {group: [edge for edge in machine.edges if group_of[edge.source] == group] for group in machine.starts}

    cells = _cells(members[None], edges[None], machine.starts[None], _spans(members))
    boxes = _boxes(members, cells)
    routes: list[Route] = []
    for group, nodes in members.items():
        grid = cells if group is None else {node.name: _Cell(0, row) for row, node in enumerate(nodes)}
        routes += [_route(_Transition(edge, boxes, grid, edges[group])) for edge in edges[group]]
    return _from_the_margin(list(boxes.values()), routes, _start(machine, boxes))


def _start(machine: Graph, boxes: Mapping[str, Box]) -> Point:
    first = boxes[machine.starts[None]]
    return first.middle[0], first.y - START_GAP


def _from_the_margin(boxes: Sequence[Box], routes: Sequence[Route], start: Point) -> Layout:
    """Move everything so that its upper left corner is at the margin."""
    xs, ys = _extent(boxes, routes)
    ys.append(start[1] - START_RADIUS)
    dx, dy = MARGIN - min(xs), MARGIN - min(ys)
    return Layout(
        width=max(xs) + dx + MARGIN,
        height=max(ys) + dy + MARGIN,
        boxes=tuple(replace(box, x=box.x + dx, y=box.y + dy) for box in boxes),
        routes=tuple(_moved(route, dx, dy) for route in routes),
        start=(start[0] + dx, start[1] + dy),
    )


def _extent(boxes: Sequence[Box], routes: Sequence[Route]) -> tuple[list[float], list[float]]:
    """Return the coordinates that something reaches to: those of x, and those of y."""
    labels = [route.label for route in routes if route.label]
    points = [point for route in routes for point in route.points]
    xs = [x for x, _ in points] + [box.x for box in boxes] + [box.right for box in boxes]
    xs += [label.x - label.width if label.is_left else label.x + label.width for label in labels]
    return xs, [y for _, y in points] + [box.bottom for box in boxes]


def _moved(route: Route, dx: float, dy: float) -> Route:
    label = route.label and replace(route.label, x=route.label.x + dx, y=route.label.y + dy)
    return replace(route, points=tuple((x + dx, y + dy) for x, y in route.points), label=label)


# --- Boxes ------------------------------------------------------------------------------------------------------

_Members = Mapping[str | None, Sequence[Node]]
"""The states of each Map, and under None those outside of all Maps."""


def _height(name: str, members: _Members) -> float:
    """Return the height of a state's box. A Map's has room for a title and its own states, one below the other."""
    if name not in members:
        return BOX_HEIGHT
    count = len(members[name])
    return GROUP_TITLE + count * BOX_HEIGHT + (count - 1) * ROW_GAP + GROUP_PADDING


def _width(name: str, members: _Members) -> float:
    return BOX_WIDTH + (2 * GROUP_PADDING if name in members else 0)


def _spans(members: _Members) -> dict[str, int]:
    """Return over how many rows each state reaches if it is not on the main path."""
    return {
        node.name: math.ceil((_height(node.name, members) + ROW_GAP) / (BOX_HEIGHT + ROW_GAP)) for node in members[None]
    }


def _boxes(members: _Members, cells: Mapping[str, _Cell]) -> dict[str, Box]:
    """Return the box of each state; those of a Map's states follow on the Map's own."""
    tops = _row_tops(members, cells)
    boxes: dict[str, Box] = {}
    for node in members[None]:
        cell, width = cells[node.name], _width(node.name, members)
        x, y = cell.column * COLUMN - width / 2, tops[cell.row]
        boxes[node.name] = Box(node, x, y, width, _height(node.name, members))
        for index, inner in enumerate(members.get(node.name, ())):
            inner_y = y + GROUP_TITLE + index * (BOX_HEIGHT + ROW_GAP)
            boxes[inner.name] = Box(inner, x + GROUP_PADDING, inner_y, BOX_WIDTH, BOX_HEIGHT)
    return boxes


def _row_tops(members: _Members, cells: Mapping[str, _Cell]) -> list[float]:
    """Return the upper end of each row. A row is as high as its state on the main path."""
    heights = [BOX_HEIGHT] * (max(cell.row for cell in cells.values()) + 1)
    for name, cell in cells.items():
        if cell.column == 0:
            heights[cell.row] = max(heights[cell.row], _height(name, members))
    return [sum(heights[:row]) + row * ROW_GAP for row in range(len(heights))]


# --- Cells ------------------------------------------------------------------------------------------------------


def _cells(nodes: Sequence[Node], edges: Sequence[Edge], start: str, spans: Mapping[str, int]) -> dict[str, _Cell]:
    """Return the cell of each state.

    Args:
        spans: over how many rows each state reaches if it is not on the main path.
    """
    forward = [edge for edge in edges if edge.kind != CATCH]
    succeeding = _succeeding(nodes, forward)
    main = _main_path(nodes, forward, start, succeeding)
    rows = _rows(nodes, edges, start)

    cells = {name: _Cell(0, rows[name]) for name in main}
    taken = set(cells.values())
    for name in _beside(main, forward, rows):
        columns = {cells[edge.source].column for edge in edges if edge.target == name and edge.source in cells}
        side = -1 if name in succeeding else 1
        room = _free_room(columns, side, rows[name], spans[name], taken)
        cells[name] = room[0]
        taken.update(room)
    return cells


def _succeeding(nodes: Iterable[Node], forward: Sequence[Edge]) -> set[str]:
    """Return the states from which an end other than a failure can be reached without an error."""
    found: set[str] = set()
    remaining = [node.name for node in nodes if node.is_end and node.type != "Fail"]
    while remaining:
        name = remaining.pop()
        if name not in found:
            found.add(name)
            remaining += [edge.source for edge in forward if edge.target == name]
    return found


def _main_path(nodes: Iterable[Node], forward: Sequence[Edge], start: str, succeeding: set[str]) -> list[str]:
    """Return the states of an execution without errors, from the start on.

    At a Choice the last transition is preferred, which is its Default.
    """
    ends = {node.name for node in nodes if node.is_end}
    main = [start]
    while main[-1] not in ends:
        following = [edge.target for edge in forward if edge.source == main[-1] and edge.target in succeeding]
        unvisited = [name for name in following if name not in main]
        if not unvisited:
            break
        main.append(unvisited[-1])
    return main


def _beside(main: Sequence[str], forward: Iterable[Edge], rows: Mapping[str, int]) -> list[str]:
    """Return the states beside the main path: first those that return to it, so that they are next to it."""
    returning = {edge.source for edge in forward if edge.target in main}
    return sorted((name for name in rows if name not in main), key=lambda name: (name not in returning, rows[name]))


def _rows(nodes: Sequence[Node], edges: Sequence[Edge], start: str) -> dict[str, int]:
    """Return the row of each state: below all states that lead to it, except by closing a circle."""
    closing = _circle_closing(start, edges)
    downward = [edge for edge in edges if edge not in closing]
    rows = {node.name: 0 for node in nodes}
    for _ in nodes:
        for edge in downward:
            rows[edge.target] = max(rows[edge.target], rows[edge.source] + 1)
    return rows


def _circle_closing(start: str, edges: Sequence[Edge]) -> set[Edge]:
    """Return the transitions that close a circle: those that lead back to a state on the way to their source."""
    closing: set[Edge] = set()
    seen: set[str] = set()

    def visit(name: str, above: frozenset[str]) -> None:
        seen.add(name)
        for edge in edges:
            if edge.source != name:
                continue
            if edge.target in above | {name}:
                closing.add(edge)
            elif edge.target not in seen:
                visit(edge.target, above | {name})

    visit(start, frozenset())
    return closing


def _free_room(columns: set[int], side: int, row: int, span: int, taken: set[_Cell]) -> list[_Cell]:
    """Return free cells, one below the other, for a state beside the main path.

    Args:
        columns: the columns of the states that lead to it.
        side: -1 for the left of the main path, 1 for its right.
        row: the first row that it may have.
        span: how many cells it takes.
        taken: the cells that are not free.
    """
    # A state that follows on another one on its side stays below it. One that the main path leads to has a column for
    # itself.
    own_side = [column for column in columns if column * side > 0]
    follows = bool(own_side) and 0 not in columns
    column = min(own_side, key=abs) if follows else side
    while True:
        room = [_Cell(column, row + below) for below in range(span)]
        if taken.isdisjoint(room):
            return room
        if follows:
            row += 1
        else:
            column += side


# --- Routes -----------------------------------------------------------------------------------------------------


class _Transition:
    """A transition between two boxes, and how they lie to each other.

    Args:
        cells: of the states in the same group.
        edges: the transitions in the same group.
    """

    def __init__(self, edge: Edge, boxes: Mapping[str, Box], cells: Mapping[str, _Cell], edges: Sequence[Edge]) -> None:
        self.edge = edge
        self.source, self.target = boxes[edge.source], boxes[edge.target]
        self.from_, self.to = cells[edge.source], cells[edge.target]
        self.is_failure = edge.kind == CATCH
        self.is_left = self.to.column < self.from_.column
        """It leads to the left."""
        twins = [other for other in edges if (other.source, other.target) == (edge.source, edge.target)]
        self.number = twins.index(edge)
        """The number of transitions between the same states before this one."""
        self.is_blocked = any(
            cell.column == self.from_.column and self.from_.row < cell.row < self.to.row for cell in cells.values()
        )
        """A state is between its source and a target in the same column."""
        self.has_catch_from_above = any(
            other.target == edge.source
            and other.kind == CATCH
            and cells[other.source].column == cells[other.target].column
            for other in edges
        )
        """A Catch from the same column leads to its source, at the upper end of the source's right side."""

    @property
    def source_side(self) -> float:
        """The side of the source that faces the target's column."""
        return self.source.x if self.is_left else self.source.right

    @property
    def target_side(self) -> float:
        """The side of the target that faces the source's column."""
        return self.target.right if self.is_left else self.target.x

    def route(self, points: Sequence[Point], x: float, y: float, is_left: bool = False) -> Route:
        """Return the line through ``points``, with the label at ``x`` and, in its middle, ``y``."""
        if not self.edge.label:
            return Route(self.edge, tuple(points), None)
        lines = _wrapped(printable(self.edge.label))
        return Route(self.edge, tuple(points), Label(lines, x, y - LINE * (len(lines) - 1) / 2, is_left))


def _route(way: _Transition) -> Route:
    """Lead a transition along the grid, so that it touches no box except its source and its target."""
    if way.from_.column == way.to.column:
        is_straight = way.to.row > way.from_.row and not way.is_blocked and way.number == 0
        return _straight_down(way) if is_straight else _around(way)
    if way.to.row <= way.from_.row:
        return _back_up(way)
    if way.from_.column * way.to.column < 0:
        return _across(way)
    if way.to.column == 0 and way.from_.row + 1 == way.to.row:
        return _down_and_aside(way)
    return _aside_and_down(way)


def _straight_down(way: _Transition) -> Route:
    x, bottom = way.source.middle[0], way.source.bottom
    # Beside the main path, labels and detours are on the outer side.
    is_outer_left = way.from_.column < 0
    points = [(x, bottom), (way.target.middle[0], way.target.y)]
    return way.route(points, x + (-8 if is_outer_left else 8), bottom + 20, is_outer_left)


def _around(way: _Transition) -> Route:
    """Within a column: around the states between, or beside the line that goes straight."""
    source, target = way.source, way.target
    distance = 20 + 12 * max(way.number - 1, 0)
    is_outer_left = way.from_.column < 0
    if is_outer_left:
        x, ends = min(source.x, target.x) - distance, (source.x, target.x)
    else:
        x, ends = max(source.right, target.right) + distance, (source.right, target.right)
    top, bottom = source.middle[1] + 12, target.middle[1] - 12
    points = [(ends[0], top), (x, top), (x, bottom), (ends[1], bottom)]
    middle = source.bottom + (target.y - source.bottom) / 2
    label_y = target.y - 12 if way.is_blocked else middle + 4
    return way.route(points, x + (-6 if is_outer_left else 6), label_y, is_outer_left)


def _across(way: _Transition) -> Route:
    """Across the main path, above the source's row, and then down into the target."""
    x, y = way.source_side + (-20 if way.is_left else 20), way.source.y - ROW_GAP / 2
    source_y, target_x = way.source.middle[1], way.target.middle[0]
    points = [(way.source_side, source_y), (x, source_y), (x, y), (target_x, y), (target_x, way.target.y)]
    return way.route(points, x + (-8 if way.is_left else 8), y - 5, way.is_left)


def _aside_and_down(way: _Transition) -> Route:
    """Aside, and then down into the target. Failures come together before it."""
    source_y, target_x = way.source.middle[1], way.target.middle[0]
    if way.is_failure and not way.is_left:
        # Where a Catch arrives at the upper end of the side, this one leaves at the lower end.
        y, x = source_y + (12 if way.has_catch_from_above else -12), target_x + 44
        return way.route([(way.source_side, y), (x, y), (x, way.target.y)], way.source.right + 8, y - 5)
    y = source_y - 12 if way.is_failure else source_y
    is_outside = way.to.column < -1
    points = [(way.source_side, y), (target_x, y), (target_x, way.target.y)]
    return way.route(points, target_x + (8 if is_outside else -8), way.target.y - 22, not is_outside)


def _down_and_aside(way: _Transition) -> Route:
    x, y = way.source.middle[0], way.target.middle[1]
    return way.route([(x, way.source.bottom), (x, y), (way.target_side, y)], x + 8, way.source.bottom + 20)


def _back_up(way: _Transition) -> Route:
    """Back up, between the columns."""
    x = way.target_side + (14 if way.is_left else -14)
    source_y, target_y = way.source.middle[1], way.target.middle[1] + 12
    points = [(way.source_side, source_y), (x, source_y), (x, target_y), (way.target_side, target_y)]
    return way.route(points, x + 6, way.target.bottom + 20)


def _wrapped(text: str) -> tuple[str, ...]:
    """Break ``text`` into at most two short lines."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LABEL_LENGTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]} …"]
    return tuple(shortened(line, LABEL_LENGTH) for line in lines)


def shortened(text: str, length: int) -> str:
    """Return ``text`` with at most ``length`` characters, the last of them "…" if some were left out."""
    return text if len(text) <= length else text[: length - 1] + "…"
