"""The AWS configuration of the person who runs a command: whatever is wrong with it, one sentence says so."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from filecopy.cli import app

OUTPUTS = {
    "region": "eu-west-1",
    "endpoint": "",
    "step_function_arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:file-copy-workflow",
    "dynamodb_table_name": "FileCopyTracking",
    "source_bucket": "global-builds",
    "destination_buckets": ["a"],
}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of the test's own, without a way to AWS: a command that gets so far finds no server."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    return folder


def refusal(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1, "one sentence"
    return result.stderr


def command_of(home: Path, answer: str, status: int = 0) -> str:
    script = home / "credentials-of-mine"
    script.write_text(f"#!/bin/sh\nprintf '%s' '{answer}'\nexit {status}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"[default]\ncredential_process = {script}\n"


def no_json(home: Path) -> str:
    return command_of(home, "Please log in first")


def nothing(home: Path) -> str:
    return command_of(home, "")


def another_shape(home: Path) -> str:
    return command_of(home, "[]")


def failing(home: Path) -> str:
    return command_of(home, "no", 1)


def gone(_home: Path) -> str:
    return "[default]\ncredential_process = /nowhere/credentials\n"


def no_ini(_home: Path) -> str:
    return "aws_access_key_id = AKIA\n"


CONFIGURATIONS = {
    "no JSON": (no_json, "JSONDecodeError"),
    "nothing": (nothing, "JSONDecodeError"),
    "another shape": (another_shape, "AttributeError"),
    "failing": (failing, "custom-process"),
    "gone": (gone, "FileNotFoundError"),
    "no INI": (no_ini, "Unable to parse config file"),
}


@pytest.mark.parametrize(("write", "said"), CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_configuration_that_cannot_be_used(write: Any, said: str, home: Path, tmp_path: Path) -> None:
    """A profile, or the output of its command, is not what boto3 expects."""
    (home / "config").write_text(write(home))
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS))
    assert said in refusal("status", "k.zip", "--stack", str(file))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_PROFILE", "of-nobody", "The config profile (of-nobody) could not be found"),
        ("AWS_ENDPOINT_URL", "no url", "no url"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token", "/nowhere/token"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_variable_that_cannot_be_used(
    name: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile or a file that does not exist, and a text that is not an address."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    if name == "AWS_WEB_IDENTITY_TOKEN_FILE":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/mine")
    monkeypatch.setenv(name, value)
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS))
    assert said in refusal("status", "k.zip", "--stack", str(file))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("region", ["", "eu west 1", "EU-WEST-1!", 5])
def test_a_region_that_is_none(region: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs of a stack name a region that AWS does not have."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps({**OUTPUTS, "region": region}))
    refusal("status", "k.zip", "--stack", str(file))
