"""The usage in ``--help``: arguments and options as a user types them, without the Python types that Typer adds."""

from __future__ import annotations

from typing import Any

from typer import rich_utils
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

# The column with the range of a number is wide and mostly empty. The error for a wrong number has the range.
rich_utils.RANGE_STRING = ""


class _Argument(TyperArgument):
    def display_type_rich(self, ctx: Any) -> None:
        """Shows no type beside the name."""

    def get_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Typer's
        name = self.display_name_raw + ("..." if self.nargs != 1 else "")
        return [name if self.required else f"[{name}]"]


def _as_typed(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if isinstance(parameter, TyperArgument):
            # Typer creates arguments itself, always of its own class.
            parameter.__class__ = _Argument
        elif isinstance(parameter, TyperOption) and parameter.is_flag:
            parameter.metavar = ""
    return parameters


class Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _as_typed(super().get_params(ctx))


class Commands(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _as_typed(super().get_params(ctx))
