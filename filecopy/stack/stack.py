"""The stack that a command works on: the embedded stack, or one that the Pulumi CLI deployed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components import outputs as names
from components.names import in_region
from filecopy.embedded import stack as embedded
from filecopy.embedded.configuration import PROJECT_ROOT, is_checkout
from filecopy.errors import StackError

from .clients import Clients

# The outputs that every command needs. A stack of an older program may lack some.
_NEEDED = (names.STEP_FUNCTION_ARN, names.DYNAMODB_TABLE_NAME, names.SOURCE_BUCKET, names.REGION)

_TYPES = (
    (str, "a string", _NEEDED),
    (list, "a list", (names.DESTINATION_BUCKETS, names.EXISTING_DESTINATION_BUCKETS)),
    (dict, "an object", (names.DESTINATION_REGIONS, names.DEAD_LETTER_QUEUE_URLS)),
)


@dataclass(frozen=True)
class Stack:
    """The outputs of a deployed stack, and clients that reach it."""

    outputs: dict[str, Any]
    clients: Clients = field(compare=False)

    @classmethod
    def of(cls, outputs: dict[str, Any]) -> Stack:
        """The stack with these outputs.

        Raises:
            StackError: an output that every command needs is missing, or an output has a wrong type.
        """
        if missing := [name for name in _NEEDED if not outputs.get(name)]:
            raise StackError(
                f"The stack has no output {', '.join(missing)}. Deploy it with this version of the program."
            )
        for types, type_name, outputs_of_type in _TYPES:
            for name in outputs_of_type:
                if name in outputs and not isinstance(outputs[name], types):
                    raise StackError(
                        f"The output {name} must be {type_name}, not {outputs[name]!r:.60}. Use the outputs as"
                        " 'pulumi stack output --json' prints them."
                    )
        # A stack on AWS has no endpoint of its own.
        return cls(outputs, Clients(outputs.get(names.ENDPOINT) or None, outputs[names.REGION]))

    def output(self, name: str) -> Any:
        """The value of an output.

        Raises:
            StackError: the stack of an older program does not have it.
        """
        if name not in self.outputs:
            raise StackError(f"The stack has no output {name}. Deploy it with this version of the program.")
        return self.outputs[name]

    @property
    def source_bucket(self) -> str:
        return str(self.outputs[names.SOURCE_BUCKET])

    @property
    def destinations(self) -> list[str]:
        buckets: list[str] = self.output(names.DESTINATION_BUCKETS)
        return buckets

    @property
    def regions(self) -> dict[str, str]:
        """The region of each destination. The stack of an older program has none: all are in the stack's region."""
        regions: dict[str, str] = self.outputs.get(names.DESTINATION_REGIONS, {})
        return regions

    def region_of(self, queue: str) -> str | None:
        """The region of the queue with this name in the outputs; ``None`` for the stack's own region."""
        return next((region for region in self.regions.values() if queue == in_region("arrivals", region)), None)

    @property
    def table(self) -> str:
        return str(self.outputs[names.DYNAMODB_TABLE_NAME])

    @property
    def state_machine(self) -> str:
        return str(self.outputs[names.STEP_FUNCTION_ARN])


def find_stack(port: int, name: str | None = None) -> Stack:
    """Find the stack that a command works on.

    Args:
        port: the port of the embedded stack.
        name: a stack of the Pulumi CLI, or a file with the output of ``pulumi stack output --json``; without it, the
            embedded stack.

    Raises:
        StackError: there is no such stack, or it lacks an output that every command needs.
    """
    return Stack.of(embedded.get(port).outputs if name is None else _outputs_of(name))


def _outputs_of(named: str) -> dict[str, Any]:
    file = Path(named)
    if file.suffix == ".json":
        try:
            text: str | bytes = file.read_bytes()
        except OSError as error:
            raise StackError(
                f"{named} cannot be read: {error.strerror}. It must be a file with the output of 'pulumi stack output"
                " --json'."
            ) from None
    else:
        text = _ask_pulumi(named)
    try:
        # json reads UTF-8 and UTF-16, with a byte order mark or without: PowerShell's ">" writes UTF-16.
        outputs = json.loads(text)
    except ValueError as error:
        raise StackError(f"The outputs of {named} are not JSON: {error}.") from None
    if not isinstance(outputs, dict):
        raise StackError(f"The outputs of {named} must be the JSON object that 'pulumi stack output --json' prints.")
    return outputs


def _ask_pulumi(name: str) -> str:
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        raise StackError(
            "The Pulumi CLI is not installed here. Run 'pulumi stack output --json > outputs.json' where it is"
            " installed, and use the file: --stack outputs.json."
        )
    asked = subprocess.run(  # noqa: S603 - the user's own command
        [pulumi, "stack", "output", "--json", "--non-interactive", "--stack", name],
        # The CLI finds the project by its folder. Outside a checkout, that is the current folder.
        cwd=PROJECT_ROOT if is_checkout() else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        raise StackError(f"Cannot read the outputs of stack {name!r}: {asked.stderr.strip()}")
    return asked.stdout
