"""The provider behind Pulumi's mock monitor, and the registry of resource types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.exceptions
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks

from filecopy.errors import StackError
from filecopy.stack.clients import Clients

COMPONENT_PREFIX = "file-copy-workflow:index:"

WHERE_TO_ADD = "filecopy/embedded/provisioning/"


class Inputs:
    """The input properties of a resource. A function takes each one, and ``unhandled`` lists the rest."""

    def __init__(self, properties: dict[str, Any], path: str = "") -> None:
        self._left = {name: value for name, value in properties.items() if value is not None}
        self._path = path
        self._nested: list[Inputs] = []

    def take(self, name: str, default: Any = None) -> Any:
        """Take a property; ``default`` if the program does not set it.

        Pulumi passes each number as a float. A float without a fraction is returned as an int.
        """
        value = self._left.pop(name, default)
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def take_object(self, name: str) -> Inputs:
        """Take a nested object. Its properties have to be taken as well."""
        nested = Inputs(self._left.pop(name, None) or {}, f"{self._path}{name}.")
        self._nested.append(nested)
        return nested

    def take_objects(self, name: str) -> list[Inputs]:
        """Take a list of nested objects. Their properties have to be taken as well."""
        found = [
            Inputs(value, f"{self._path}{name}[{index}].")
            for index, value in enumerate(self._left.pop(name, None) or [])
        ]
        self._nested.extend(found)
        return found

    def unhandled(self) -> list[str]:
        """List the paths of the properties that nobody took, such as ``rules[0].expiration.days``."""
        return [f"{self._path}{name}" for name in self._left] + [
            path for nested in self._nested for path in nested.unhandled()
        ]


Created = tuple[str, dict[str, Any]]
"""The ID of a resource, and its outputs beyond its inputs."""

_Create = Callable[[Inputs, Clients], Created]
CREATORS: dict[str, _Create] = {}
"""The function that creates a resource, by resource type. ``creates`` fills it."""


def creates(resource_type: str) -> Callable[[_Create], _Create]:
    """Register a function that creates resources of this type."""

    def register(create: _Create) -> _Create:
        CREATORS[resource_type] = create
        return create

    return register


class EmulatorProvider(Mocks):
    """Creates each resource that the program registers in an emulator."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """Refuse a function of the provider, such as ``aws.get_region``.

        Raises:
            StackError: always.
        """
        raise StackError(f"The embedded stack cannot call {args.token}. Add it to {WHERE_TO_ADD}.")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Create a resource. Returns its ID, and its inputs and outputs.

        Raises:
            StackError: the resource type or a property is not handled, or the emulator refuses a call.
        """
        if args.typ.startswith(COMPONENT_PREFIX):
            return None, {}
        create = CREATORS.get(args.typ)
        if create is None:
            raise StackError(
                f"The embedded stack cannot create {args.name!r}: it does not support the resource type {args.typ}."
                f" Add it to {WHERE_TO_ADD}."
            )
        inputs = Inputs(args.inputs)
        try:
            # Every resource type but IAM's has a property for its region.
            resource_id, outputs = create(inputs, self._clients.in_region(inputs.take("region")))
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise StackError(f"The emulator did not create {args.typ} {args.name!r}: {error}") from error
        if left := inputs.unhandled():
            raise StackError(
                f"The embedded stack cannot create {args.name!r}: of {args.typ} it does not support {', '.join(left)}."
                f" Add it to {WHERE_TO_ADD}."
            )
        return resource_id, {**args.inputs, **outputs}


def tag_list(inputs: Inputs) -> list[dict[str, str]]:
    """Take the tags, as a list of ``Key`` and ``Value``: S3, DynamoDB, SNS, IAM, EventBridge, CloudWatch."""
    return [{"Key": key, "Value": value} for key, value in tags_of(inputs).items()]


def tags_of(inputs: Inputs) -> dict[str, str]:
    """Take the tags, as a dict: all other services."""
    tags: dict[str, str] = inputs.take("tags", {})
    return tags
