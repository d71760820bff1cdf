"""The log lines of all functions."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from handlers import log

from .conftest import log_lines

FORGERIES = ["line\nbreak", "\r\nforged", '{"level": "INFO"}', "\x1b[2J\x1b[1;1H", "\u2028\u2029\x85", "é 📦", "\ud800"]


@pytest.mark.parametrize("text", FORGERIES)
def test_a_line_is_one_line_of_ascii_json(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A key cannot forge a log line or move the cursor of whoever reads it, and is still found as it was."""
    log.info(text, key=text)
    try:
        raise ValueError(text)
    except ValueError as error:
        log.error(text, error, key=text)
    written = capsys.readouterr().out
    assert written.count("\n") == 2
    assert all(" " <= character <= "~" for character in written.replace("\n", ""))
    for line in written.splitlines():
        assert (json.loads(line)["message"], json.loads(line)["key"]) == (text, text)


def test_members(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Level, function and fields are members of their own, which the log's queries and alarms count on."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "regional-sync")
    log.info("Told", size=3, other=PurePosixPath("a/b"))
    log.error("Failed")
    told, failed = log_lines(capsys)
    assert told.pop("timestamp").endswith("+00:00")
    assert told == {
        "level": "INFO",
        "function": "regional-sync",
        "message": "Told",
        "size": 3,
        "other": "a/b",
    }
    assert (failed["level"], "error" in failed) == ("ERROR", False)


def test_an_exception_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """The cause of a failure is in the line of the failure, or nobody learns why a message failed."""
    try:
        raise KeyError("SOURCE_BUCKET")
    except KeyError as error:
        log.error("Failed", error)
    (line,) = log_lines(capsys)
    assert (line["errorType"], line["error"]) == ("KeyError", "'SOURCE_BUCKET'")
    assert "test_an_exception_is_told_in_full" in line["traceback"]
