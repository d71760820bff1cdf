"""Strings that people read."""

from __future__ import annotations

import pytest

from handlers import text


@pytest.mark.parametrize(("number", "counted"), [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes")])
def test_one_is_singular(number: int, counted: str) -> None:
    """No message says "1 bytes"."""
    assert text.count(number, "byte") == counted
