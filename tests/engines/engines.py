"""Servers of the engines to which the real Pulumi CLI deploys the program.

``ENGINES`` names a folder with scripts that build and start them: ``pulumi/build.sh`` and ``pulumi/env.sh`` for the CLI
and its provider, ``ministack/run.sh``, ``localstack/start.sh``. The folder is not part of the project: if something is
missing, the tests are skipped, with a reason that names it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.embedded.emulator import free_port
from filecopy.stack.clients import Clients

from . import session

ENGINES = Path(os.environ.get("ENGINES") or PROJECT_ROOT.parent / "shared" / "engines").resolve()

# Only the packages of requirements.txt, as "pulumi install" installs them: see the Makefile.
PROGRAM_PYTHON = PROJECT_ROOT / ".venv" / "program" / "bin" / "python"

# Seconds. The first build of the CLI takes ten minutes on two processors.
BUILD_DEADLINE = 1800.0
START_DEADLINE = 180.0

# LocalStack's account of API Gateway begins with this role. A stack sets its own, and its end leaves none, as on AWS.
_DEFAULT_API_ROLE = "arn:aws:iam::000000000000:role/api-gw-cw-role"

_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that runs."""

    name: str
    version: str
    how: str
    """A description of how it was run, for a table."""
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def clients(self) -> Clients:
        return Clients(self.url, "us-east-1")

    def leftovers(self) -> list[str]:
        """The resources in the engine that an empty one does not have, one line for each kind."""
        script = ENGINES / "pulumi" / "leftovers.py"
        listed = subprocess.run(
            [sys.executable, str(script), self.url], capture_output=True, text=True, check=True, timeout=120
        )
        lines = [line.replace(_DEFAULT_API_ROLE, "").rstrip() for line in listed.stdout.splitlines()]
        return [line for line in lines if line.split()[-1] not in ("0", "None")]


def missing(engine: str) -> str | None:
    """The reason to skip tests of ``engine``: a tool or file that it needs is missing here; ``None`` if none is."""
    if not (ENGINES / "pulumi" / "build.sh").exists():
        return "ENGINES must name a folder with the engines' scripts."
    tools = {"go": "Go", "cc": "a C compiler"} | (
        {"java": "Java", "javac": "Java", "npm": "npm"} if engine == "LocalStack" else {}
    )
    if lacking := sorted({label for tool, label in tools.items() if shutil.which(tool) is None}):
        return f"{', '.join(lacking)} must be installed to build the engines."
    if not _cli_environment().get("TF_AWS_PROVIDER"):
        return "TF_AWS_PROVIDER must name the Terraform AWS provider."
    if not PROGRAM_PYTHON.exists():
        return "The program's packages must be installed: run 'make test-engines'."
    return None


@cache
def _cli_environment() -> Mapping[str, str]:
    """The environment of the built CLI, without the AWS and Pulumi variables of the user who runs the tests."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PULUMI_", "FILECOPY_")) and name.lower() not in ("http_proxy", "https_proxy")
    }
    script = ENGINES / "pulumi" / "env.sh"
    shown = subprocess.run(
        ["bash", "-c", f'. "{script}" && export ENGINES_ROOT && env -0'],
        env=kept,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(line.split("=", 1) for line in shown.stdout.split("\0") if "=" in line)


def cli_environment(state: Path, **more: str) -> dict[str, str]:
    """The environment of the CLI for the checkout whose state is in ``state``."""
    return {
        **_cli_environment(),
        "PULUMI_HOME": str(state / "home"),
        "PULUMI_BACKEND_URL": state.joinpath("backend").as_uri(),
        # The passphrase of README.
        "PULUMI_CONFIG_PASSPHRASE": "local",
        "PULUMI_PYTHON": str(PROGRAM_PYTHON),
        **more,
    }


def build(script: str, *arguments: str) -> None:
    """Builds an engine, unless it is built already."""
    command = ["bash", str(ENGINES / script), *arguments]
    made = session.run(command, cwd=PROJECT_ROOT, env=os.environ, timeout=BUILD_DEADLINE)
    assert made.returncode == 0, f"{script} failed:\n{made.stdout[-3000:]}{made.stderr[-3000:]}"


@contextlib.contextmanager
def ministack(folder: Path) -> Iterator[Engine]:
    """Runs an empty MiniStack during the block."""
    build("pulumi/build.sh")
    with _server("ministack/run.sh", folder, "{port}", str(PROJECT_ROOT)) as (port, log):
        _wait_until_it_answers(f"http://127.0.0.1:{port}/_ministack/health", log)
        yield Engine(
            name="MiniStack",
            version=importlib.metadata.version("ministack"),
            how="empty, without a stack",
            port=port,
            log=log,
        )


@contextlib.contextmanager
def localstack(folder: Path) -> Iterator[Engine]:
    """Runs an empty LocalStack during the block, with the interpreter of state machines that its users have."""
    build("pulumi/build.sh")
    root = Path(_cli_environment()["ENGINES_ROOT"]) / "localstack"
    if not (root / "venv" / "bin" / "python").exists() or not (root / "fn" / "bin" / "python").exists():
        build("localstack/start.sh", "install")
    with _server("localstack/start.sh", folder, "run", "{port}", SHIM="0") as (port, log):
        try:
            health = f"http://127.0.0.1:{port}/_localstack/health"
            _wait_until_it_answers(health, log)
            with _DIRECTLY.open(health, timeout=10) as answer:
                version = json.load(answer)["version"]
            _load_services(Clients(f"http://127.0.0.1:{port}", "us-east-1"))
            yield Engine(
                name="LocalStack", version=version, how="without Docker, functions as processes", port=port, log=log
            )
        finally:
            for name in (f"fs-{port}", f"tmp-{port}"):
                shutil.rmtree(root / name, ignore_errors=True)


def _load_services(clients: Clients) -> None:
    """Calls each service once: the first call loads it, which takes longer than a provider waits for an answer."""
    for service, operation in {
        "apigateway": "get_rest_apis",
        "cloudwatch": "describe_alarms",
        "dynamodb": "list_tables",
        "events": "list_rules",
        "iam": "list_roles",
        "lambda": "list_functions",
        "logs": "describe_log_groups",
        "s3": "list_buckets",
        "sns": "list_topics",
        "sqs": "list_queues",
        "stepfunctions": "list_state_machines",
        "sts": "get_caller_identity",
    }.items():
        getattr(clients(service), operation)()


@contextlib.contextmanager
def _server(script: str, folder: Path, *arguments: str, **environment: str) -> Iterator[tuple[int, Path]]:
    """Runs a server, by a script that stays in the foreground, on a free port, which replaces ``{port}``."""
    port, log = free_port(), folder / "engine.log"
    temporary = folder / "tmp"
    temporary.mkdir()
    command = ["bash", str(ENGINES / script), *(argument.format(port=port) for argument in arguments)]
    with log.open("wb") as output:
        process = session.start(
            command,
            cwd=folder,
            env={**_cli_environment(), "TMPDIR": str(temporary), **environment},
            output=output,
            errors=subprocess.STDOUT,
        )
    try:
        yield port, log
    finally:
        session.end(process)


def _wait_until_it_answers(url: str, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError), _DIRECTLY.open(url, timeout=5) as answer:
            if answer.status == 200:
                return
        assert time.monotonic() < deadline, (
            f"Timed out after {START_DEADLINE:.0f} s waiting for {url}:\n{log.read_text(errors='replace')[-3000:]}"
        )
        time.sleep(0.2)
