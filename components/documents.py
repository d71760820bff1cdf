"""JSON documents (policies, the state machine's definition) made from resources' outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pulumi


def document(build: Callable[..., Any], **inputs: pulumi.Input[Any]) -> pulumi.Output[str]:
    """``build`` called with the resolved ``inputs``, as JSON.

    ``build`` is a pure function from plain names and ARNs to dicts and lists, so it is tested without Pulumi.
    """
    return pulumi.Output.all(**inputs).apply(lambda values: as_json(build(**values)))


def as_json(value: Any) -> str:
    """``value`` as JSON, in the form in which AWS returns it.

    It has no spaces, so that a deployment finds nothing to change. It has no escapes of letters outside ASCII, because
    not every engine can read those of an emoji (docs/engines.md).
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
