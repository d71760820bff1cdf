"""components/handler_function.py: what is in a function's package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest

from components import handler_function
from components.handler_function import HANDLERS, package
from filecopy.embedded.provisioning.functions import zip_of

MODULES = {
    name: {name.replace("-", "_"), "environment", "log", *modules}
    for name, modules in {
        "replication-worker": {"arns", "clients", "s3_events", "s3_protocol", "sqs_batch", "text"},
        "step-function-invoker": {"clients", "copy_job", "http", "keys", "s3_protocol"},
        "build-worker": {"clients", "http", "s3_protocol", "text"},
        "regional-sync": {"arns", "clients", "comparison", "s3_events", "s3_protocol", "sqs_batch", "text", "tracking"},
        "copy-worker": {
            *("checksums", "clients", "copying", "existing_copy", "multipart", "parts", "permanent"),
            *("s3_protocol", "text", "tracking", "upload_record"),
        },
        "execution-watcher": {"clients", "copy_job", "keys", "s3_protocol", "sqs_batch", "text", "tracking"},
        "notification-digest": {"clients", "s3_protocol", "text"},
    }.items()
}
"""The modules of each function's package, beyond the package's own ``__init__``."""


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of handlers/ that the packages are made from."""
    copied = tmp_path / "handlers"
    shutil.copytree(HANDLERS, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(handler_function, "HANDLERS", copied)
    return copied


def packed(name: str) -> dict[str, Path]:
    """The files of a package, by their names in it."""
    found = {}
    for path, asset in package(name).assets.items():
        assert isinstance(asset, pulumi.FileAsset)
        found[path] = Path(asset.path)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_package_is_what_its_function_imports(name: str) -> None:
    """A package has the modules that its function needs, each under its own name, and no module of another one."""
    expected = {f"handlers/{module}.py" for module in {"__init__", *MODULES[name]}}
    assert packed(name) == {path: HANDLERS / Path(path).name for path in expected}


@pytest.mark.parametrize("name", MODULES)
def test_a_package_is_enough(name: str, tmp_path: Path) -> None:
    """A function finds all that it imports in its package: what is missing would be an error at its first event."""
    for path, source in packed(name).items():
        target = tmp_path / path
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
    module = f"handlers.{name.replace('-', '_')}"
    code = f"import {module} as module; print(module.__file__)"
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert result.stderr == ""
    assert result.stdout.startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("replication-worker", {"botocore"}),
        ("step-function-invoker", {"botocore"}),
        ("build-worker", {"boto3", "botocore"}),
        ("regional-sync", {"botocore"}),
        ("copy-worker", {"botocore"}),
        ("execution-watcher", set()),
        ("notification-digest", {"botocore"}),
    ],
)
def test_a_function_imports_no_more_of_boto3_than_it_needs(name: str, expected: set[str]) -> None:
    """A cold start waits for what is imported: boto3 is for moving files, and a success needs no call of AWS."""
    module = f"handlers.{name.replace('-', '_')}"
    code = f"import sys, {module}; print(*{{'boto3', 'botocore'}} & sys.modules.keys())"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=HANDLERS.parent, capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) == expected


def test_every_module_is_in_some_package_and_stray_files_in_none(handlers: Path) -> None:
    """No module is left over that no function uses; one that nobody imports, a cache or a note is not deployed."""
    (handlers / "unused.py").write_text("from . import log\n", encoding="utf-8")
    (handlers / "notes.txt").write_text("secret", encoding="utf-8")
    (handlers / "__pycache__").mkdir()
    (handlers / "__pycache__" / "log.cpython-313.pyc").write_bytes(b"")
    found = {path.removeprefix("handlers/") for name in MODULES for path in packed(name)}
    assert found == {path.name for path in HANDLERS.glob("*.py")}


@pytest.mark.parametrize(
    "statement", ["from . import unused", "from .unused import text", "import os; from . import unused as u"]
)
def test_a_module_is_packed_as_soon_as_it_is_imported(handlers: Path, statement: str) -> None:
    """However a module is imported, and wherever in the file, it and what it imports are in the package."""
    (handlers / "unused.py").write_text("from . import text\n", encoding="utf-8")
    with (handlers / "build_worker.py").open("a", encoding="utf-8") as module:
        module.write(f"\n\ndef _late() -> None:\n    {statement}\n")
    assert packed("build-worker").keys() == {
        f"handlers/{module}.py" for module in {"__init__", "unused", "text", *MODULES["build-worker"]}
    }


def test_modules_import_each_other_in_a_way_that_is_understood() -> None:
    """No module of handlers/ is imported by its full name, which the packages would not follow."""
    for path in HANDLERS.glob("*.py"):
        assert not re.search(r"^\s*(import|from) handlers\b", path.read_text(encoding="utf-8"), re.MULTILINE), path


@pytest.mark.parametrize("name", MODULES)
def test_the_same_code_is_the_same_package(name: str, handlers: Path) -> None:
    """A package made again, from files as young as a new clone's, has the same bytes: nothing is deployed for it."""
    first = zip_of(package(name))
    for age, path in enumerate(sorted(handlers.iterdir())):
        os.utime(path, (age, age * 1_000_000))
        path.chmod(0o755)
    assert zip_of(package(name)) == first


def test_a_change_makes_new_packages_only_where_it_is_used(handlers: Path) -> None:
    """A change of one module deploys the functions that use it, and leaves the others as they are."""
    before = {name: zip_of(package(name)) for name in MODULES}
    with (handlers / "tracking.py").open("a", encoding="utf-8") as module:
        module.write("# changed\n")
    changed = {name for name in MODULES if zip_of(package(name)) != before[name]}
    assert changed == {"copy-worker", "regional-sync", "execution-watcher"}
