"""Entry point of the ``filecopy`` command. It reports a missing package and an output that cannot be written."""

from __future__ import annotations

import codecs
import os
import sys

from .errors import missing_package

# What stands for the signs of the screens where the output cannot encode them.
_SUBSTITUTES = {"✔": "+", "✘": "x", "…": "...", "●": "*", "○": "o", "■": "#"}


def main() -> None:
    encode_everything()
    status = _run()
    try:
        sys.stdout.flush()
    except OSError as error:
        # Otherwise Python writes what is left once more at exit, and prints a traceback.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if status == 0 and not isinstance(error, BrokenPipeError):
            status = _cannot_write(error)
    sys.exit(status)


def _run() -> int:
    """Run the command, and return its exit status."""
    try:
        from .cli import app

        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except ModuleNotFoundError as error:
        print(f"error: {missing_package(error.name)}", file=sys.stderr)
        return 1
    except OSError as error:
        # Commands report their own errors, but a help text that cannot be written comes here.
        return _cannot_write(error)
    except KeyboardInterrupt:
        print("error: Interrupted.", file=sys.stderr)
        return 130
    return 0


def _cannot_write(error: OSError) -> int:
    print(f"error: The output cannot be written: {error.strerror}.", file=sys.stderr)
    return 1


def encode_everything() -> None:
    """Replace characters that standard output or standard error cannot encode, as on Windows when it is redirected."""
    codecs.register_error("filecopy", _substitute)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="filecopy")


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(character, "?") for character in characters), error.end
