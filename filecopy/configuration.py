"""A stack's configuration, read from the files that the Pulumi CLI reads, as the program sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import StackError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PROJECT = "file-copy-workflow"


def stack_configuration(
    stack: str, *, endpoint: str | None = None, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The configuration of ``stack``: the defaults of ``Pulumi.yaml``, then ``Pulumi.STACK.yaml``, then ``overrides``.

    Args:
        endpoint: takes the place of every endpoint in ``aws:endpoints``.
        overrides: settings of the project by their bare names, values as ``pulumi config set`` takes them.

    Returns:
        Values by namespaced key, structured values as JSON, as the Pulumi engine hands them to a program.

    Raises:
        StackError: an override that ``Pulumi.yaml`` does not declare, or a file that is not there.
    """
    declared: dict[str, Any] = _read("Pulumi.yaml")["config"]
    configuration = {f"{PROJECT}:{name}": _value(setting["default"]) for name, setting in declared.items()}
    for key, value in _read(f"Pulumi.{stack}.yaml")["config"].items():
        is_replaced = key == "aws:endpoints" and endpoint
        configuration[key] = _value([dict.fromkeys(entry, endpoint) for entry in value] if is_replaced else value)
    for name, text in (overrides or {}).items():
        if name not in declared:
            raise StackError(f"There is no setting {name!r}. The settings are {', '.join(declared)}.")
        configuration[f"{PROJECT}:{name}"] = text
    return configuration


def _read(name: str) -> dict[str, Any]:
    try:
        text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        # "pulumi stack rm" deletes the file of its stack.
        raise StackError(f"{name} must be in {PROJECT_ROOT}, and is not. Bring it back: git checkout {name}") from None
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
