"""Formatting of everything that commands print: styles, signs, sizes, times, and text that other people chose."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.text import Text
from rich.theme import Theme

from filecopy.executions.inputs import parse_json
from filecopy.executions.model import NOT_RECORDED, Copy, Outcome, State
from handlers.text import iso, printable

# Rich shows the speed of a transfer in red.
_THEME = Theme({"progress.data.speed": "cyan"})

# The status of a command that a shell reports when nothing reads its output any more: 128 and SIGPIPE.
CLOSED_PIPE = 141


class Output(Console):
    """Standard output, standard error, or a file."""

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None, **options: Any) -> None:
        # No emoji: a key may have ":boom:" in it.
        super().__init__(stderr=stderr, file=file, highlight=False, emoji=False, theme=_THEME, **options)

    def on_broken_pipe(self) -> NoReturn:
        end_quietly()


def end_quietly() -> NoReturn:
    """End the command because nothing reads its output any more, as ``head`` after its last line."""
    discard_output()
    raise SystemExit(CLOSED_PIPE)


def discard_output() -> None:
    """Discard what is left to write, so that Python does not complain at exit that it cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


out = Output()
err = Output(stderr=True)

# The styles and signs of statuses of records, executions, states and copies. All others are failures.
_STYLES = {
    "COMPLETED": "green",
    "SUCCEEDED": "green",
    "PARTIAL_FAILURE": "yellow",
    "CAUGHT": "yellow",
    "IN_PROGRESS": "cyan",
    "RUNNING": "cyan",
    "SUPERSEDED": "",
    Outcome.COPIED: "green",
    Outcome.IN_PROGRESS: "cyan",
    Outcome.WAITING: "",
    Outcome.NOT_TRIED: "",
    Outcome.UNKNOWN: "",
}
_SIGNS = {
    "SUCCEEDED": "✔",
    "RUNNING": "…",
    "CAUGHT": "!",
    Outcome.COPIED: "✔",
    Outcome.IN_PROGRESS: "…",
    Outcome.WAITING: "…",
    Outcome.NOT_TRIED: "○",
    Outcome.UNKNOWN: "?",
}
GOOD, BAD, BUSY = "[green]✔[/]", "[red]✘[/]", "[cyan]…[/]"


# --- Text -------------------------------------------------------------------------------------------------------


def shown(text: object) -> str:
    """The text on one line, as markup, without characters that a terminal obeys. Other people choose keys."""
    return escape(printable(str(text)))


def quoted(text: str) -> str:
    """The text as one word of a shell's command, so that what is printed can be typed.

    A text with characters that a terminal obeys, or does not show, is in ``$'…'``, which bash, zsh and ksh read.
    """
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        # Python decodes a byte of a file name that is not UTF-8 to this.
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b", "\x1b": "\\e"}


# The options that name the stack, as they were typed. The next command needs them, too.
_typed_stack: list[str] = []


def repeat_in_commands(*options: str) -> None:
    """Repeat these options in each command that is suggested from now on."""
    _typed_stack[:] = options


def command(name: str, *arguments: str) -> str:
    """The ``filecopy`` command that a person can type next. An argument may begin with a hyphen."""
    words = ["filecopy", name, *map(quoted, _typed_stack)]
    if any(argument.startswith("-") for argument in arguments):
        words.append("--")
    return " ".join([*words, *map(quoted, arguments)])


def sentence(text: object) -> str:
    """The text with a full stop at its end. Errors of AWS have none."""
    stripped = str(text).rstrip()
    return stripped if stripped.endswith((".", "!", "?", "…")) else f"{stripped}."


def style_of(status: str) -> str:
    return _STYLES.get(status, "red")


def sign_of(status: str) -> str:
    return _SIGNS.get(status, "✘")


def styled(status: str) -> str:
    """The status in its colour, as markup."""
    return f"[{_STYLES.get(status, 'red')}]{shown(status)}[/]"


def to_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON: numbers as numbers, times in ISO 8601."""

    def convert(other: object) -> object:
        if isinstance(other, Decimal):
            return int(other) if other == other.to_integral_value() else float(other)
        if isinstance(other, datetime):
            return iso(other)
        raise TypeError(f"{other!r:.100} is not of JSON")

    # ASCII, so that a key has no character that a terminal obeys.
    return json.dumps(value, default=convert, indent=indent)


def pretty(text: str | None) -> str:
    """A JSON text with one member a line, without characters that a terminal obeys or that reverse text.

    Members are sorted, because AWS returns them in no particular order.
    """
    if text is None:
        return NOT_RECORDED
    document = json.dumps(parse_json(text), indent=2, ensure_ascii=False, sort_keys=True)
    return "\n".join(printable(line) for line in document.split("\n"))


# --- Numbers and times ------------------------------------------------------------------------------------------


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """The number and the noun: ``1 file``, ``2,000 files``."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def duration(seconds: float) -> str:
    """A duration, such as ``0.123 s``, ``12.3 s``, ``1 min 05 s`` or ``2 h 03 min``."""
    if seconds < 60:
        return f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def between(since: datetime | None, until: datetime | None) -> str:
    """The duration between two times."""
    return NOT_RECORDED if since is None or until is None else duration((until - since).total_seconds())


def size(count: float) -> str:
    """A number of bytes, such as ``12 bytes`` or ``1.2 MB``."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return counted(int(count), "byte") if unit == "bytes" else f"{count:.1f} {unit}"


def now() -> datetime:
    """The time at which something is shown."""
    return datetime.now(UTC)


def local(time: datetime) -> str:
    """The time in the reader's own zone, to the second, with its offset. ``--since`` takes it in this form."""
    return time.astimezone().isoformat(" ", "seconds")


def short_time(time: datetime, reference: datetime) -> str:
    """The time in the reader's own zone, without the date if that is the date of the reference."""
    here = time.astimezone()
    is_same_day = here.date() == reference.astimezone().date()
    return here.strftime("%H:%M:%S" if is_same_day else "%Y-%m-%d %H:%M")


def moment(time: datetime) -> str:
    """The time in UTC, to the millisecond."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


# --- Tables -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of a table. The first column of a table identifies its rows."""

    header: str
    is_right: bool = False
    """Aligned on the right."""
    is_below: bool = False
    """Printed below its row if the row is wider than the terminal."""


Row = Sequence["Text | str"]
"""The cells of a row; those that are missing at its end are empty. A string is markup."""

_GAP = "  "
_INDENT = "    "
_MIN_FIRST_WIDTH = 16


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print a table in which nothing is cut off. See :func:`table`."""
    for line in table(columns, rows, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=True)


def table(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[Text]:
    """The lines of a table. Nothing is cut off, and columns without content are left out.

    If a table is too wide for the terminal, some columns are printed below their rows. If it is still too wide, first
    cells that are too long get lines of their own, and on a very narrow terminal every cell does.

    Args:
        width: of the terminal, in cells; ``None`` for a line per row, however long.
    """
    cells = [[Text.from_markup(cell, emoji=False) if isinstance(cell, str) else cell for cell in row] for row in rows]
    cells = [row + [Text()] * (len(columns) - len(row)) for row in cells]
    kept = [index for index in range(len(columns)) if any(row[index].plain for row in cells)]
    columns = [columns[index] for index in kept]
    cells = [[row[index] for index in kept] for row in cells]
    widths = [
        max([len(column.header), *(row[index].cell_len for row in cells)]) for index, column in enumerate(columns)
    ]
    if width is None or sum(widths) + len(_GAP) * (len(columns) - 1) <= width:
        return [_line(columns, row, widths) for row in [_headers(columns), *cells]]
    beside = [index for index, column in enumerate(columns) if not column.is_below]
    room = width - sum(widths[index] + len(_GAP) for index in beside[1:])
    if room < min(_MIN_FIRST_WIDTH, widths[0]):
        return _blocks(columns, cells, width)
    widths[0] = min(widths[0], room)
    lines = [_line(columns, _headers(columns), widths, beside)]
    for row in cells:
        if row[0].cell_len > room:
            lines += _folded([row[0]], width, "")
            row[0] = Text()
        if line := _line(columns, row, widths, beside):
            lines.append(line)
        lines += _folded([row[index] for index in range(len(row)) if index not in beside], width, _INDENT)
    return lines


def _headers(columns: Sequence[Column]) -> list[Text]:
    return [Text(column.header, style="bold") for column in columns]


def _line(
    columns: Sequence[Column], row: Sequence[Text], widths: Sequence[int], indexes: Sequence[int] | None = None
) -> Text:
    line = Text()
    for index in range(len(row)) if indexes is None else indexes:
        space = " " * (widths[index] - row[index].cell_len)
        line.append(_GAP if index else "")
        line.append_text(Text.assemble(space, row[index]) if columns[index].is_right else row[index] + space)
    line.rstrip()
    return line


def _blocks(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """A block of lines for each row: its first cell, and then each other cell behind its header."""
    longest = max((len(column.header) for column in columns[1:]), default=0)
    lines = []
    for row in rows:
        lines += _folded(row[:1], width, "")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell.plain:
                label = f"{_GAP}{column.header:<{longest}}{_GAP}"
                first, *others = _folded([cell], width, " " * len(label))
                lines += [Text.assemble((label, "dim"), first[len(label) :]), *others]
    return lines


def _folded(cells: Sequence[Text], width: int, indent: str) -> list[Text]:
    """The cells on lines of their own, each line indented, and folded at the width: at a space, if there is one."""
    lines = []
    for cell in cells:
        for line in cell.wrap(out, max(width - len(indent), 10), overflow="fold") if cell.plain else ():
            line.rstrip()
            lines.append(Text.assemble(indent, line))
    return lines


# --- Copies and states ------------------------------------------------------------------------------------------


def error_text(error: str | None, cause: str | None) -> str:
    return ": ".join(part for part in (error, cause) if part)


def tries(state: State) -> str:
    """The number of attempts of a state; for a Map without recorded iterations, the calls inside it."""
    if state.calls is not None:
        failed = f", {state.calls.failed} failed" if state.calls.failed else ""
        return f"{counted(state.calls.scheduled, 'call')}{failed}"
    return str(len(state.attempts)) if state.attempts else ""


def attempts_of(copy: Copy) -> str:
    """The number of attempts of a copy, if it is recorded, and of runs, if there were several."""
    runs = f"{copy.runs} runs" if copy.runs and copy.runs > 1 else ""
    attempts = "" if copy.attempts is None else str(len(copy.attempts))
    return ", ".join(filter(None, [attempts, runs]))


def compared_by(check: str | None) -> str:
    """The way a copy was verified; empty if there is no copy."""
    return "not compared" if check == "none" else check or ""
