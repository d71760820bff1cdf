"""What a command shows: run on a terminal of 100 columns, without what differs from run to run, beside what was shown
before, which is kept in tests/e2e/screens.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from filecopy.embedded.configuration import PROJECT_ROOT

COLUMNS = 100
KEPT = Path(__file__).parent / "screens"

# Colours, and a cursor that is hidden for a while.
_STYLE = r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]"
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

_VOLATILE = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d([+-]\d\d:\d\d|\.\d{3} UTC)", "TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"(\"(elapsed|took)Seconds\": )[\d.]+", r"\1N"),
    # How wide a number is, the spaces around it show, too.
    (r"(?<![,:]) +(\d+\.\d+ s\b)", r"  \1"),
    (r"\d+\.\d+ s\b +", "N s  "),
    (r"\d+\.\d+ s\b", "N s"),
    (r"[\d,]{7,} bytes", "N bytes"),
    (r"(file-copy-workflow:)[\w-]*[\w-]{36}", r"\1NAME"),
    (_UUID, "ID"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"\b[0-9a-f]{32}\b", "ETAG"),
    (r"\b[12]\d{9}\b", "SECONDS"),
    (r"(127\.0\.0\.1:|on port |--(?:stack-)?port |FILECOPY_PORT=)\d+", r"\1PORT"),
    (r"restapis/\w+", "restapis/ID"),
    (r" +$", ""),
)


def settled(text: str) -> str:
    """What is printed, without times, durations, ports and what AWS calls things by itself."""
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """The exit status of a command, and what is on its terminal in the end."""
    master, terminal = pty.openpty()
    drawn = b""
    with subprocess.Popen(
        [sys.executable, "-m", "filecopy", *arguments],
        cwd=PROJECT_ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS), "LINES": "50", "TZ": "UTC"},
        start_new_session=True,
    ) as command:
        os.close(terminal)
        try:
            while part := os.read(master, 65536):
                drawn += part
        except OSError:
            # So Linux says that nobody has the terminal open any more.
            pass
        finally:
            os.close(master)
    return command.returncode, left_on_screen(drawn.decode())


def left_on_screen(drawn: str) -> str:
    """What a terminal shows when all this has been written to it. It is as high and as wide as need be.

    Raises:
        ValueError: it is told something that no command should tell it.
    """
    lines, row, column = [""], 0, 0
    for found in re.finditer(r"\x1b\[(?:(\d+)A|2K)|[\r\n]|[^\x1b\r\n]+|\x1b", re.sub(_STYLE, "", drawn)):
        part = found[0]
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif found[1]:
            row -= int(found[1])
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b":
            raise ValueError(drawn[found.start() :][:20])
        else:
            lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + len(part) :]
            column += len(part)
    return "\n".join(lines).rstrip() + "\n"
