"""Draws docs/workflow.svg from the definition: ``make docs``. ``--check`` says whether it is so."""

from __future__ import annotations

import sys

from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.executions.states import own_definition
from filecopy.pages.svg import svg

PICTURE = PROJECT_ROOT / "docs" / "workflow.svg"


def main() -> None:
    current = svg(own_definition())
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(current, encoding="utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != current:
        raise SystemExit("error: docs/workflow.svg is not the definition's picture. Run 'make docs'.")


if __name__ == "__main__":
    main()
