"""Errors that a person can fix. The command line reports them in one sentence, without a traceback."""

# Packages that only the embedded stack and the deployer's policy import: the extra "embedded" of pyproject.toml.
EMBEDDED = ("ministack", "pulumi", "pulumi_aws", "yaml")


class StackError(Exception):
    """A command cannot do its work. The message says why, and what to do."""


def missing_package(name: str | None) -> str:
    """The sentence about a Python package that cannot be imported."""
    is_extra = (name or "").partition(".")[0] in EMBEDDED
    pip = 'pip install --editable ".[embedded]"' if is_extra else "pip install ."
    return f"The Python package {name!r} is not installed. In a checkout of the project, run 'make setup' or '{pip}'."
