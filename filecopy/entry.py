"""The ``filecopy`` command's way in, which says so in one sentence when a package that it needs is missing."""

from __future__ import annotations

import sys

from .errors import missing_package


def main() -> None:
    try:
        from .cli import app

        app()
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error.name)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("error: Interrupted.", file=sys.stderr)
        sys.exit(130)
