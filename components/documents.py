"""JSON documents (policies, the state machine's definition) made from resources' outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi


def document(build: Callable[..., Any], **inputs: pulumi.Input[Any]) -> pulumi.Output[str]:
    """``build`` called with the resolved ``inputs``, as JSON.

    ``build`` is a pure function from plain names and ARNs to dicts and lists, so it is tested without Pulumi.
    """
    return pulumi.Output.json_dumps(pulumi.Output.all(**inputs).apply(lambda values: build(**values)))
