"""The documentation names commands, options, pages and pictures that exist."""

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

# Pages whose blocks of commands no test types, with the reason. tests/e2e/test_readme.py types README's.
NOT_TYPED = {
    "CONTRIBUTING.md": "a test run cannot run the tests",
    "docs/simulation.md": "thousands of histories take long; tests/simulation runs two thousand",
    "docs/operations.md": "only AWS has the alarms, metrics and logs; the commands of filecopy have tests",
}

COMMANDS: set[str] = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def name(page: Path) -> str:
    return page.relative_to(PROJECT_ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_on_a_page_exist(page: Path) -> None:
    """Each command of filecopy, with its options, and each target of make exists."""
    text = page.read_text(encoding="utf-8")
    for command, arguments in re.findall(r"(?:^|[`(])filecopy ([a-z]+)([^`\n)]*)", text, re.MULTILINE):
        assert command in COMMANDS, f"filecopy {command}"
        options = {option for parameter in _parameters(command) for option in parameter}
        assert set(re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", arguments.partition("#")[0])) <= options, arguments
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= TARGETS | {"help"}


def _parameters(command: str) -> list[list[str]]:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    return [parameter.opts + parameter.secondary_opts for parameter in found.params]


def test_blocks_of_commands_are_typed_by_a_test_or_named() -> None:
    """A page with commands is README, whose blocks a test types, or it is in the list, with a reason."""
    with_blocks = {name(page) for page in PAGES if "```bash" in page.read_text(encoding="utf-8")}
    assert with_blocks == {"README.md", *NOT_TYPED}


def test_an_operator_may_do_what_the_runbook_says() -> None:
    """The policy for operators in docs/security.md allows each AWS command of docs/operations.md, except those that put
    an earlier definition back."""
    runbook = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    runbook, deployers = re.subn(r"^### Roll a bad definition back$.*?(?=^### )", "", runbook, flags=re.M | re.S)
    assert deployers == 1
    [policy] = re.findall(
        r"<!-- generated: operator -->\n```json\n(.*?)\n```",
        (PROJECT_ROOT / "docs" / "security.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    may = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    typed = re.findall(r"\baws ([a-z]+) ([a-z-]+)", runbook)
    assert len(typed) > 20
    for service, command in typed:
        # "aws logs tail" calls FilterLogEvents.
        action = "FilterLogEvents" if command == "tail" else command.title().replace("-", "")
        assert f"{'states' if service == 'stepfunctions' else service}:{action}" in may, f"aws {service} {command}"


def test_every_setting_and_output_is_described() -> None:
    """The reference names each setting and each output."""
    reference = (PROJECT_ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for output in (value for key, value in vars(outputs).items() if key.isupper()):
        assert f"`{output}`" in reference
    declared = re.findall(r"^  (\w+):\n    type:", (PROJECT_ROOT / "Pulumi.yaml").read_text(), re.MULTILINE)
    assert len(declared) == 21
    for setting in declared:
        assert f"`{setting}`" in reference


def test_readme_lists_the_documents() -> None:
    """The list has each page of docs, and no other."""
    readme = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\S+?)\]\(\1\) \| ", readme, re.MULTILINE)
    expected = {"CHANGELOG.md", "CONTRIBUTING.md", "docs/adr", *(name(p) for p in (PROJECT_ROOT / "docs").glob("*.md"))}
    assert (len(listed), set(listed)) == (len(expected), expected)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each linked page, heading and picture exists."""
    for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if heading:
            assert heading in anchors(linked), f"{target}#{heading}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them: lower case, hyphens for spaces, no punctuation."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_picture_is_used_and_described() -> None:
    """Each picture in docs is on a page, with a text for readers who cannot see it. A drawing has it itself, too."""
    docs = PROJECT_ROOT / "docs"
    pictures = {path for path in docs.rglob("*") if path.suffix in (".svg", ".png", ".jpg")}
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"!\[[^]]+\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    }
    assert pictures == shown
    for picture in (path for path in pictures if path.suffix == ".svg"):
        assert re.search(r"<svg[^>]*>\s*<title>[^<]+</title>\s*<desc>[^<]+</desc>", picture.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_diagrams_are_narrow(page: Path) -> None:
    """A Mermaid diagram goes from top to bottom: a forge scales a wide one down until its text is too small."""
    diagrams = re.findall(r"^```mermaid\n(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(diagrams) <= {"flowchart TB"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_of_each_command_has_an_example(command: str) -> None:
    """The example in a command's help is of this command."""
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert re.search(rf"Example: (?:eval \"\$\()?filecopy {command}\b", found.help or "")
