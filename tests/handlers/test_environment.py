"""The environment variables of a function."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from handlers import (
    build_worker,
    copy_worker,
    execution_watcher,
    notification_digest,
    regional_sync,
    replication_worker,
)
from handlers import step_function_invoker as invoker
from handlers.environment import ConfigurationError, Variables

FUNCTIONS = [
    build_worker,
    copy_worker,
    execution_watcher,
    notification_digest,
    regional_sync,
    replication_worker,
    invoker,
]


@dataclass(frozen=True, kw_only=True)
class Example(Variables):
    table_name: str
    limit: int
    seconds: float
    buckets: list[str]


GIVEN = {"TABLE_NAME": "", "LIMIT": "5", "SECONDS": "1.5", "BUCKETS": '["a", "b"]'}


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


def test_variables_are_read_as_their_types_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container parses its variables at the first use, and keeps them."""
    expected = Example(table_name="", limit=5, seconds=1.5, buckets=["a", "b"])
    assert Example.read() == expected
    monkeypatch.setenv("LIMIT", "6")
    assert Example.read() is Example.read()
    assert Example.read() == expected


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function without a variable names it, instead of working on a bucket called None."""
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=f"^The environment variable {name} is missing"):
        Example.read()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LIMIT", "", "an integer"),
        ("LIMIT", "1.5", "an integer"),
        ("SECONDS", "soon", "a number"),
        ("BUCKETS", "a, b", "a JSON list of strings"),
        ("BUCKETS", '"a"', "a JSON list of strings"),
        ("BUCKETS", "[1]", "a JSON list of strings"),
    ],
)
def test_a_wrong_variable_is_named_with_what_it_must_be(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says which variable is wrong, and what it must be."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^The environment variable {name} must be {allowed}, not '"):
        Example.read()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: str(function.__name__))
def test_every_function_reads_its_variables_here(function: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each function has variables of its own, and each of them is required."""
    form: type[Variables] = function.Environment  # type: ignore[attr-defined]
    names = [field.name.upper() for field in fields(form)]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=names[0]):
        form.read()
