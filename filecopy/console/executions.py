"""The list of executions, and an execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from filecopy.errors import StackError
from filecopy.executions.find import Listed
from filecopy.executions.from_events import Event
from filecopy.executions.model import (
    COPY_STATE,
    MAP_STATE,
    RUN_STATE,
    RUNNING,
    STATUSES,
    WORKER_MAP_STATE,
    Copy,
    Outcome,
    State,
)
from filecopy.executions.states import graph
from filecopy.pages.report import execution_view
from filecopy.pages.svg import state_id, svg
from filecopy.terminal import between, error_text, pretty
from handlers.arns import execution_arn, name_of

from .reader import NotFoundError, Reader

SHOWN = 25
# Visits of a state inside a Map that a panel shows: those that failed, and then the first ones.
VISITS = 20
# Events in the table. A large Map has tens of thousands, which no one reads in a table.
EVENTS = 500


@dataclass(frozen=True)
class Row:
    """An execution of the list. ``listed`` is ``None`` until it is described."""

    name: str
    status: str
    started: datetime
    stopped: datetime | None
    listed: Listed | None

    @property
    def took(self) -> str:
        return between(self.started, self.stopped) if self.stopped else ""


def executions(reader: Reader, query: dict[str, str]) -> dict[str, Any]:
    """Read a page of the list."""
    status, token = query.get("status", ""), query.get("page", "")
    if status and status not in STATUSES:
        raise StackError(f"status must be one of {', '.join(STATUSES)}.")
    found, following = reader.list_executions(status or None, token or None, SHOWN)
    rows = [
        Row(name_of(one["executionArn"]), one["status"], one["startDate"], one.get("stopDate"), described)
        for one, described in zip(found, reader.describe(found), strict=True)
    ]
    return {
        "rows": rows,
        "status": status,
        "statuses": STATUSES,
        "next": f"/executions?{urlencode({'status': status, 'page': following})}" if following else "",
        "is_first": not token,
    }


@dataclass(frozen=True)
class Panel:
    """What is known of a state: each of its visits, or the copies inside a Map."""

    id: str
    name: str
    type: str
    visits: Sequence[State]
    more_visits: int
    copies: Sequence[Copy]
    inside: str
    """The Map that has this state; empty if none has it."""

    @property
    def has_failed(self) -> bool:
        """What a reader looks for. To wait until another execution has copied the file is not a failure."""
        has_failed_copy = bool(self.inside) and any(copy.outcome is Outcome.FAILED for copy in self.copies)
        return has_failed_copy or any(visit.status.is_failure and not visit.is_lease_refusal for visit in self.visits)


@dataclass(frozen=True)
class EventRow:
    """A row of the table of events."""

    number: int
    after: str
    type: str
    about: str
    is_bad: bool


def execution(reader: Reader, query: dict[str, str]) -> dict[str, Any]:
    """Read an execution.

    Raises:
        NotFoundError: there is no such execution.
    """
    name = query.get("name", "")
    if not name or ":" in name:
        raise NotFoundError("There is no such execution. See the list of executions.")
    read = reader.execution(execution_arn(reader.stack.state_machine, name))
    history = read.history
    panels = list(_panels(read.definition, [*history.states, *history.inner], history.copies))
    return {
        **execution_view(history),
        "name": name,
        "is_own_file": history.job.source_bucket == reader.stack.source_bucket and bool(history.job.key),
        "error_sentence": error_text(history.error, history.cause),
        "drawing": svg(
            read.definition, history.path, current=None if history.is_over else history.state, has_links=True
        ),
        "panels": panels,
        "chosen": next((panel.id for panel in panels if panel.has_failed), ""),
        "input": pretty(history.input),
        "output": pretty(history.output),
        "events": [_event_row(event, history.started) for event in read.events[:EVENTS]],
        "event_count": len(read.events),
        "is_running": history.status == RUNNING,
    }


def _panels(definition: Mapping[str, Any], states: Sequence[State], copies: Sequence[Copy]) -> Iterator[Panel]:
    """A panel for each state of the drawing, in its order."""
    inside = {COPY_STATE: (MAP_STATE, False), RUN_STATE: (WORKER_MAP_STATE, True)}
    for node in graph(definition).nodes:
        visits = [state for state in states if state.name == node.name]
        if node.group:
            visits.sort(key=lambda state: not state.status.is_failure)
        through_worker = next((worker for map_, worker in inside.values() if node.name == map_), None)
        if node.name in inside:
            through_worker = inside[node.name][1]
        shown = [copy for copy in copies if through_worker is not None and bool(copy.runs) is through_worker]
        yield Panel(
            state_id(node.name), node.name, node.type, visits[:VISITS], len(visits[VISITS:]), shown, node.group or ""
        )


def _event_row(event: Event, started: datetime) -> EventRow:
    details: Mapping[str, Any] = next((value for name, value in event.items() if name.endswith("Details")), {})
    about = details.get("name") or details.get("resource") or ""
    if "index" in details:
        about = f"{about} {details['index']}".strip()
    text = error_text(details.get("error"), details.get("cause"))
    return EventRow(
        number=event["id"],
        after=between(started, event["timestamp"]),
        type=event["type"],
        about=" ".join(filter(None, [str(about), text])),
        is_bad=event["type"].endswith(("Failed", "TimedOut", "Aborted")),
    )
