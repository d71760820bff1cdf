"""Runs the Pulumi program, ``__main__.py``, without the Pulumi CLI."""

from __future__ import annotations

import asyncio
import runpy
import sys
from collections.abc import Mapping
from typing import Any, cast

import pulumi
from pulumi.runtime import get_root_resource, set_all_config, set_mocks
from pulumi.runtime.stack import Stack, run_pulumi_func

from .configuration import PROJECT, PROJECT_ROOT


def run_program(mocks: pulumi.runtime.Mocks, configuration: Mapping[str, str], *, stack: str) -> dict[str, Any]:
    """Runs the program against ``mocks``, which stand for the provider.

    Returns:
        The stack's outputs, resolved.

    Raises:
        Exception: whatever the program or ``mocks`` raised.
    """
    # The mock monitor resolves outputs on the loop that was there when it was made: another loop waits for ever.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        set_mocks(mocks, project=PROJECT, stack=stack, preview=False)
        set_all_config(dict(configuration))
        if str(PROJECT_ROOT) not in sys.path:
            sys.path.insert(0, str(PROJECT_ROOT))
        outputs: dict[str, Any] = {}

        def program() -> None:
            runpy.run_path(str(PROJECT_ROOT / "__main__.py"), run_name="__main__")

        async def run() -> None:
            await run_pulumi_func(program)
            root = cast("Stack", get_root_resource())
            for name, value in root.outputs.items():
                outputs[name] = await pulumi.Output.from_input(value).future()

        loop.run_until_complete(run())
        return outputs
    finally:
        loop.close()
        asyncio.set_event_loop(None)
