"""Writes the results of the last ``make test-engines`` into docs/engines.md: ``make docs-engines``.

``--show`` prints them instead, with the time of each step.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from typing import Any

from filecopy.embedded.configuration import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "engines.md"
RESULTS = PROJECT_ROOT / "build" / "engines"

START, END = "<!-- generated: engines -->", "<!-- end: engines -->"

ENGINES = {"LocalStack", "MiniStack"}

# The row of AWS, where the tests do not run.
NOT_RUN = (
    "| AWS | | not run: the tests run without the internet | | `make test-stack STACK=production` runs them there |"
)


def results() -> list[dict[str, Any]]:
    """The results of each engine's run, ordered by the engine's name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))]


def table(found: list[dict[str, Any]]) -> str:
    lines = ["| engine | version | how it was run | what passed | what it cannot show |", "|---|---|---|---|---|"]
    for result in found:
        engine = result["engine"]
        passed = (
            f"{result['resources']} resources created, updated, deleted; {result['passed']} end-to-end tests;"
            f" a preview of the unchanged stack would change {result['drift'] or 'nothing'}"
        )
        lines.append(
            f"| {engine['name']} | {engine['version']} | Pulumi CLI {result['cli']}; {engine['how']} | {passed}"
            f" | {_skipped(result['skipped'])} |"
        )
    absent = sorted(ENGINES - {result["engine"]["name"] for result in found})
    lines += [f"| {name} | | the last run did not complete | | |" for name in absent]
    return "\n".join([*lines, NOT_RUN])


def _skipped(skipped: list[dict[str, str]]) -> str:
    """The reasons for skipped tests, each with the number of tests."""
    by_reason: dict[str, int] = defaultdict(int)
    for test in skipped:
        by_reason[test["reason"]] += 1
    return "<br>".join(f"{reason} ({count})" for reason, count in sorted(by_reason.items()))


def summary(found: list[dict[str, Any]]) -> str:
    """The results for a terminal or a log: a line for each engine, and one for each of its steps."""
    lines = []
    for result in found:
        engine, timings = result["engine"], result["timings"]
        lines.append(
            f"{engine['name']} {engine['version']}: {result['resources']} resources,"
            f" {result['passed']} end-to-end tests passed, {len(result['skipped'])} skipped,"
            f" {sum(timings.values()):.0f} s"
        )
        lines += [f"  {seconds:6.1f} s  {step}" for step, seconds in timings.items()]
    return "\n".join(lines) or "No engine has results."


def main() -> None:
    found = results()
    if "--show" in sys.argv[1:]:
        print(summary(found))
        return
    if not found:
        raise SystemExit("error: build/engines must have the results of a run. Run 'make test-engines'.")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}\n{table(found)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
