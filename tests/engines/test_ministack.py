"""MiniStack as a local stack, with the real Pulumi CLI."""

from __future__ import annotations

from pathlib import Path

import pytest

from .engines import ministack, missing
from .life import live

# Over the protocol of older providers, it does not return the percentile of an alarm (docs/engines.md).
FAULTS = [("aws:cloudwatch/metricAlarm:MetricAlarm", "file-copy-slow")]


@pytest.mark.skipif(missing("MiniStack") is not None, reason=missing("MiniStack") or "")
def test_the_life_of_a_stack(tmp_path: Path) -> None:
    """A user's own MiniStack is a local stack like LocalStack, from "stack init" to "stack rm"."""
    (tmp_path / "engine").mkdir()
    with ministack(tmp_path / "engine") as engine:
        live(engine, tmp_path, FAULTS)
