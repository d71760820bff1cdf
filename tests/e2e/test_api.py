"""The REST API as a caller sees it."""

from __future__ import annotations

import pytest

from .conftest import ARTIFACTS
from .system import System


def test_step_function_is_started(system: System) -> None:
    """The guide's curl command answers at once with the execution's ARN, and the file is copied."""
    key = system.key("by-api.zip")
    system.upload(key, b"by api")
    status, answer = system.post("/step-function", system.job(key))
    assert status == 202
    assert system.finish(answer["executionArn"])["status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        (b"", ["The body is missing. It must be a JSON object."]),
        (b"not json", ["The body must be a JSON object"]),
        ([], ["The body must be a JSON object", "The input must be an object"]),
        ({}, ["sourceBucket must be", "sourceKey must be", "destinationBuckets must be"]),
        ({"sourceBucket": 1, "sourceKey": "", "destinationBuckets": []}, ["not 1", "not 0", "not of 0"]),
        (
            {"sourceBucket": "global-builds", "sourceKey": "é" * 513, "destinationBuckets": ["global-builds"]},
            ["sourceKey must be a string of 1 to 1024 bytes in UTF-8, not 1026", "must not contain the source bucket"],
        ),
    ],
    ids=["empty", "not JSON", "list", "no members", "wrong members", "wrong key"],
)
def test_bad_request_is_answered_400_with_every_problem(system: System, body: object, problems: list[str]) -> None:
    """A caller learns all that is wrong at once, and nothing is started."""
    before = system.executions()
    status, answer = system.post("/step-function", body)
    assert status == 400
    assert system.executions() == before
    if isinstance(body, dict):
        assert all(any(said in problem for problem in answer["problems"]) for said in problems), answer
    elif "problems" in answer:
        assert any(said in problem for problem in answer["problems"] for said in ["The body", *problems]), answer
    else:
        # An engine without response templates.
        assert answer == {"message": "Invalid request body"}


@pytest.mark.usefixtures("artifacts")
@pytest.mark.parametrize("commit", sorted(ARTIFACTS))
def test_build_is_fetched_and_distributed(system: System, commit: str) -> None:
    """A build is brought in whole, small or in parts, and travels on to every region without further ado."""
    content, commit = ARTIFACTS[commit], f"{system.run_id}{commit}"
    key = f"{system.variables_of('build-worker')['KEY_PREFIX']}{commit}.zip"
    system.afterwards(system.remove, key)
    status, answer = system.post("/builds", {"commit": commit})
    assert (status, answer) == (201, {"bucket": system.source, "key": key, "size": len(content)})
    record = system.finished_record(key)
    assert record["status"] == "COMPLETED"
    for bucket in system.destinations:
        assert system.get(bucket, key) == content
        assert record["arrivals"][bucket]["verified"] is True
        assert system.s3.head_object(Bucket=bucket, Key=key)["Metadata"]["commit"] == commit


@pytest.mark.usefixtures("artifacts")
def test_missing_build_is_answered_404(system: System) -> None:
    """A commit that has no artifact leaves nothing in the source bucket."""
    commit = f"{system.run_id}ffffff"
    status, answer = system.post("/builds", {"commit": commit})
    assert status == 404
    assert commit in answer["message"]
    assert "Contents" not in system.s3.list_objects_v2(Bucket=system.source, Prefix=commit)


@pytest.mark.parametrize("body", [{}, {"commit": "../x"}, {"commit": 5}, {"commit": "ABCDEF"}, {"commit": "xyz"}])
def test_bad_build_request_is_answered_400_with_the_rule(system: System, body: dict[str, object]) -> None:
    """Only a commit's hash gets into the URL that is fetched, and the answer says what is wrong, on every engine."""
    status, answer = system.post("/builds", body)
    assert status == 400
    [problem] = answer["problems"]
    assert problem.startswith("commit must be the hash of a commit, 6 to 64 characters of 0-9 and a-f, ")
