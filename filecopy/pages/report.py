"""An execution as one HTML page that needs nothing else: to be read, printed, or attached to an incident."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from filecopy.executions.states import Definition
from filecopy.history import (
    MAP_STATE,
    NOT_RECORDED,
    WORKER_MAP_STATE,
    Attempt,
    Copy,
    History,
    Outcome,
    State,
    StateStatus,
    attempts_of,
    compared_by,
    moment,
    parsed,
    plain,
    pretty,
    seconds,
    told,
    tries,
)

from .svg import escaped, svg

_GOOD, _BAD, _BUSY, _QUIET = "good", "bad", "busy", "quiet"
_SIGNS = {_GOOD: "✔", _BAD: "✘", _BUSY: "…", _QUIET: "○"}
_OUTCOMES = {
    Outcome.COPIED: _GOOD,
    Outcome.FAILED: _BAD,
    Outcome.UNDER_WAY: _BUSY,
    Outcome.WAITING: _BUSY,
    Outcome.NOT_TRIED: _QUIET,
    Outcome.UNKNOWN: _QUIET,
}
_STATUSES = {StateStatus.SUCCEEDED: _GOOD, StateStatus.RUNNING: _BUSY}

# Nothing may be fetched or run, whatever has found its way into the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_LIGHT = """--paper: #ffffff; --card: #f6f8fa; --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --accent: #0550ae;
  --good: #1a6b33; --bad: #b3121d; --busy: #0550ae; --good-bar: #2f9e57; --bad-bar: #d9323d; --busy-bar: #4c8ed9;
  --span: #dfe5eb;"""
_DARK = """--paper: #0d1117; --card: #161b22; --ink: #e6edf3; --quiet: #9da7b3; --line: #30363d; --accent: #79c0ff;
  --good: #5fd37f; --bad: #ff9a92; --busy: #79c0ff; --good-bar: #2f9e57; --bad-bar: #e5534b; --busy-bar: #4c8ed9;
  --span: #2b333c;"""
_STYLE = """
:root { color-scheme: light dark; LIGHT }
@media (prefers-color-scheme: dark) { :root { DARK } }
@media print { :root { color-scheme: light; LIGHT } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.25rem 3rem; background: var(--paper); color: var(--ink);
  font: 0.95rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 0.6rem; padding-bottom: 0.25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 0.4rem; }
p { margin: 0.4rem 0; }
code, pre, .code { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; font-size: 0.86em; }
.file { font-size: 1.05rem; margin-bottom: 1rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); }
.quiet { color: var(--quiet); }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) minmax(0, 1fr); gap: 0.3rem 1.25rem; margin: 0; }
dt { color: var(--quiet); } dd { margin: 0; }
.facts { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 0.9rem 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.75rem 0.4rem 0;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; min-width: 9rem; }
td.outcome, td.check { white-space: nowrap; } td.version { min-width: 7rem; }
td details { margin: 0; }
details { margin: 0.3rem 0; }
summary { cursor: pointer; color: var(--accent); }
summary:focus-visible, .drawing:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
details ol { margin: 0.25rem 0; padding-left: 1.4rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 0.6rem 0.75rem;
  margin: 0.3rem 0; white-space: pre-wrap; }
.times { list-style: none; margin: 0; padding: 0; }
.times li { display: grid; grid-template-columns: 15rem 13rem minmax(0, 1fr); gap: 0 1rem; align-items: center;
  padding: 0.2rem 0; border-bottom: 1px solid var(--line); }
.times .when { color: var(--quiet); font-size: 0.86em; font-variant-numeric: tabular-nums; }
.times .what.inner { padding-left: 1rem; }
.track { position: relative; height: 1.05rem; border-radius: 4px; }
.track i { position: absolute; top: 15%; height: 70%; left: min(var(--from), 100% - 3px);
  width: var(--long); min-width: 3px; border-radius: 3px; background: var(--good-bar); }
.track i.span { top: 40%; height: 20%; background: var(--span); }
.track i.bad { background: repeating-linear-gradient(135deg, var(--bad-bar) 0 4px, var(--paper) 4px 6px);
  border: 1px solid var(--bad-bar); }
.track i.busy { background: var(--busy-bar); border: 1px dashed var(--ink); }
.track i.moment { width: 0; min-width: 0; height: 100%; top: 0; background: none; border-radius: 0;
  border-left: 3px solid var(--good-bar); }
.track i.moment.bad { border: 0; border-left: 3px dotted var(--bad-bar); }
.axis { position: relative; height: 1.3rem; font-size: 0.78rem; color: var(--quiet);
  font-variant-numeric: tabular-nums; }
.axis span { position: absolute; left: var(--from); white-space: nowrap; border-left: 1px solid var(--line);
  padding-left: 0.25rem; }
.key { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; color: var(--quiet); font-size: 0.86em; margin: 0.5rem 0; }
.key .track { display: inline-block; width: 1.6rem; vertical-align: -0.2rem; margin-right: 0.4rem; }
.drawing { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; position: relative; }
.drawing .first { position: absolute; left: 20rem; top: 0; width: 20rem; scroll-initial-target: nearest; }
.drawing svg { display: block; margin: 0 auto; height: auto; max-width: 100%; min-width: 56rem; }
figure { margin: 0; }
footer { margin-top: 2.5rem; color: var(--quiet); font-size: 0.86em; }
@media (max-width: 46rem) {
  body { padding: 1rem 0.9rem 2rem; }
  h1 { font-size: 1.35rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin-bottom: 0.5rem; }
  .times li { display: flex; flex-wrap: wrap; justify-content: space-between; }
  .times .track, .times .axis { width: 100%; }
  .axis span.middle { display: none; }
  table, tbody, tr, th, td { display: block; } thead { display: none; }
  tr { border: 1px solid var(--line); border-radius: 8px; padding: 0.5rem 0.75rem; margin-bottom: 0.6rem; }
  th, td { border: 0; padding: 0.1rem 0; }
  td::before { content: attr(data-name) ": "; color: var(--quiet); } td.empty { display: none; }
  td details { display: inline-block; vertical-align: top; }
}
@page { margin: 1.5cm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  td details::details-content { content-visibility: visible; block-size: auto; }
  h2, h3 { break-after: avoid; } tr, .times li, figure { break-inside: avoid; }
  .drawing { border: 0; overflow: visible; } .drawing svg { min-width: 0; max-height: 24cm; }
  i, svg * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
""".replace("LIGHT", _LIGHT).replace("DARK", _DARK)


@dataclass(frozen=True)
class Headline:
    """How the execution ended, in a sentence, and whether that is good."""

    kind: str
    text: str


def headline(history: History) -> Headline:
    """What somebody wants to know first."""
    counts = Counter(copy.outcome for copy in history.copies)
    total, copied, failed = len(history.copies), counts[Outcome.COPIED], counts[Outcome.FAILED]
    places = "1 destination" if total == 1 else f"{total} destinations"
    if history.status == "RUNNING":
        return Headline(_BUSY, f"Running: {copied} of {total} copies made so far")
    if history.status == "SUCCEEDED":
        output = parsed(history.output)
        if isinstance(output, dict) and output.get("status") == "SUPERSEDED":
            return Headline(_QUIET, "Superseded: a newer version of the file is copied instead")
        return Headline(_GOOD, f"Copied to {places}" if total == 1 else f"Copied to all {places}")
    if history.status == "ABORTED":
        return Headline(_BAD, f"Stopped: {copied} of {total} copies made")
    if history.status == "TIMED_OUT":
        return Headline(_BAD, f"Timed out: {copied} of {total} copies made")
    copies = f"{failed} of {total} copies failed" if failed else f"{copied} of {total} copies made"
    why = {
        "CopiesFailed": f"Partly failed: {copies}" if copied else "Failed: no copy was made",
        "SourceUnreadable": "Failed: the source could not be read",
        "TrackingFailed": f"The tracking record could not be written; {copies}",
        "NotificationFailed": f"{copies}, and nobody could be told",
    }
    return Headline(_BAD, why.get(history.error or "", f"Failed: {history.error or 'no error is recorded'}"))


def report_page(history: History, definition: Definition | None = None) -> str:
    """The page.

    Args:
        definition: of the state machine that the execution runs; without one it is not drawn.
    """
    said = headline(history)
    job = history.job
    key, bucket = str(job.get("sourceKey", NOT_RECORDED)), str(job.get("sourceBucket", NOT_RECORDED))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escaped(said.text)}: {escaped(key)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            "<header>",
            f'<h1 class="{said.kind}">{_SIGNS[said.kind]} {escaped(said.text)}</h1>',
            f'<p class="file code">{escaped(key)}</p>',
            _facts(history, bucket),
            "</header>",
            "<main>",
            _destinations(history),
            _timeline(history),
            _drawing(history, definition),
            _record(history),
            _data(history),
            "</main>",
            f"<footer>Read from the execution's history on {moment(history.read_at)}.</footer>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _list(pairs: Iterable[tuple[str, str | None]], style: str = "") -> str:
    """A definition list of names and of values that are HTML already; those that are None are left out."""
    items = "".join(f"<dt>{escaped(name)}</dt><dd>{said}</dd>" for name, said in pairs if said is not None)
    return f'<dl class="{style}">{items}</dl>' if style else f"<dl>{items}</dl>"


def _code(text: object) -> str:
    return f'<span class="code">{escaped(str(text))}</span>'


def _facts(history: History, bucket: str) -> str:
    version = history.job.get("sourceVersionId")
    return _list(
        [
            ("Source bucket", _code(bucket)),
            ("Version", _code(version) if version is not None else None),
            ("Execution", _code(history.execution_arn)),
            ("Status", escaped(history.status)),
            ("Started", moment(history.started)),
            ("Took" if history.stopped else "Running for", seconds(history.started, history.ended)),
            ("Error", escaped(history.error) if history.error else None),
            ("Cause", escaped(history.cause) if history.cause else None),
        ],
        "facts",
    )


# --- Destinations -----------------------------------------------------------------------------------------------


def _destinations(history: History) -> str:
    if not history.copies:
        return "<h2>Destinations</h2>\n<p>The input names no destination.</p>"
    names = ("Bucket", "Outcome", "Attempts", "Check", "Error", "Version", "Arrival")
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in names)
    rows = "\n".join(_destination(history, copy) for copy in history.copies)
    return (
        f'<h2 id="destinations">Destinations</h2>\n<table role="table" aria-labelledby="destinations">\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{rows}\n</tbody>\n</table>'
    )


def _destination(history: History, copy: Copy) -> str:
    kind = _OUTCOMES[copy.outcome]
    is_open = copy.outcome in (Outcome.UNDER_WAY, Outcome.WAITING)
    cells = {
        "Outcome": f'<span class="{kind}">{_SIGNS[kind]} {copy.outcome}</span>',
        "Attempts": attempts_of(copy)
        if copy.attempts is not None
        else f'<span class="quiet">{attempts_of(copy)}</span>',
        "Check": escaped(compared_by(copy.check)),
        "Error": (_error(copy.error, copy.cause) if copy.outcome is not Outcome.COPIED else "")
        + _retries(history, copy),
        "Version": _code(copy.version_id) if copy.version_id else "",
        "Arrival": _arrival(copy) if not is_open else "",
    }
    # Empty cells stay, so that columns do; on a narrow page, where each cell is a line, they are not shown.
    tds = "".join(
        f'<td role="cell" class="{name.lower()}{"" if said else " empty"}" data-name="{name}">{said}</td>'
        for name, said in cells.items()
    )
    return f'<tr role="row"><th role="rowheader" scope="row">{_code(copy.bucket)}</th>{tds}</tr>'


def _error(error: str | None, cause: str | None) -> str:
    if not error:
        return ""
    return f"<strong>{escaped(error)}</strong>" + (f": {escaped(cause)}" if cause else "")


def _retries(history: History, copy: Copy) -> str:
    if not copy.attempts or len(copy.attempts) == 1:
        return ""
    items = "".join(f"<li>{_attempt(history, attempt)}</li>" for attempt in copy.attempts or ())
    return f"<details><summary>Each attempt</summary><ol>{items}</ol></details>"


def _attempt(history: History, attempt: Attempt) -> str:
    kind = _GOOD if attempt.status == "SUCCEEDED" else _BUSY if attempt.status is None else _BAD
    said = (attempt.status or "RUNNING").lower().replace("_", " ")
    took = seconds(attempt.scheduled, attempt.ended or history.ended)
    why = _error(attempt.error, attempt.cause)
    return f'<span class="{kind}">{_SIGNS[kind]} {said}</span> after {took}' + (f"; {why}" if why else "")


def _arrival(copy: Copy) -> str:
    arrival = copy.arrival
    if arrival is None:
        return f'<span class="quiet">{NOT_RECORDED}</span>' if copy.outcome is Outcome.COPIED else ""
    check = escaped(str(arrival.get("check", NOT_RECORDED)))
    if arrival.get("verified"):
        return f'<span class="good">✔ verified</span> by {check}'
    return f'<span class="bad">✘ not verified</span> by {check}: {escaped(str(arrival.get("problem", "")))}'


# --- Timeline ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scale:
    """Where in the track a moment is, in percent."""

    begin: datetime
    end: datetime

    @property
    def length(self) -> float:
        return max((self.end - self.begin).total_seconds(), 0.001)

    def at(self, time: datetime) -> float:
        return min(max((time - self.begin).total_seconds() / self.length * 100, 0.0), 100.0)

    def bar(self, since: datetime, until: datetime, style: str = "") -> str:
        long = max(self.at(until) - self.at(since), 0.0)
        return f'<i class="{style}" style="--from: {self.at(since):.2f}%; --long: {long:.2f}%"></i>'


def _timeline(history: History) -> str:
    if not history.states:
        return "<h2>Timeline</h2>\n<p>No state has been entered.</p>"
    # A stopped execution of an emulator may go on for a moment.
    last = max([history.ended, *(state.exited for state in history.states if state.exited)])
    scale = _Scale(history.started, last)
    rows = [f'<li aria-hidden="true"><span></span><span></span>{_axis(scale)}</li>']
    # A copy of several runs is one row, below the first of them.
    below = {MAP_STATE: [copy for copy in history.copies if not copy.runs]}
    below[WORKER_MAP_STATE] = [copy for copy in history.copies if copy.runs]
    for state in history.states:
        rows.append(_state_row(history, scale, state))
        rows += [_copy_row(history, scale, copy) for copy in below.pop(state.name, ()) if copy.started or copy.ended]
    is_partly_recorded = any(copy.attempts is None for copy in history.copies)
    note = (
        "<p>Attempts are not recorded by destination here: of a copy, only its end is known.</p>"
        if is_partly_recorded
        else ""
    )
    key = "".join(
        f'<span><span class="track" aria-hidden="true"><i class="{style}" style="--from: 0%; --long: 100%"></i></span>'
        f"{name}</span>"
        for style, name in (("", "succeeded"), ("bad", "failed"), ("busy", "still runs"), ("span", "waits"))
    )
    body = "\n".join(rows)
    return f'<h2>Timeline</h2>\n<p class="key">{key}</p>\n{note}<ol class="times">\n{body}\n</ol>'


def _axis(scale: _Scale) -> str:
    steps = [base * 10**power for power in range(-3, 6) for base in (1, 2, 5)]
    step = next((step for step in steps if scale.length / step <= 5), steps[-1])
    ticks = [step * index for index in range(int(scale.length / step) + 1)]
    marks = ""
    for index, tick in enumerate(ticks):
        place = tick / scale.length * 100
        # The last one would stand out of the page.
        if place < 93:
            style = ' class="middle"' if index % 2 else ""
            marks += f'<span{style} style="--from: {place:.2f}%">{tick:g} s</span>'
    return f'<div class="axis">{marks}</div>'


def _row(name: str, when: str, bars: str, style: str = "") -> str:
    return (
        f'<li><span class="what{style}">{name}</span><span class="when">{when}</span>'
        f'<span class="track" aria-hidden="true">{bars}</span></li>'
    )


def _state_row(history: History, scale: _Scale, state: State) -> str:
    kind = _STATUSES.get(state.status, _BAD)
    until = state.exited or (state.entered if state.type == "Fail" else history.ended)
    bars = _bars(scale, state.entered, until, state.attempts, kind, history)
    made = tries(state)
    more = [f"calls: {made}" if state.calls else f"{made} attempts"] if state.calls or state.retries else []
    more += ["went on after an error"] if state.status is StateStatus.CAUGHT else []
    when = ", ".join([f"+{seconds(history.started, state.entered)}", seconds(state.entered, until), *more])
    return _row(f'<span class="{kind}">{_SIGNS[kind]}</span> {escaped(state.name)}', when, bars)


def _copy_row(history: History, scale: _Scale, copy: Copy) -> str:
    kind = _OUTCOMES[copy.outcome]
    name = f'<span class="{kind}">{_SIGNS[kind]}</span> {_code(copy.bucket)}'
    if copy.started is None:
        at = copy.ended or history.ended
        mark = scale.bar(at, at, f"moment {kind}")
        return _row(name, f"ended at +{seconds(history.started, at)}", mark, " inner")
    until = copy.ended or history.ended
    bars = _bars(scale, copy.started, until, copy.attempts or (), kind, history)
    retried = f", {len(copy.attempts)} attempts" if copy.retries and copy.attempts else ""
    retried += f", {copy.runs} runs" if copy.runs and copy.runs > 1 else ""
    when = f"+{seconds(history.started, copy.started)}, {seconds(copy.started, until)}{retried}"
    return _row(name, when, bars, " inner")


def _bars(
    scale: _Scale, since: datetime, until: datetime, attempts: tuple[Attempt, ...], kind: str, history: History
) -> str:
    """The whole time as a thin bar and each attempt as a thick one; a thick one alone where there are none."""
    if not attempts:
        return scale.bar(since, until, kind)
    bars = [scale.bar(since, until, "span")]
    for attempt in attempts:
        style = _GOOD if attempt.status == "SUCCEEDED" else _BUSY if attempt.status is None else _BAD
        end = attempt.ended or history.ended
        bars.append(scale.bar(attempt.scheduled or end, end, style))
    return "".join(bars)


# --- The rest ---------------------------------------------------------------------------------------------------


def _drawing(history: History, definition: Definition | None) -> str:
    if definition is None:
        return ""
    # The sentence says what the drawing shows, for whoever does not see it.
    names = ", ".join(dict.fromkeys(state.name for state in history.states))
    return (
        "<h2>State machine</h2>\n"
        "<p>States with a tick were entered, those with a cross failed; dashed ways are those after an error.</p>\n"
        '<figure><div class="drawing" tabindex="0" role="region" aria-label="Drawing of the state machine">\n'
        f'<span class="first"></span>{svg(definition, history.path)}</div>\n'
        f'<figcaption class="quiet">Entered: {escaped(names) or "none"}.</figcaption></figure>'
    )


def _record(history: History) -> str:
    record = history.record
    if record is None:
        return "<h2>Tracking record</h2>\n<p>There is none, or it was not read.</p>"
    shown: Mapping[str, Any] = plain(record)
    simple = [(name, _field(member)) for name, member in shown.items() if not isinstance(member, dict)]
    note = (
        ""
        if history.record_is_of_this_execution
        else "<p><strong>It is another execution's by now</strong>: nothing above is taken from it.</p>\n"
    )
    text = escaped_lines(json.dumps(shown, indent=2, ensure_ascii=False))
    return (
        f"<h2>Tracking record</h2>\n{note}{_list(item for item in simple if item[1] is not None)}\n"
        f"<details><summary>All of it, as JSON</summary><pre>{text}</pre></details>"
    )


def _field(member: Any) -> str | None:
    if isinstance(member, list):
        if any(isinstance(item, dict) for item in member):
            return None
        return ", ".join(_code(item) for item in member) or '<span class="quiet">none</span>'
    return '<span class="quiet">none</span>' if member is None else _code(member)


def _data(history: History) -> str:
    parts = [_details("The execution", history.input, history.output)]
    parts += [_details(state.name, state.input, state.output, state) for state in history.states]
    return "<h2>Inputs and outputs</h2>\n" + "\n".join(parts)


def _details(name: str, input_: str | None, output: str | None, state: State | None = None) -> str:
    error = _error(state.error, state.cause) if state else ""
    attempts = ""
    if state and state.retries:
        items = "".join(
            f"<li>{escaped(told(a.error, a.cause) or (a.status or 'RUNNING').lower())}</li>" for a in state.attempts
        )
        attempts = f"<h3>Attempts</h3>\n<ol>{items}</ol>"
    title = escaped(name) + (f' <span class="quiet">({escaped(state.type)})</span>' if state else "")
    return (
        f"<details><summary>{title}</summary>\n{f'<p>{error}</p>' if error else ''}{attempts}\n"
        f"<h3>Input</h3>\n<pre>{escaped_lines(pretty(input_))}</pre>\n"
        f"<h3>Output</h3>\n<pre>{escaped_lines(pretty(output))}</pre>\n</details>"
    )


def escaped_lines(text: str) -> str:
    """``text`` as :func:`escaped`, but for its line ends."""
    return "\n".join(escaped(line) for line in text.split("\n"))
