"""The stack that a command works on: the embedded one, or one that the Pulumi CLI made, on LocalStack or on AWS."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components import outputs as names
from components.names import in_region
from filecopy.embedded import stack
from filecopy.embedded.configuration import PROJECT_ROOT, is_checkout
from filecopy.errors import StackError

from .clients import Clients

# What every command needs to know of a stack; an older program may not have said it.
_NEEDED = (names.STEP_FUNCTION_ARN, names.DYNAMODB_TABLE_NAME, names.SOURCE_BUCKET, names.REGION)


@dataclass(frozen=True)
class Target:
    """A stack's outputs, and clients that reach it."""

    outputs: dict[str, Any]
    clients: Clients = field(compare=False)

    @property
    def source_bucket(self) -> str:
        return str(self.outputs[names.SOURCE_BUCKET])

    @property
    def destinations(self) -> list[str]:
        found: list[str] = self.outputs[names.DESTINATION_BUCKETS]
        return found

    @property
    def regions(self) -> dict[str, str]:
        """The region of each destination. An older program did not say it, and had all in the stack's own."""
        found: dict[str, str] = self.outputs.get(names.DESTINATION_REGIONS, {})
        return found

    def region_of(self, queue: str) -> str | None:
        """The region of the queue that the outputs call so; ``None`` for the stack's own region."""
        return next((region for region in self.regions.values() if queue == in_region("arrivals", region)), None)

    @property
    def table(self) -> str:
        return str(self.outputs[names.DYNAMODB_TABLE_NAME])

    @property
    def state_machine(self) -> str:
        return str(self.outputs[names.STEP_FUNCTION_ARN])


def find(port: int, named: str | None = None) -> Target:
    """The stack that a command means.

    Args:
        port: of the embedded stack.
        named: a stack of the Pulumi CLI, or a file with what ``pulumi stack output --json`` printed.

    Raises:
        StackError: there is no such stack, or it does not say what a command needs to know.
    """
    return of(stack.get(port).outputs if named is None else _outputs_of(named))


def of(outputs: dict[str, Any]) -> Target:
    """The stack that has these outputs.

    Raises:
        StackError: they are not those of this program.
    """
    if missing := [name for name in _NEEDED if not outputs.get(name)]:
        raise StackError(f"The stack has no output {', '.join(missing)}. Deploy it with this version of the program.")
    # On AWS there is no endpoint of one's own.
    return Target(outputs, Clients(outputs.get(names.ENDPOINT) or None, outputs[names.REGION]))


def _outputs_of(named: str) -> dict[str, Any]:
    file = Path(named)
    if file.suffix == ".json":
        try:
            text: str | bytes = file.read_bytes()
        except OSError as error:
            raise StackError(
                f"{named} cannot be read: {error.strerror}. It takes what 'pulumi stack output --json' prints."
            ) from None
    else:
        text = _ask_pulumi(named)
    try:
        # Bytes may be UTF-8 or UTF-16, with a byte order mark or without one: PowerShell's ">" writes UTF-16.
        outputs = json.loads(text)
    except ValueError as error:
        raise StackError(f"The outputs of {named} are not JSON: {error}.") from None
    if not isinstance(outputs, dict):
        raise StackError(f"The outputs of {named} are not a JSON object, which 'pulumi stack output --json' prints.")
    return outputs


def _ask_pulumi(name: str) -> str:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise StackError(
            "The Pulumi CLI is not installed here. Run 'pulumi stack output --json > outputs.json' where it is, and"
            " give the file: --stack outputs.json."
        )
    asked = subprocess.run(  # noqa: S603 - the user's own command
        [pulumi, "stack", "output", "--json", "--non-interactive", "--stack", name],
        # The CLI finds the project by its folder; an installed filecopy is typed in it.
        cwd=PROJECT_ROOT if is_checkout() else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        raise StackError(f"Pulumi does not tell the outputs of the stack {name!r}: {asked.stderr.strip()}")
    return asked.stdout
