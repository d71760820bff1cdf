"""filecopy/sending: which files get which keys, how they are uploaded, and when their copies have ended."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components import outputs
from filecopy import polling
from filecopy.cli import app
from filecopy.errors import StackError
from filecopy.screens import send as screen
from filecopy.sending.follow import CopyFollower, Outcome, outcome_of
from filecopy.sending.plan import NotSent, plan
from filecopy.sending.upload import Sending, Sent, content_type
from filecopy.stack import key_filter
from filecopy.stack.key_filter import KeyFilter
from filecopy.stack.records import Part, TrackingRecord
from filecopy.stack.stack import Stack

from .mocks import arn
from .s3_server import S3Server
from .scripted_aws import ScriptedClients

# --- Plan -------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("one.zip", "two.zip", "folder/a.zip", "folder/inner/b.zip"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "key", "keys"),
    [
        (["one.zip"], None, ["one.zip"]),
        (["one.zip"], "other name.zip", ["other name.zip"]),
        (["one.zip"], " ", [" "]),
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
    planned = plan([Path(path) for path in paths], key)
    assert ([upload.key for upload in planned.uploads], planned.not_sent) == (keys, [])


@pytest.mark.parametrize(
    ("paths", "key", "message"),
    [
        (["empty"], None, "There is no file in empty."),
        (["one.zip", "two.zip"], "one-name.zip", "--key one-name.zip is for one file, and there are 2."),
        (["one.zip", "three.zip"], "one-name.zip", "--key one-name.zip is for one file, and there are 2."),
        (["folder/a.zip", "folder"], None, "Two files would get the same key: a.zip."),
    ],
)
@pytest.mark.usefixtures("files")
def test_a_wrong_command_sends_nothing(paths: list[str], key: str | None, message: str) -> None:
    """If it is unclear what goes where, nothing is uploaded."""
    with pytest.raises(StackError) as raised:
        plan([Path(path) for path in paths], key)
    assert str(raised.value).startswith(message)


def reasons(not_sent: list[NotSent]) -> dict[str, str]:
    return {str(one.path): one.reason for one in not_sent}


def test_files_that_cannot_be_sent_do_not_stop_the_others(files: Path) -> None:
    """Each is named with the reason, and so are missing files and links to nothing."""
    folder = files / "folder"
    (folder / "latest.zip").symlink_to("gone.zip")
    os.mkfifo(folder / "pipe")
    (folder / "self").symlink_to("self")
    (files / "broken").symlink_to("gone")
    planned = plan([Path("one.zip"), Path("three.zip"), Path("broken"), Path("folder")], None)
    assert [upload.key for upload in planned.uploads] == ["one.zip", "a.zip", "inner/b.zip"]
    assert reasons(planned.not_sent) == {
        "three.zip": "there is no such file or folder",
        "broken": "a link to nothing",
        "folder/latest.zip": "a link to nothing",
        "folder/pipe": "not a regular file, but a device, a pipe or a socket",
        "folder/self": "too many levels of symbolic links",
    }


def test_links_to_folders_are_followed(files: Path) -> None:
    """Also twice to the same folder. A link back to a folder that it is in would never end."""
    (files / "folder" / "linked").symlink_to(files / "empty")
    (files / "empty" / "c.zip").write_bytes(b"c")
    (files / "folder" / "inner" / "again").symlink_to("../linked")
    (files / "folder" / "inner" / "up").symlink_to("..")
    planned = plan([Path("folder")], None)
    assert [upload.key for upload in planned.uploads] == [
        "a.zip", "inner/again/c.zip", "inner/b.zip", "linked/c.zip",
    ]  # fmt: skip
    assert reasons(planned.not_sent) == {"folder/inner/up": "a link back to folder, which it is in"}


NOT_UTF_8 = os.fsdecode(b"caf\xe9.zip")


def test_names_that_are_no_keys_are_refused_before_the_upload(files: Path) -> None:
    """A key is UTF-8 of 1 to 1,024 bytes. A single file can get another key."""
    folder = files / "odd"
    folder.mkdir()
    for name in (NOT_UTF_8, "good.zip", " "):
        (folder / name).write_bytes(b"x")
    planned = plan([Path("odd")], None)
    assert [upload.key for upload in planned.uploads] == [" ", "good.zip"]
    assert reasons(planned.not_sent) == {
        f"odd/{NOT_UTF_8}": "its key would not be UTF-8; send it alone, with another --key"
    }
    assert [one.key for one in plan([Path("odd") / NOT_UTF_8], "café.zip").uploads] == ["café.zip"]
    assert reasons(plan([Path("one.zip")], "k" * 1100).not_sent) == {
        "one.zip": "its key must be a string of 1 to 1024 bytes in UTF-8, not 1100"
    }
    assert plan([Path("one.zip")], "é" * 512).not_sent == []
    assert len(plan([Path("one.zip")], "é" * 513).not_sent) == 1


@pytest.mark.parametrize(
    ("keys", "key", "reason"),
    [
        (KeyFilter(), None, None),
        (KeyFilter("releases/", ".zip"), "releases/one.zip", None),
        (
            KeyFilter("releases/"),
            None,
            "the stack copies only keys that begin with releases/, not one.zip; try --key releases/",
        ),
        (
            KeyFilter("re leases-"),
            None,
            "the stack copies only keys that begin with 're leases-', not one.zip; try --key 're leases-one.zip'",
        ),
        (
            KeyFilter("", ".tar"),
            None,
            "the stack copies only keys that end in .tar, not one.zip; try --key with a name that ends so",
        ),
    ],
)
@pytest.mark.usefixtures("files")
def test_a_file_that_the_stack_does_not_copy_is_not_sent(keys: KeyFilter, key: str | None, reason: str | None) -> None:
    """Nobody would copy it, so there would be nothing to wait for."""
    planned = plan([Path("one.zip")], key, keys)
    assert [one.reason for one in planned.not_sent] == ([reason] if reason else [])


def test_the_filter_is_an_output_or_in_the_notification_configuration() -> None:
    """A stack of an older program has no such output, and not everyone may read the configuration."""
    told = {outputs.SOURCE_BUCKET: "source", outputs.UPLOAD_QUEUE_URL: "https://example.com/uploads"}
    rules = [{"Name": "Prefix", "Value": "a/"}, {"Name": "suffix", "Value": ".zip"}]
    answer = {
        "QueueConfigurations": [
            {"QueueArn": arn("sqs", "other")},
            {"QueueArn": arn("sqs", "uploads"), "Filter": {"Key": {"FilterRules": rules}}},
        ]
    }
    new = {**told, outputs.KEY_PREFIX: "b/", outputs.KEY_SUFFIX: ""}
    denied = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def found(of: dict[str, Any], answer: dict[str, Any]) -> KeyFilter | None:
        return key_filter.key_filter_of(Stack(of, ScriptedClients(GetBucketNotificationConfiguration=answer)))

    assert found(new, {}) == KeyFilter("b/", "")
    assert found(told, answer) == KeyFilter("a/", ".zip")
    assert found(told, denied) is None
    assert found({outputs.SOURCE_BUCKET: "source"}, answer) is None
    with pytest.raises(StackError, match="source does not notify the queue uploads of uploads"):
        found(told, {})


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of a user without rights: root may read everything."""
    folder = Path(tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_folders_that_cannot_be_read_are_named(as_nobody: Path) -> None:
    """A folder may be closed, or may be listed and not entered."""
    for name in ("closed", "listed", "open"):
        (as_nobody / name).mkdir()
        (as_nobody / name / "a.zip").write_bytes(b"a")
    (as_nobody / "closed").chmod(0)
    (as_nobody / "listed").chmod(0o444)
    planned = plan([as_nobody], None)
    assert [upload.key for upload in planned.uploads] == ["open/a.zip"]
    assert reasons(planned.not_sent) == {
        f"{as_nobody}/closed": "permission denied",
        f"{as_nobody}/listed/a.zip": "permission denied",
    }
    for name in ("closed", "listed"):
        (as_nobody / name).chmod(0o700)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("index.html", "text/html"),
        ("INDEX.HTML", "text/html"),
        ("page.html.gz", "text/html"),
        ("build.tar.gz", "application/x-tar"),
        ("build.zip", "application/zip"),
        ("data.json", "application/json"),
        ("https:/logo.svg", "image/svg+xml"),
        ("README", None),
        ("dump.gz", None),
    ],
)
def test_content_type_is_what_the_aws_cli_guesses(name: str, expected: str | None) -> None:
    """By the name, and without an encoding. Files without a known ending get S3's default."""
    assert content_type(name) == expected


# --- Upload -----------------------------------------------------------------------------------------------------

MIB = 1024**2
CHANGED = "changed while it was sent, so nothing of it is in the bucket; send it again"


@pytest.fixture
def s3() -> S3Server:
    return S3Server()


@pytest.fixture
def stack(s3: S3Server) -> Iterator[Stack]:
    with s3.running() as clients:
        yield Stack({outputs.SOURCE_BUCKET: "global-builds"}, clients)


def sending_of(stack: Stack, *paths: Path) -> Sending:
    return Sending(stack, plan(paths, None).uploads)


def send(stack: Stack, *paths: Path) -> Sending:
    work = sending_of(stack, *paths)
    work.run(lambda _: None, lambda *_: None)
    return work


@pytest.mark.parametrize("size", [0, 10, 17 * MIB])
def test_a_file_goes_up_with_its_type_and_a_checksum_of_the_whole(
    stack: Stack, s3: S3Server, tmp_path: Path, size: int
) -> None:
    """A checksum of parts, which is the default, could not be compared with that of a copy."""
    file = tmp_path / "index.html"
    file.write_bytes(os.urandom(size))
    progress: list[int] = []
    work = sending_of(stack, file)
    work.run(progress.append, lambda *_: None)
    [sent] = work.sent
    assert (sent.key, sent.version, work.not_sent) == ("index.html", "version-of-index.html", [])
    assert datetime.fromisoformat(sent.after) - datetime.now(UTC) < timedelta(seconds=2)
    assert (s3.objects["index.html"], sum(progress)) == (file.read_bytes(), size)
    headers = {name.lower(): value for name, value in s3.headers["index.html"].items()}
    assert headers["content-type"] == "text/html"
    if size > 16 * MIB:
        assert headers["x-amz-checksum-algorithm"] == "CRC32"
        assert headers["x-amz-checksum-type"] == "FULL_OBJECT"
    else:
        assert "x-amz-checksum-crc32" in headers


@pytest.mark.parametrize("size", [10, 17 * MIB])
def test_a_key_with_a_control_character_goes_up(stack: Stack, s3: S3Server, tmp_path: Path, size: int) -> None:
    """S3's answer has the key as XML that botocore cannot read. The upload would be repeated, and then left open."""
    file = tmp_path / "bell\b.bin"
    file.write_bytes(b"x" * size)
    work = send(stack, file)
    assert [sent.key for sent in work.sent] == ["bell\b.bin"]
    assert (len(s3.objects["bell\b.bin"]), s3.open_uploads) == (size, set())


def test_many_files_need_one_client_and_one_request_each(stack: Stack, s3: S3Server, tmp_path: Path) -> None:
    """Each file gets the version in its own answer."""
    for number in range(40):
        (tmp_path / f"{number}.zip").write_bytes(b"x" * number)
    work = send(stack, tmp_path)
    assert {one.key: one.version for one in work.sent} == {f"{n}.zip": f"version-of-{n}.zip" for n in range(40)}
    assert (s3.requests, s3.clients_made) == (["PutObject"] * 40, 1)


def test_files_that_cannot_be_read_or_are_refused_do_not_stop_the_others(
    stack: Stack, s3: S3Server, as_nobody: Path
) -> None:
    """One bad file of many: the others are sent, and it is named."""
    for name in ("closed.zip", "gone.zip", "refused.zip", *(f"{n}.zip" for n in range(20))):
        (as_nobody / name).write_bytes(b"x")
    (as_nobody / "closed.zip").chmod(0)
    s3.refused.add("refused.zip")
    work = sending_of(stack, as_nobody)
    (as_nobody / "gone.zip").unlink()
    ended: dict[str, Sent | NotSent] = {}
    work.run(lambda _: None, lambda upload, result: ended.update({upload.key: result}))
    assert len(ended) == 23
    assert {one.key for one in work.sent} == {f"{n}.zip" for n in range(20)} == set(s3.objects)
    found = {Path(path).name: reason for path, reason in reasons(work.not_sent).items()}
    assert found.pop("refused.zip").startswith("refused by S3: An error occurred (AccessDenied) when calling")
    assert found == {"closed.zip": "permission denied", "gone.zip": "no such file or directory"}


def shrink(file: Path) -> None:
    os.truncate(file, 1000)


def grow(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"more")


def rewrite(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"other")


def replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"y" * file.stat().st_size)
    other.replace(file)


@pytest.mark.parametrize("size", [15 * MIB, 40 * MIB], ids=["at once", "in parts"])
@pytest.mark.parametrize("change", [shrink, grow, rewrite, replace, Path.unlink])
def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    stack: Stack,
    s3: S3Server,
    tmp_path: Path,
    change: Callable[[Path], None],
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is said at once, in place of a timeout or a mixture in the bucket, and no parts are left. Others are sent."""
    file = tmp_path / "large.zip"
    file.write_bytes(b"x" * size)
    (tmp_path / "small.zip").write_bytes(b"small")
    is_changed = threading.Event()

    def change_once(key: str) -> None:
        if key == "large.zip" and not is_changed.is_set():
            is_changed.set()
            change(file)

    s3.on_piece = change_once
    started = time.monotonic()
    # botocore would wait, and make the request again.
    waits: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))
    work = send(stack, file, tmp_path / "small.zip")
    assert (is_changed.is_set(), waits) == (True, [])
    assert reasons(work.not_sent) == {str(file): CHANGED}
    assert ([one.key for one in work.sent], set(s3.objects), s3.open_uploads) == (["small.zip"], {"small.zip"}, set())
    assert time.monotonic() - started < 30


def test_an_interruption_keeps_what_is_in_the_bucket(stack: Stack, s3: S3Server, tmp_path: Path) -> None:
    """The files that S3 has are known, the others are aborted, and no parts are left."""
    (tmp_path / "large.zip").write_bytes(b"x" * 40 * MIB)
    (tmp_path / "small.zip").write_bytes(b"small")
    is_interrupted = threading.Event()

    # The large file waits for the interruption.
    def hold(key: str) -> None:
        if key == "large.zip":
            is_interrupted.wait(30)

    s3.on_piece = hold
    work = sending_of(stack, tmp_path / "large.zip", tmp_path / "small.zip")

    def interrupt(*_: object) -> None:
        threading.Timer(0.2, is_interrupted.set).start()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work.run(lambda _: None, interrupt)
    assert [one.key for one in work.sent] == ["small.zip"]
    assert (set(s3.objects), s3.open_uploads) == ({"small.zip"}, set())


class Interrupted(CopyFollower):
    """The copies of files, as somebody types Ctrl-C."""

    def outcomes(self, *_: object) -> Iterator[Outcome]:
        raise KeyboardInterrupt


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs 'filecopy send' on the stack. Returns the exit status, the output and the errors."""
    stack.outputs.update(
        {
            outputs.DESTINATION_BUCKETS: ["a"],
            outputs.KEY_PREFIX: "",
            outputs.KEY_SUFFIX: ".zip",
            outputs.STEP_FUNCTION_ARN: arn("states", "stateMachine:machine"),
        }
    )
    monkeypatch.setattr("filecopy.cli.find_stack", lambda *_: stack)

    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["send", *arguments])
        return result.exit_code, result.stdout, result.stderr

    return run


def test_ctrl_c_after_the_upload_says_that_the_file_is_in_the_bucket(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to guess whether it is there."""
    monkeypatch.setattr("filecopy.screens.send.CopyFollower", Interrupted)
    for name in ("-a.zip", "b.zip"):
        (tmp_path / name).write_bytes(b"x")
    status, output, errors = run(str(tmp_path / "-a.zip"))
    assert (status, output) == (130, "Uploaded -a.zip (1 byte) to s3://global-builds\n")
    assert errors == (
        "-a.zip is in s3://global-builds, and its copies continue. See them with: filecopy watch -- -a.zip\n"
        "error: Interrupted.\n"
    )
    status, _, errors = run(str(tmp_path))
    assert status == 130
    assert errors.startswith(
        "2 of 2 files are in s3://global-builds, and their copies continue. See them with: filecopy"
    )


def test_files_that_are_not_sent_make_the_command_fail(
    run: Callable[..., tuple[int, str, str]], s3: S3Server, tmp_path: Path
) -> None:
    """Also if nothing is waited for. The others are sent."""
    for name in ("a.zip", "b.txt", "c.zip"):
        (tmp_path / name).write_bytes(b"x")
    s3.refused.add("c.zip")
    status, output, errors = run("--no-wait", str(tmp_path))
    assert (status, errors) == (1, "error: 2 of 3 files were not sent.\n")
    lines = sorted(output.splitlines())
    assert lines[0] == "Uploaded a.zip (1 byte) to s3://global-builds"
    assert lines[1].startswith(f"✘ {tmp_path}/b.txt: not sent: the stack copies only keys that end in .zip, not b.txt;")
    assert lines[2].startswith(f"✘ {tmp_path}/c.zip: not sent: refused by S3: An error occurred (AccessDenied)")
    assert run("--no-wait", str(tmp_path / "a.zip"))[0] == 0


# --- Follow -----------------------------------------------------------------------------------------------------

BEFORE, AFTER = "2026-01-31T07:59:59.999Z", "2026-01-31T08:00:00.000Z"
SENT = Sent("k.zip", "v2", after=AFTER)
DONE = {"status": "COMPLETED", "successfulBuckets": ["a", "b"], "executionId": "arn:own"}


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
def test_a_file_has_an_outcome_when_its_own_copies_have_ended(
    record: dict[str, Any] | None, over: tuple[list[str], bool] | None
) -> None:
    """Neither an older upload's record nor one in progress is the outcome; a newer upload's is, and says so."""
    outcome = outcome_of(SENT, TrackingRecord.of(record) if record else None, ["a", "b"])
    assert (outcome and (outcome.missing, outcome.is_superseded)) == over


class Aws(ScriptedClients):
    """Tracking records by key, and executions by ARN, that change at each look."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, dict[str, Any]] = {}
        self.failed: dict[str, dict[str, Any]] = {}
        self.unprocessed: list[str] = []
        self.on_look: Callable[[int], None] = lambda _: None

    def _answer(self, **_: Any) -> tuple[Any, dict[str, Any]]:  # type: ignore[override]
        name, given = self.calls[-1]
        self.on_look(len(self.calls))
        return SimpleNamespace(status_code=200), getattr(self, f"_{name}")(given)

    def _item(self, key: str) -> dict[str, Any]:
        return {"fileKey": {"S": key}, **self.records[key]}

    def _GetItem(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        key = given["Key"]["fileKey"]["S"]
        return {"Item": self._item(key)} if key in self.records else {}

    def _BatchGetItem(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        [(table, asked)] = given["RequestItems"].items()
        keys = [key["fileKey"]["S"] for key in asked["Keys"]]
        left = [key for key in keys if key in self.unprocessed]
        self.unprocessed = []
        return {
            "Responses": {table: [self._item(key) for key in keys if key in self.records and key not in left]},
            "UnprocessedKeys": {table: {"Keys": [key for key in asked["Keys"] if key["fileKey"]["S"] in left]}}
            if left
            else {},
        }

    def _ListExecutions(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"executions": [one for one in self.failed.values() if one["status"] == given["statusFilter"]]}

    def _DescribeExecution(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return self.failed[given["executionArn"]]


def item(
    status: str, version: str = "v", copied: tuple[str, ...] = ("a", "b"), **more: dict[str, Any]
) -> dict[str, Any]:
    return {
        "status": {"S": status},
        "sourceVersionId": {"S": version},
        "startTime": {"S": AFTER},
        "completedAt": {"S": AFTER},
        "executionId": {"S": "arn:own"},
        "successfulBuckets": {"L": [{"S": bucket} for bucket in copied]},
        **more,
    }


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between looks, which the test does not wait for."""
    pauses: list[float] = []
    monkeypatch.setattr("filecopy.polling.time.sleep", pauses.append)
    return pauses


def follower(aws: Aws, *keys: str) -> CopyFollower:
    told = {
        outputs.SOURCE_BUCKET: "source",
        outputs.DYNAMODB_TABLE_NAME: "table",
        outputs.STEP_FUNCTION_ARN: arn("states", "stateMachine:machine"),
    }
    return CopyFollower(Stack(told, aws), [Sent(key, "v", AFTER) for key in keys], ["a", "b"])


def test_each_look_is_one_request_whatever_the_number_of_files(aws: Aws, slept: list[float]) -> None:
    """500 files are read 100 at a time, with a pause after each request. What DynamoDB leaves is asked for again."""
    keys = [f"{number}.zip" for number in range(500)]
    aws.records = {key: item("COMPLETED") for key in keys}
    aws.unprocessed = keys[:10]
    outcomes = list(follower(aws, *keys).outcomes(60))
    assert {outcome.sent.key for outcome in outcomes} == set(keys)
    assert [name for name, _ in aws.calls] == ["BatchGetItem"] * 6
    assert slept == [polling.INTERVAL_ON_EMULATOR] * 5


def test_one_file_is_read_alone(aws: Aws, slept: list[float]) -> None:
    """That needs no permission for batches."""
    aws.records = {"k": item("IN_PROGRESS")}

    def end(number: int) -> None:
        if number == 3:
            aws.records["k"] = item("PARTIAL_FAILURE", copied=("a",), problem={"S": "why"})

    aws.on_look = end
    [outcome] = follower(aws, "k").outcomes(60)
    assert (outcome.missing, outcome.problem, outcome.execution_arn) == (["b"], "why", "arn:own")
    assert ([name for name, _ in aws.calls], len(slept)) == (["GetItem"] * 3, 2)


def failed_execution(key: str, status: str = "FAILED", version: str = "v") -> dict[str, Any]:
    job = {"sourceBucket": "source", "sourceKey": key, "destinationBuckets": ["a"], "sourceVersionId": version}
    return {
        "executionArn": arn("states", f"execution:machine:{key.replace('.', '-')}-0123"),
        "status": status,
        "error": "States.QueryEvaluationError",
        "cause": "Invalid input.",
        "startDate": datetime.fromisoformat(AFTER),
        "input": json.dumps(job),
    }


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
@pytest.mark.parametrize("record", [None, item("COMPLETED", "older", startTime={"S": BEFORE})])
def test_an_execution_that_fails_before_its_record_is_the_outcome(
    aws: Aws, status: str, record: dict[str, Any] | None
) -> None:
    """Nothing would ever be written, so the execution is looked at, too. Those of other uploads say nothing."""
    if record:
        aws.records["k.zip"] = record
    others = [failed_execution("other.zip", status), failed_execution("kk.zip", status)]
    own = failed_execution("k.zip", status)
    earlier = {**failed_execution("k.zip", status, "v0"), "executionArn": own["executionArn"] + "4"}
    aws.failed = {one["executionArn"]: one for one in (*others, earlier, own)}
    [outcome] = follower(aws, "k.zip").outcomes(60)
    assert outcome == Outcome(
        Sent("k.zip", "v", AFTER),
        None,
        ["a", "b"],
        problem=f"{status}: States.QueryEvaluationError: Invalid input.",
        execution_arn=own["executionArn"],
    )
    described = [given["executionArn"] for given in aws.of("DescribeExecution")]
    assert own["executionArn"] in described
    assert others[0]["executionArn"] not in described


@pytest.mark.usefixtures("slept")
def test_a_failed_executions_own_record_is_waited_for(aws: Aws) -> None:
    """execution-watcher writes the results of an execution that was stopped; if it does not, the execution counts."""
    own = failed_execution("k.zip", "ABORTED")
    aws.failed = {own["executionArn"]: own}
    aws.records["k.zip"] = item("IN_PROGRESS", copied=(), executionId={"S": own["executionArn"]})

    def close(number: int) -> None:
        if number == 45:
            aws.records["k.zip"] = item(
                "FAILED", copied=(), problem={"S": "ABORTED"}, executionId={"S": own["executionArn"]}
            )

    aws.on_look = close
    [outcome] = follower(aws, "k.zip").outcomes(60)
    assert (outcome.problem, outcome.record and outcome.record.status) == ("ABORTED", "FAILED")
    aws.on_look = lambda _: None
    aws.records["k.zip"] = item("IN_PROGRESS", copied=(), executionId={"S": own["executionArn"]})
    [outcome] = follower(aws, "k.zip").outcomes(60)
    assert (outcome.problem, outcome.record) == ("ABORTED: States.QueryEvaluationError: Invalid input.", None)


@pytest.mark.usefixtures("slept")
def test_the_copied_part_of_large_files_grows_to_the_whole(aws: Aws) -> None:
    """A copy that is complete is no longer in the record, and still counts."""

    def upload(copied: int) -> dict[str, Any]:
        return {"M": {"of": {"S": "v"}, "copiedBytes": {"N": str(copied)}, "totalBytes": {"N": "100"}}}

    work = follower(aws, "k", "small")
    steps = [{"a": upload(10), "b": upload(0)}, {"b": upload(50)}, {}]

    def step(number: int) -> None:
        aws.records["k"] = item("IN_PROGRESS", uploads={"M": steps[min(number, 3) - 1]})
        if number == 4:
            aws.records = {"k": item("COMPLETED"), "small": item("COMPLETED")}

    aws.on_look = step
    seen: list[Part | None] = [work.part]
    list(work.outcomes(60, lambda: seen.append(work.part)))
    assert seen == [None, Part(10, 200), Part(150, 200), Part(200, 200), Part(200, 200)]


def test_a_timeout_names_the_files(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies continue, and the message says so."""
    monkeypatch.setattr(polling, "INTERVAL_ON_EMULATOR", 0.001)
    with pytest.raises(StackError) as raised:
        list(follower(aws, *(f"{number}.zip" for number in range(7))).outcomes(0.05))
    assert str(raised.value) == (
        "Timed out after 0 s: 7 of 7 files have not finished: 0.zip, 1.zip, 2.zip, 3.zip, 4.zip, …."
        " Their copies continue. See them with 'filecopy watch'."
    )


def test_a_long_copy_is_told_each_minute_without_a_terminal(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log of a build shows that something happens. A terminal has a bar for that."""

    class Clock:
        """A clock on which each look takes 25 s."""

        now = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, _seconds: float) -> None:
            self.now += 25

    clock = Clock()
    for module in (polling, screen):
        monkeypatch.setattr(module, "time", clock)
    upload = {"M": {"of": {"S": "v"}, "copiedBytes": {"N": "3000000"}, "totalBytes": {"N": "9000000"}}}
    aws.records = {"k": item("IN_PROGRESS", uploads={"M": {"a": upload}})}

    def step(number: int) -> None:
        if number == 8:
            aws.records = {"k": item("COMPLETED")}

    aws.on_look = step
    written = io.StringIO()
    told = {outputs.SOURCE_BUCKET: "source", outputs.DYNAMODB_TABLE_NAME: "table"}
    sent = [Sent("k", "v", AFTER)]
    failed = screen.follow_copies(Console(file=written, width=100), Stack(told, aws), sent, ["a", "b"], 3600)
    assert failed == 0
    *lines, _ = written.getvalue().splitlines()
    assert lines == ["Copying: 0 of 1 file complete, 3.0 MB of 9.0 MB"] * 2
