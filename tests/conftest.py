"""Every test run: it leaves no emulator behind, and shares stacks and time."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from filecopy.embedded.emulator import ENDS_WITH

# An emulator ends with the test run that started it, even if the run is killed. With xdist, the workers inherit the
# process ID of the run that started them.
os.environ.setdefault(ENDS_WITH, str(os.getpid()))

END_TO_END = Path(__file__).parent / "e2e"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for ``--dist loadgroup``: all end-to-end tests go to one worker, because they share two stacks.
    The tests of any other file stay together."""
    for item in items:
        group = END_TO_END if item.path.parent == END_TO_END else item.path
        item.add_marker(pytest.mark.xdist_group(str(group)))


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and not among the modules: pulumi-aws has so many objects that a sixth of the time would
    go there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
