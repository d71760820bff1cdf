"""The stack that a command finds, and the error if it finds none."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from filecopy import cli
from filecopy.embedded import configuration, stack
from filecopy.errors import StackError
from filecopy.stack.stack import Stack, find_stack

OUTPUTS = {
    "region": "eu-west-1",
    "endpoint": "",
    "step_function_arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:file-copy-workflow",
    "dynamodb_table_name": "FileCopyTracking",
    "source_bucket": "global-builds",
    "destination_buckets": ["a"],
}


def pulumi(folder: Path, answer: str, status: int = 0) -> None:
    """A Pulumi CLI that gives this answer, and keeps what it was asked."""
    script = folder / "pulumi"
    script.write_text(f"#!/bin/sh\necho \"$@\" > '{folder}/asked'\ncat <<'END'\n{answer}\nEND\nexit {status}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_a_pulumi_stack_is_asked_for_its_outputs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The CLI is asked for the stack that is named, and AWS is reached with the person's credentials."""
    pulumi(tmp_path, json.dumps(OUTPUTS))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = find_stack(4566, "production")
    assert (tmp_path / "asked").read_text() == "stack output --json --non-interactive --stack production\n"
    assert (found.table, found.source_bucket, found.destinations) == ("FileCopyTracking", "global-builds", ["a"])
    assert not found.clients.is_emulator
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = Stack.of(OUTPUTS).clients("dynamodb")
    assert client.meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"


def test_an_installed_filecopy_asks_where_it_is_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The CLI finds a stack by the project's folder, which an installed package does not know."""
    script = tmp_path / "pulumi"
    script.write_text(f"#!/bin/sh\npwd > '{tmp_path}/asked-in'\necho '{json.dumps(OUTPUTS)}'\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.chdir(tmp_path)
    find_stack(4566, "production")
    assert (tmp_path / "asked-in").read_text().strip() == str(configuration.PROJECT_ROOT)
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(configuration, "PROJECT_ROOT", tmp_path / "site-packages")
    find_stack(4566, "production")
    assert (tmp_path / "asked-in").read_text().strip() == str(tmp_path)


def test_another_region_is_reached_as_the_stacks_own_is() -> None:
    """Clients of another region are made once each, at the endpoint there, and leave the stack's own alone."""
    clients = Stack.of(OUTPUTS).clients
    assert clients.in_region(None) is clients.in_region("eu-west-1") is clients
    there = clients.in_region("us-west-2")
    assert clients.in_region("us-west-2") is there
    assert (there.region, there("sqs") is there("sqs")) == ("us-west-2", True)
    assert there("sqs").meta.endpoint_url == "https://sqs.us-west-2.amazonaws.com"
    assert clients("sqs").meta.endpoint_url == "https://sqs.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    ("queue", "region"),
    [("uploads", None), ("arrivals", None), ("endings", None), ("arrivals-us-west-2", "us-west-2")],
)
def test_a_queue_says_its_region(queue: str, region: str | None) -> None:
    """Only the queue of arrivals is in other regions; a stack that says no regions has none."""
    regions = {"a": "eu-west-1", "b": "us-west-2"}
    assert Stack.of({**OUTPUTS, "destination_regions": regions}).region_of(queue) == region
    assert Stack.of(OUTPUTS).region_of("uploads") is None


def test_localstack_is_reached_by_the_endpoint_among_the_outputs(tmp_path: Path) -> None:
    """A file with a stack's outputs says where its emulator is."""
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({**OUTPUTS, "endpoint": "http://localhost:4566"}))
    found = find_stack(4570, str(file))
    assert found.clients.is_emulator
    assert found.clients("s3").meta.endpoint_url == "http://localhost:4566"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory. It must be a file with the output of 'pulumi stack output"),
        ("{", "are not JSON: "),
        ("[]", "must be the JSON object that"),
        ("{}", "The stack has no output step_function_arn, dynamodb_table_name, source_bucket, region."),
    ],
)
def test_outputs_that_are_none_are_refused(content: str | None, said: str, tmp_path: Path) -> None:
    """The error names the file, and the problem."""
    file = tmp_path / "outputs.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StackError) as raised:
        find_stack(4566, str(file))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"region": 5}, "The output region must be a string, not 5."),
        ({"destination_buckets": "[secret]"}, "The output destination_buckets must be a list, not '[secret]'."),
        ({"dead_letter_queue_urls": None}, "The output dead_letter_queue_urls must be an object, not None."),
    ],
)
def test_outputs_of_another_type_are_refused(wrong: dict[str, object], said: str) -> None:
    """Outputs that were edited, or that Pulumi keeps secret, end in a sentence."""
    with pytest.raises(StackError) as raised:
        Stack.of({**OUTPUTS, **wrong})
    assert str(raised.value).startswith(said)


def test_outputs_that_are_not_text_are_refused(tmp_path: Path) -> None:
    """Another file that is called so is refused in a sentence, too."""
    file = tmp_path / "outputs.json"
    file.write_bytes(b"PK\x03\x04\xff\xfe\x80")
    with pytest.raises(StackError, match=r"The outputs of .* are not JSON: "):
        find_stack(4566, str(file))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
def test_outputs_in_the_encoding_of_any_shell(encoding: str, tmp_path: Path) -> None:
    """PowerShell's ">" writes UTF-16 with a byte order mark and CRLF, and newer ones UTF-8."""
    file = tmp_path / "outputs.json"
    text = json.dumps({**OUTPUTS, "source_bucket": "größe"}, indent=2, ensure_ascii=False)
    file.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert find_stack(4566, str(file)).source_bucket == "größe"


def test_what_pulumi_says_is_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the CLI, and when it fails, one sentence says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"The Pulumi CLI is not installed here\."):
        find_stack(4566, "production")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    pulumi(tmp_path, "", status=255)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(StackError, match=r"Cannot read the outputs of stack 'production': "):
        find_stack(4566, "production")


def test_a_port_that_is_typed_counts_more_than_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After "filecopy env --stack NAME", "--port" still means the embedded stack there, and not that other stack."""
    monkeypatch.setattr(stack, "PROJECT_ROOT", tmp_path)
    (tmp_path / "outputs.json").write_text(json.dumps(OUTPUTS))
    monkeypatch.setenv("FILECOPY_STACK", str(tmp_path / "outputs.json"))
    monkeypatch.setenv("FILECOPY_PORT", "4599")
    assert CliRunner().invoke(cli.app, ["outputs", "source_bucket"]).output == "global-builds\n"
    typed = CliRunner().invoke(cli.app, ["outputs", "source_bucket", "--port", "4599"])
    assert typed.exit_code == 1
    assert "No stack is up on port 4599" in typed.output
    both = ["outputs", "source_bucket", "--port", "4599", "--stack", str(tmp_path / "outputs.json")]
    assert CliRunner().invoke(cli.app, both).output == "global-builds\n"


def test_without_a_name_it_is_the_embedded_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A command that names no stack means the one on its port."""
    monkeypatch.setattr(stack, "PROJECT_ROOT", tmp_path)
    with pytest.raises(StackError, match=r"No stack is up on port 4570\."):
        find_stack(4570)


@pytest.mark.parametrize(
    ("since", "start"),
    [
        ("2026-01-31T08:00Z", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31T08:00:00.5+01:00", "2026-01-31T07:00:00.500Z"),
    ],
)
def test_since_takes_times(since: str, start: str) -> None:
    """A time of any zone is compared in the records' own."""
    assert cli.start_of(since) == start


@pytest.mark.parametrize(("shorter", "longer"), [("1m", "2m"), ("59m", "1h"), ("23h", "1d"), ("6d", "1w")])
def test_since_takes_ages(shorter: str, longer: str) -> None:
    """m, h, d and w are minutes, hours, days and weeks."""
    assert cli.start_of(longer) < cli.start_of(shorter)


@pytest.mark.parametrize("since", ["", "1", "1x", "yesterday", "9999999999w", "-1d", "²d"])
def test_since_that_is_no_time_is_refused(since: str) -> None:
    """A mistake is said, with what is allowed."""
    with pytest.raises(StackError, match=r"--since must be 30m, 12h, 1d, 2w or a time such as"):
        cli.start_of(since)
