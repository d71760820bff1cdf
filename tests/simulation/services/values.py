"""Values of DynamoDB: their checks, their order, their sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Underflow
from typing import Any

from .service import RefusedError

Value = dict[str, Any]
"""A value as DynamoDB's API has it, such as ``{"S": "text"}``."""

# Developer guide, "Naming rules and data types": up to 38 digits, from 1E-130 to 9.99E+125.
ARITHMETIC = Context(prec=38, Emin=-130, Emax=125, traps=[Inexact, InvalidOperation, Overflow, Underflow])
_PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]{0,37}|0")
_ELEMENTS = {"SS": "S", "NS": "N", "BS": "B"}
_SCALARS = {"S": str, "B": bytes, "BOOL": bool, "NULL": bool}


def invalid(message: str) -> RefusedError:
    return RefusedError("ValidationException", message)


def kind(value: Value) -> str:
    return next(iter(value))


def checked(value: Any) -> Value:
    """A copy of a value in DynamoDB's own form.

    Raises:
        RefusedError: it is not a value of DynamoDB.
    """
    if type(value) is not dict or len(value) != 1:
        raise invalid(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
            "supported datatypes"
            if value
            else "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        )
    ((name, content),) = value.items()
    if name == "S" and type(content) is str:
        return {"S": content}
    if name == "N":
        return {"N": number(content)}
    if name == "M":
        return {"M": {member: checked(inner) for member, inner in content.items()}}
    if name == "L":
        return {"L": [checked(inner) for inner in content]}
    if name in _ELEMENTS:
        return {name: _checked_set(name, content)}
    if name not in _SCALARS or not isinstance(content, _SCALARS[name]):
        raise TypeError(f"{value!r} is not a value of DynamoDB.")
    if name == "NULL" and not content:
        raise invalid(
            "One or more parameter values were invalid: Null attribute value types must have the value of true"
        )
    return {name: content}


def _checked_set(name: str, content: Any) -> list[Any]:
    if not content:
        what = {"SS": "string", "NS": "number", "BS": "binary"}[name]
        raise invalid(f"One or more parameter values were invalid: An {what} set  may not be empty")
    elements = [checked({_ELEMENTS[name]: element})[_ELEMENTS[name]] for element in content]
    if len(set(elements)) != len(elements):
        raise invalid(f"One or more parameter values were invalid: Input collection {elements} contains duplicates.")
    return elements


def number(text: Any) -> str:
    """A number as DynamoDB writes it: without zeros that say nothing."""
    if not isinstance(text, str):
        raise TypeError(f"A number of DynamoDB is a text, not {text!r}.")
    return text if _PLAIN_INTEGER.fullmatch(text) else written(decimal(text))


def decimal(text: str) -> Decimal:
    try:
        found = ARITHMETIC.create_decimal(text)
    except (Inexact, Overflow, Underflow):
        raise invalid("Attempting to store more than 38 significant digits in a Number") from None
    except InvalidOperation:
        raise invalid("The parameter cannot be converted to a numeric value: " + text) from None
    if not found.is_finite():
        raise invalid("The parameter cannot be converted to a numeric value: " + text)
    return found


def written(value: Decimal) -> str:
    plain = format(value.normalize(ARITHMETIC), "f")
    return "0" if plain == "-0" else plain


def is_equal(one: Value, other: Value) -> bool:
    ((name, content),) = one.items()
    if name not in other:
        return False
    if name in _ELEMENTS:
        return set(content) == set(other[name])
    if name == "M":
        theirs = other["M"]
        return content.keys() == theirs.keys() and all(is_equal(inner, theirs[key]) for key, inner in content.items())
    if name == "L":
        theirs = other["L"]
        return len(content) == len(theirs) and all(map(is_equal, content, theirs))
    return bool(content == other[name])


def sort_key(value: Value) -> Any:
    """What orders values of one type: numbers, texts by their bytes in UTF-8, and bytes."""
    ((name, content),) = value.items()
    if name == "N":
        return Decimal(content)
    return content.encode() if name == "S" else content


def size(value: Value) -> int:
    """Bytes: developer guide, "DynamoDB item sizes and formats"."""
    ((name, content),) = value.items()
    match name:
        case "S":
            return _text_size(content)
        case "N":
            return len(content.strip("-0.")) // 2 + 2
        case "B":
            return len(content)
        case "L":
            return 3 + sum(1 + size(inner) for inner in content)
        case "M":
            return 3 + sum(1 + _text_size(member) + size(inner) for member, inner in content.items())
        case "BOOL" | "NULL":
            return 1
        case _:
            return sum(size({_ELEMENTS[name]: element}) for element in content)


def item_size(item: Mapping[str, Value]) -> int:
    return sum(_text_size(name) + size(value) for name, value in item.items())


def _text_size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
