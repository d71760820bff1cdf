"""The configuration of a stack, read from the files that the Pulumi CLI reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filecopy.errors import StackError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PROJECT = "file-copy-workflow"


def stack_configuration(
    stack: str | None, *, endpoint: str | None = None, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The configuration of ``stack``: the defaults of ``Pulumi.yaml``, then ``Pulumi.STACK.yaml``, then ``overrides``.

    Args:
        stack: the name of the stack; ``None`` for the defaults alone.
        endpoint: replaces every endpoint in ``aws:endpoints``.
        overrides: settings of the project by their names without a namespace, with values as for ``pulumi config set``.

    Returns:
        Values by namespaced key, such as ``aws:region``. Structured values are JSON, as the Pulumi engine passes them.

    Raises:
        StackError: there is no ``Pulumi.STACK.yaml``, or ``Pulumi.yaml`` does not declare an override.
    """
    require_checkout()
    declared: dict[str, Any] = _read("Pulumi.yaml")["config"]
    configuration = {f"{PROJECT}:{name}": _value(setting["default"]) for name, setting in declared.items()}
    for key, value in _of_stack(stack).items():
        is_replaced = key == "aws:endpoints" and endpoint
        configuration[key] = _value([dict.fromkeys(entry, endpoint) for entry in value] if is_replaced else value)
    for name, text in (overrides or {}).items():
        if name not in declared:
            raise StackError(f"There is no setting {name!r}. The settings are {', '.join(declared)}.")
        configuration[f"{PROJECT}:{name}"] = text
    return configuration


def is_checkout() -> bool:
    """Tell if this is a checkout. An installed package has only the modules, not the files of the Pulumi project."""
    return (PROJECT_ROOT / "Pulumi.yaml").is_file()


def require_checkout() -> None:
    """Check that the files of the Pulumi project are there.

    Raises:
        StackError: this is an installed package.
    """
    if not is_checkout():
        raise StackError(
            "The embedded stack and --deployer need a checkout of the project, and this filecopy was installed without"
            " one. Run 'make setup' in a checkout and use its .venv/bin/filecopy, or name a stack that is deployed"
            " with --stack."
        )


def _of_stack(stack: str | None) -> dict[str, Any]:
    if stack is None:
        return {}
    name = f"Pulumi.{stack}.yaml"
    if not (PROJECT_ROOT / name).is_file():
        # "pulumi stack rm" deletes the file of its stack, also the one in the repository.
        advice = (
            f"Bring it back: git checkout {name}"
            if stack == "local"
            else f"Run 'pulumi stack init {stack}' and 'pulumi config set', or leave --stack out."
        )
        raise StackError(f"{name} must be in {PROJECT_ROOT}, with the settings of the stack. {advice}")
    # The file of a stack without settings is empty.
    found: dict[str, Any] = (_read(name) or {}).get("config") or {}
    return found


def _read(name: str) -> dict[str, Any]:
    # Imported late: only the commands that deploy read settings.
    import yaml

    content: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / name).read_text(encoding="utf-8"))
    return content


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
