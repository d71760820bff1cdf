"""Draws docs/workflow.svg from the definition: ``make docs``. ``--check`` fails if it is out of date."""

from __future__ import annotations

import sys

from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.executions.states import own_definition
from filecopy.pages.svg import svg

DIAGRAM = PROJECT_ROOT / "docs" / "workflow.svg"


def main() -> None:
    current = svg(own_definition())
    if "--check" not in sys.argv[1:]:
        DIAGRAM.write_text(current, encoding="utf-8")
    elif not DIAGRAM.is_file() or DIAGRAM.read_text(encoding="utf-8") != current:
        raise SystemExit("error: docs/workflow.svg is out of date. Run 'make docs'.")


if __name__ == "__main__":
    main()
