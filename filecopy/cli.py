"""The operator's commands."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import demo as demonstration
from . import stack
from .errors import StackError

app = typer.Typer(
    name="filecopy",
    help="Works with the file copy workflow, and brings up a local stack of it that needs no Docker and no account.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Port = Annotated[
    int,
    typer.Option(
        envvar="FILECOPY_PORT", help="The port the stack listens on, which also tells stacks apart.", min=1, max=65535
    ),
]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config", "-c", metavar="NAME=VALUE", help="A setting of the stack, as 'pulumi up -c' takes it. Repeatable."
    ),
]
EmulatorSetting = Annotated[
    list[str] | None,
    typer.Option("--emulator", metavar="NAME=VALUE", help="An environment variable for MiniStack. Repeatable."),
]


@app.command()
def up(port: Port = stack.DEFAULT_PORT, config: Config = None, emulator: EmulatorSetting = None) -> None:
    """Bring a local stack up and leave it running.

    Example: filecopy up --port 4570 -c maxConcurrency=5
    """
    with one_sentence_errors():
        started = time.monotonic()
        with err.status(f"Bringing the stack up on port {port} …"):
            brought, is_new = stack.up(
                port,
                overrides=_pairs("--config", config),
                emulator_settings=_pairs("--emulator", emulator),
            )
        took = time.monotonic() - started
        out.print(
            f"The stack is up at {brought.endpoint} ({took:.1f} s)."
            if is_new
            else f"The stack was up at {brought.endpoint}."
        )
        out.print(outputs_table(brought.outputs))
        option = "" if port == stack.DEFAULT_PORT else f" --port {port}"
        out.print(f"Take it down with: filecopy down{option}")


@app.command()
def down(port: Port = stack.DEFAULT_PORT) -> None:
    """Take a local stack down. Nothing of it is left: no process, no file.

    Example: filecopy down --port 4570
    """
    with one_sentence_errors():
        if stack.down(port):
            out.print(f"The stack on port {port} is down.")
        else:
            out.print(f"No stack is up on port {port}.")


@app.command()
def outputs(
    name: Annotated[str | None, typer.Argument(help="The output to print alone, such as step_function_arn.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    port: Port = stack.DEFAULT_PORT,
) -> None:
    """Print the stack's outputs, or one of them, as 'pulumi stack output' does.

    Example: filecopy outputs step_function_arn
    """
    with one_sentence_errors():
        found = stack.get(port).outputs
        if name is None:
            if as_json:
                typer.echo(json.dumps(found, indent=2))
            else:
                out.print(outputs_table(found))
            return
        if name not in found:
            raise StackError(f"There is no output {name!r}. The outputs are {', '.join(found)}.")
        value = found[name]
        typer.echo(value if isinstance(value, str) and not as_json else json.dumps(value))


@app.command()
def demo(
    port: Annotated[
        int | None, typer.Option(help="The port of the demonstration's own stack; any free one if not given.")
    ] = None,
) -> None:
    """Show the workflow at work: a file that is copied, and one that cannot be copied everywhere.

    Brings up a stack of its own and takes it down again.

    Example: filecopy demo
    """
    with one_sentence_errors():
        demonstration.run(out, port)


def outputs_table(values: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("Output", no_wrap=True, style="bold")
    table.add_column("Value", overflow="fold")
    for name, value in values.items():
        if isinstance(value, dict):
            lines = [f"{key}: {item}" for key, item in value.items()]
        elif isinstance(value, list):
            lines = [str(item) for item in value]
        else:
            lines = [str(value)]
        table.add_row(name, "\n".join(lines))
    return table


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """What went wrong, in one sentence and with status 1, where it is something that a person can mend.

    A request to end (SIGTERM) ends a command as Ctrl-C does, so that what it started is ended, too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except StackError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("Interrupted.", status=130)


def _fail(message: str, status: int = 1) -> NoReturn:
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(status)


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    found = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise StackError(f"{option} takes NAME=VALUE, not {text!r}.")
        found[name] = value
    return found
