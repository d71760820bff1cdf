"""The log lines of all functions."""

from __future__ import annotations

import json
import time
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


def test_lines_say_what_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of one file is found by its key, also the one that tells of a failure, and no line of the next."""
    log.about(key="a.zip", bucket="builds")
    log.error("Failed")
    log.about(key="b.zip")
    log.info("Told", key="c.zip")
    log.about()
    log.info("Told")
    failed, told, other = log_lines(capsys)
    assert (failed["key"], failed["bucket"]) == ("a.zip", "builds")
    assert (told["key"], "bucket" in told) == ("c.zip", False)
    assert "key" not in other


def test_a_line_with_metrics_is_as_cloudwatch_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch makes metrics of a line of this form alone, and says nothing where it is of another."""
    before = time.time()
    log.about(key="a.zip")
    log.metrics("Done", "Some", {"Stack": "acme"}, {"Files": (3, "Count"), "Time": (0.5, "Seconds")}, status="ok")
    [line] = log_lines(capsys)
    embedded = line.pop("_aws")
    # The specification: milliseconds since 1970.
    assert before * 1000 - 1 <= embedded.pop("Timestamp") <= time.time() * 1000
    assert embedded == {
        "CloudWatchMetrics": [
            {
                "Namespace": "Some",
                "Dimensions": [["Stack"]],
                "Metrics": [{"Name": "Files", "Unit": "Count"}, {"Name": "Time", "Unit": "Seconds"}],
            }
        ]
    }
    # Dimensions are texts and values are numbers, beside the line's own members.
    assert (line["Stack"], line["Files"], line["Time"]) == ("acme", 3, 0.5)
    assert (line["level"], line["message"], line["key"], line["status"]) == ("INFO", "Done", "a.zip", "ok")


def test_an_exception_is_told_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    """The cause of a failure is in the line of the failure, or nobody learns why a message failed."""
    try:
        raise KeyError("SOURCE_BUCKET")
    except KeyError as error:
        log.error("Failed", error)
    (line,) = log_lines(capsys)
    assert (line["errorType"], line["error"]) == ("KeyError", "'SOURCE_BUCKET'")
    assert "test_an_exception_is_told_in_full" in line["traceback"]
