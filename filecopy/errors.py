"""What the command line says in one sentence instead of a traceback."""

# Packages that only the embedded stack and the deployer's policy import: the extra "embedded" of pyproject.toml.
EMBEDDED = ("ministack", "pulumi", "pulumi_aws", "yaml")


class StackError(Exception):
    """The embedded stack cannot do what was asked. The message says why and what to do."""


def missing_package(name: str | None) -> str:
    """A sentence for a Python package that cannot be imported."""
    is_extra = (name or "").partition(".")[0] in EMBEDDED
    pip = 'pip install --editable ".[embedded]"' if is_extra else "pip install ."
    return f"The Python package {name!r} is not installed. In a checkout of the project, run 'make setup' or '{pip}'."
