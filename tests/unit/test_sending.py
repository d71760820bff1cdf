"""Which files get which keys, and when a file's copies are over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from filecopy import sending
from filecopy.errors import StackError
from filecopy.sending import Sent, Upload
from filecopy.stack.records import TrackingRecord


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one.zip", "two.zip", "folder/a.zip", "folder/inner/b.zip"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "latest.zip").symlink_to("gone.zip")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "key", "keys"),
    [
        (["one.zip"], None, ["one.zip"]),
        (["one.zip"], "other name.zip", ["other name.zip"]),
        (["one.zip"], "releases/", ["releases/one.zip"]),
        (["one.zip", "two.zip"], "releases/", ["releases/one.zip", "releases/two.zip"]),
        (["folder"], None, ["a.zip", "inner/b.zip"]),
        (["folder", "one.zip"], "r/", ["r/a.zip", "r/inner/b.zip", "r/one.zip"]),
        (["folder/inner"], "one-file.zip", ["one-file.zip"]),
    ],
)
@pytest.mark.usefixtures("files")
def test_files_get_their_names_and_folders_their_paths(paths: list[str], key: str | None, keys: list[str]) -> None:
    """A name is the file's own, a path the one inside its folder; a key that ends in / goes in front."""
    assert [upload.key for upload in sending.plan([Path(path) for path in paths], key)] == keys


@pytest.mark.parametrize(
    ("paths", "key", "said"),
    [
        (["three.zip"], None, "There is no file or folder 'three.zip'."),
        (["empty"], None, "There is no file in 'empty'."),
        (["links"], None, "'links/latest.zip': no file, but a link to nothing or a device."),
        (["one.zip", "two.zip"], "one-name.zip", "--key 'one-name.zip' is for one file, and there are 2."),
        (["folder/a.zip", "folder"], None, "Two files would get the same key: 'a.zip'."),
    ],
)
@pytest.mark.usefixtures("files")
def test_what_cannot_be_sent_is_said_before_anything_is(paths: list[str], key: str | None, said: str) -> None:
    """Nothing is uploaded when one of the files is wrong."""
    with pytest.raises(StackError) as raised:
        sending.plan([Path(path) for path in paths], key)
    assert str(raised.value).startswith(said)


BEFORE, AFTER = "2026-01-31T07:59:59.999Z", "2026-01-31T08:00:00.000Z"
SENT = Sent("k.zip", "v2", after=AFTER)
DONE = {"status": "COMPLETED", "successfulBuckets": ["a", "b"]}


@pytest.mark.parametrize(
    ("record", "over"),
    [
        (None, None),
        ({"leaseOwner": "execution"}, None),
        ({**DONE, "status": "IN_PROGRESS", "sourceVersionId": "v2", "startTime": AFTER}, None),
        # An older upload's: its execution read the source before this file was there.
        ({**DONE, "sourceVersionId": "v1", "startTime": BEFORE}, None),
        # Its own, even where its start is in the second in which the upload ended.
        ({**DONE, "sourceVersionId": "v2", "startTime": BEFORE}, ([], False)),
        ({**DONE, "successfulBuckets": ["b"], "sourceVersionId": "v2", "startTime": AFTER}, (["a"], False)),
        ({"status": "FAILED", "sourceVersionId": "v2", "startTime": AFTER}, (["a", "b"], False)),
        # The source was gone when the execution looked.
        ({"status": "FAILED", "sourceVersionId": None, "startTime": AFTER}, (["a", "b"], False)),
        # A newer upload's: what started after this file was there copies this version or a newer one.
        ({**DONE, "sourceVersionId": "v3", "startTime": AFTER}, ([], True)),
    ],
)
def test_a_file_is_through_when_its_own_copies_are(
    record: dict[str, Any] | None, over: tuple[list[str], bool] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an older upload's record nor one in progress ends the following; a newer upload's does, and is named."""
    monkeypatch.setattr(sending, "read_record", lambda *_: record and TrackingRecord.of(record))
    outcome = sending.look(_Target(), SENT, ["a", "b"])  # type: ignore[arg-type]
    assert (outcome and (outcome.missing, outcome.is_superseded)) == over


class _Target:
    outputs: dict[str, str] = {}  # noqa: RUF012 - nothing is put into it

    def clients(self, _service: str) -> None:
        """No client is used."""


class _InProcess:
    """A target with a source bucket that answers in process."""

    source_bucket = "global-builds"

    def __init__(self) -> None:
        self.session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        self.clients = self
        self.new("s3").create_bucket(Bucket=self.source_bucket)

    def new(self, service: str) -> Any:
        return self.session.client(service)  # type: ignore[call-overload]


@pytest.fixture
def in_process() -> Iterator[_InProcess]:
    with mock_aws():
        yield _InProcess()


@pytest.mark.parametrize("size", [10, 17 * 1024**2])
def test_a_file_goes_up_with_a_checksum_of_the_whole(in_process: _InProcess, tmp_path: Path, size: int) -> None:
    """A checksum of parts, which is the default, could not be compared with that of a copy."""
    (tmp_path / "file").write_bytes(b"x" * size)
    asked: list[dict[str, Any]] = []
    # S3 dates each answer; moto does not.
    in_process.session.events.register(
        "after-call.s3",
        lambda parsed, **_: parsed["ResponseMetadata"]["HTTPHeaders"].setdefault(
            "date", "Sat, 31 Jan 2026 08:00:00 GMT"
        ),
    )
    in_process.session.events.register("provide-client-params.s3", lambda params, **_: asked.append(params))
    sending.send(in_process, Upload(tmp_path / "file", "k", size), lambda _: None)  # type: ignore[arg-type]
    assert {params["ChecksumAlgorithm"] for params in asked if "ChecksumAlgorithm" in params} == {"CRC32"}
    in_parts = [params for params in asked if "MultipartUpload" in params]
    assert [params["ChecksumType"] for params in in_parts] == (["FULL_OBJECT"] if size > 16 * 1024**2 else [])
    assert in_process.new("s3").head_object(Bucket="global-builds", Key="k")["ContentLength"] == size
