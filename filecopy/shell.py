"""What a shell needs so that the AWS CLI and ``filecopy`` reach a stack: the lines of ``filecopy env``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import outputs as names

# The outputs that README's commands go by, under the names that they have there.
_VARIABLES = {"STEP_FUNCTION_ARN": names.STEP_FUNCTION_ARN, "API_URL": names.API_GATEWAY_URL}


def exports(outputs: Mapping[str, Any], **own: str) -> list[str]:
    """Lines for a POSIX shell to evaluate.

    A stack on an emulator gets its address and credentials, whatever profile or proxy the person has for AWS. A stack
    on AWS gets its region, and leaves credentials and profile as they are.

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
    # Where this filecopy is, the AWS CLI is as well.
    lines.append(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')
    return [*lines, *(f"export {name}={shlex.quote(value)}" for name, value in values.items())]
