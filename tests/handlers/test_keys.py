"""The rule for the key of an object."""

from __future__ import annotations

import pytest

from handlers.keys import problem_of_key
from tests.keys import KEYS, NOT_KEYS, NOT_STRINGS


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_any_text_of_1_to_1024_bytes_is_a_key(key: str) -> None:
    """S3 stores an object under any such name, white space and control characters included."""
    assert problem_of_key(key) is None


@pytest.mark.parametrize("key", NOT_KEYS.values(), ids=NOT_KEYS)
def test_no_other_text_is_a_key(key: str) -> None:
    """The length counts bytes, as S3 does, and what is wrong is named without repeating a long key."""
    problem = problem_of_key(key)
    assert problem is not None
    assert problem.startswith("must be a string of 1 to 1024 bytes in UTF-8, ")
    assert len(problem) < 100


@pytest.mark.parametrize("value", NOT_STRINGS)
def test_only_a_string_is_a_key(value: object) -> None:
    """JSON has other values, too."""
    assert problem_of_key(value) is not None
