"""Structured logs: one JSON object a line, in ASCII, so that a key cannot forge a line or move the cursor."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

# CloudWatch Logs cuts a line at 256 KiB, and one character may take twelve as JSON.
_MAX_FIELD_LENGTH = 4_000


# What the lines are about just now. A container handles one event after the other.
_about: dict[str, object] = {}


def about(**fields: object) -> None:
    """From now on every line has ``fields``, such as ``key`` and ``executionArn``, also those that tell of a failure
    further up. They take the place of what lines were about before.
    """
    _about.clear()
    _about.update(fields)


def info(message: str, **fields: object) -> None:
    _write("INFO", message, fields)


def error(message: str, exception: BaseException | None = None, **fields: object) -> None:
    """Logs ``message``, with the exception's type, text and traceback where one is given."""
    if exception is not None:
        fields["errorType"] = type(exception).__name__
        fields["error"] = str(exception)
        fields["traceback"] = "".join(traceback.format_exception(exception))
    _write("ERROR", message, fields)


def metrics(
    message: str,
    namespace: str,
    dimensions: Mapping[str, str],
    values: Mapping[str, tuple[float, str]],
    **fields: object,
) -> None:
    """Logs ``message``, of which CloudWatch makes a data point of each metric in ``values``, which has its unit.

    Format: CloudWatch user guide, "Specification: Embedded metric format". Other members than these are left alone.
    """
    declared = {
        "Namespace": namespace,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()],
    }
    embedded = {"Timestamp": int(datetime.now(UTC).timestamp() * 1000), "CloudWatchMetrics": [declared]}
    measured = {name: value for name, (value, _) in values.items()}
    _write("INFO", message, {**fields, **dimensions, **measured, "_aws": embedded})


def _cut(value: object) -> object:
    """A long text without its middle: a traceback tells most at its ends."""
    if not isinstance(value, str) or len(value) <= _MAX_FIELD_LENGTH:
        return value
    half = _MAX_FIELD_LENGTH // 2
    return f"{value[:half]} [{len(value) - 2 * half} characters left out] {value[-half:]}"


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    # Standard output, not the logging module: not every engine gives that a handler.
    print(
        json.dumps(
            {
                "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "level": level,
                "function": os.environ.get("AWS_LAMBDA_FUNCTION_NAME"),
                "message": message,
                **{name: _cut(value) for name, value in {**_about, **fields}.items()},
            },
            default=str,
        ),
        flush=True,
    )
