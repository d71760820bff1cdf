"""Structured logs: one JSON object per line, in ASCII, so that a key cannot forge a line or move the cursor."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

# CloudWatch Logs truncates a line at 256 KiB, and JSON may need twelve characters for one.
_MAX_FIELD_LENGTH = 4_000


# Fields of every line. A container handles one event after the other.
_about: dict[str, object] = {}


def about(**fields: object) -> None:
    """Adds ``fields``, such as ``key`` and ``executionArn``, to all following lines, including those of errors that a
    caller logs. They replace the fields of the last call.
    """
    _about.clear()
    _about.update(fields)


def info(message: str, **fields: object) -> None:
    _write("INFO", message, fields)


def error(message: str, exception: BaseException | None = None, **fields: object) -> None:
    """Logs ``message``, with the type, text and traceback of ``exception`` if there is one."""
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
    """Logs ``message`` in a form from which CloudWatch makes a data point of each metric.

    Format: CloudWatch user guide, "Specification: Embedded metric format".

    Args:
        values: value and unit of each metric, by its name.
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
    """``value`` without its middle if it is a long string: the ends of a traceback say most."""
    if not isinstance(value, str) or len(value) <= _MAX_FIELD_LENGTH:
        return value
    half = _MAX_FIELD_LENGTH // 2
    return f"{value[:half]} [{len(value) - 2 * half} characters left out] {value[-half:]}"


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    # Standard output, because the logging module has no handler on some engines.
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
