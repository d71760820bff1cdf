"""filecopy env: what a shell makes of its lines."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from components import outputs
from filecopy import shell

ON_AWS = {
    outputs.REGION: "eu-west-1",
    outputs.ENDPOINT: "",
    outputs.STEP_FUNCTION_ARN: "arn:aws:states:eu-west-1:123456789012:stateMachine:file-copy-workflow",
    outputs.API_GATEWAY_URL: "https://api.execute-api.eu-west-1.amazonaws.com/live",
}
ON_AN_EMULATOR = {**ON_AWS, outputs.ENDPOINT: "http://127.0.0.1:4570", outputs.API_GATEWAY_URL: "http://a b;'c'$(id)"}
BEFORE = {
    "PATH": "/usr/bin:/bin:/a b",
    "AWS_PROFILE": "mine",
    "AWS_SESSION_TOKEN": "token",
    "AWS_ENDPOINT_URL": "http://elsewhere",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "NO_PROXY": "intranet",
}


def evaluated(values: dict[str, Any], **own: str) -> dict[str, str]:
    """The environment of a shell that has evaluated the lines."""
    script = "\n".join([*shell.exports(values, **own), "env -0"])
    done = subprocess.run(["sh", "-euc", script], env=BEFORE, capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_a_shell_is_pointed_at_the_emulator() -> None:
    """A person's own profile, token, proxy and address for AWS reach no emulator, and no emulator's keys reach AWS."""
    found = evaluated(ON_AN_EMULATOR, FILECOPY_PORT="4570")
    assert not found.keys() & {"AWS_PROFILE", "AWS_SESSION_TOKEN"}
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4570"
    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("test", "test")
    assert found["NO_PROXY"].split(",") == ["127.0.0.1", "localhost", "intranet"]
    assert found["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert found["FILECOPY_PORT"] == "4570"
    # Whatever an output holds is a value, never a command.
    assert found["API_URL"] == "http://a b;'c'$(id)"


def test_a_shell_is_pointed_at_aws() -> None:
    """Credentials and profile stay the person's own, and no emulator is asked in place of AWS."""
    found = evaluated(ON_AWS, FILECOPY_STACK="/some where/outputs.json")
    assert "AWS_ENDPOINT_URL" not in found
    assert (found["AWS_PROFILE"], found["AWS_ACCESS_KEY_ID"]) == ("mine", "AKIA")
    assert found["NO_PROXY"] == "intranet"
    assert found["AWS_REGION"] == "eu-west-1"
    assert found["STEP_FUNCTION_ARN"] == ON_AWS[outputs.STEP_FUNCTION_ARN]
    assert found["FILECOPY_STACK"] == "/some where/outputs.json"


def test_the_program_is_named_as_it_can_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its path, relative where it is below the current folder, or by its name where the PATH has it."""
    scripts = tmp_path / "checkout" / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for name in ("python", "filecopy"):
        (scripts / name).touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(scripts / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path / "checkout")
    assert shell.program() == ".venv/bin/filecopy"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shell.program() == str(scripts / "filecopy")
    monkeypatch.setenv("PATH", str(scripts))
    assert shell.program() == "filecopy"
    (tmp_path / "filecopy").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{scripts}")
    assert shell.program() == str(scripts / "filecopy"), "another filecopy comes first"


@pytest.mark.parametrize("values", [ON_AWS, ON_AN_EMULATOR])
def test_commands_are_those_of_this_installation(values: dict[str, Any]) -> None:
    """The folder of this filecopy comes first, and the person's own folders stay."""
    found = evaluated(values)["PATH"].split(":")
    assert Path(found[0], "filecopy").exists()
    assert found[1:] == ["/usr/bin", "/bin", "/a b"]
