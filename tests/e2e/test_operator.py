"""The operator's commands against a stack that is up: what they print, and what their exit status says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.errors import StackError
from filecopy.executions.find import find_execution
from filecopy.screens import send as screen
from filecopy.sending.plan import plan
from filecopy.sending.upload import Sending

from .screen import settled
from .system import System, filecopy


@pytest.fixture
def run(open_system: System) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command on the stack."""
    return open_system.filecopy


def hold_lease(system: System, key: str, seconds: int) -> None:
    """Has another execution hold the lease of a file, so that its own waits."""
    system.dynamodb.update_item(
        TableName=system.table,
        Key={"fileKey": {"S": key}, "sourceBucket": {"S": system.source}},
        UpdateExpression="SET leaseOwner = :owner, leaseExpiresAt = :until",
        ExpressionAttributeValues={":owner": {"S": "another"}, ":until": {"N": str(int(time.time()) + seconds)}},
    )


def test_file_is_sent_and_followed(run: Any, open_system: System, tmp_path: Path) -> None:
    """A file is uploaded under its name, and the command ends when it is everywhere."""
    (tmp_path / "sent.zip").write_bytes(b"sent")
    folder, key = open_system.key(""), open_system.key("sent.zip")
    done = run("send", str(tmp_path / "sent.zip"), *(["--key", folder] if folder else []))
    assert (done.returncode, done.stderr) == (0, "")
    assert settled(done.stdout) == (
        f"Uploaded {key} (4 bytes) to s3://{open_system.source}\n✔ {key}: 2 of 2 destinations, N s\n"
    )
    assert [open_system.get(bucket, key) for bucket in open_system.destinations] == [b"sent"] * 2


@pytest.mark.slow
def test_folder_is_sent_with_what_is_in_it(run: Any, open_system: System, tmp_path: Path) -> None:
    """A folder's files keep their paths, behind the key that is given, and a large one goes up in parts."""
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "a.zip").write_bytes(b"a")
    (tmp_path / "folder" / "inner" / "large ä.zip").write_bytes(os.urandom(20_000_000))
    prefix, key = open_system.key("releases/1/"), open_system.key("releases/1/inner/large ä.zip")
    done = run("send", str(tmp_path / "folder"), "--key", prefix, "--to", open_system.destinations[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert f"✔ {prefix}a.zip: 1 of 1 destination" in done.stdout
    assert f"Uploaded {key} (20.0 MB)" in done.stdout
    assert "-" in open_system.s3.head_object(Bucket=open_system.source, Key=key)["ETag"]
    assert open_system.get(open_system.destinations[0], key) == open_system.get(open_system.source, key)


@pytest.mark.slow
def test_file_is_sent_again(run: Any, open_system: System, tmp_path: Path) -> None:
    """The outcome is that of this upload, not of an earlier one of the same key."""
    file, key = tmp_path / "again.zip", open_system.key("again.zip")
    file.write_bytes(b"first")
    assert run("send", str(file), "--key", key).returncode == 0
    file.write_bytes(b"second")
    assert run("send", str(file), "--key", key).returncode == 0
    assert open_system.get(open_system.destinations[0], key) == b"second"


@pytest.mark.slow
def test_upload_that_does_not_arrive_everywhere_is_a_failure(breakable: System, tmp_path: Path) -> None:
    """The exit status is 1, and the destination without a copy is named."""
    (tmp_path / "lost.zip").write_bytes(b"lost")
    lost = breakable.destinations[1]
    for version in breakable.s3.list_object_versions(Bucket=lost).get("Versions", []):
        breakable.s3.delete_object(Bucket=lost, Key=version["Key"], VersionId=version["VersionId"])
    breakable.s3.delete_bucket(Bucket=lost)
    done = breakable.filecopy("send", str(tmp_path / "lost.zip"))
    assert done.returncode == 1
    assert "✘ lost.zip: 1 of 2 destinations" in done.stdout
    assert f"Missing: {lost}" in done.stdout
    assert done.stderr == "error: 1 of 1 files did not arrive everywhere.\n"


def test_status_shows_a_record(run: Any, open_system: System) -> None:
    """All that the record says, for people and as JSON."""
    key = open_system.key("shown.zip")
    record = open_system.upload(key, b"shown")
    done = run("status", key)
    assert (done.returncode, done.stderr) == (0, "")
    checks = {result["destinationBucket"]: result["check"] for result in record["copyResults"]}
    shown = [" ".join(line.split()) for line in settled(done.stdout).splitlines()]
    assert shown == [
        f"File {key}",
        f"Source bucket {open_system.source}",
        "Status COMPLETED",
        "Started TIME",
        "Completed TIME",
        "Size 5 bytes",
        settled(f"Version {record['sourceVersionId']}"),
        settled(f"Execution {record['executionId']}"),
        "",
        "Destination Copy Check Arrived",
        *(f"{bucket} ✔ copied {checks[bucket]} ✔ TIME" for bucket in open_system.destinations),
    ]
    as_json = json.loads(run("status", key, "--json").stdout)
    assert as_json["executionId"] == record["executionId"]
    assert as_json["sourceSize"] == 5


def test_failed_copies_are_shown_and_listed(run: Any, open_system: System) -> None:
    """A failure is found by its status, with its reason."""
    key, missing = open_system.key("half.zip"), open_system.bucket("not-there")
    open_system.upload(key)
    open_system.run(open_system.job(key, open_system.destinations[0], missing))
    assert re.search(rf"{missing} +✘ failed +S3.NoSuchBucketException: The specified\s", run("status", key).stdout)
    listed = [json.loads(line) for line in run("list", "--status", "partial_failure", "--json").stdout.splitlines()]
    assert {record["status"] for record in listed} == {"PARTIAL_FAILURE"}
    assert [missing] in [record["failedBuckets"] for record in listed if record["fileKey"] == key]
    shown = run("list", "--status", "PARTIAL_FAILURE", "--since", "1h").stdout
    assert re.search(rf"(?m)^{key} .* PARTIAL_FAILURE +1 of 2 +{missing}$", shown)
    assert run("list", "--since", "2999-01-01").stdout == "No record.\n"


@pytest.mark.slow
def test_list_is_the_latest_first_and_reads_the_index(run: Any, open_system: System) -> None:
    """As many as are asked for, by their start, whatever their status; and never by a scan."""
    for number in range(3):
        open_system.upload(open_system.key(f"listed/{number}.zip"))
    done = run("list", "--limit", "2")
    latest = [open_system.key(f"listed/{number}.zip") for number in (2, 1)]
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == latest
    assert done.stdout.splitlines()[3].startswith("These are the latest 2;")


def test_watch_of_an_execution_ends_with_it(run: Any, open_system: System) -> None:
    """Off a terminal a line for each change, or JSON; the exit status is the execution's."""
    key = open_system.key("watched.zip")
    open_system.upload(key)
    done = run("watch", key)
    assert (done.returncode, done.stderr) == (0, "")
    assert settled(done.stdout) == f"{key}: SUCCEEDED AllCopiesSuccessful, 2 of 2 copied, N s\n"
    ended = open_system.run(open_system.job(key, open_system.bucket("not-there")))
    done = run("watch", ended["executionArn"], "--json")
    assert done.returncode == 1
    seen = json.loads(done.stdout)
    assert (seen["status"], seen["state"], seen["copied"], seen["destinations"]) == ("FAILED", "SomeCopiesFailed", 0, 1)
    assert (seen["attempts"], seen["failedAttempts"], seen["retries"]) == (1, 1, 0)
    assert done.stderr == f"error: The execution ended as FAILED. See: filecopy history {ended['executionArn']}\n"
    missing = run("watch", "nobody.zip")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: There is no file nobody.zip with a record")


@pytest.mark.slow
def test_watch_on_a_terminal(open_system: System) -> None:
    """On a terminal, what runs is drawn again and again; Ctrl-C ends the watching, and not the workflow."""
    key = open_system.key("slow.zip")
    hold_lease(open_system, key, 3600)
    open_system.put(key)

    def waits() -> bool | None:
        return True if open_system.executions_of(key) else None

    open_system.wait_for("the execution", waits)
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "filecopy", "watch", *open_system.named]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "20"}
    with subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        start_new_session=True,
    ) as watching:
        os.close(terminal)
        try:
            drawn = read_until(master, rb"slow\.zip.*(waiting|AcquireLease).*0 of 2")
            assert b"Elapsed" in drawn
            # Drawn in place: the cursor goes up over what was drawn before.
            read_until(master, rb"\x1b\[1A")
            watching.send_signal(signal.SIGINT)
            read_until(master, rb"Not followed any more\. The workflow continues\.")
            assert watching.wait(20) == 130
        finally:
            watching.kill()
            os.close(master)
    [execution] = open_system.executions_of(key)
    assert open_system.stepfunctions.describe_execution(executionArn=execution)["status"] == "RUNNING"
    hold_lease(open_system, key, -1)
    assert open_system.finish(execution)["status"] == "SUCCEEDED"


def read_until(terminal: int, pattern: bytes) -> bytes:
    """What has been drawn when the pattern is there."""
    seen, deadline = b"", time.monotonic() + 120
    while not re.search(pattern, seen):
        assert time.monotonic() < deadline, seen.decode(errors="replace")
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                # So Linux says that the command has ended.
                pytest.fail(f"{pattern!r} was not shown:\n{seen.decode(errors='replace')}")
    return seen


@pytest.mark.slow
def test_execution_that_waits_for_its_turn_is_found_by_its_key(run: Any, open_system: System) -> None:
    """Before there is a record, too. A part of the key finds nothing."""
    key = open_system.key("first.zip")
    execution = open_system.start_waiting(key)
    try:
        seen = json.loads(run("watch", key, "--once", "--json").stdout)
        assert (seen["executionArn"], seen["status"]) == (execution, "RUNNING")
        part = key.removesuffix(".zip")
        with pytest.raises(StackError, match=f"There is no file {part} with a record"):
            find_execution(open_system.target, part)
    finally:
        open_system.stepfunctions.stop_execution(executionArn=execution)
    open_system.finish(execution)


def retried_while(system: System, key: str, act: Callable[[str], None]) -> subprocess.CompletedProcess[str]:
    """Retries a file of which a copy has failed, and does something while the retry waits for its turn."""
    late = system.bucket(f"late-{key.rpartition('/')[2].removesuffix('.zip')}")
    system.upload(key)
    system.run(system.job(key, late))
    system.make_bucket(late)
    before = set(system.executions_of(key))
    hold_lease(system, key, 3600)
    with ThreadPoolExecutor(1) as pool:
        retrying = pool.submit(system.filecopy, "retry", key)
        [retry] = system.wait_for("the retry", lambda: set(system.executions_of(key)) - before or None)
        act(retry)
        return retrying.result()


@pytest.mark.slow
def test_retry_that_is_stopped_ends_in_a_sentence(open_system: System) -> None:
    """What the record has from before is not told as the retry's result."""
    stopped = []

    def stop(execution: str) -> None:
        stopped.append(execution)

        # LocalStack can ignore a stop that comes right after the start.
        def is_stopped() -> bool | None:
            described = open_system.stepfunctions.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return True
            open_system.stepfunctions.stop_execution(executionArn=execution)
            return None

        open_system.wait_for("the execution to stop", is_stopped, execution)

    done = retried_while(open_system, open_system.key("stopped-retry.zip"), stop)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: The retry ended as ABORTED and left no results in the record. See: filecopy history {stopped[0]}\n"
    )


@pytest.mark.slow
def test_retry_of_what_was_uploaded_anew_ends_in_a_sentence(open_system: System) -> None:
    """The newer upload has an execution of its own, which copies it."""

    key = open_system.key("anew-retry.zip")

    def upload_anew(_execution: str) -> None:
        open_system.put(key, b"anew")
        hold_lease(open_system, key, -1)

    done = retried_while(open_system, key, upload_anew)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: Nothing was retried: there is a newer upload of the file, which has an execution of its own. See:"
        f" filecopy status {key}\n"
    )
    open_system.wait_for(
        "the newer upload",
        lambda: (open_system.record(key) or {}).get("status") == "COMPLETED" or None,
    )


@pytest.mark.slow
def test_stack_is_known_by_its_outputs_too(open_system: System, tmp_path: Path) -> None:
    """What 'pulumi stack output --json' prints is enough to work with a stack."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(open_system.outputs))
    key = open_system.key("by-outputs.zip")
    open_system.upload(key)
    assert "COMPLETED" in filecopy("status", key, "--stack", str(file)).stdout


def test_history_and_report_tell_what_an_execution_did(run: Any, open_system: System, tmp_path: Path) -> None:
    """By a key or an ARN: the states, the copies and the outcome, in the terminal, as JSON, and as a page."""
    key, missing = open_system.key("told.zip"), open_system.bucket("not-there")
    open_system.upload(key)
    ended = open_system.run(open_system.job(key, open_system.destinations[0], missing))
    arn = ended["executionArn"]
    shown = run("history", key)
    assert (shown.returncode, shown.stderr) == (0, "")
    for line in (
        rf"^Execution: {arn}$",
        r"^Status: FAILED$",
        r"^CopyToMultipleBuckets ",
    ):
        assert re.search(line, shown.stdout, re.MULTILINE), line
    assert re.search(rf"^{missing} .*S3\.NoSuchBucketException", shown.stdout, re.MULTILINE)
    told = json.loads(run("history", arn, "--json").stdout)
    assert [state["name"] for state in told["states"]] == open_system.states(arn)
    page = tmp_path / "report.html"
    written = run("report", arn, "-o", str(page))
    assert (written.returncode, written.stdout) == (0, f"Written to {page}.\n")
    assert missing in page.read_text(encoding="utf-8")
    refused = run("report", arn, "-o", str(tmp_path / "no" / "where.html"))
    assert refused.returncode == 1
    assert refused.stderr == f"error: '{tmp_path}/no/where.html' cannot be written: No such file or directory.\n"


@pytest.mark.parametrize(
    ("command", "shown"),
    [("env", "export STEP_FUNCTION_ARN=arn:"), ("policy", '"aws:PrincipalArn": ['), ("replay", "0 messages put back")],
)
def test_command_that_changes_nothing_here(open_system: System, command: str, shown: str) -> None:
    """What a shell evaluates, what the owner of a bucket adds, and a queue without dead letters."""
    if open_system.is_given and command == "replay":
        pytest.skip("there may be dead letters of somebody else, which a replay would put back")
    argument = {"env": [], "policy": [open_system.destinations[0]], "replay": ["endings"]}[command]
    done = open_system.filecopy(command, *argument)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_graph_draws_the_definition(tmp_path: Path) -> None:
    """Mermaid on the terminal, SVG into a file: the picture that README shows."""
    drawn = filecopy("graph")
    assert (drawn.returncode, drawn.stdout.splitlines()[0]) == (0, "flowchart TD")
    picture = tmp_path / "workflow.svg"
    assert filecopy("graph", "--format", "svg", "-o", str(picture)).returncode == 0
    assert picture.read_text(encoding="utf-8") == (PROJECT_ROOT / "docs" / "workflow.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_each_of_many_uploads_knows_its_own_version(open_system: System, tmp_path: Path) -> None:
    """Files that go up side by side are followed each by the version that it got, not by a neighbour's."""
    for number in range(30):
        (tmp_path / f"{number}.zip").write_bytes(b"x" * number)
    uploads = plan([tmp_path], open_system.key("many/")).uploads
    sending = Sending(open_system.target, uploads)
    screen.upload(Console(file=io.StringIO()), sending)
    assert {one.key: one.version for one in sending.sent} == {
        upload.key: open_system.s3.head_object(Bucket=open_system.source, Key=upload.key)["VersionId"]
        for upload in uploads
    }


@pytest.mark.slow
def test_interrupted_upload_is_not_finished(open_system: System, tmp_path: Path) -> None:
    """Ctrl-C while a file goes up ends the upload: it never appears, and no part of it is left."""
    file = tmp_path / "interrupted.zip"
    with file.open("wb") as sparse:
        sparse.truncate(2_000_000_000)
    key = open_system.key("interrupted.zip")
    command = [sys.executable, "-m", "filecopy", "send", str(file), "--key", key, *open_system.named]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=pipe, stderr=pipe, text=True) as sending_it:
        # Asked of the process: an emulator that is busy with parts may answer when they are all there.
        descriptors = Path(f"/proc/{sending_it.pid}/fd")

        def has_begun() -> bool | None:
            with contextlib.suppress(FileNotFoundError):
                return any(opened.readlink() == file for opened in descriptors.iterdir()) or None
            return None

        open_system.wait_for("the upload to begin", has_begun)
        sending_it.send_signal(signal.SIGINT)
        output, errors = sending_it.communicate(timeout=60)
    # Without a word of an upload: the interruption came in time.
    assert (sending_it.returncode, output, errors) == (130, "", "error: Interrupted.\n")
    assert open_system.s3.list_multipart_uploads(Bucket=open_system.source, Prefix=key).get("Uploads", []) == []
    assert "Contents" not in open_system.s3.list_objects_v2(Bucket=open_system.source, Prefix=key)
