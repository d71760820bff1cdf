"""Two thousand histories break no invariant, and enter every state, every Retry and every Catch."""

from __future__ import annotations

import pytest

from . import many
from .stack import deployed

SEEDS = 2_000


def test_no_history_breaks_an_invariant() -> None:
    """In two processes of its own, so that it has both processors wherever pytest runs it."""
    summary = many.run_in_processes(range(SEEDS), processes=2)
    if summary.problems:
        seed = min(summary.problems)
        pytest.fail(f"Seeds {sorted(summary.problems)}. make simulate SEED={seed} tells:\n{many.story(seed)}")
    assert not [part for part in many.machine().parts() if not summary.entered[part]]
    assert summary.faults.keys() >= {
        *("call error", "call throttling", "call lost", "call late"),
        *("twice", "delayed", "missing", "damaged", "killed", "crash", "slow", "outage"),
    }


def test_a_seed_is_always_the_same_history() -> None:
    """Also in another process: nothing that a history chooses from has the order in which Pulumi registered it."""
    assert many.story(11) == many.story(11)
    for resources in (deployed().queues, deployed().functions):
        names = [one.name for one in resources.values()]
        assert names == sorted(names)
