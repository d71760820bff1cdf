"""Run the Pulumi program, ``__main__.py``, without the Pulumi CLI."""

from __future__ import annotations

import asyncio
import contextvars
import runpy
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pulumi
from pulumi.runtime import get_root_resource, set_all_config, set_mocks
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import Stack, run_pulumi_func

from components.settings import Settings

from .configuration import PROJECT, PROJECT_ROOT

# Seconds. A deployment into an emulator takes three.
DEADLINE = 120.0


def run_program(mocks: pulumi.runtime.Mocks, configuration: Mapping[str, str], *, stack: str) -> dict[str, Any]:
    """Run the program with ``mocks`` in place of the provider.

    Returns:
        The outputs of the stack, resolved.

    Raises:
        TimeoutError: the program did not finish in two minutes.
        Exception: any error of the program or of ``mocks``.
    """
    made: list[asyncio.AbstractEventLoop] = []

    def make_event_loop() -> None:
        made.append(asyncio.new_event_loop())
        asyncio.set_event_loop(made[-1])

    def program() -> None:
        runpy.run_path(str(PROJECT_ROOT / "__main__.py"), run_name="__main__")

    async def run() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        # The mock monitor wants an event loop in every thread that calls it, and would leave its own open.
        loop.set_default_executor(ThreadPoolExecutor(initializer=make_event_loop))
        # The error of a resource is raised once, below, and not again for each output that waits for it.
        loop.set_exception_handler(lambda *_: None)
        # The mock monitor resolves outputs on the loop that is current here: any other loop would wait forever.
        set_mocks(mocks, project=PROJECT, stack=stack, preview=False)
        set_all_config(dict(configuration))
        await run_pulumi_func(program)
        root = cast("Stack", get_root_resource())
        return {name: await pulumi.Output.from_input(value).future() for name, value in root.outputs.items()}

    if str(PROJECT_ROOT) not in sys.path:
        sys.path.insert(0, str(PROJECT_ROOT))
    try:
        # Pulumi keeps its state in context variables, and this run has its own. Pulumi may swallow an interrupt and
        # then waits forever, so there is a deadline.
        return asyncio.run(asyncio.wait_for(run(), DEADLINE))
    finally:
        # The next run would wait for outputs that a failed run did not resolve.
        SETTINGS.outputs.clear()
        for thread_loop in made:
            thread_loop.close()


def load_settings(configuration: Mapping[str, str]) -> Settings:
    """Read the settings from a configuration, without running the program.

    Raises:
        SettingsError: a setting is wrong.
    """

    def load() -> Settings:
        SETTINGS.project = PROJECT
        set_all_config(dict(configuration))
        return Settings.load()

    return contextvars.copy_context().run(load)
