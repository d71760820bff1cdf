"""Plain English in texts that users see: messages, help, and documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from filecopy.embedded.configuration import PROJECT_ROOT

# Phrases that readers stumble over, each with a standard one.
PHRASES = {
    r"(is|are|was|were|be|been) told": "notified",
    r"tells? (a person|people|somebody|operators)": "notifies",
    r"mend(s|ed|ing)?": "fix",
    r"who(m)?ever": "the person who, each caller",
    r"nobody": "no one; better, name the subject",
    r"(some|any)body( else)?'s": "external, another account's",
    r"somebody else": "another account, another program",
    r"in vain": "timed out after … waiting for …",
    r"(go|goes|gone|going|went) on with": "resume",
    r"(throw|throws|thrown|threw) away": "delete, abort, discard",
    r"whole numbers?": "integer",
    r"(is|are) none (of|that)": "is not one of, does not exist",
    r"anew": "again",
    r"put together": "complete, combine",
    r"put aside": "moved to the dead-letter queue",
    r"for want of": "because there is no",
    r"under way": "in progress",
    r"half-?done": "incomplete",
    r"comes? to (its|their|an) end": "complete, end",
    r"(list|object)s? of texts": "… of strings",
    r"(does|do|did) not tell": "does not return, cannot read",
}

# The help of the command line is in the docstrings of its commands.
HELP = PROJECT_ROOT / "filecopy" / "cli.py"

CODE = [path for package in ("components", "handlers", "filecopy") for path in (PROJECT_ROOT / package).rglob("*.py")]
PAGES = [
    *PROJECT_ROOT.glob("*.md"),
    *(PROJECT_ROOT / "docs").rglob("*.md"),
    *(PROJECT_ROOT / name for name in ("Makefile", "Pulumi.yaml", "Pulumi.local.yaml", "pyproject.toml")),
]
TEMPLATES = [*(PROJECT_ROOT / "filecopy").rglob("*.j2")]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The texts in a file that users see, each with its line: strings of code, and all lines of other files."""
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(content.splitlines(), 1)
        return
    tree = ast.parse(content)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        # A string after an attribute documents it, as a docstring does.
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, documented)
        for position, statement in enumerate(node.body)
        if isinstance(statement, ast.Expr) and not (path == HELP and isinstance(node, ast.FunctionDef) and not position)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def name(path: Path) -> str:
    return path.relative_to(PROJECT_ROOT).as_posix()


@pytest.mark.parametrize("path", sorted([*CODE, *PAGES, *TEMPLATES]), ids=name)
def test_users_read_plain_english(path: Path) -> None:
    """No text that users see has one of the phrases."""
    found = [
        f"{name(path)}:{line}: write {better!r} instead of {match[0]!r}"
        for line, text in texts(path)
        for phrase, better in PHRASES.items()
        if (match := re.search(rf"\b{phrase}(?!\w)", text, re.IGNORECASE))
    ]
    assert not found, "\n".join(found)


def test_texts_are_strings_and_help() -> None:
    """The test reads messages, f-strings and the help of commands, and no other docstrings."""
    read = {text for path in (HELP, PROJECT_ROOT / "components" / "settings.py") for _, text in texts(path)}
    assert any("Nothing was created or changed" in text for text in read)
    assert any(text.startswith(" must be ") for text in read)
    assert any("Example: filecopy up" in text for text in read)
    assert not any(text.startswith("The stack's settings: ") for text in read)
