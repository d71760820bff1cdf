"""The lines of ``filecopy env``, with which the AWS CLI and ``filecopy`` in a shell use a stack."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import outputs as names

# The outputs that README's commands use, under the names that they have there.
_VARIABLES = {"STEP_FUNCTION_ARN": names.STEP_FUNCTION_ARN, "API_URL": names.API_GATEWAY_URL}


def program() -> str:
    """The ``filecopy`` that is running, as it can be typed here: its name if it is on the PATH, otherwise its path."""
    scripts = Path(sys.executable).parent
    file = next((file for file in (scripts / "filecopy", scripts / "filecopy.exe") if file.exists()), None)
    if file is None:
        return "filecopy"
    on_path = shutil.which("filecopy")
    if on_path and Path(on_path).samefile(file):
        return "filecopy"
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def exports(outputs: Mapping[str, Any], **own: str) -> list[str]:
    """Build lines for a POSIX shell to evaluate.

    For a stack on an emulator, they set its address and credentials, and unset the profile for AWS. For a stack on
    AWS, they set its region, and leave credentials and profile as they are.

    Args:
        outputs: the stack's outputs.
        own: further variables, such as ``FILECOPY_PORT``.
    """
    values = {"AWS_DEFAULT_REGION": str(outputs[names.REGION]), "AWS_REGION": str(outputs[names.REGION])}
    if endpoint := outputs.get(names.ENDPOINT):
        values |= {"AWS_ENDPOINT_URL": str(endpoint), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        lines = ["unset AWS_PROFILE AWS_SESSION_TOKEN", 'export NO_PROXY=127.0.0.1,localhost"${NO_PROXY:+,$NO_PROXY}"']
    else:
        lines = ["unset AWS_ENDPOINT_URL"]
    values |= {variable: str(outputs[name]) for variable, name in _VARIABLES.items() if name in outputs} | own
    # The AWS CLI is in the same folder as this filecopy.
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    return [*lines, *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]
