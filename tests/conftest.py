"""Every test run: it leaves no emulator behind, and shares stacks and time."""

from __future__ import annotations

import gc
import os

import pytest
from xdist.scheduler import LoadFileScheduling

from filecopy.embedded.emulator import ENDS_WITH

# An emulator ends with the test run that started it, even if the run is killed. With xdist, the workers inherit the
# process ID of the run that started them.
os.environ.setdefault(ENDS_WITH, str(os.getpid()))

END_TO_END = "tests/e2e/"


class OneWorkerForAllStacks(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """Send all end-to-end tests to one worker, because they share two stacks, and those of any other file to one."""

    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(END_TO_END) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling | None:
    """Schedule ``--dist loadgroup``. xdist's own groups have no effect with pytest 9."""
    return OneWorkerForAllStacks(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and not among the modules: pulumi-aws has so many objects that a sixth of the time would
    go there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
