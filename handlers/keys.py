"""The rule for the key of an object. The API, the state machine and the command line share it."""

from __future__ import annotations

# S3 user guide, "Naming Amazon S3 objects": a sequence of Unicode characters, 1,024 bytes long at most in UTF-8.
MAX_KEY_BYTES = 1024

_RULE = f"must be a string of 1 to {MAX_KEY_BYTES} bytes in UTF-8"


def problem_of_key(key: object) -> str | None:
    """The reason why no object can have ``key``, as the rest of a sentence after a name, or ``None``.

    White space and control characters are characters like any other.
    """
    if not isinstance(key, str):
        return f"{_RULE}, not a value of another type"
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        # JSON can hold half of a surrogate pair.
        return f"{_RULE}, and has half a character"
    return None if 1 <= length <= MAX_KEY_BYTES else f"{_RULE}, not {length}"
