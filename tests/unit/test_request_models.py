"""components/request_models.py: API Gateway refuses only what is not an object, and the functions say what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.request_models import BUILD, COPY_JOB
from handlers import build_worker, copy_job
from tests.keys import NOT_KEYS

JOB = {"sourceBucket": "global-builds", "sourceKey": "build-123.zip", "destinationBuckets": ["region-a-builds"]}


@pytest.mark.parametrize("schema", [COPY_JOB, BUILD], ids=lambda schema: str(schema["title"]))
def test_a_schema_takes_every_object(schema: dict[str, Any]) -> None:
    """API Gateway answers all refusals alike, so it leaves to the function what a member must be."""
    held = json.loads(json.dumps(schema))
    assert held == {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": schema["title"],
        "type": "object",
    }
    # API Gateway API reference, CreateModel: a name is letters and digits.
    assert schema["title"].isalnum()


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ({"commit": "xyz"}, "commit must be the hash of a commit, 6 to 64 characters of 0-9 and a-f, not 'xyz'."),
        ({"commit": 5}, "commit must be the hash of a commit, 6 to 64 characters of 0-9 and a-f, not '5'."),
        ({}, "commit must be the hash of a commit, 6 to 64 characters of 0-9 and a-f, and is missing."),
        ({"commit": "abc123", "branch": "main"}, '"branch" is not a member of the request.'),
    ],
)
def test_a_wrong_build_is_told_its_rule(request_: dict[str, Any], problem: str) -> None:
    """The answer of ``POST /builds`` says what is wrong with this request, and nothing of another route."""
    assert build_worker._problems(request_) == [problem]


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"sourceBucket": "No"}, 'sourceBucket must be a bucket name, not "No".'),
        ({"sourceKey": ""}, "sourceKey must be a string of 1 to 1024 bytes in UTF-8, not 0."),
        *[
            ({"sourceKey": key}, "sourceKey must be a string of 1 to 1024 bytes in UTF-8, ")
            for key in NOT_KEYS.values()
        ],
        ({"destinationBuckets": []}, "destinationBuckets must be a list of 1 to 1000 bucket names, not of 0."),
        ({"retry": "yes"}, 'retry must be true or false, not "yes".'),
        ({"commit": "abc123"}, '"commit" is not a member of the input.'),
    ],
    ids=lambda given: str(given)[:60],
)
def test_a_wrong_job_is_told_its_rule(members: dict[str, Any], problem: str) -> None:
    """The answer of ``POST /step-function`` names the member, the rule and the value."""
    [found] = copy_job.problems({**JOB, **members})
    assert found.startswith(problem)
