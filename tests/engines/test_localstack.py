"""LocalStack as its users have it, deployed to by the real Pulumi CLI."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .engines import localstack, missing
from .life import live


@pytest.mark.skipif(missing("LocalStack") is not None, reason=missing("LocalStack") or "")
def test_the_life_of_a_stack(tmp_path: Path) -> None:
    """What README says of LocalStack is so, from "stack init" to "stack rm", the workflow's paths included."""
    (tmp_path / "engine").mkdir()
    with localstack(tmp_path / "engine") as engine:
        # It answers slowly: what a kill interrupts there was often made, and is not in the state (docs/operations.md).
        live(engine, tmp_path, faults=[], ending=signal.SIGINT)
