"""LocalStack as its users have it, with the real Pulumi CLI."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from .engines import localstack, missing
from .life import live


@pytest.mark.skipif(missing("LocalStack") is not None, reason=missing("LocalStack") or "")
def test_the_life_of_a_stack(tmp_path: Path) -> None:
    """README's section on LocalStack works, from "stack init" to "stack rm", and so does every path of the workflow."""
    (tmp_path / "engine").mkdir()
    with localstack(tmp_path / "engine") as engine:
        # LocalStack answers slowly: when a kill interrupts an update, a resource often exists that is not in Pulumi's
        # state (docs/operations.md).
        live(engine, tmp_path, faults=[], ending=signal.SIGINT)
