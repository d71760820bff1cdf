"""What the program imports, and what each way to install it brings: two lists that have to stay one."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from filecopy.configuration import PROJECT_ROOT

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
pulumi.runtime.set_all_config({"aws:region": "us-east-1"})
from pulumi.runtime.stack import run_pulumi_func
loop.run_until_complete(run_pulumi_func(lambda: runpy.run_path("__main__.py", run_name="__main__")))
print("deployed")
"""


def imported(path: Path) -> set[str]:
    """The packages outside the project and the standard library that a module imports, wherever in it."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            found.add((statement.module or "").partition(".")[0])
    own = {"components", "handlers", "filecopy"}
    # What only type checkers read.
    return {name for name in found - own - sys.stdlib_module_names if not name.startswith("mypy_boto3")}


def declared(name: str) -> set[str]:
    """The packages that a requirements file asks for, without what these need."""
    lines = (PROJECT_ROOT / name).read_text(encoding="utf-8").splitlines()
    return {re.split(r"[\[<>=]", line)[0] for line in lines if line and line[0].isalpha()}


def test_the_program_runs_with_what_pulumi_installs() -> None:
    """ "pulumi install" installs requirements.txt and nothing else: whatever the program imports beyond that fails in a
    fresh clone, before a single resource is made."""
    command = [sys.executable, "-W", "ignore", "-c", WITH_THE_PROGRAMS_PACKAGES_ALONE]
    result = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "deployed\n"), result.stderr


def test_what_the_program_imports_is_asked_for_by_name() -> None:
    """A package that comes only because another needs it may be gone with the next version of that one."""
    sources = [PROJECT_ROOT / "__main__.py", *(PROJECT_ROOT / "components").rglob("*.py")]
    packages = importlib.metadata.packages_distributions()
    used = {packages[module][0].replace("_", "-") for path in sources for module in imported(path)}
    assert used == declared("requirements.in")


@pytest.mark.parametrize("path", sorted((PROJECT_ROOT / "handlers").glob("*.py")), ids=lambda path: path.name)
def test_a_function_imports_what_lambda_has(path: Path) -> None:
    """A package is the modules of handlers/ alone, so what Lambda's runtime does not bring is missing at the first
    event."""
    assert imported(path) <= LAMBDA_RUNTIME


def test_what_commands_need_of_the_components_imports_no_pulumi() -> None:
    """Pulumi takes longer to import than a command takes to answer."""
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
