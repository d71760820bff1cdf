"""The README's commands work as printed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from filecopy.embedded import emulator, stack
from filecopy.embedded.configuration import PROJECT_ROOT

from .system import System

pytestmark = pytest.mark.slow

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
# tests/engines types what needs the Pulumi CLI.
WITHOUT_THE_CLI = re.sub(r"^## On (LocalStack|AWS)$.*?(?=^## )", "", README, flags=re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", WITHOUT_THE_CLI, re.MULTILINE | re.DOTALL)

# Blocks that are not run here, by how they begin, and why.
NOT_RUN = {
    "make demo": "the demonstration has a test of its own, and a test run cannot run the tests",
    "pulumi stack output --json": "needs the Pulumi CLI",
}


def test_blocks_that_are_not_run_are_there() -> None:
    """A block that is gone from the README goes from the list, too."""
    for beginning in NOT_RUN:
        assert sum(block.startswith(beginning) for block in BLOCKS) == 1, beginning


def test_commands_work_as_printed(tmp_path: Path) -> None:
    """A newcomer who types the README from top to bottom sees no command fail, and sees what it says."""
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
