"""The drawings of the state machine: all of it is there, nothing lies on anything else, and nothing breaks out."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise, product
from typing import Any

import pytest

from filecopy.executions.states import CATCH, Path, graph
from filecopy.pages.layout import BOX_HEIGHT, LABEL_CHARACTER, LINE, Box, Label, Layout, Route, layout
from filecopy.pages.mermaid import mermaid
from filecopy.pages.svg import svg

from .executions import DEFINITION, aws, ministack

SVG = "{http://www.w3.org/2000/svg}"
ODD = '</title><script>alert("1")</script>\x1b[2J%%{x}'
MAPS = ("CopyToMultipleBuckets", "CopyThroughWorker")
INSIDE = {name: state for map_ in MAPS for name, state in DEFINITION["States"][map_]["ItemProcessor"]["States"].items()}
ALL_STATES = {**DEFINITION["States"], **INSIDE}
# One of each kind of way, a circle, ways past other states, two to one place, a Map aside with a state after it, and
# names that mean something elsewhere.
OTHER = {
    "StartAt": "First",
    "States": {
        "First": {"Type": "Pass", "Next": ODD},
        ODD: {
            "Type": "Task",
            "Next": "Last",
            "Catch": [
                {"ErrorEquals": ["A.BException", "States.Timeout"], "Next": "Again"},
                {"ErrorEquals": ["States.ALL"], "Next": "Bad"},
            ],
        },
        "Again": {"Type": "Wait", "Next": ODD},
        "Last": {
            "Type": "Choice",
            "Choices": [
                {"Condition": f"{{% {ODD} %}}", "Next": "First"},
                {"Variable": "$.y", "Next": "Each"},
                {"Variable": "$.x", "Next": "Good"},
            ],
            "Default": "Bad",
        },
        "Each": {
            "Type": "Map",
            "ItemProcessor": {
                "StartAt": "One",
                "States": {"One": {"Type": "Pass", "Next": "Two"}, "Two": {"Type": "Pass", "End": True}},
            },
            "Next": "After",
        },
        "After": {"Type": "Pass", "End": True},
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail"},
    },
}


def parsed(drawing: str) -> ET.Element:
    return ET.fromstring(drawing)  # noqa: S314


def edges_of(states: dict[str, Any]) -> list[tuple[str, str]]:
    """Read off the definition in another way than the drawing does."""
    found = []
    for name, state in states.items():
        targets = re.findall(r"'(?:Next|Default)': '([^']*)'", str({k: v for k, v in state.items() if k != "Comment"}))
        if "ItemProcessor" in state:
            targets = [state["Next"]]
        found += [(name, target) for target in targets]
    return sorted(found)


def overlaps(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Return true if two rectangles, given by left, top, right and bottom, overlap."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def rectangle(box: Box) -> tuple[float, ...]:
    return box.x, box.y, box.right, box.bottom


def text_rectangle(label: Label) -> tuple[float, ...]:
    left = label.x - label.width if label.is_left else label.x
    return left, label.y - 10, left + label.width, label.y - 10 + LINE * len(label.lines)


def lines_of(route: Route) -> list[tuple[float, ...]]:
    """Its pieces, as thin rectangles."""
    return [
        (min(x0, x1) - 0.1, min(y0, y1) - 0.1, max(x0, x1) + 0.1, max(y0, y1) + 0.1)
        for (x0, y0), (x1, y1) in pairwise(route.points)
    ]


def outer(placed: Layout) -> list[Box]:
    return [box for box in placed.boxes if box.node.group is None]


def test_every_state_and_way_is_in_the_graph() -> None:
    """All that the definition has, those inside the Maps among them, and no more."""
    drawn = graph(DEFINITION)
    assert {node.name for node in drawn.nodes} == set(ALL_STATES)
    assert sorted((edge.source, edge.target) for edge in drawn.edges) == edges_of(ALL_STATES)
    assert drawn.starts == {
        None: "ValidateInput",
        "CopyToMultipleBuckets": "CopyToBucket",
        "CopyThroughWorker": "RunCopyWorker",
    }
    ends = {node.name for node in drawn.nodes if node.is_end and node.group is None}
    assert ends == {"Superseded", "AllCopiesSuccessful", "SomeCopiesFailed", "NotificationFailed"}
    catches = {(edge.source, edge.target) for edge in drawn.edges if edge.kind == CATCH}
    assert ("CopyToBucket", "CopyFailed") in catches
    assert ("AcquireLease", "ReadSource") not in catches


def test_labels_are_short() -> None:
    """A condition without what only asks for presence, an error without its service; all of it is in the meaning."""
    said = {(edge.source, edge.target, edge.kind): edge for edge in graph(DEFINITION).edges}
    superseded = said["CheckIfSuperseded", "Superseded", "choice"]
    assert superseded.label == "$job.sourceVersionId != $source.versionId"
    assert superseded.meaning.startswith("$exists($job.sourceVersionId) and ")
    assert said["CheckIfSuperseded", "SendFailureNotification", "choice"].label == "otherwise"
    assert said["AcquireLease", "WaitForTurn", CATCH].label == "ConditionalCheckFailed"
    assert said["ReadSource", "LogWorkflowStart", CATCH].label == "any error"


@pytest.mark.parametrize("definition", [DEFINITION, OTHER], ids=["workflow", "other"])
def test_every_state_and_way_is_drawn(definition: dict[str, Any]) -> None:
    """A box for each state and a line with a tip for each way and for the start, each with a name to hear."""
    root = parsed(svg(definition))
    drawn = graph(definition)
    boxes = [group for group in root.iter(f"{SVG}g") if "state" in group.get("class", "").split()]
    lines = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edge"]
    assert len(boxes) == len(drawn.nodes)
    assert len(lines) == len(drawn.edges) + 1
    assert all(line.find(f"{SVG}polygon") is not None for line in lines)
    dashed = [line for line in lines if "catch" in (line.find(f"{SVG}path") or line[1]).get("class", "")]
    assert len(dashed) == sum(edge.kind == CATCH for edge in drawn.edges)
    assert all(group.find(f"{SVG}title") is not None for group in [*boxes, *lines])
    assert (root.get("role"), bool(root.get("aria-label"))) == ("img", True)


@pytest.mark.parametrize("definition", [DEFINITION, OTHER], ids=["workflow", "other"])
def test_a_drawing_has_a_title_and_a_description(definition: dict[str, Any]) -> None:
    """They come first, so that the drawing is announced by them, and the description names the start and the ends."""
    root = parsed(svg(definition))
    assert [root[0].tag, root[1].tag] == [f"{SVG}title", f"{SVG}desc"]
    assert root[0].text == root.get("aria-label")
    assert f"First: {definition['StartAt']}." in (root[1].text or "")
    ends = [node.name for node in graph(definition).nodes if node.is_end and node.group is None]
    assert f"Ends: {', '.join(ends)}." in (root[1].text or "")


def test_the_description_tells_the_path() -> None:
    """The states that an execution entered, and those that failed, are in words as well."""
    words = parsed(svg(DEFINITION, aws().path))[1].text or ""
    assert f"Entered: {', '.join(aws().path.entered)}." in words
    assert "Failed: CopyToBucket, SomeCopiesFailed." in words


@pytest.mark.parametrize("definition", [DEFINITION, OTHER], ids=["workflow", "other"])
def test_no_box_lies_on_another(definition: dict[str, Any]) -> None:
    """Boxes are apart, what is inside a Map is inside its box, and everything is on the paper."""
    placed = layout(definition)
    for one, other in combinations(outer(placed), 2):
        assert not overlaps(rectangle(one), rectangle(other)), (one.node.name, other.node.name)
    by_name = {box.node.name: box for box in placed.boxes}
    inside = [box for box in placed.boxes if box.node.group]
    for one, other in combinations(inside, 2):
        assert not overlaps(rectangle(one), rectangle(other))
    for box in inside:
        around = by_name[box.node.group or ""]
        assert around.x < box.x < box.right < around.right
        assert around.y < box.y < box.bottom < around.bottom
    for left, top, right, bottom in map(rectangle, placed.boxes):
        assert left >= 0
        assert top >= 0
        assert right <= placed.width
        assert bottom <= placed.height


def test_the_same_definition_gives_the_same_drawing() -> None:
    """The Maps' insides are in the definition's order, so that the picture of an unchanged definition is unchanged."""
    edges = graph(DEFINITION).edges
    inner = [edge for edge in edges if edge.source in INSIDE]
    assert [route.edge for route in layout(DEFINITION).routes] == [edge for edge in edges if edge not in inner] + inner


def test_no_text_lies_on_anything() -> None:
    """A label is clear of every state's box, of every way and of every other label, and names fit into their boxes."""
    placed = layout(DEFINITION)
    labels = [route.label for route in placed.routes if route.label]
    assert len(labels) == sum(bool(edge.label) for edge in graph(DEFINITION).edges)
    for one, other in combinations(labels, 2):
        assert not overlaps(text_rectangle(one), text_rectangle(other)), (one, other)
    for label in labels:
        left, top, right, bottom = text_rectangle(label)
        assert left >= 0
        assert right <= placed.width
        for box in placed.boxes:
            if box.height == BOX_HEIGHT:
                assert not overlaps((left, top, right, bottom), rectangle(box)), (label, box.node.name)
        for route in placed.routes:
            assert not any(overlaps((left, top, right, bottom), line) for line in lines_of(route)), (label, route.edge)
    for box in placed.boxes:
        assert len(box.node.name) * (LABEL_CHARACTER + 1) < box.width, box.node.name


def test_ways_go_round_the_states() -> None:
    """A line meets no box but those that it joins, and is made of level and upright pieces."""
    placed = layout(DEFINITION)
    for route in placed.routes:
        assert all(x0 == x1 or y0 == y1 for (x0, y0), (x1, y1) in pairwise(route.points)), route
        for line in lines_of(route):
            for box in placed.boxes:
                is_joined = box.node.name in (route.edge.source, route.edge.target)
                is_around = route.edge.source in INSIDE and box.node.name in MAPS
                if not is_joined and not is_around:
                    assert not overlaps(line, rectangle(box)), (route.edge, box.node.name)


def test_ways_that_run_together_end_together() -> None:
    """Two ways may cross; they share a piece only where they lead to the same state."""
    for one, other in combinations(layout(DEFINITION).routes, 2):
        for line, their_line in product(lines_of(one), lines_of(other)):
            if overlaps(line, their_line) and one.edge.target != other.edge.target:
                left, top = max(line[0], their_line[0]), max(line[1], their_line[1])
                right, bottom = min(line[2], their_line[2]), min(line[3], their_line[3])
                assert right - left < 1, (one.edge, other.edge)
                assert bottom - top < 1, (one.edge, other.edge)


def test_the_main_path_goes_down_the_middle() -> None:
    """The states of an execution without errors are in one column; failures are right of it."""
    centres = {box.node.name: box.middle for box in layout(DEFINITION).boxes}
    aside = ("CheckIfAllSuccessful", "SendFailureNotification", "SomeCopiesFailed")
    main = [state for state in ministack().path.entered if state not in aside and state not in INSIDE]
    main += ["CheckIfAllSuccessful", "AllCopiesSuccessful"]
    assert len({centres[name][0] for name in main}) == 1
    assert [centres[name][1] for name in main] == sorted(centres[name][1] for name in main)
    for name in ("SendFailureNotification", "SomeCopiesFailed", "NotificationFailed"):
        assert centres[name][0] > centres[main[0]][0]


def test_the_path_taken() -> None:
    """States that were entered or failed are marked, not by a colour alone, and named; so are the transitions."""
    root = parsed(svg(DEFINITION, aws().path))
    groups = [group for group in root.iter(f"{SVG}g") if "state" in group.get("class", "").split()]
    classes = {(group.findtext(f"{SVG}title") or "").split(",")[0]: group.get("class", "").split() for group in groups}
    assert {name for name, kinds in classes.items() if "entered" in kinds} == set(aws().path.entered)
    assert {name for name, kinds in classes.items() if "failed" in kinds} == {"CopyToBucket", "SomeCopiesFailed"}
    assert {name for name, kinds in classes.items() if "missed" in kinds} == set(ALL_STATES) - set(aws().path.entered)
    signs = {}
    for group in groups:
        title = group.findtext(f"{SVG}title") or ""
        badge = [inner for inner in group.iter(f"{SVG}g") if inner.get("class") == "badge"]
        signs[title.rpartition(", ")[2]] = badge[0][1].get("d") if badge else None
    assert signs["not entered"] is None
    assert len({signs["entered"], signs["failed"], None}) == 3
    taken = [
        group.findtext(f"{SVG}title") or ""
        for group in root.iter(f"{SVG}g")
        if group.get("class") == "edge" and "taken" in group[1].get("class", "")
    ]
    assert len(taken) == len(aws().path.edges) + 1
    assert "ReadSource to LogWorkflowStart" in taken
    assert not any(title.startswith("ReadSource to LogWorkflowStart: Catch") for title in taken)


def test_a_map_entered_again_and_again() -> None:
    """Its name and how often it was entered have room side by side in its box."""
    drawing = svg(DEFINITION, Path(entered={"CopyThroughWorker": 100, "CopyToMultipleBuckets": 1}))
    for name in MAPS:
        box = next(box for box in layout(DEFINITION).boxes if box.node.name == name)
        [group] = [group for group in parsed(drawing).iter(f"{SVG}g") if group.findtext(f"{SVG}text") == name]
        said = [text.text or "" for text in group.iter(f"{SVG}text")]
        assert 28 + len(said[0]) * (LABEL_CHARACTER + 1) + len(said[1]) * LABEL_CHARACTER < box.width, said
    assert ">100 times<" in drawing


def test_mermaid() -> None:
    """Every state once, every way once, those after an error dashed, the inside of a Map as a group."""
    text = mermaid(DEFINITION)
    lines = text.splitlines()
    assert lines[0] == "flowchart TD"
    for name in ALL_STATES:
        assert sum(f'"{name}"' in line for line in lines) == 1, name
    drawn = graph(DEFINITION)
    assert sum("-.->" in line for line in lines) == sum(edge.kind == CATCH for edge in drawn.edges)
    assert sum(" --> " in line or " -->|" in line for line in lines) == len(drawn.edges) + 1 - sum(
        edge.kind == CATCH for edge in drawn.edges
    )
    for map_ in MAPS:
        group = lines[lines.index(next(line for line in lines if "subgraph" in line and map_ in line)) :]
        inside = list(DEFINITION["States"][map_]["ItemProcessor"]["States"])
        assert [line.split('"')[1] for line in group[1 : group.index("    end")]] == inside


def test_names_break_nothing() -> None:
    """A state or a condition that is called like a tag, a directive or an escape sequence is text, in both drawings."""
    drawing, text = svg(OTHER), mermaid(OTHER)
    assert "\x1b" not in drawing + text
    assert not list(parsed(drawing).iter(f"{SVG}script"))
    for bad in ("<script", "</title>", "%%", '""'):
        assert bad not in text
    assert [line.count('"') % 2 for line in text.splitlines()] == [0] * len(text.splitlines())


def test_the_drawing_needs_nothing_else() -> None:
    """No image, font, style or script is fetched, and both a light and a dark page are served."""
    drawing = svg(DEFINITION)
    assert re.findall(r"https?://[^\s\"']*", drawing) == ["http://www.w3.org/2000/svg"]
    assert "url(" not in drawing
    assert "href" not in drawing
    assert "prefers-color-scheme: dark" in drawing
