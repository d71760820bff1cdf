"""The packages that the program imports, and those that each installation brings: the lists have to agree."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import typer

from filecopy.cli import app
from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.errors import EMBEDDED, missing_package

# AWS Lambda developer guide, "Python Lambda functions", "Runtime-included SDK versions".
LAMBDA_RUNTIME = {"boto3", "botocore"}

WITH_THE_PROGRAMS_PACKAGES_ALONE = """
import importlib.metadata, re, runpy, sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

installed = set(re.findall(r"^([A-Za-z0-9_.-]+)==", open("requirements.txt", encoding="utf-8").read(), re.M))
canonical = lambda name: re.sub(r"[-_.]+", "-", name).lower()
allowed = {canonical(name) for name in installed}
refused = {
    module
    for module, packages in importlib.metadata.packages_distributions().items()
    if not allowed & {canonical(package) for package in packages}
} - {"components", "handlers"}
assert {"botocore", "rich", "pytest"} <= refused and "pulumi" not in refused
sys.meta_path.insert(0, Refusal())

import pulumi

class Mocks(pulumi.runtime.Mocks):
    def new_resource(self, args):
        kind, name = args.typ, args.inputs.get("name") or args.inputs.get("bucket") or args.name
        arn = f"arn:aws:service:us-east-1:123456789012:{name}"
        return f"{name}-id", {"arn": arn, "url": name, "invokeArn": arn, "executionArn": arn, **args.inputs}

    def call(self, args):
        raise AssertionError(args.token)

import asyncio
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
pulumi.runtime.set_mocks(Mocks(), project="file-copy-workflow", stack="test", preview=False)
pulumi.runtime.set_all_config({"aws:region": "us-east-1", "file-copy-workflow:namePrefix": "acme-"})
from pulumi.runtime.stack import run_pulumi_func
loop.run_until_complete(run_pulumi_func(lambda: runpy.run_path("__main__.py", run_name="__main__")))
print("deployed")
"""

WITHOUT_THE_EXTRA = """
import json, sys, time

# A call that fails is retried after a pause.
time.sleep = lambda seconds: None

asked_for = []

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            asked_for.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

refused, missing, commands = json.loads(sys.argv[1])
for module in refused:
    sys.modules.pop(module, None)
sys.meta_path.insert(0, Refusal())
for module, names in missing.items():
    for name in names:
        delattr(__import__(module), name)

from typer.testing import CliRunner
from filecopy.cli import app

for command in commands:
    asked_for.clear()
    result = CliRunner().invoke(app, command)
    print(json.dumps([result.exit_code, result.stdout, result.stderr, asked_for]))
"""

PACKAGES = ("components", "filecopy", "handlers")

# The operator's commands, each with arguments that it accepts. FILE is any file.
OPERATORS = {
    "send": ["FILE"],
    "watch": ["--once"],
    "status": ["build-123.zip"],
    "list": [],
    "executions": [],
    "history": ["build-123.zip"],
    "report": ["build-123.zip"],
    "retry": ["build-123.zip"],
    "replay": ["uploads"],
    "console": ["--no-open"],
    "backfill": ["--dry-run"],
    "policy": ["region-a-builds"],
    "outputs": [],
    "env": [],
}
OFFLINE = {"policy", "outputs", "env"}


def imported(path: Path) -> set[str]:
    """The packages that a module imports anywhere, without the project's own and the standard library."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            found.add((statement.module or "").partition(".")[0])
    own = {"components", "handlers", "filecopy"}
    # Only type checkers read these.
    return {name for name in found - own - sys.stdlib_module_names if not name.startswith("mypy_boto3")}


def declared(name: str) -> set[str]:
    """The packages that a requirements file names, without their dependencies."""
    lines = (PROJECT_ROOT / name).read_text(encoding="utf-8").splitlines()
    return {re.split(r"[\[<>=]", line)[0] for line in lines if line and line[0].isalpha()}


@pytest.mark.slow
def test_the_program_runs_with_what_pulumi_installs() -> None:
    """ "pulumi install" installs only requirements.txt. If the program imports another package, a deployment from a
    fresh clone fails."""
    command = [sys.executable, "-W", "ignore", "-c", WITH_THE_PROGRAMS_PACKAGES_ALONE]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "deployed\n"), result.stderr


def test_what_the_program_imports_is_asked_for_by_name() -> None:
    """The program names each package that it imports. A dependency of a dependency may be missing in the next
    version."""
    sources = [PROJECT_ROOT / "__main__.py", *(PROJECT_ROOT / "components").rglob("*.py")]
    packages = importlib.metadata.packages_distributions()
    used = {packages[module][0].replace("_", "-") for path in sources for module in imported(path)}
    assert used == declared("requirements.in")


@pytest.mark.parametrize("path", sorted((PROJECT_ROOT / "handlers").glob("*.py")), ids=lambda path: path.name)
def test_a_function_imports_what_lambda_has(path: Path) -> None:
    """A function imports only modules of handlers/, the standard library, and boto3, which Lambda's runtime has."""
    assert imported(path) <= LAMBDA_RUNTIME


def test_what_commands_need_of_the_components_imports_no_pulumi() -> None:
    """The modules of components that commands import do not import Pulumi, whose import takes longer than most
    commands."""
    modules = [
        "components.names",
        "components.outputs",
        "components.aws_rules",
        "components.policies",
        "components.policies.deployer",
        "components.workflow.definition",
    ]
    command = [sys.executable, "-c", f"import sys, {', '.join(modules)}; print('pulumi' in sys.modules)"]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "False\n"), result.stderr


def in_pyproject() -> tuple[set[str], set[str]]:
    """The packages that pip installs with filecopy, and those of the extra, without their versions."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always, extra = project["dependencies"], project["optional-dependencies"]["embedded"]
    names = [{re.split(r"[\[<>=]", requirement)[0] for requirement in listed} for listed in (always, extra)]
    return names[0], names[1]


def without_the_extra(
    commands: list[list[str]], modules: Sequence[str] = EMBEDDED, missing: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[int, str, str, list[str]]]:
    """Each command's status, output, errors, and what it tried to import of the modules that are not there."""
    arguments = [sys.executable, "-c", WITHOUT_THE_EXTRA, json.dumps([modules, missing or {}, commands])]
    result = subprocess.run(arguments, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [tuple(json.loads(line)) for line in result.stdout.splitlines()]


def test_what_is_imported_is_what_pip_installs() -> None:
    """ "pip install ." installs the packages that the operator's commands import, and the extra those of the other
    commands."""
    sources = [path for package in PACKAGES for path in (PROJECT_ROOT / package).rglob("*.py")]
    packages = importlib.metadata.packages_distributions()
    distribution = {
        module: packages[module][0].lower().replace("_", "-") for path in sources for module in imported(path)
    }
    always, extra = in_pyproject()
    assert set(distribution.values()) == always | extra
    assert {distribution[module] for module in EMBEDDED} == extra


def test_help_needs_no_extra() -> None:
    """The help of every command needs only the packages that pip installs."""
    commands = [[command, "--help"] for command in (*OPERATORS, "graph", "up", "down", "demo")]
    for command, (status, output, errors, asked_for) in zip(commands, without_the_extra(commands), strict=True):
        assert (status, errors, asked_for) == (0, "", []), command
        assert f"Example: {'eval ' if command[0] == 'env' else 'filecopy '}" in output


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """The outputs of a stack that does not answer."""
    stack = tmp_path / "outputs.json"
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:file-copy-workflow"
    outputs = {
        "region": "us-east-1",
        # The discard port, which nothing listens on.
        "endpoint": "http://127.0.0.1:9",
        "step_function_arn": machine,
        "step_function_role_arn": "arn:aws:iam::123456789012:role/file-copy-workflow",
        "copy_worker_role_arn": "arn:aws:iam::123456789012:role/copy-worker",
        "dynamodb_table_name": "FileCopyTracking",
        "source_bucket": "global-builds",
        "destination_buckets": ["region-a-builds"],
        "dead_letter_queue_urls": {"uploads": "http://127.0.0.1:9/uploads-dead-letters"},
    }
    stack.write_text(json.dumps(outputs), encoding="utf-8")
    return stack


def on(stack: Path) -> list[list[str]]:
    """The operator's commands on this stack."""
    return [
        [command, *(str(stack) if argument == "FILE" else argument for argument in arguments), "--stack", str(stack)]
        for command, arguments in OPERATORS.items()
    ]


def test_every_command_is_an_operators_or_of_the_embedded_stack() -> None:
    """A new command is tested here, too."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) == {*OPERATORS, "graph", "up", "down", "demo"}


@pytest.mark.slow
def test_an_operators_command_needs_no_extra(stack: Path) -> None:
    """A deployed stack is worked on without Pulumi and without the emulator, which take longer to import than all else:
    each command comes as far as the stack, which does not answer here."""
    commands = on(stack)
    for command, (status, output, errors, asked_for) in zip(commands, without_the_extra(commands), strict=True):
        assert asked_for == [], command
        if command[0] in OFFLINE:
            assert (status, bool(output)) == (0, True), errors
        else:
            assert status == 1, command
            assert "127.0.0.1:9" in errors, command


@pytest.mark.slow
def test_an_operators_command_needs_no_posix(stack: Path) -> None:
    """Windows has neither these modules nor these signals and calls. A deployed stack is worked on from there, too."""
    modules = ("fcntl", "termios", "tty", "pty", "grp", "pwd", "resource", "syslog")
    missing = {
        "signal": ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGPIPE", "SIGALRM", "pthread_kill"),
        "os": ("killpg", "setsid", "getuid", "geteuid", "fork", "getpgid", "mkfifo"),
        "time": ("tzset",),
    }
    commands = on(stack)
    for command, (status, output, errors, asked_for) in zip(
        commands, without_the_extra(commands, modules, missing), strict=True
    ):
        assert asked_for == [], command
        assert (status, bool(output)) == (0, True) if command[0] in OFFLINE else "127.0.0.1:9" in errors, command


def test_what_needs_the_extra_says_how_to_install_it() -> None:
    """A command that runs the program names the first missing package, and the extra that has it."""
    deployer = ["policy", "--deployer", "--account", "123456789012", "--region", "us-east-1", "-c", "namePrefix=acme-"]
    up, demo, policy = without_the_extra([["up", "--port", "4599"], ["demo"], deployer])
    assert up[:3] == (1, "", f"error: {missing_package('ministack')}\n")
    assert (demo[0], demo[2]) == (1, up[2])
    assert policy[:3] == (1, "", f"error: {missing_package('pulumi')}\n")
    assert missing_package("pulumi").endswith("""'pip install --editable ".[embedded]"'.""")
    assert missing_package("typer").endswith("'pip install .'.")


@pytest.mark.slow
def test_the_wheel_has_every_module(tmp_path: Path) -> None:
    """The wheel has all files of the packages, with their subpackages, and runs without the checkout."""
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        source = PROJECT_ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    expected = {path.relative_to(tmp_path).as_posix() for name in PACKAGES for path in (tmp_path / name).rglob("*.*")}
    code = "from setuptools.build_meta import build_wheel; build_wheel('wheel')"
    built = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    [wheel] = (tmp_path / "wheel").glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    files = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert {file for file in files if ".dist-info/" not in file} == expected
    assert any(file.endswith(".dist-info/licenses/LICENSE") for file in files)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = "from filecopy.entry import main; main()"
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    version = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert run("--version") == (0, f"filecopy {version}\n", "")
    status, output, errors = run("graph")
    assert (status, output.partition("\n")[0], errors) == (0, "flowchart TD", "")
    status, output, errors = run("up")
    assert (status, output) == (1, "")
    assert errors.startswith("error: The embedded stack and --deployer need a checkout of the project, ")
