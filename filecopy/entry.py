"""The ``filecopy`` command's way in, which says so in one sentence when a package that it needs is missing."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from .cli import app
    except ModuleNotFoundError as error:
        print(
            f"error: The Python package {error.name!r} is not installed."
            " Run 'make setup', or pip install -r requirements-dev.txt.",
            file=sys.stderr,
        )
        sys.exit(1)
    app()
