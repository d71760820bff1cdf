"""The results of a run on an engine, for the table in docs/engines.md: see tools/engines_table.py."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filecopy.embedded.configuration import PROJECT_ROOT

from .engines import Engine

RESULTS = PROJECT_ROOT / "build" / "engines"


@dataclass(kw_only=True)
class Results:
    engine: Engine
    cli: str = ""
    """The version of the Pulumi CLI."""
    resources: int = 0
    drift: str = ""
    """The resources that a preview of an unchanged stack would change."""
    passed: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)
    """The tests that were skipped, each with ``test`` and ``reason``."""
    timings: dict[str, float] = field(default_factory=dict)

    def take(self, file: Path) -> None:
        """Reads the results file of the end-to-end tests."""
        results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        self.passed, self.skipped = results["passed"], results["skipped"]

    def write(self) -> None:
        """Writes the file that tools/engines_table.py reads."""
        found = asdict(self)
        found["engine"] = {name: getattr(self.engine, name) for name in ("name", "version", "how")}
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{self.engine.name.lower()}.json"
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
