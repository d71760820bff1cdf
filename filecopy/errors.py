"""Errors that the command line shows as one sentence, and not as a traceback."""

# Packages that only the embedded stack and the deployer's policy need: the extra "embedded" in pyproject.toml.
EMBEDDED = ("ministack", "pulumi", "pulumi_aws", "yaml")


class StackError(Exception):
    """A command cannot do what was requested. The message says why, and what to do."""


def missing_package(name: str | None) -> str:
    """The error for a Python package that cannot be imported."""
    is_extra = (name or "").partition(".")[0] in EMBEDDED
    pip = 'pip install --editable ".[embedded]"' if is_extra else "pip install ."
    return f"The Python package {name!r} is not installed. In a checkout of the project, run 'make setup' or '{pip}'."
