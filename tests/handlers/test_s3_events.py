"""What a notification of S3 means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.s3_events import MalformedEventError, ObjectCreated, parse

from .conftest import example, s3_event, s3_record

ENCODED_KEYS = {
    "build+123.zip": "build 123.zip",
    "build%2B123.zip": "build+123.zip",
    "100%25.zip": "100%.zip",
    "%2525.zip": "%25.zip",
    "a/b//c.zip": "a/b//c.zip",
    "%22it%27s%22.zip": '"it\'s".zip',
    "r%C3%A9sum%C3%A9-%F0%9F%93%A6.zip": "résumé-📦.zip",
    "line%0Abreak%00.zip": "line\nbreak\x00.zip",
    "+": " ",
}


def test_every_member_is_taken_from_where_s3_puts_it() -> None:
    """An event as S3 sends it is read member by member, or records and executions tell of another object."""
    assert parse(json.dumps(example("s3_object_created.json"))) == [
        ObjectCreated(
            bucket="global-builds",
            key="releases/build-123.zip",
            version_id="096fKKXTRTtl3on89fVO.nfljtsv6qko",
            etag="d41d8cd98f00b204e9800998ecf8427e",
            size=1024,
            sequencer="0055AED6DCD90281E5",
            time="2026-03-14T09:26:53.589Z",
            event="ObjectCreated:Put",
        )
    ]


@pytest.mark.parametrize(("encoded", "key"), ENCODED_KEYS.items())
def test_keys_are_decoded_as_s3_encodes_them(encoded: str, key: str) -> None:
    """A key is decoded once, with + as a space, or the copy looks for an object that does not exist."""
    record = s3_record("")
    record["s3"]["object"]["key"] = encoded
    assert [upload.key for upload in parse(s3_event(record))] == [key]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@settings(deadline=None)
def test_any_key_survives_its_encoding(key: str) -> None:
    """Whatever a file is called, it comes out as it went in, or some files are never copied."""
    assert [upload.key for upload in parse(s3_event(s3_record(key)))] == [key]


def test_optional_and_quoted_members() -> None:
    """A bucket without versions has no version id, and an emulator's quoted ETag equals S3's bare one."""
    (upload,) = parse(s3_event(s3_record("a.zip", versionId=None, eTag='"abc"')))
    assert (upload.version_id, upload.etag) == (None, "abc")


def test_all_records_are_read_in_order() -> None:
    """A message may tell of several objects, and none of them is forgotten."""
    assert [upload.key for upload in parse(s3_event(s3_record("b"), s3_record("a"), s3_record("b")))] == ["b", "a", "b"]


def test_the_test_event_tells_of_no_object() -> None:
    """What S3 sends when a notification is set up is no failure, or each deployment fills the dead-letter queue."""
    assert parse(json.dumps(example("s3_test_event.json"))) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "must be JSON"),
        ("{", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ("1" * 5_000, "must be JSON"),
        ("[]", "must be a JSON object, not a list"),
        ("null", "must be a JSON object, not a NoneType"),
        ("{}", "must have a list named Records"),
        ('{"Records": []}', "must have a list named Records"),
        ('{"Records": {}}', "must have a list named Records"),
        ('{"Records": ["text"]}', r"Records\[0\] is not as S3 sends it"),
        ('{"Records": [null]}', r"Records\[0\] is not as S3 sends it"),
    ],
)
def test_another_message_is_refused(body: str, said: str) -> None:
    """A message that is no S3 event goes to the dead-letter queue with a reason, and is not taken for an empty one."""
    with pytest.raises(MalformedEventError, match=said):
        parse(body)


@pytest.mark.parametrize(
    ("member", "value"), [("eventName", "ObjectRemoved:Delete"), ("eventName", None), ("eventSource", "aws:sns")]
)
def test_another_event_is_refused(member: str, value: object) -> None:
    """The removal of a file, or another service's event, must not start a copy of it."""
    with pytest.raises(MalformedEventError, match=r"Records\[1\]"):
        parse(s3_event(s3_record("a"), {**s3_record("a"), member: value}))


@pytest.mark.parametrize("member", ["key", "size", "eTag", "sequencer"])
def test_a_missing_member_is_named(member: str) -> None:
    """A record without what S3 always sends is refused by name, or an execution starts for half an object."""
    record = s3_record("a")
    del record["s3"]["object"][member]
    with pytest.raises(MalformedEventError, match=rf"Records\[0\] has no {member}\."):
        parse(s3_event(record))


@given(
    st.sampled_from(["key", "size", "eTag", "sequencer"]),
    st.none()
    | st.booleans()
    | st.floats()
    | st.text()
    | st.lists(st.integers())
    | st.dictionaries(st.text(), st.text()),
)
@settings(deadline=None)
def test_a_wrong_member_is_refused_or_read(member: str, value: Any) -> None:
    """Whatever a member holds, the answer is an object or MalformedEventError, which says what to look at."""
    record = s3_record("a")
    record["s3"]["object"][member] = value
    try:
        (upload,) = parse(s3_event(record))
    except MalformedEventError:
        return
    assert isinstance(upload.size, int)
    assert all(isinstance(text, str) and text for text in (upload.key, upload.sequencer))


@pytest.mark.parametrize("key", ["%FF", "%C3"])
def test_a_key_that_is_no_utf_8_is_refused(key: str) -> None:
    """Replacement characters would name another object than the one that was uploaded."""
    record = s3_record("a")
    record["s3"]["object"]["key"] = key
    with pytest.raises(MalformedEventError):
        parse(s3_event(record))
