"""What the documentation tells a reader to type is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer

from components import outputs
from filecopy.cli import app
from filecopy.embedded.configuration import PROJECT_ROOT

PAGES = [PROJECT_ROOT / "README.md", PROJECT_ROOT / "CONTRIBUTING.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]

# Pages whose blocks of commands no test types, and why. README's are typed by tests/e2e/test_readme.py.
NOT_TYPED = {
    "CONTRIBUTING.md": "a test run cannot run the tests",
    "docs/operations.md": "alarms, metrics and logs to query are AWS's alone; filecopy's commands have tests",
}

COMMANDS: set[str] = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def name(page: Path) -> str:
    return page.relative_to(PROJECT_ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_told_of_exist(page: Path) -> None:
    """A reader who types a command of the page finds it, with the options that are given."""
    text = page.read_text(encoding="utf-8")
    for command, arguments in re.findall(r"(?:^|[`(])filecopy ([a-z]+)([^`\n]*)", text, re.MULTILINE):
        assert command in COMMANDS, f"filecopy {command}"
        options = {option for parameter in _parameters(command) for option in parameter}
        assert set(re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", arguments.partition("#")[0])) <= options, arguments
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS | {"help"}


def _parameters(command: str) -> list[list[str]]:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return [parameter.opts + parameter.secondary_opts for parameter in found.params]


def test_blocks_of_commands_are_typed_by_a_test_or_named() -> None:
    """A page with commands to type is the README, whose blocks a test types, or is in the list, with a reason."""
    with_blocks = {name(page) for page in PAGES if "```bash" in page.read_text(encoding="utf-8")}
    assert with_blocks == {"README.md", *NOT_TYPED}


def test_an_operator_may_do_what_the_runbook_says() -> None:
    """Each AWS command of docs/operations.md is an action of the policy that docs/security.md has for operators."""
    told = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [policy] = re.findall(
        r"<!-- generated: operator -->\n```json\n(.*?)\n```",
        (PROJECT_ROOT / "docs" / "security.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    may = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    typed = re.findall(r"\baws ([a-z]+) ([a-z-]+)", told)
    assert len(typed) > 20
    for service, command in typed:
        # The AWS command line makes "tail" of this one.
        action = "FilterLogEvents" if command == "tail" else command.title().replace("-", "")
        assert f"{'states' if service == 'stepfunctions' else service}:{action}" in may, f"aws {service} {command}"


def test_every_setting_and_output_is_described() -> None:
    """A setting or an output that the reference does not name is one that nobody finds."""
    reference = (PROJECT_ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for output in (value for key, value in vars(outputs).items() if key.isupper()):
        assert f"`{output}`" in reference
    declared = re.findall(r"^  (\w+):\n    type:", (PROJECT_ROOT / "Pulumi.yaml").read_text(), re.MULTILINE)
    assert len(declared) == 18
    for setting in declared:
        assert f"`{setting}`" in reference


def test_readme_lists_the_documents() -> None:
    """A page that the list leaves out is one that nobody finds."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\S+?)\]\(\1\) \| ", readme, re.MULTILINE)
    expected = {"CHANGELOG.md", "CONTRIBUTING.md", "docs/adr", *(name(p) for p in (PROJECT_ROOT / "docs").glob("*.md"))}
    assert (len(listed), set(listed)) == (len(expected), expected)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to another page, or a picture, is there."""
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_each_command_has_an_example(command: str) -> None:
    """The example is of the command itself."""
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert re.search(rf"Example: (?:eval \"\$\()?filecopy {command}\b", found.help or "")
