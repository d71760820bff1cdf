"""README's commands work as printed."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from filecopy.embedded import emulator, stack
from filecopy.embedded.configuration import PROJECT_ROOT

from .system import System

pytestmark = pytest.mark.slow

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
# tests/engines types the blocks that need the Pulumi CLI.
WITHOUT_THE_CLI = re.sub(r"^## On (LocalStack|AWS)$.*?(?=^## )", "", README, flags=re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", WITHOUT_THE_CLI, re.MULTILINE | re.DOTALL)

BUILD = "mkdir -p build/artifacts"

# Blocks that the first test does not run, by their first words, with the reason.
NOT_RUN = {
    BUILD: "starts a second stack, so it has a separate test",
    "make demo": "the demonstration has a separate test, and a test run cannot run the tests",
    "pulumi stack output --json": "needs the Pulumi CLI",
}


def test_blocks_that_are_not_run_are_there() -> None:
    """Each entry of the list is a block of README."""
    for beginning in NOT_RUN:
        assert sum(block.startswith(beginning) for block in BLOCKS) == 1, beginning


def test_commands_work_as_printed(tmp_path: Path) -> None:
    """A new user who types README from top to bottom sees no command fail, and sees what it describes."""
    port = emulator.free_port()
    script = "\n".join(block for block in BLOCKS if not block.startswith(tuple(NOT_RUN)))
    before_down, down = script.split("make down")
    assert down.strip() == ""
    if not (PROJECT_ROOT / ".venv" / ".ready").exists():
        pytest.skip("the README's commands use .venv, which 'make setup' makes")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS", "PORT"))
    }
    # On another port, as README says, so that a stack of the person who runs the tests is left alone.
    environment |= {"FILECOPY_PORT": str(port), "HOME": str(tmp_path), "AWS_PAGER": ""}

    def run(commands: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    try:
        typed = run(before_down)
        assert typed.returncode == 0, typed.stdout + typed.stderr
        system = System.embedded(stack.get(port))
        # Two uploads, two starts by hand that succeed, one that fails as the README says, and its retry.
        endings = [system.finish(execution)["status"] for execution in system.executions_of("build-123.zip")]
        assert sorted(endings) == ["FAILED", *["SUCCEEDED"] * 5]
        assert "build-123.zip: COMPLETED, 2 of 2 copied." in typed.stdout
        assert '"executionArn"' in typed.stdout
        with (PROJECT_ROOT / "build-123.zip").open("rb") as built:
            assert system.get("region-b-builds", "build-123.zip") == built.read()
    finally:
        for made in ("build-123.zip", "report.html"):
            (PROJECT_ROOT / made).unlink(missing_ok=True)
        taken_down = run("make down")
    assert taken_down.returncode == 0, taken_down.stdout + taken_down.stderr
    assert not stack.folder_of(port).exists()


def test_a_build_from_a_local_file_server() -> None:
    """The block for ``POST /builds`` imports a build from a local file server, and stops all that it starts."""
    [block] = [block for block in BLOCKS if block.startswith(BUILD)]
    port, server = emulator.free_port(), emulator.free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    # On other ports: those of README may be taken.
    for readme, free in (("4571", port), ("8000", server)):
        assert readme in block
        block = block.replace(readme, str(free))
    try:
        typed = subprocess.run(
            # If a command fails, the file server must not keep running.
            ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{block}"],
            cwd=PROJECT_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert typed.returncode == 0, typed.stdout + typed.stderr
        assert '{"bucket": "global-builds", "key": "abc123.zip", "size": ' in typed.stdout
        assert "abc123.zip: SUCCEEDED AllCopiesSuccessful, 2 of 2 copied" in typed.stdout
        assert not stack.folder_of(port).exists()
        with socket.socket() as probe:
            assert probe.connect_ex((emulator.HOST, server)) != 0, "The file server still runs."
    finally:
        stack.down(port)
        artifacts = PROJECT_ROOT / "build" / "artifacts"
        (artifacts / "abc123").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # It has other files, or does not exist.
            artifacts.rmdir()
