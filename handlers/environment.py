"""Environment variables of a function, parsed once per container."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self, cast, get_type_hints


class ConfigurationError(Exception):
    """A variable is missing or wrong. The stack has to be deployed again."""


@dataclass(frozen=True, kw_only=True)
class Variables:
    """The variables of one function: a subclass has a field for each, with the variable's name in lower case.

    A field is a ``str``, an ``int``, a ``float``, or a ``list[str]``, which the variable holds as JSON.
    """

    @classmethod
    def read(cls) -> Self:
        """
        Raises:
            ConfigurationError: a variable is missing, or is not of its field's type.
        """
        return cast("Self", _parse(cast("Any", cls)))


@cache
def _parse(form: type[Variables]) -> Variables:
    types = get_type_hints(form)
    return form(**{field.name: _value(field.name.upper(), types[field.name]) for field in fields(form)})


def _value(name: str, kind: Any) -> Any:
    if name not in os.environ:
        raise ConfigurationError(f"The environment variable {name} is missing. Deploy the stack again.")
    allowed, convert = _TYPES[kind]
    try:
        return convert(os.environ[name])
    except ValueError as error:
        raise ConfigurationError(
            f"The environment variable {name} must be {allowed}, not {os.environ[name]!r:.100}. Deploy the stack again."
        ) from error


def _strings(document: str) -> list[str]:
    found = json.loads(document)
    if not isinstance(found, list) or not all(isinstance(member, str) for member in found):
        raise ValueError(document)
    return found


_TYPES: dict[Any, tuple[str, Callable[[str], Any]]] = {
    str: ("a string", str),
    int: ("an integer", int),
    float: ("a number", float),
    list[str]: ("a JSON list of strings", _strings),
}
