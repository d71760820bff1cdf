"""Fetching artifacts, from a host on the loopback interface."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from handlers import build_worker, clients, http
from handlers.build_worker import Artifact, FetchError, handler

from . import account
from .conftest import (
    SOURCE,
    Answer,
    ArtifactHost,
    api_event,
    before_call,
    empty_account,
    fail_with,
    log_lines,
    serving_artifacts,
    whole,
)

COMMIT = "abc123"
PATH = f"/artifacts/{COMMIT}"
MIB = 1024**2
# One whole part and a short one, with no period that a misplaced part could hide in.
LARGE = b"".join(hashlib.sha256(str(index).encode()).digest() * 2048 for index in range(16 * 16 + 3))

REFUSED_COMMITS = [
    "ABC123",
    "../x",
    "../../secret",
    "abc123\n",
    "\nabc123",
    "abc12",
    "a" * 65,
    "abc123/../../x",
    "abc123?x=1",
    "abc123#x",
    "abc%2e",
    "abc123 ",
    "\u0661\u0662\u0663\u0664\u0665\u0666",
    "",
    123456,
    ["abc123"],
    {"abc123": 1},
    True,
    None,
]


@dataclass
class Context:
    """What the function uses of Lambda's context."""

    seconds_left: float = 900

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds_left * 1000)


@pytest.fixture(autouse=True)
def source_bucket(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SOURCE_BUCKET", SOURCE)
    monkeypatch.setenv("KEY_PREFIX", "")
    monkeypatch.setenv("ARTIFACT_BASE_URL", f"{artifact_host.url}/artifacts")
    with empty_account():
        account.s3().create_bucket(Bucket=SOURCE)
        yield


def post(body: object, context: Context | None = None) -> tuple[int, dict[str, Any]]:
    """The answer's status and parsed body."""
    answer = handler(api_event(json.dumps(body)), context or Context())
    return answer["statusCode"], json.loads(answer["body"])


def post_commit(context: Context | None = None) -> tuple[int, dict[str, Any]]:
    return post({"commit": COMMIT}, context)


def assert_nothing_stored() -> None:
    """Neither an object, nor parts of one, which would be paid for and never seen."""
    s3 = account.s3()
    assert s3.list_objects_v2(Bucket=SOURCE)["KeyCount"] == 0
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=SOURCE)


def chunked(*chunks: bytes, ended: bool = True) -> Answer:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return Answer(headers={"Transfer-Encoding": "chunked"}, body=body + (b"0\r\n\r\n" if ended else b""))


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (whole(b"PK\x03\x04 a build"), b"PK\x03\x04 a build"),
        (chunked(b"PK", b"\x03\x04"), b"PK\x03\x04"),
        (Answer(body=b"until the end"), b"until the end"),
        (Answer(headers={"Content-Length": "\xb2"}, body=b"PK"), b"PK"),
        (whole(LARGE), LARGE),
        (whole(LARGE[: 16 * MIB]), LARGE[: 16 * MIB]),
        (chunked(LARGE[:MIB], LARGE[MIB:]), LARGE),
    ],
    ids=[
        "small",
        "small-chunked",
        "small-without-length",
        "small-with-odd-length",
        "parts",
        "one-whole-part",
        "parts-chunked",
    ],
)
def test_an_artifact_is_stored(answer: Answer, content: bytes, artifact_host: ArtifactHost) -> None:
    """What the host sent is stored byte for byte, in one piece or in parts, and says which build it is of.

    It does not say where it is from: its metadata goes wherever copies go, to somebody else's bucket, too.
    """
    artifact_host.answers[PATH] = answer
    asked_for_checksums: list[Any] = []
    for operation in ("PutObject", "CreateMultipartUpload"):
        before_call(
            clients.s3(),
            operation,
            lambda params: asked_for_checksums.append((params["ChecksumAlgorithm"], params.get("ChecksumType"))),
        )
    assert post_commit() == (201, {"bucket": SOURCE, "key": f"{COMMIT}.zip", "size": len(content)})
    stored = account.s3().get_object(Bucket=SOURCE, Key=f"{COMMIT}.zip")
    with stored["Body"] as body:
        assert hashlib.sha256(body.read()).digest() == hashlib.sha256(content).digest()
    assert ("-" in stored["ETag"]) == (len(content) >= 16 * MIB)
    assert asked_for_checksums == [("CRC32", "FULL_OBJECT" if len(content) >= 16 * MIB else None)]
    assert stored["ContentType"] == "application/zip"
    assert stored["Metadata"] == {"commit": COMMIT}
    assert artifact_host.requested == [PATH]


@pytest.mark.parametrize("commit", ["abc123", "0123456789" * 4, "f" * 64])
def test_any_commits_hash_is_taken(commit: str, artifact_host: ArtifactHost) -> None:
    """Abbreviated, SHA-1 and SHA-256 hashes are commits, and a build of each can be fetched."""
    artifact_host.answers[f"/artifacts/{commit}"] = whole(b"zip")
    assert post({"commit": commit})[1]["key"] == f"{commit}.zip"


def test_a_build_is_stored_where_its_upload_starts_the_workflow(
    artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only keys under a prefix are distributed, a build gets one: elsewhere it would lie and go nowhere."""
    monkeypatch.setenv("KEY_PREFIX", "releases/")
    artifact_host.answers[PATH] = whole(b"zip")
    assert post_commit() == (201, {"bucket": SOURCE, "key": f"releases/{COMMIT}.zip", "size": 3})
    assert [item["Key"] for item in account.s3().list_objects_v2(Bucket=SOURCE)["Contents"]] == [
        f"releases/{COMMIT}.zip"
    ]
    assert artifact_host.requested == [PATH]


@pytest.mark.parametrize(
    "body",
    [*({"commit": commit} for commit in REFUSED_COMMITS), {}, {"Commit": COMMIT}, [COMMIT], [], COMMIT, 1, None],
)
def test_a_bad_commit_reaches_nothing(body: object, artifact_host: ArtifactHost) -> None:
    """Only a commit's hash gets into a URL or a key: anything else could fetch, or overwrite, another file."""
    status, answer = post(body)
    assert status == 400
    assert answer["problems"][-1].startswith("commit must be")
    assert artifact_host.requested == []
    assert_nothing_stored()


@pytest.mark.parametrize("body", [None, "", "commit=abc123"])
def test_a_body_that_is_no_json_is_a_bad_request(body: str | None, artifact_host: ArtifactHost) -> None:
    """A missing or foreign body is the caller's mistake and is told so, not a failure of the function."""
    assert handler(api_event(body), Context())["statusCode"] == 400
    assert artifact_host.requested == []


def test_without_a_base_url(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A stack that has no artifact host says which setting is missing, instead of fetching from nowhere."""
    monkeypatch.setenv("ARTIFACT_BASE_URL", "")
    status, answer = post_commit()
    assert status == 503
    assert "artifactBaseUrl" in answer["message"]
    assert [line["key"] for line in log_lines(capsys)] == ["abc123.zip"]
    assert_nothing_stored()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (whole(b"<html>not found</html>", 404), 404),
        (whole(b"<html>broken</html>", 500), 502),
        (whole(b"<html>who are you</html>", 403), 502),
        (whole(b"<html>part</html>", 304), 502),
        (whole(b"<html>being built</html>", 202), 502),
        (whole(b"", 204), 502),
        (whole(b"PK", 206), 502),
        (Answer(headers={"Content-Length": "100"}, body=b"PK"), 502),
        (Answer(headers={"Content-Length": "100"}), 502),
        (Answer(headers={"Content-Length": str(len(LARGE) + 1)}, body=LARGE), 502),
        (Answer(headers={"Content-Length": str(len(LARGE) + 1)}, body=LARGE[: 16 * MIB]), 502),
        (chunked(b"PK", ended=False), 502),
        (chunked(LARGE, ended=False), 502),
        (Answer(headers={"Transfer-Encoding": "chunked"}, body=b"no chunk"), 502),
    ],
    ids=lambda value: None if isinstance(value, Answer) else str(value),
)
def test_a_host_that_fails_leaves_nothing(
    answer: Answer, status: int, artifact_host: ArtifactHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error page or half an artifact is never stored: it would be distributed as the build."""
    artifact_host.answers[PATH] = answer
    answered, told = post_commit()
    assert answered == status
    assert "artifact" in told["message"]
    line = log_lines(capsys)[-1]
    # The build is found by the key that it would have had.
    assert (line["message"], line["key"]) == ("Artifact not fetched", "abc123.zip")
    assert_nothing_stored()


def test_a_host_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is the host's failure, told with its address, and no failure of the function."""
    with socket.socket() as taken:
        # Bound, so that nobody else gets the port; not listening, so that it refuses.
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ARTIFACT_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        status, answer = post_commit()
    assert status == 502
    assert "could not be reached at http://127.0.0.1:" in answer["message"]
    assert_nothing_stored()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_host_is_followed(status: int, artifact_host: ArtifactHost) -> None:
    """An artifact host may keep its files elsewhere on itself; the final file is what is stored."""
    artifact_host.answers[PATH] = Answer(status=status, headers={"Location": "/files/1.zip", "Content-Length": "0"})
    artifact_host.answers["/files/1.zip"] = whole(b"the file")
    assert post_commit()[1]["size"] == len(b"the file")
    assert artifact_host.requested == [PATH, "/files/1.zip"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "{other}/secret",
        "//{other_host}/secret",
        "https://{host}/secret",
        "http://localhost:{port}/secret",
        "http://user@{host}/secret",
        "file:///etc/passwd",
        "ftp://{host}/secret",
    ],
)
def test_a_redirect_elsewhere_is_refused(elsewhere: str, artifact_host: ArtifactHost) -> None:
    """The artifact host cannot make the function fetch from another: that could be one inside our network."""
    with serving_artifacts() as other:
        other.answers["/secret"] = artifact_host.answers["/secret"] = whole(b"secret")
        host = artifact_host.url.removeprefix("http://")
        location = elsewhere.format(
            other=other.url, other_host=other.url.removeprefix("http://"), host=host, port=host.partition(":")[2]
        )
        artifact_host.answers[PATH] = Answer(status=302, headers={"Location": location, "Content-Length": "0"})
        status, answer = post_commit()
        assert status == 502
        # urllib itself follows none to a file.
        assert "not followed" in answer["message"] or location.startswith("file:")
        assert (artifact_host.requested, other.requested) == ([PATH], [])
    assert_nothing_stored()


def test_redirects_in_a_circle_end(artifact_host: ArtifactHost) -> None:
    """A host that redirects for ever is given up, instead of being asked until the function's time is over."""
    artifact_host.answers[PATH] = Answer(status=302, headers={"Location": PATH, "Content-Length": "0"})
    assert post_commit()[0] == 502
    assert len(artifact_host.requested) < 20


def test_no_proxy_of_the_environment_is_used(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy variable cannot divert an artifact: what is fetched is what the host itself sends."""
    artifact_host.answers[PATH] = whole(b"zip")
    with serving_artifacts() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert post_commit()[0] == 201
        assert proxy.requested == []


@pytest.mark.parametrize(
    "answer", [whole(LARGE), chunked(LARGE), Answer(headers={"Content-Length": str(1024**4)}, body=b"PK")]
)
def test_an_artifact_that_is_too_large_is_given_up(
    answer: Answer, artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What S3 could not copy on is not stored, whether the host says its size before or never."""
    monkeypatch.setattr(build_worker, "MAX_ARTIFACT_BYTES", len(LARGE) - 1)
    artifact_host.answers[PATH] = answer
    status, told = post_commit()
    assert status == 502
    assert "larger than" in told["message"]
    assert_nothing_stored()


def test_the_largest_artifact_is_taken(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself is still copied by S3 in one call, so it is not refused."""
    monkeypatch.setattr(build_worker, "MAX_ARTIFACT_BYTES", 3)
    artifact_host.answers[PATH] = whole(b"zip")
    assert post_commit()[0] == 201


def test_the_time_of_the_api_is_kept(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the API a fetch ends before API Gateway hangs up; invoked directly it may take Lambda's whole time."""
    monkeypatch.setattr(build_worker, "API_TIME_LIMIT", -1)
    artifact_host.answers[PATH] = whole(b"zip")
    status, answer = post_commit()
    assert status == 504
    assert "directly" in answer["message"]
    assert_nothing_stored()
    assert handler({"commit": COMMIT}, Context())["size"] == 3


@pytest.mark.parametrize("event", [api_event(json.dumps({"commit": COMMIT})), {"commit": COMMIT}])
def test_the_time_of_lambda_is_kept(event: dict[str, Any], artifact_host: ArtifactHost) -> None:
    """A fetch ends before Lambda ends the function, which would leave parts behind and no answer."""
    artifact_host.answers[PATH] = whole(b"zip")
    context = Context(seconds_left=build_worker.TIME_LEFT_FOR_ANSWER - 1)
    if "httpMethod" in event:
        assert handler(event, context)["statusCode"] == 504
    else:
        with pytest.raises(FetchError, match="in time"):
            handler(event, context)
    assert_nothing_stored()


def test_time_that_runs_out_between_two_parts(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that were stored when the time was over are taken away again."""
    artifacts: list[Artifact] = []

    class Seen(Artifact):
        def __init__(self, answer: HTTPResponse, deadline: float) -> None:
            super().__init__(answer, deadline)
            artifacts.append(self)

    def clock() -> float:
        return 1000.0 if artifacts and artifacts[0].size >= 16 * MIB else 0.0

    monkeypatch.setattr(build_worker, "Artifact", Seen)
    monkeypatch.setattr(build_worker, "time", SimpleNamespace(monotonic=clock))
    artifact_host.answers[PATH] = whole(LARGE)
    assert post_commit()[0] == 504
    assert_nothing_stored()


def test_a_slow_host_does_not_outlast_the_time(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is looked at while bytes trickle in, not only when a part is full: API Gateway does not wait for it."""
    clock = count()
    monkeypatch.setattr(build_worker, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    artifact_host.answers[PATH] = chunked(*[b"PK"] * 100)
    assert post_commit()[0] == 504
    assert_nothing_stored()


@pytest.mark.parametrize(
    ("operation", "answer"),
    [("PutObject", whole(b"zip")), ("CreateMultipartUpload", whole(LARGE)), ("UploadPart", whole(LARGE))],
)
def test_a_store_that_fails(
    operation: str, answer: Answer, artifact_host: ArtifactHost, capsys: pytest.CaptureFixture[str]
) -> None:
    """When S3 fails, the caller is told to come back, the log has the cause, and no parts are left."""
    artifact_host.answers[PATH] = answer
    error = EndpointConnectionError(endpoint_url="https://s3.us-east-1.amazonaws.com")
    before_call(clients.s3(), operation, fail_with(error))
    assert post_commit()[0] == 503
    assert log_lines(capsys)[-1]["error"] == str(error)
    assert_nothing_stored()


def test_a_missing_source_bucket(artifact_host: ArtifactHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of 201 means that the artifact is stored, so a bucket that is not there is never one."""
    monkeypatch.setenv("SOURCE_BUCKET", "no-such-bucket")
    artifact_host.answers[PATH] = whole(b"zip")
    assert post_commit()[0] == 503


def not_an_artifact(host: ArtifactHost) -> None:
    host.answers.clear()


def broken_off(host: ArtifactHost) -> None:
    host.answers[PATH] = Answer(headers={"Content-Length": "9"}, body=b"PK")


@pytest.mark.parametrize(("arrange", "status"), [(not_an_artifact, 404), (broken_off, 502)])
def test_invoked_directly_it_raises(
    arrange: Callable[[ArtifactHost], None], status: int, artifact_host: ArtifactHost
) -> None:
    """A direct invocation that brought nothing in fails visibly, instead of returning an answer that nobody reads."""
    arrange(artifact_host)
    with pytest.raises(FetchError) as raised:
        handler({"commit": COMMIT}, Context())
    assert raised.value.status == status
    events: list[Any] = [{}, None, 1, "httpMethod", ["httpMethod"]]
    for event in events:
        with pytest.raises(http.BadRequestError, match="commit must be"):
            handler(event, Context())
    assert_nothing_stored()


def test_an_empty_artifact_is_none(artifact_host: ArtifactHost) -> None:
    """A host that has nothing yet must not have nothing distributed as if it were a build."""
    artifact_host.answers[PATH] = whole(b"")
    status, answer = post_commit()
    assert (status, answer["message"]) == (502, "The artifact is empty.")
    assert "Contents" not in account.s3().list_objects_v2(Bucket=SOURCE)
