"""A fresh checkout of the project, and the Pulumi CLI in it, as a user has them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filecopy.embedded.configuration import PROJECT_ROOT

from . import session
from .engines import cli_environment

# Seconds. A deployment takes 90 s on a busy machine.
DEADLINE = 900.0

STACK_TYPE = "pulumi:pulumi:Stack"


class CommandError(AssertionError):
    """A command failed that should succeed, or succeeded although it should fail."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """An operation on a resource, from ``pulumi preview --json``."""

    operation: str
    type: str
    name: str
    """The logical name."""


@dataclass(kw_only=True)
class Checkout:
    """The project's files, as in a clone, with a separate state of the CLI.

    ``environment`` has the environment variables of the user.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    """The seconds that each step took, by its name."""

    @classmethod
    def make(cls, folder: Path, **environment: str) -> Checkout:
        """Copies the files that git tracks, with changes that are not committed, into a new repository."""
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
        # "make setup" creates this command, and README's commands name it.
        (project / ".venv" / "bin").mkdir(parents=True)
        command = project / ".venv" / "bin" / "filecopy"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m filecopy "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        return cls(folder=project, environment=cli_environment(state, **environment))

    def type_readme(self, section: str, beginning: str) -> str:
        """Runs a block of commands from README, unchanged, and returns its output.

        Pulumi's questions are answered with yes. Commands that set up the machine do nothing: the engine runs, the
        packages are installed, and the CLI has a backend.

        Args:
            section: the heading above the block.
            beginning: the first words of the block.

        Raises:
            CommandError: a command failed.
        """
        [block] = [block for block in readme_blocks(section) if block.startswith(beginning)]
        left_out = 'localstack() { :; }; make() { :; }; pulumi() { [ $1 = login ] || command pulumi "$@"; }'
        answers = {"PULUMI_SKIP_CONFIRMATIONS": "true", "COLUMNS": "100", "NO_COLOR": "1"}
        command = ["bash", "-euo", "pipefail", "-c", f"{left_out}\n{block}"]
        return self._run(command, shown=block.rstrip(), environment=answers).stdout

    def changes(self) -> str:
        """The changes in the checkout, as git prints them; empty for an unchanged clone."""
        return _git(self.folder, "status", "--porcelain")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Records the duration of the block, and adds the step's name to an error in it."""
        began = time.monotonic()
        try:
            yield
        except BaseException as error:
            error.add_note(f"in the step: {name}")
            raise
        self.timings[name] = round(time.monotonic() - began, 1)

    def pulumi(self, *arguments: str, fails: bool = False) -> str:
        """Runs a command of the Pulumi CLI, and returns its output, with that on stderr if it should fail.

        Raises:
            CommandError: it failed, or, with ``fails``, it succeeded.
        """
        command = ["pulumi", *arguments, "--non-interactive", "--color=never"]
        done = self._run(command, shown=f"pulumi {' '.join(arguments)}", fails=fails)
        return done.stdout + done.stderr if fails else done.stdout

    def _run(
        self, command: Sequence[str], *, shown: str, environment: Mapping[str, str] | None = None, fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the checkout. ``shown`` is the command as an error shows it."""
        environment = {**self.environment, **(environment or {})}
        done = session.run(command, cwd=self.folder, env=environment, timeout=DEADLINE)
        if (done.returncode != 0) is not fails:
            output = f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
            raise CommandError(f"{shown}\nended with status {done.returncode}:\n{output}")
        return done

    def up(self, *arguments: str) -> dict[str, int]:
        """Runs ``pulumi up``, and returns the numbers of resources that were created, updated, deleted, unchanged, …"""
        return counts(self.pulumi("up", "--yes", "--skip-preview", *arguments))

    def interrupted_up(self, how: signal.Signals) -> str:
        """Runs ``pulumi up``, sends it a signal as soon as it has changed something, and returns its output."""
        log = self.folder.parent / "interrupted.log"
        command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--color=never"]
        with log.open("wb") as output:
            process = session.start(
                command, cwd=self.folder, env=self.environment, output=output, errors=subprocess.STDOUT
            )
        deadline = time.monotonic() + DEADLINE
        try:
            while not re.search(r"aws:\S+ \S+ (created|updated) ", log.read_text(errors="replace")):
                assert process.poll() is None, f"The update ended before it had changed anything:\n{log.read_text()}"
                assert time.monotonic() < deadline, (
                    f"Timed out after {DEADLINE:.0f} s waiting for a change:\n{log.read_text()}"
                )
                time.sleep(0.1)
            process.send_signal(signal.SIGUSR1 if how is signal.SIGKILL else how)
            process.wait(DEADLINE)
        finally:
            session.end(process)
        printed = log.read_text(errors="replace")
        assert process.returncode != 0, f"The update ended before it received the signal:\n{printed}"
        return printed

    def steps(self, *arguments: str) -> list[Step]:
        """The changes that ``pulumi preview`` finds."""
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
        outputs: dict[str, Any] = json.loads(self.pulumi("stack", "output", "--json"))
        return outputs

    def resources(self) -> list[dict[str, Any]]:
        """The resources in the stack's state, except the provider and the stack itself."""
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
    """The numbers under "Resources:" at the end of an operation's output, such as ``{"created": 130}``."""
    _, _, summary = printed.rpartition("\nResources:\n")
    kinds = "created|updated|deleted|replaced|unchanged|errored"
    return {kind: int(number) for number, kind in re.findall(rf"(\d+) ({kinds})\b", summary)}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout
