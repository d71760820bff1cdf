"""components/workflow/fields.py: values get into an expression, and a mistake in a placeholder's name does not."""

from __future__ import annotations

import pytest

from components.workflow import expressions
from components.workflow.fields import fill, jsonata


@pytest.mark.parametrize(
    ("expression", "values", "filled"),
    [
        ("$now()", {}, "$now()"),
        ("$a + <B>", {"b": 5}, "$a + 5"),
        ("<B> + <B>", {"b": "$c"}, "$c + $c"),
        ("<LONGER_NAME><LONGER_NAME_2>", {"longer_name": 1, "longer_name_2": 2}, "12"),
        # Neither a comparison nor a value is read as a placeholder.
        ("$a < B and $c > <D>", {"d": r"\1"}, r"$a < B and $c > \1"),
    ],
)
def test_each_placeholder_gets_its_value(expression: str, values: dict[str, str | int], filled: str) -> None:
    """A value takes the place of its placeholder, wherever that is, as it is."""
    assert fill(expression, **values) == filled
    assert jsonata(expression, **values) == "{% " + filled + " %}"


@pytest.mark.parametrize(
    ("expression", "values", "missing"),
    [
        ("$a + <B>", {}, "B"),
        ("<A> + <B> + <C>", {"b": 1}, "A, C"),
        # A value with a placeholder of its own has to be filled in first.
        ("$a + <B>", {"b": "<C>"}, "C"),
        ("$a + <B>", {"b": "<B>"}, "B"),
    ],
)
def test_a_placeholder_without_a_value_is_refused(expression: str, values: dict[str, str | int], missing: str) -> None:
    """It would be deployed, and fail in the first execution that evaluates it."""
    for use in (fill, jsonata):
        with pytest.raises(ValueError, match=rf"^No value for the placeholders {missing} in: "):
            use(expression, **values)


@pytest.mark.parametrize(("expression", "values"), [("$a", {"c": 1}), ("$a + <B>", {"b": 1, "c": 2})])
def test_a_value_without_a_placeholder_is_refused(expression: str, values: dict[str, str | int]) -> None:
    """A misspelt name would leave the constant out of the expression."""
    for use in (fill, jsonata):
        with pytest.raises(ValueError, match=r"^No placeholders for the values C in: "):
            use(expression, **values)


def test_a_part_with_a_placeholder_is_used_only_filled_in() -> None:
    """No expression that is complete on import has a placeholder left."""
    constants = {name: value for name, value in vars(expressions).items() if name.isupper() and isinstance(value, str)}
    assert len(constants) > 15
    for expression in constants.values():
        assert fill(expression) == expression
