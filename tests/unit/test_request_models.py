"""components/request_models.py: a schema lets through all that its function takes, and has the function's limits."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.request_models import BUILD, COPY_JOB, EXAMPLES, Schema
from handlers import build_worker, copy_job, http
from handlers.keys import MAX_KEY_BYTES
from tests.keys import KEYS

SCHEMAS = {"step-function": COPY_JOB, "builds": BUILD}
JOB = {"sourceBucket": "global-builds", "sourceKey": "build-123.zip", "destinationBuckets": ["region-a-builds"]}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}
NO_KEYS: list[Any] = [None, 1, "", "k" * 1025, ["k"]]
NO_NAMES: list[Any] = [None, "Upper", ["abc"]]
NO_LISTS: list[Any] = [None, "abc", {}, [], ["abc"] * 1001]
KEYWORDS = {
    "$schema", "title", "type", "properties", "required", "additionalProperties",
    "items", "minItems", "maxItems", "minLength", "maxLength", "pattern",
}  # fmt: skip


def mismatches(value: Any, schema: Schema, where: str = "body") -> list[str]:
    """Where ``value`` is not as ``schema`` says, by JSON Schema's draft 4, for the keywords that are used here."""
    assert schema.keys() <= KEYWORDS
    if not isinstance(value, TYPES[schema["type"]]):
        return [where]
    found: list[str] = []
    if isinstance(value, str):
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        # A pattern of ECMA's, in which $ is the very end.
        pattern = re.sub(r"\$$", r"\\Z", schema.get("pattern", ""))
        found += [] if fits and re.search(pattern, value) else [where]
    if isinstance(value, list):
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        found += [] if fits else [where]
        found += [path for item in value for path in mismatches(item, schema["items"], f"{where}[]")]
    if isinstance(value, dict):
        properties = schema["properties"]
        found += [f"{where}.{name}" for name in schema["required"] if name not in value]
        for name, member in value.items():
            if name in properties:
                found += mismatches(member, properties[name], f"{where}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{where}.{name}")
    return found


def is_taken_for_a_build(body: Any) -> bool:
    """Whether build-worker goes on with ``body``, which it does up to where it looks for its environment."""
    try:
        build_worker._store(body, 1.0)
    except http.BadRequestError:
        return False
    except build_worker.FetchError:
        return True
    raise AssertionError("It fetched something.")


@pytest.fixture(scope="module", autouse=True)
def nowhere_to_fetch_from() -> Any:
    """build-worker has no artifact host, so that a request which is taken ends there."""
    with pytest.MonkeyPatch.context() as patched:
        nowhere = build_worker.Environment(artifact_base_url="", source_bucket="b", key_prefix="")
        patched.setattr(build_worker.Environment, "read", lambda: nowhere)
        yield


# --- What is taken ----------------------------------------------------------------------------------------------

_BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)
_TEXTS = st.text(min_size=1, max_size=1024).filter(lambda text: text.strip() != "")
_JOBS = st.fixed_dictionaries(
    {"sourceBucket": _BUCKETS, "sourceKey": _TEXTS, "destinationBuckets": st.lists(_BUCKETS, min_size=1, max_size=5)},
    optional={"sourceVersionId": _TEXTS, "retry": st.booleans()},
)


@given(_JOBS)
@settings(deadline=None)
def test_a_job_that_the_function_takes_passes_the_gateway(job: dict[str, Any]) -> None:
    """The gateway refuses no job that the function would start, which could otherwise be started nowhere."""
    assume(copy_job.problems(job) == [])
    assert mismatches(job, COPY_JOB) == []


@pytest.mark.parametrize(
    "members",
    [
        *[{"sourceKey": key} for key in KEYS.values()],
        {"sourceBucket": "abc", "destinationBuckets": ["a" * 63]},
        {"destinationBuckets": ["a.b-c.0"] * 2},
        {"destinationBuckets": [f"region-{index}-builds" for index in range(1_000)]},
        {"sourceVersionId": "v" * 1024},
        {"sourceVersionId": "null", "retry": True},
    ],
    ids=str,
)
def test_a_job_just_within_the_functions_bounds_passes(members: dict[str, Any]) -> None:
    """Nothing that is just within a bound of the function is outside the schema's."""
    job = {**JOB, **members}
    assert copy_job.problems(job) == []
    assert mismatches(job, COPY_JOB) == []


@given(st.from_regex(r"[0-9a-f]{6,64}", fullmatch=True))
@settings(deadline=None)
def test_a_commit_that_the_function_takes_passes_the_gateway(commit: str) -> None:
    """Every hash that build-worker would fetch a build of passes, abbreviated or whole."""
    assert is_taken_for_a_build({"commit": commit})
    assert mismatches({"commit": commit}, BUILD) == []


# --- What is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "where"),
    [
        ({"sourceVersionID": "v1"}, "body.sourceVersionID"),
        *[({"sourceBucket": wrong}, "body.sourceBucket") for wrong in (None, 1, "", "ab", "a" * 64, "Upper", "abc\n")],
        *[({"sourceKey": wrong}, "body.sourceKey") for wrong in NO_KEYS],
        *[({"destinationBuckets": wrong}, "body.destinationBuckets") for wrong in NO_LISTS],
        *[({"destinationBuckets": ["abc", wrong]}, "body.destinationBuckets[]") for wrong in NO_NAMES],
        *[({"sourceVersionId": wrong}, "body.sourceVersionId") for wrong in (None, 1, "")],
        *[({"retry": wrong}, "body.retry") for wrong in (None, "yes", 1)],
    ],
    ids=lambda given: str(given)[:60],
)
def test_a_job_that_is_wrong_stops_at_the_gateway(members: dict[str, Any], where: str) -> None:
    """What a schema can say is refused before a function runs, and is what the function refuses as well."""
    job = {**JOB, **members}
    assert mismatches(job, COPY_JOB) == [where]
    assert copy_job.problems(job) != []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        *[
            ({"commit": wrong}, "body.commit")
            for wrong in (None, 123456, "ABC123", "../../x", "abc12", "a" * 65, "abc123\n", "\nabc123", ["abc123"])
        ],
        ({}, "body.commit"),
        ("abc123", "body"),
    ],
)
def test_a_build_that_is_wrong_stops_at_the_gateway(body: Any, where: str) -> None:
    """Nothing but a commit's hash gets as far as the function."""
    assert mismatches(body, BUILD) == [where]
    assert not is_taken_for_a_build(body)


# --- The schemas themselves -------------------------------------------------------------------------------------


def test_members_and_limits_are_the_functions() -> None:
    """A member or a limit that changes in the function changes here: one bound, in both."""
    properties = COPY_JOB["properties"]
    assert tuple(properties) == copy_job.MEMBERS
    assert properties["sourceKey"]["maxLength"] == MAX_KEY_BYTES
    assert properties["destinationBuckets"]["maxItems"] == copy_job.MAX_DESTINATIONS
    bucket = f"^{copy_job._BUCKET_NAME.pattern}$"
    assert properties["sourceBucket"]["pattern"] == properties["destinationBuckets"]["items"]["pattern"] == bucket
    assert BUILD["properties"]["commit"]["pattern"] == f"^{build_worker._COMMIT.pattern}$"


@pytest.mark.parametrize("path", SCHEMAS)
def test_a_schema_is_one_that_api_gateway_reads(path: str) -> None:
    """A schema is of draft 4, is closed, and requires only what it describes."""
    schema = json.loads(json.dumps(SCHEMAS[path]))
    assert schema["$schema"] == "http://json-schema.org/draft-04/schema#"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= schema["properties"].keys()


@pytest.mark.parametrize("path", SCHEMAS)
def test_an_example_is_a_body_that_can_be_meant(path: str) -> None:
    """The example in a refusal has the members that have to be there; what is to be filled in is in capitals."""
    example = json.loads(json.dumps(EXAMPLES[path]).replace("BUCKET", "bucket"))
    assert mismatches(example, SCHEMAS[path]) == []
    assert [*example] == SCHEMAS[path]["required"]


def test_a_version_that_the_function_takes_passes_the_gateway() -> None:
    """The function has the schema's bound of a version: 1,024."""
    job = {**JOB, "sourceVersionId": "v" * 1025}
    assert bool(copy_job.problems(job)) == bool(mismatches(job, COPY_JOB))


def test_a_build_with_another_member_is_judged_alike() -> None:
    """build-worker passes over an unknown member, which the schema (and copy_job) refuses as misspelt."""
    body = {"commit": "abc123", "branch": "main"}
    assert is_taken_for_a_build(body) == (mismatches(body, BUILD) == [])
