"""The notification, whatever it is about: evaluated by the implementation of JSONata that the embedded stack uses."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import jsonata
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.workflow.definition import copy_workflow_definition
from components.workflow.limits import MAX_NOTIFIED_FAILURES

ARGUMENTS = copy_workflow_definition(
    partition="aws", table_name="FileCopyTracking", topic_arn="t", copy_worker_arn="w", max_concurrency=10
)["States"]["SendFailureNotification"]["Arguments"]
# SNS API reference, Publish.
MAX_SUBJECT_LENGTH = 99
MAX_MESSAGE_BYTES = 256 * 1024

# Unicode's bidirectional marks, embeddings, overrides and isolates, and what has no width.
DECEIVING = [
    0xAD, 0x061C, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF,
]  # fmt: skip
HIDDEN = re.compile(f"[\\x00-\\x1f\\x7f-\\x9f{''.join(map(chr, DECEIVING))}]")

KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=1024)


def evaluate(field: str, **variables: Any) -> str:
    expression = jsonata.Jsonata.jsonata(ARGUMENTS[field].removeprefix("{% ").removesuffix(" %}"))
    return str(expression.evaluate(None, variables))


def told(key: str, failed: int, problem: str = "") -> dict[str, Any]:
    """The variables of an execution of which ``failed`` copies failed, each with the longest error and cause."""
    results = [
        {
            "destinationBucket": f"{number:04}".rjust(63, "b"),
            "success": False,
            "error": "E" * 60,
            "cause": "c" * 400,
        }
        for number in range(failed)
    ]
    return {
        "job": {"sourceBucket": "global-builds", "sourceKey": key, "destinationBuckets": ["b"] * max(failed, 1)},
        "results": results,
        "summary": {"status": "FAILED", "successfulCopies": 0, "failedCopies": failed, "totalBuckets": failed},
        "problem": {"source": "", "tracking": problem, "notification": ""},
        "executionId": "arn:aws:states:us-east-1:123456789012:execution:file-copy-workflow:" + "n" * 80,
    }


@settings(max_examples=60, deadline=None)
@given(key=KEYS, problem=st.sampled_from(["", "DynamoDB.Throttled: slow down"]))
def test_subject_is_what_sns_takes(key: str, problem: str) -> None:
    """SNS refuses a subject with a line break, a letter outside ASCII or 100 characters, and nobody would be told."""
    subject = evaluate("Subject", **told(key, 1, problem))
    assert 0 < len(subject) <= MAX_SUBJECT_LENGTH
    assert subject.isascii()
    assert subject.isprintable()
    assert subject[0].isalpha()


@settings(max_examples=25, deadline=None)
@given(key=KEYS, failed=st.sampled_from([1, 2, MAX_NOTIFIED_FAILURES, MAX_NOTIFIED_FAILURES + 1, 1000]))
def test_message_is_bounded_and_cannot_be_forged(key: str, failed: int) -> None:
    """However many copies failed and whatever the key, the message fits, and its lines are the workflow's own."""
    message = evaluate("Message", **told(key, failed))
    assert len(message.encode()) <= MAX_MESSAGE_BYTES
    lines = message.split("\n")
    assert sum(line.startswith("  ❌ ") for line in lines) == min(failed, MAX_NOTIFIED_FAILURES)
    assert sum(line.startswith("📄 File: ") for line in lines) == 1
    assert sum(line.startswith("🔎 Execution: ") for line in lines) == 1
    assert ("more: see failedBuckets" in message) == (failed > MAX_NOTIFIED_FAILURES)


def record_line(message: str) -> str:
    """What the message says of the record."""
    [line] = [line for line in message.split("\n") if line.startswith("📋 Record: ")]
    return line.removeprefix("📋 Record: ")


@settings(max_examples=60, deadline=None)
@given(key=KEYS.filter(lambda key: not HIDDEN.search(key)))
@example(key="build-123.zip")
@example(key="it's \"quoted\" $(id) `id` \\' é 📦")
def test_command_in_the_message_asks_for_the_record(key: str) -> None:
    """The command can be pasted into a shell as it is, whatever quotes the key has, and names the very key."""
    message = evaluate("Message", **told(key, 1))
    assert f"📄 File: {key}\n" in message
    words = shlex.split(record_line(message))
    assert words[:5] == ["aws", "dynamodb", "get-item", "--table-name", "FileCopyTracking"]
    assert json.loads(words[words.index("--key") + 1]) == {
        "fileKey": {"S": key},
        "sourceBucket": {"S": "global-builds"},
    }


@pytest.mark.parametrize("hidden", [*range(0x20), *range(0x7F, 0xA0), *DECEIVING], ids=hex)
def test_what_deceives_a_reader_is_neither_shown_nor_in_a_command(hidden: int) -> None:
    """Controls, marks that turn text around, and what has no width show as "?", and no command with them is offered.

    What a person pastes into a shell would otherwise not be what that person reads.
    """
    message = evaluate("Message", **told(f"in/a{chr(hidden)}b'.zip", 1))
    assert "📄 File: in/a?b'.zip\n" in message
    assert [letter for letter in message if HIDDEN.match(letter) and letter != "\n"] == []
    said = record_line(message)
    assert said.startswith("in FileCopyTracking; the key has characters that are not shown here")
    assert "aws " not in said


@pytest.mark.parametrize("hidden", [0x180E, 0xFFF9, 0xFFFB], ids=hex)
def test_what_else_is_not_seen_is_not_in_a_command(hidden: int) -> None:
    """Python's isprintable, by which the functions and the command line go, calls these unprintable as well."""
    assert not chr(hidden).isprintable()
    message = evaluate("Message", **told(f"a{chr(hidden)}b.zip", 1))
    assert chr(hidden) not in message
