"""The check of the names of arguments that make lint runs."""

from __future__ import annotations

from typing import Any

import pytest

from filecopy.executions.states import own_definition
from tools import sdk_names


def test_the_definition_has_only_the_names_of_accessors() -> None:
    """Another name ends every execution that uses it on AWS, and works on the emulators."""
    assert sdk_names.problems(own_definition()) == []


def machine(action: str, arguments: Any) -> dict[str, Any]:
    """A state machine with one Task, inside a Map."""
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{action}", "Arguments": arguments}
    return {"States": {"All": {"Type": "Map", "ItemProcessor": {"States": {"One": task}}}}}


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"Bucket": "b", "ACL": "private"}, ["ACL"]),
        ('{% $merge([{"Bucket": "b"}, $x ? {"ACL": "private"} : {}]) %}', ["ACL"]),
        ('{% {"Bucket": "b", "Key": "k"} %}', []),
    ],
)
def test_a_name_without_an_accessor_is_a_problem(arguments: Any, wrong: list[str]) -> None:
    """Whether the argument is a constant or a member of an object that an expression makes."""
    found = sdk_names.problems(machine("aws-sdk:s3:copyObject", arguments))
    assert len(found) == len(wrong)
    assert all(f"not {name}." in problem for problem, name in zip(found, wrong, strict=True))


def test_an_action_that_is_not_in_the_table_is_a_problem() -> None:
    """A new Task needs its accessors looked up first. Optimized integrations have names of their own."""
    assert len(sdk_names.problems(machine("aws-sdk:s3:deleteObject", {"Bucket": "b"}))) == 1
    assert sdk_names.problems(machine("dynamodb:updateItem", {"Whatever": "b"})) == []
