"""The list of files: search, filters, and pages that read only what they show."""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from filecopy.errors import StackError
from filecopy.stack.records import MAX_KEYS, STATUSES, TrackingRecord, place_of, read_record, read_records
from handlers.keys import problem_of_key
from handlers.text import iso

from .reader import Reader

SHOWN = 50
# Records of each status among which one page of a search looks: a request each, of some 64 kB.
SEARCHED = 250

STATUS_FILTERS: Mapping[str, tuple[str, ...]] = {
    "": STATUSES,
    "copied": ("COMPLETED",),
    "failed": ("FAILED", "PARTIAL_FAILURE"),
    "running": ("IN_PROGRESS",),
}
TIMES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_END = "end"


def files(reader: Reader, query: dict[str, str]) -> dict[str, Any]:
    """Read a page of the list."""
    chosen = {name: query.get(name, "") for name in ("q", "status", "since", "to")}
    if chosen["status"] not in STATUS_FILTERS:
        raise StackError(f"status must be one of {', '.join(filter(None, STATUS_FILTERS))}.")
    since = TIMES.get(chosen["since"])
    statuses = STATUS_FILTERS[chosen["status"]]
    start = iso(datetime.now(UTC) - since) if since else None
    places = _places(query.get("page", ""))
    is_narrowed = bool(chosen["q"] or chosen["to"])
    count = SEARCHED if is_narrowed else SHOWN
    left = [status for status in statuses if places.get(status) != _END]
    pages = reader.pages(left, count, since=start, places=places)
    merged = heapq.merge(*pages.values(), key=lambda record: str(record.item.get("startTime", "")), reverse=True)
    looked_at = list(islice(merged, count))
    exact = None if places or problem_of_key(chosen["q"]) else read_record(reader.stack, chosen["q"])
    found = [record for record in looked_at if not exact or record.key != exact.key]
    found = list(_narrowed(reader, found, chosen["q"], chosen["to"]))
    following = _next_page(pages, looked_at, places, statuses, count)
    return {
        "records": found[:SEARCHED],
        "exact": exact,
        "chosen": chosen,
        "statuses": list(STATUS_FILTERS),
        "times": list(TIMES),
        "destinations": reader.stack.destinations,
        "looked_at": len(looked_at) if is_narrowed else None,
        "oldest": looked_at[-1].started if looked_at else None,
        "next": f"/files?{urlencode({**chosen, 'page': following})}" if following else "",
        "is_first": not places,
        # A search reads many records, and older pages do not change.
        "is_live": not places and not is_narrowed,
        "is_narrowed": is_narrowed or any(chosen.values()),
    }


def _narrowed(reader: Reader, records: Sequence[TrackingRecord], text: str, to: str) -> Iterator[TrackingRecord]:
    """The records whose key contains a text, and that have this destination. The index has no destinations."""
    found = [record for record in records if text in record.key]
    if not to:
        yield from found
        return
    own = [record for record in found if record.source_bucket == reader.stack.source_bucket]
    for index in range(0, len(own), MAX_KEYS):
        group = own[index : index + MAX_KEYS]
        whole = read_records(reader.stack, list(dict.fromkeys(record.key for record in group)))
        for record in group:
            read = whole.get(record.key)
            if read and to in read.destinations:
                yield read


def _next_page(
    pages: Mapping[str, Sequence[TrackingRecord]],
    shown: Sequence[TrackingRecord],
    places: Mapping[str, Any],
    statuses: Sequence[str],
    count: int,
) -> str:
    """The place where the next page begins, in the URL; empty if this page is the last one."""
    following: dict[str, Any] = {}
    for status in statuses:
        if status not in pages:
            following[status] = _END
            continue
        own = [record for record in shown if record.status == status]
        if len(own) == len(pages[status]) < count:
            following[status] = _END
        elif own:
            following[status] = place_of(own[-1])
        elif status in places:
            following[status] = places[status]
    if all(following.get(status) == _END for status in statuses):
        return ""
    return base64.urlsafe_b64encode(json.dumps(following, separators=(",", ":")).encode()).decode()


def _places(page: str) -> dict[str, Any]:
    """Read what :func:`_next_page` returned. It comes from a URL, so it may be anything."""
    if not page:
        return {}
    try:
        places = json.loads(base64.urlsafe_b64decode(page.encode()))
        valid = isinstance(places, dict) and all(
            status in STATUSES
            and (place == _END or (isinstance(place, dict) and all(isinstance(each, str) for each in place.values())))
            for status, place in places.items()
        )
    except (ValueError, RecursionError):
        valid = False
    if not valid:
        raise StackError("The address of this page is damaged. Begin at the first page of the files.")
    return dict(places)
