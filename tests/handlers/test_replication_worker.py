"""One execution for each upload."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example as with_example
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import clients
from handlers.replication_worker import execution_name, handler
from handlers.s3_events import ObjectCreated

from .conftest import (
    DESTINATIONS,
    SOURCE,
    StateMachine,
    before_call,
    client_error,
    example,
    fail_with,
    failed,
    log_lines,
    s3_event,
    s3_record,
    sqs_event,
)


@pytest.fixture(autouse=True)
def destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION_BUCKETS", json.dumps(DESTINATIONS))


def job(key: str, **members: str) -> dict[str, Any]:
    uploaded_at = "2026-03-14T09:26:53.589Z"
    return {
        "sourceBucket": SOURCE,
        "sourceKey": key,
        "destinationBuckets": DESTINATIONS,
        "uploadedAt": uploaded_at,
        "s3Event": "ObjectCreated:Put",
        **members,
    }


@pytest.mark.parametrize(
    "key", ["build 123.zip", "build+123.zip", "100%25.zip", "a/b//c/", '"it\'s".zip', "résumé-📦.zip", " \\n\n\t{} "]
)
def test_a_key_is_copied_as_it_is(key: str, state_machine: StateMachine) -> None:
    """The execution names the very object that was uploaded, with its version, or it copies another or none."""
    assert handler(sqs_event(s3_event(s3_record(key, versionId="v1"))), None) == failed()
    assert state_machine.inputs() == [job(key, sourceVersionId="v1")]


def test_a_bucket_without_versions(state_machine: StateMachine) -> None:
    """Without versions the member is left out: the workflow refuses an empty or null version."""
    assert handler(sqs_event(s3_event(s3_record("a.zip", versionId=None))), None) == failed()
    assert state_machine.inputs() == [job("a.zip")]


def test_the_execution_knows_that_the_upload_was_a_copy(state_machine: StateMachine) -> None:
    """Only then does it look for copies that exist already, so that a person's upload does not pay for that."""
    copied = {**s3_record("a.zip", versionId=None), "eventName": "ObjectCreated:Copy"}
    assert handler(sqs_event(s3_event(copied)), None) == failed()
    assert state_machine.inputs() == [job("a.zip", s3Event="ObjectCreated:Copy")]


def test_the_test_event_starts_nothing(state_machine: StateMachine) -> None:
    """What S3 sends at set-up is neither an upload nor a failure, and an upload beside it still starts."""
    bodies = [json.dumps(example("s3_test_event.json")), s3_event(s3_record("a.zip", versionId=None))]
    assert handler(sqs_event(*bodies), None) == failed()
    assert state_machine.inputs() == [job("a.zip")]


def test_every_record_of_a_message_starts(state_machine: StateMachine) -> None:
    """A message with several uploads starts one execution for each, or files are left behind without a trace."""
    records = [s3_record(key, versionId=None) for key in ("a.zip", "b.zip", "c.zip")]
    assert handler(sqs_event(s3_event(*records)), None) == failed()
    assert sorted(state_machine.inputs(), key=str) == [job("a.zip"), job("b.zip"), job("c.zip")]


@pytest.mark.parametrize(
    "bad", ["no JSON", "{}", s3_event({**s3_record("b.zip"), "eventName": "ObjectRemoved:Delete"})]
)
def test_a_bad_message_goes_back_alone(bad: str, state_machine: StateMachine) -> None:
    """A message that cannot be read goes to the dead-letter queue without the uploads that arrived with it."""
    good = [s3_event(s3_record(key, versionId=None)) for key in ("a.zip", "c.zip")]
    assert handler(sqs_event(good[0], bad, good[1]), None) == failed(1)
    assert sorted(state_machine.inputs(), key=str) == [job("a.zip"), job("c.zip")]


@pytest.mark.parametrize("is_done", [False, True])
def test_a_repeated_event_starts_nothing_twice(
    is_done: bool, state_machine: StateMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    """S3 and SQS deliver at least once: the second time is no copy, and no failure that would end in an alarm."""
    event = sqs_event(s3_event(s3_record("a.zip")))
    assert handler(event, None) == failed()
    if is_done:
        state_machine.stop_executions()
    assert handler(event, None) == failed()
    assert len(state_machine.execution_arns()) == 1
    lines = log_lines(capsys)
    assert {line["level"] for line in lines} == {"INFO"}
    # Both lines lead to the file and to its one execution.
    assert {(line["key"], line["executionArn"]) for line in lines} == {("a.zip", *state_machine.execution_arns())}


def test_a_message_with_a_throttled_upload_goes_back(state_machine: StateMachine) -> None:
    """An upload that Step Functions would not take now waits in the queue, and its neighbours do not wait for it."""
    before_call(
        clients.stepfunctions(),
        "StartExecution",
        fail_with(client_error("ThrottlingException"), lambda params: "b.zip" in params["input"]),
    )
    bodies = [s3_event(s3_record(key, versionId=None)) for key in ("a.zip", "b.zip", "c.zip")]
    assert handler(sqs_event(*bodies), None) == failed(1)
    assert sorted(state_machine.inputs(), key=str) == [job("a.zip"), job("c.zip")]


def test_a_message_is_finished_when_it_comes_again(state_machine: StateMachine) -> None:
    """A message that failed half-way starts only the rest when it comes again, so no upload is lost or doubled."""
    body = s3_event(s3_record("a.zip", versionId=None), s3_record("b.zip", versionId=None))
    failures = [client_error("ThrottlingException")]

    def fail_once(params: dict[str, Any]) -> None:
        if "b.zip" in params["input"] and failures:
            raise failures.pop()

    before_call(clients.stepfunctions(), "StartExecution", fail_once)
    assert [handler(sqs_event(body), None), handler(sqs_event(body), None)] == [failed(0), failed()]
    assert sorted(state_machine.inputs(), key=str) == [job("a.zip"), job("b.zip")]


def test_a_function_without_environment_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong deployment sends every message back, instead of counting it as handled."""
    monkeypatch.delenv("DESTINATION_BUCKETS")
    assert handler(sqs_event(s3_event(s3_record("a.zip"))), None) == failed(0)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
_UPLOADS = st.builds(
    ObjectCreated,
    bucket=st.sampled_from([SOURCE, "other-builds"]),
    key=_TEXT,
    version_id=st.none() | _TEXT,
    etag=_TEXT,
    size=st.integers(0),
    sequencer=_TEXT,
    time=_TEXT,
)


def changed(upload: ObjectCreated, **members: Any) -> ObjectCreated:
    return ObjectCreated(**{**vars(upload), **members})


@given(_UPLOADS, st.integers(0), _TEXT)
@with_example(
    ObjectCreated(
        bucket=SOURCE,
        key="k" * 1024,
        version_id=None,
        etag="e",
        size=1,
        sequencer="s",
        time="t",
        event="ObjectCreated:Put",
    ),
    2,
    "u",
)
@settings(deadline=None)
def test_a_name_is_what_step_functions_takes(upload: ObjectCreated, size: int, time: str) -> None:
    """At most 80 characters that logs can show, and the same each time the event comes, whatever else it says."""
    name = execution_name(upload)
    assert re.fullmatch(r"[0-9A-Za-z_-]{1,80}", name)
    assert execution_name(changed(upload, size=size, time=time)) == name


@given(_UPLOADS, st.sampled_from(["bucket", "key", "version_id", "etag", "sequencer"]), _TEXT)
@settings(deadline=None)
def test_another_upload_has_another_name(upload: ObjectCreated, member: str, value: str) -> None:
    """Two uploads with one name would be one execution, and the second file would never be copied."""
    if member == "etag":
        # Where there are versions, they tell uploads apart.
        upload = changed(upload, version_id=None)
    other = changed(upload, **{member: value + str(getattr(upload, member))})
    assert execution_name(other) != execution_name(upload)


def test_members_of_a_name_do_not_run_together() -> None:
    """What ends one member and what begins the next are told apart, or unlike uploads meet in one name."""
    upload = ObjectCreated(
        bucket=SOURCE, key="a", version_id="b", etag="e", size=1, sequencer="c", time="t", event="ObjectCreated:Put"
    )
    names = {
        execution_name(changed(upload, version_id=version, sequencer=sequencer))
        for version, sequencer in (("b", "c"), ("bc", ""), ("", "bc"), ('b", "c', ""))
    }
    assert len(names) == 4


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("releases/build-123.zip", "releases-build-123-zip-"),
        ("very/long/" * 20 + "build-123.zip", "y-long-very-long-very-long-very-long-build-123-zip"[-47:] + "-"),
        ("📦", ""),
    ],
)
def test_a_name_shows_the_file(key: str, shown: str) -> None:
    """A person finds a file's execution in the console's list by the end of its key."""
    upload = ObjectCreated(
        bucket=SOURCE, key=key, version_id=None, etag="e", size=1, sequencer="s", time="t", event="ObjectCreated:Put"
    )
    assert re.fullmatch(re.escape(shown) + "[0-9a-f]{32}", execution_name(upload))
