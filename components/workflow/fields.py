"""Values of a state's fields: JSONata expressions, filled in, and DynamoDB's types."""

from __future__ import annotations

import re

# "<" and ">" around capitals cannot be JSONata: a placeholder that is left over is never read as a path.
_PLACEHOLDER = re.compile(r"<([A-Z][A-Z0-9_]*)>")


def fill(expression: str, **values: str | int) -> str:
    """``expression`` with values for its placeholders: ``lease_base=5`` replaces each ``<LEASE_BASE>`` by ``5``.

    Raises:
        ValueError: a placeholder has no value, or a value has no placeholder.
    """
    given = {name.upper(): str(value) for name, value in values.items()}
    filled = _PLACEHOLDER.sub(lambda found: given.get(found[1], found[0]), expression)
    if left_over := sorted(set(_PLACEHOLDER.findall(filled))):
        raise ValueError(f"No value for the placeholders {', '.join(left_over)} in: {expression}")
    if unused := sorted(given.keys() - set(_PLACEHOLDER.findall(expression))):
        raise ValueError(f"No placeholders for the values {', '.join(unused)} in: {expression}")
    return filled


def jsonata(expression: str, **values: str | int) -> str:
    """``expression``, filled in, as Step Functions takes it in a field: on one line, as some validators require."""
    return "{% " + re.sub(r"\s*\n\s*", " ", fill(expression, **values)) + " %}"


def text(expression: str) -> dict[str, str]:
    """A DynamoDB string."""
    return {"S": jsonata(expression)}


def number(expression: str) -> dict[str, str]:
    """A DynamoDB number."""
    return {"N": jsonata("$string(<NUMBER>)", number=expression)}


def strings(expression: str) -> dict[str, str]:
    """A DynamoDB list of strings, from an expression that gives a list."""
    return {"L": jsonata('[$map(<LIST>, function($item) {{"S": $item}})]', list=expression)}


def optional(expression: str, dynamodb_type: str) -> str:
    """A DynamoDB value, or NULL where the expression is undefined."""
    return jsonata(
        '$exists(<VALUE>) ? {"<TYPE>": <VALUE>} : {"NULL": true}',
        value=expression,
        type=dynamodb_type,
    )
