"""A fresh checkout of the project, and the Pulumi CLI in it, as a person uses it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filecopy.embedded.configuration import PROJECT_ROOT

from . import session
from .engines import cli_environment

# Seconds. A deployment takes a minute and a half on a busy machine.
DEADLINE = 900.0

STACK_TYPE = "pulumi:pulumi:Stack"


class CommandError(AssertionError):
    """A command that was to succeed did not."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What an operation would do with a resource, as ``pulumi preview --json`` says it."""

    operation: str
    type: str
    name: str
    """The logical name."""


@dataclass(kw_only=True)
class Checkout:
    """The project's files, as a clone has them, with a state of the CLI's own.

    ``environment`` is what the person has set besides.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    """How many seconds each step took, by what it was."""

    @classmethod
    def make(cls, folder: Path, **environment: str) -> Checkout:
        """Copies the files that git knows, changes that are not committed included, into a repository of their own."""
        project, state = folder / "project", folder / "state"
        (state / "backend").mkdir(parents=True)
        listed = _git(PROJECT_ROOT, "ls-files", "-z").split("\0")
        for name in filter(None, listed):
            if (source := PROJECT_ROOT / name).exists():
                target = project / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        _git(project, "init", "--quiet")
        _git(project, "add", "--all")
        _git(project, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message=All")
        # What "make setup" makes, as far as README's commands name it.
        (project / ".venv" / "bin").mkdir(parents=True)
        command = project / ".venv" / "bin" / "filecopy"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m filecopy "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        return cls(folder=project, environment=cli_environment(state, **environment))

    def type_readme(self, section: str, beginning: str) -> str:
        """Types a block of README's as it stands there, and returns what was printed.

        Pulumi's questions are answered with yes. What sets up the machine is left out: the engine runs, the packages
        are installed, and the CLI has a backend.

        Args:
            section: the block's heading.
            beginning: how the block begins.
        """
        [block] = [block for block in readme_blocks(section) if block.startswith(beginning)]
        left_out = 'localstack() { :; }; make() { :; }; pulumi() { [ $1 = login ] || command pulumi "$@"; }'
        answers = {"PULUMI_SKIP_CONFIRMATIONS": "true", "COLUMNS": "100", "NO_COLOR": "1"}
        done = session.run(
            ["bash", "-euo", "pipefail", "-c", f"{left_out}\n{block}"],
            cwd=self.folder,
            env={**self.environment, **answers},
            timeout=DEADLINE,
        )
        if done.returncode != 0:
            said = f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
            raise CommandError(f"{block}ended with {done.returncode}:\n{said}")
        return done.stdout

    def changes(self) -> str:
        """What git says has changed in the checkout: nothing in a clone that is as it was."""
        return _git(self.folder, "status", "--porcelain")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Keeps how long the block takes, and names it where it fails."""
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            error.add_note(f"in the step: {name}")
            raise
        self.timings[name] = round(time.monotonic() - began, 1)

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Runs a command to its end, and returns what it printed.

        Raises:
            CommandError: it failed, or, with ``fails``, it did not.
        """
        command = ["pulumi", *arguments, "--non-interactive", "--color=never"]
        done = session.run(command, cwd=self.folder, env=self.environment, timeout=DEADLINE)
        if (done.returncode != 0) is not fails:
            said = f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
            raise CommandError(f"pulumi {' '.join(arguments)} ended with {done.returncode}:\n{said}")
        # What the CLI says of itself is on stderr; of a command that fails, all of it counts.
        return done.stdout + done.stderr if fails else done.stdout

    def up(self, *arguments: str) -> dict[str, int]:
        """``pulumi up``: how many resources were created, updated, deleted, unchanged and so on."""
        return counts(self.pulumi("up", "--yes", "--skip-preview", *arguments))

    def interrupted_up(self, how: signal.Signals) -> str:
        """``pulumi up`` that gets a signal as soon as it has changed something. Returns what it printed."""
        log = self.folder.parent / "interrupted.log"
        command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color=never"]
        with log.open("wb") as output:
            process = session.start(
                command, cwd=self.folder, env=self.environment, output=output, errors=subprocess.STDOUT
            )
        deadline = time.monotonic() + DEADLINE
        try:
            while not re.search(r"aws:\S+ \S+ (created|updated) ", log.read_text(errors="replace")):
                assert process.poll() is None, f"It ended before it had changed anything:\n{log.read_text()}"
                assert time.monotonic() < deadline, f"It changes nothing:\n{log.read_text()}"
                time.sleep(0.1)
            process.send_signal(signal.SIGUSR1 if how is signal.SIGKILL else how)
            process.wait(DEADLINE)
        finally:
            session.end(process)
        said = log.read_text(errors="replace")
        assert process.returncode != 0, f"It ended before the signal came:\n{said}"
        return said

    def steps(self, *arguments: str) -> list[Step]:
        """What ``pulumi preview`` would change."""
        plan = json.loads(self.pulumi("preview", "--json", *arguments))
        return [
            Step(
                operation=step["op"],
                type=step["urn"].split("::")[2].rpartition("$")[2],
                name=step["urn"].split("::")[3],
            )
            for step in plan["steps"]
            if step["op"] not in ("same", "read", "refresh")
        ]

    def outputs(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json"))
        return found

    def resources(self) -> list[dict[str, Any]]:
        """The resources in the stack's state, the provider and the stack itself left out."""
        deployment = json.loads(self.pulumi("stack", "export"))["deployment"]
        return [
            resource
            for resource in deployment.get("resources") or []
            if not resource["type"].startswith("pulumi:providers:") and resource["type"] != STACK_TYPE
        ]


def readme_blocks(section: str) -> list[str]:
    """The commands in a section of README, block by block."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    [text] = re.findall(rf"^## {section}$(.*?)^## ", readme, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def counts(printed: str) -> dict[str, int]:
    """What stands under "Resources:" at the end of what an operation printed: ``{"created": 130}``."""
    _, _, summary = printed.rpartition("\nResources:\n")
    kinds = "created|updated|deleted|replaced|unchanged|errored"
    return {kind: int(number) for number, kind in re.findall(rf"(\d+) ({kinds})\b", summary)}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout
