"""What the command line says in one sentence instead of a traceback."""


class StackError(Exception):
    """The embedded stack cannot do what was asked. The message says why and what to do."""


def missing_package(name: str | None) -> str:
    """What to say when a Python package cannot be imported."""
    return f"The Python package {name!r} is not installed. Run 'make setup', or pip install -r requirements-dev.txt."
