"""Partial failures of SQS batches."""

from __future__ import annotations

import pytest

from handlers import log, sqs_batch

from .conftest import failed, log_lines, sqs_event


def test_only_the_failed_messages_go_back(capsys: pytest.CaptureFixture[str]) -> None:
    """A bad message does not take its neighbours along, and is not lost: it is reported, and the log says why."""
    handled: list[str] = []

    def handle(body: str) -> None:
        if body.startswith("bad"):
            raise ValueError(f"{body} is bad")
        handled.append(body)

    assert sqs_batch.process(sqs_event("bad 0", "good 1", "bad 2", "good 3"), handle) == failed(0, 2)
    assert handled == ["good 1", "good 3"]
    assert [(line["messageId"], line["error"]) for line in log_lines(capsys)] == [
        ("message-0", "bad 0 is bad"),
        ("message-2", "bad 2 is bad"),
    ]


def test_a_message_that_there_is_no_time_to_begin_goes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lambda would end the function, and bring back those that it has handled, too."""
    clock = 0.0

    def handle(_body: str) -> None:
        nonlocal clock
        clock += 10

    monkeypatch.setattr(sqs_batch, "monotonic", lambda: clock)
    assert sqs_batch.process(sqs_event("a", "b", "c", "d"), handle) == failed(2, 3)
    assert [line["messageId"] for line in log_lines(capsys)] == ["message-2", "message-3"]


def test_a_line_is_not_about_the_message_before(capsys: pytest.CaptureFixture[str]) -> None:
    """A message that fails before anybody knows its key is not looked for under its neighbour's."""

    def handle(body: str) -> None:
        if body == "bad":
            raise ValueError
        log.about(key=body)
        log.info("Handled")

    sqs_batch.process(sqs_event("a.zip", "bad", "b.zip"), handle)
    assert [line.get("key") for line in log_lines(capsys)] == ["a.zip", None, "b.zip"]


def test_nothing_is_reported_when_all_went_well() -> None:
    """Success is an empty list, or messages that were handled come again."""
    assert sqs_batch.process(sqs_event("good"), lambda _body: None) == {"batchItemFailures": []}
