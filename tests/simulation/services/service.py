"""What the services of the simulated world share: operations by AWS's names, and AWS's errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

Arguments = Mapping[str, Any]
Answer = dict[str, Any]
Method = Callable[[Any, Arguments], Answer]


class RefusedError(Exception):
    """An error of AWS. :meth:`Service.call` raises it as botocore does."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        """
        Args:
            members: members of the error's answer, such as ``Item``.
        """
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.members = code, message, status, members


def operation(name: str, members: str) -> Callable[[Method], Method]:
    """Has a method answer an operation of AWS.

    Args:
        members: the names of the arguments that are modelled, with spaces between them.
    """

    def mark(method: Method) -> Method:
        method.__dict__["operation"] = name, frozenset(members.split())
        return method

    return mark


class Service:
    """A service in memory. Each call is atomic: it changes the state at once, or raises an error of AWS."""

    _operations: ClassVar[dict[str, tuple[Method, frozenset[str]]]]

    def __init_subclass__(cls) -> None:
        marked = [method for method in vars(cls).values() if "operation" in getattr(method, "__dict__", {})]
        cls._operations = {method.operation[0]: (method, method.operation[1]) for method in marked}

    def call(self, name: str, arguments: Arguments) -> Answer:
        """Answers one call.

        Args:
            name: of the operation, such as ``CopyObject``.
            arguments: as botocore takes them.

        Raises:
            ClientError: AWS would refuse the call.
            NotImplementedError: the operation, or one of the arguments, is not modelled.
        """
        try:
            method, members = self._operations[name]
        except KeyError:
            raise NotImplementedError(f"{name} is not modelled.") from None
        if not arguments.keys() <= members:
            raise NotImplementedError(f"{name} is not modelled with {sorted(arguments.keys() - members)}.")
        try:
            return method(self, arguments)
        except RefusedError as refusal:
            raise client_error(refusal, name) from None


def client_error(refusal: RefusedError, operation_name: str) -> ClientError:
    response: Any = {
        "Error": {"Code": refusal.code, "Message": refusal.message},
        "ResponseMetadata": {"HTTPStatusCode": refusal.status},
        **refusal.members,
    }
    return ClientError(response, operation_name)
