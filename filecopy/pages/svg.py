"""The state machine as an SVG drawing, for a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from urllib.parse import quote

from filecopy.executions.states import CATCH, Definition, Graph, Node, Path, graph
from handlers.text import printable

from .layout import BOX_HEIGHT, LINE, Box, Label, Point, Route, layout, shortened

NAME_LENGTH = 25

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

TICK, CROSS = "M-4 0 L-1 3 L4 -3", "M-3 -3 L3 3 M3 -3 L-3 3"
TIP_LENGTH, TIP_HALF_WIDTH = 8, 4
# The line ends inside the arrow's tip.
LINE_END = 6
# The sum of the dash and the gap of ``.catch``.
DASH_PERIOD = 9


def svg(
    definition: Definition, path_taken: Path | None = None, *, current: str | None = None, has_links: bool = False
) -> str:
    """Draw ``definition`` as one element that needs nothing else. It follows the reader's light or dark theme.

    Args:
        path_taken: the path of an execution. Its states get a coloured frame, and a tick or, if they failed, a cross.
        current: the state that the execution is in; it has the class ``current``.
        has_links: each state links to :func:`state_id` in the page around it. That page has STYLE.
    """
    drawing = layout(definition)
    name = "The state machine" + (", and the way that the execution took" if path_taken else "")
    width, height = round(drawing.width), round(drawing.height)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    # What is inside an image is not there for readers who do not see it.
    role = "group" if has_links else "img"

    def state(box: Box) -> str:
        drawn = _state(box, path_taken, is_current=box.node.name == current)
        name = escaped(box.node.name)
        return (
            f'<a href="#{escape(quote(state_id(box.node.name)))}" aria-label="{name}">{drawn}</a>'
            if has_links
            else drawn
        )

    # Taken routes are drawn last, on top of the others.
    routes = sorted(drawing.routes, key=lambda route: _is_taken(route, path_taken))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="machine" role="{role}" aria-label="{name}" {size}>',
        f"<title>{name}</title>",
        f"<desc>{escaped(_description(graph(definition), path_taken))}</desc>",
        "" if has_links else f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
        *(state(box) for box in drawing.boxes if _is_map(box)),
        *_start(drawing.start, min(box.y for box in drawing.boxes), path_taken),
        *(_transition(route, path_taken) for route in routes),
        *(state(box) for box in drawing.boxes if not _is_map(box)),
        *(_label(route.label) for route in drawing.routes if route.label),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def state_id(name: str) -> str:
    """Return the id of the part of a page that is about a state."""
    return f"state-{printable(name)}".replace(" ", "_")


def _description(machine: Graph, path: Path | None) -> str:
    """Say what the drawing shows, for readers who do not see it."""
    ends = [node.name for node in machine.nodes if node.is_end and node.group is None]
    sentences = [
        f"{len(machine.nodes)} states. First: {machine.starts[None]}. Ends: {', '.join(ends) or 'none'}.",
        "Dashed lines are transitions after an error.",
    ]
    if path is not None:
        sentences.append(f"Entered: {', '.join(path.entered) or 'none'}.")
        sentences.append(f"Failed: {', '.join(sorted(path.failed)) or 'none'}.")
    return " ".join(sentences)


def escaped(text: str) -> str:
    """Return ``text`` on one line, without control characters, escaped for XML."""
    return escape(printable(text))


# --- Transitions ------------------------------------------------------------------------------------------------


def _start(start: Point, first: float, path: Path | None) -> list[str]:
    """Draw the dot at the start and its line down to the first state."""
    x, y = start
    taken = " taken" if path and path.entered else ""
    return [
        f'<circle class="start{taken}" cx="{x:g}" cy="{y:g}" r="7"/>',
        _arrow([(x, y), (x, first)], taken, "The start"),
    ]


def _is_taken(route: Route, path: Path | None) -> bool:
    return path is not None and (route.edge.source, route.edge.target, route.edge.kind == CATCH) in path.edges


def _transition(route: Route, path: Path | None) -> str:
    edge = route.edge
    style = (" catch" if edge.kind == CATCH else "") + (" taken" if _is_taken(route, path) else "")
    meaning = f": {edge.meaning}" if edge.meaning else ""
    return _arrow(route.points, style, f"{edge.source} to {edge.target}{meaning}")


def _arrow(points: Sequence[Point], style: str, title: str) -> str:
    """Draw a line through ``points`` with a tip at its end."""
    (x0, y0), (x1, y1) = points[-2:]
    length = abs(x1 - x0) + abs(y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    line = [*points[:-1], (x1 - LINE_END * ux, y1 - LINE_END * uy)]
    commands = " ".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(line))
    base = [
        (x1 - TIP_LENGTH * ux + TIP_HALF_WIDTH * side * uy, y1 - TIP_LENGTH * uy + TIP_HALF_WIDTH * side * ux)
        for side in (1, -1)
    ]
    tip = " ".join(f"{x:g},{y:g}" for x, y in ((x1, y1), *base))
    offset = f' stroke-dashoffset="{_dash_offset(line):g}"' if "catch" in style else ""
    return (
        f'<g class="edge"><title>{escaped(title)}</title><path class="way{style}" d="{commands}"{offset}/>'
        f'<polygon class="tip{style.replace(" catch", "")}" points="{tip}"/></g>'
    )


def _dash_offset(line: Sequence[Point]) -> float:
    """Count dashes from the tip, so that the dashes of lines that come together coincide."""
    return -sum(abs(x1 - x0) + abs(y1 - y0) for (x0, y0), (x1, y1) in pairwise(line)) % DASH_PERIOD


def _label(label: Label) -> str:
    anchor = ' text-anchor="end"' if label.is_left else ""
    lines = "".join(
        f'<tspan x="{label.x:g}" y="{label.y + LINE * index:g}">{escaped(line)}</tspan>'
        for index, line in enumerate(label.lines)
    )
    return f'<text class="label"{anchor}>{lines}</text>'


# --- States -----------------------------------------------------------------------------------------------------


def _is_map(box: Box) -> bool:
    return box.height > BOX_HEIGHT


def _state(box: Box, path: Path | None, *, is_current: bool = False) -> str:
    node = box.node
    count = path.entered.get(node.name, 0) if path else 0
    is_failed = path is not None and node.name in path.failed
    outcome = _outcome(count, is_failed) if path is not None else []
    classes = ["state", *(["group"] if _is_map(box) else []), *outcome, *(["current"] if is_current else [])]
    parts = [
        f'<g class="{" ".join(classes)}"><title>{escaped(_state_title(node, outcome))}</title>',
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="8"/>',
        _inner_frame(box) if node.is_end else "",
        _name_and_type(box, count),
        _badge(box, CROSS if is_failed else TICK) if (count or is_failed) and not is_current else "",
        "</g>",
    ]
    return "".join(parts)


def _outcome(count: int, is_failed: bool) -> list[str]:
    """Return the classes of a state on a path: ``entered`` or ``missed``, and ``failed``."""
    return ["entered" if count else "missed", *(["failed"] if is_failed else [])]


def _state_title(node: Node, outcome: Sequence[str]) -> str:
    words = {"entered": ", entered", "missed": ", not entered", "failed": ", failed"}
    return f"{node.name}, {node.type}{words[outcome[-1]] if outcome else ''}"


def _inner_frame(box: Box) -> str:
    """Draw the second frame, which marks an end of the state machine."""
    place = f'x="{box.x + 3:g}" y="{box.y + 3:g}" width="{box.width - 6:g}" height="{box.height - 6:g}"'
    return f'<rect class="ending" {place} rx="6"/>'


def _name_and_type(box: Box, count: int) -> str:
    """Write a state's name, its type, and how often it was entered if that was more than once."""
    words = [box.node.type, *(["end"] if box.node.is_end else [])]
    if count > 1:
        # A Map has its name and its type on one line, with no room for the count.
        words = [*([] if _is_map(box) else words), f"{count} times"]
    name, kind = escaped(shortened(printable(box.node.name), NAME_LENGTH)), escaped(" · ".join(words))
    if _is_map(box):
        return (
            f'<text class="name" x="{box.x + 14:g}" y="{box.y + 22:g}">{name}</text>'
            f'<text class="type" text-anchor="end" x="{box.right - 14:g}" y="{box.y + 22:g}">{kind}</text>'
        )
    middle = box.middle[0]
    return (
        f'<text class="name" text-anchor="middle" x="{middle:g}" y="{box.y + 20:g}">{name}</text>'
        f'<text class="type" text-anchor="middle" x="{middle:g}" y="{box.y + 36:g}">{kind}</text>'
    )


def _badge(box: Box, sign: str) -> str:
    """Draw a sign on the upper right corner of a state."""
    place = f"translate({box.right - 4:g} {box.y + 4:g})"
    return f'<g class="badge" transform="{place}"><circle r="8"/><path d="{sign}"/></g>'
