"""Formatting: words that can be typed, numbers, and tables in which nothing is cut off."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from filecopy.terminal import Column, command, counted, duration, quoted, sentence, short_time, size, table

KEYS = [
    "build-123.zip",
    "a b.zip",
    "it's.zip",
    'say "hi".zip',
    "$HOME/`id`.zip",
    "new\nline.txt",
    "bell\x07\ttab\\n'quote",
    "größe 日本.zip",
    "\u202egpj.zip",
    "\U000e0001tag",
    "",
    " ",
    "\u00a0",
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash reads what is printed")
def test_a_printed_key_can_be_typed(key: str) -> None:
    """bash reads the word as the key, and the terminal obeys none of it."""
    word = quoted(key)
    assert word.isprintable()
    script = f"printf %s {word}"
    read = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert read.stdout.decode() == key


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("build-123.zip",), "filecopy status build-123.zip"),
        (("a b.zip",), "filecopy status 'a b.zip'"),
        (("new\nline.txt",), "filecopy status $'new\\nline.txt'"),
        (("-k.zip",), "filecopy status -- -k.zip"),
        (("--help",), "filecopy status -- --help"),
    ],
)
def test_a_suggested_command_can_be_typed(arguments: tuple[str, ...], expected: str) -> None:
    """A key that begins with a hyphen is no option."""
    assert command("status", *arguments) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (1_500_000, "1.5 MB"), (5e13, "50.0 TB")],
)
def test_sizes(count: float, expected: str) -> None:
    """One byte is no 'bytes', and S3's largest object has a unit of its own."""
    assert size(count) == expected


def test_numbers_and_sentences() -> None:
    """Nouns fit their numbers, and an error of AWS ends with a full stop before what follows it."""
    assert (counted(1, "file"), counted(2000, "file")) == ("1 file", "2,000 files")
    assert (sentence("Access Denied"), sentence("Why? "), sentence("Done.")) == ("Access Denied.", "Why?", "Done.")
    assert [duration(seconds) for seconds in (0.0123, 1.26, 59.94, 61, 3599.6, 7380)] == [
        "0.012 s",
        "1.3 s",
        "59.9 s",
        "1 min 01 s",
        "1 h 00 min",
        "2 h 03 min",
    ]


def test_a_time_is_as_short_as_it_can_be() -> None:
    """A time of the reference's day needs no date."""
    time = datetime(2026, 3, 14, 12, 30, 5, tzinfo=UTC)
    assert len(short_time(time, time)) == len("12:30:05")
    assert len(short_time(time, time + timedelta(days=2))) == len("2026-03-14 12:30")


COLUMNS = (Column("Name"), Column("Size", is_right=True), Column("Empty"), Column("Error", is_below=True))
CELLS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=60)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.integers(20, 200))
def test_nothing_is_cut_off(rows: list[tuple[str, str, str]], width: int) -> None:
    """Every character of every cell is on the terminal, whatever its width, and no line is wider."""
    cells = [[Text(name), Text(size), Text(""), Text(error)] for name, size, error in rows]
    lines = table(COLUMNS, cells, width)
    assert max((line.cell_len for line in lines), default=0) <= width
    seen = "".join("".join(line.plain.split()) for line in lines)
    for row in rows:
        for cell in row:
            for word in cell.split():
                # A word may be folded where another cell is beside it, but not within its own.
                assert all(character in seen for character in word)
    for row in rows:
        assert "".join(row[0].split()) in seen


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1))
def test_a_row_is_a_line_where_no_terminal_is(rows: list[tuple[str, str, str]]) -> None:
    """Whatever the length: that is what grep and awk read."""
    cells = [[Text(name), Text(size), Text(""), Text(error)] for name, size, error in rows]
    lines = table(COLUMNS, cells, None)
    if not any(any(row) for row in rows):
        return
    assert len(lines) == len(rows) + 1
    assert "Empty" not in lines[0].plain
    for row, line in zip(rows, lines[1:], strict=True):
        assert all(cell.rstrip() in line.plain for cell in row)
