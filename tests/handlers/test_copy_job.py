"""What may be started."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import copy_job
from tests.keys import KEYS, NOT_KEYS, NOT_STRINGS

from .conftest import DESTINATIONS, SOURCE

JOB = {"sourceBucket": SOURCE, "sourceKey": "build-123.zip", "destinationBuckets": DESTINATIONS}
NO_LISTS: list[Any] = [None, "region-a-builds", {}, []]
MANY = [f"region-{index}-builds" for index in range(1_001)]

ACCEPTED: list[dict[str, Any]] = [
    {},
    *[{"sourceKey": key} for key in KEYS.values()],
    {"sourceVersionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko"},
    {"destinationBuckets": ["abc"]},
    {"destinationBuckets": ["a.b-c.0"]},
    {"destinationBuckets": MANY[:1_000]},
    {"retry": True},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    # A misspelt member would be passed over, and something else done than was asked for.
    ({"sourceVersionID": "v1"}, '"sourceVersionID" is not a member of the input'),
    # A name is the caller's, too: it makes no line of its own, and is cut.
    ({"a\nb\u202e": 1}, r'"a\nb\u202e" is not a member of the input'),
    ({"x" * 10_000: 1}, '"' + "x" * 99 + " is not a member of the input"),
    ({"retry": "yes"}, "retry must be true or false"),
    *[
        ({"sourceBucket": wrong}, "sourceBucket must be a bucket name")
        for wrong in (None, 1, "", " ", "ab", "a" * 64, "Upper", "-abc", "abc.", "a_b", "a/b", "abc\n", ["abc"])
    ],
    *[({"sourceKey": wrong}, "sourceKey must be a string") for wrong in (*NOT_KEYS.values(), *NOT_STRINGS)],
    *[
        ({"destinationBuckets": wrong}, "destinationBuckets must be a list of 1 to 1000 bucket names")
        for wrong in [*NO_LISTS, MANY]
    ],
    *[
        ({"destinationBuckets": [*DESTINATIONS, wrong]}, "destinationBuckets must contain only bucket names")
        for wrong in (None, 1, "", " ", "Upper", "abc\n", ["abc"])
    ],
    ({"destinationBuckets": [*DESTINATIONS, SOURCE]}, "destinationBuckets must not contain the source bucket"),
    *[({"sourceVersionId": wrong}, "sourceVersionId must be a string") for wrong in (None, 1, "", " ")],
]


@pytest.mark.parametrize("members", ACCEPTED)
def test_accepted(members: dict[str, Any]) -> None:
    """What the workflow can copy is not refused at its door; members that it does not know do no harm."""
    assert copy_job.problems({**JOB, **members}) == []


@pytest.mark.parametrize(("members", "said"), REFUSED)
def test_refused(members: dict[str, Any], said: str) -> None:
    """What is wrong is named, alone, and with what was given, or the caller has to guess."""
    (problem,) = copy_job.problems({**JOB, **members})
    assert problem.startswith(said)
    assert len(problem) < 250


@pytest.mark.parametrize("job", [None, [], [JOB], "text", 1, True])
def test_only_an_object_is_a_job(job: Any) -> None:
    """A value of another kind is refused as such, instead of failing at its first member."""
    (problem,) = copy_job.problems(job)
    assert problem.startswith("The input must be an object")


def test_everything_that_is_wrong_is_named() -> None:
    """One answer names all problems, or the caller learns of them one request at a time."""
    assert [problem.split()[0] for problem in copy_job.problems({"sourceVersionId": ""})] == [
        "sourceBucket",
        "sourceKey",
        "destinationBuckets",
        "sourceVersionId",
    ]


def test_a_missing_source_is_no_destination() -> None:
    """Two missing names are each reported missing, not also as one and the same bucket."""
    assert len(copy_job.problems({**JOB, "sourceBucket": None, "destinationBuckets": [None]})) == 2


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(_ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(copy_job.MEMBERS, _ANYTHING)))
@settings(deadline=None)
def test_any_input_is_judged(job: Any) -> None:
    """No input makes the check itself fail, and what it lets through has all three members."""
    if not copy_job.problems(job):
        assert {"sourceBucket", "sourceKey", "destinationBuckets"} <= job.keys()
