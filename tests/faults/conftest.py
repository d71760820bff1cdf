"""Each test has a stack of its own, which it may break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.system import System, stack_up


@pytest.fixture
def system() -> Iterator[System]:
    """Waits take a hundredth of their time, so that what waits for its turn neither spins nor takes minutes."""
    with stack_up("--emulator", "SFN_WAIT_SCALE=0.01") as target:
        yield target
