"""The simulation finds mistakes: see docs/simulation.md for the number of seeds that each takes."""

from __future__ import annotations

import pytest

from .mistakes import MISTAKES, Mistake, seeds_to_find

# Found by the first seeds.
_QUICK = {
    "no check that the version is the newest",
    "a failure without a notification",
    "an execution's name that repeats",
}
LIMIT = 1_000


def _marked(mistake: Mistake) -> object:
    return pytest.param(mistake, id=mistake.name, marks=[] if mistake.name in _QUICK else pytest.mark.slow)


@pytest.mark.parametrize("mistake", [_marked(mistake) for mistake in MISTAKES])
def test_mistake_is_found(mistake: Mistake) -> None:
    assert seeds_to_find(mistake, LIMIT) is not None
