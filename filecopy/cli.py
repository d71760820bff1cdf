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

from handlers.text import printable

from . import demo as demonstration
from . import stack
from .errors import StackError
from .operations import Operations

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
        print_outputs(brought.outputs)
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
            others = f" There is one on port {', '.join(map(str, stack.ports()))}." if stack.ports() else ""
            out.print(f"No stack is up on port {port}.{others}")


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
                print_outputs(found)
            return
        if name not in found:
            raise StackError(f"There is no output {name!r}. The outputs are {', '.join(found)}.")
        value = found[name]
        typer.echo(value if isinstance(value, str) and not as_json else json.dumps(value))


@app.command()
def retry(
    key: Annotated[str, typer.Argument(help="The file's key in the source bucket.")], port: Port = stack.DEFAULT_PORT
) -> None:
    """Try the failed copies of a file again, those alone. The exit status tells the outcome.

    Example: filecopy retry build-123.zip
    """
    with one_sentence_errors():
        retried = Operations(stack.get(port)).retry(key)
        if retried is None:
            out.print(f"No copy of {shown(key)} has failed.")
            return
        record = retried.record
        if "successfulCopies" not in record:
            raise StackError(f"The retry ended as {retried.status} before it had results: {retried.execution_arn}.")
        out.print(
            f"{shown(key)}: {record['status']}, {record['successfulCopies']} of {record['totalBuckets']} copied."
            f" Execution: {retried.execution_arn}",
            soft_wrap=True,
        )
        if retried.status != "SUCCEEDED" or record["failedBuckets"]:
            raise StackError(f"Still failed: {', '.join(record['failedBuckets'])}.")


@app.command()
def replay(
    queue: Annotated[str, typer.Argument(help="uploads, arrivals or endings.")] = "uploads",
    port: Port = stack.DEFAULT_PORT,
) -> None:
    """Put the messages of a dead-letter queue back into the queue that they came from.

    Example: filecopy replay uploads
    """
    with one_sentence_errors():
        count = Operations(stack.get(port)).replay(queue)
        out.print(f"{count} message{'' if count == 1 else 's'} put back into {queue}.")


@app.command()
def policy(
    bucket: Annotated[str, typer.Argument(help="A destination that somebody else owns (existing: true).")],
    port: Port = stack.DEFAULT_PORT,
) -> None:
    """Print what the owner of a bucket has to add to its bucket policy, so that the workflow may copy into it.

    Example: filecopy policy partner-builds > policy.json
    """
    with one_sentence_errors():
        typer.echo(json.dumps(Operations(stack.get(port)).destination_policy(bucket), indent=2))


@app.command()
def demo(
    port: Annotated[
        int | None,
        typer.Option(help="The port of the demonstration's own stack; any free one if not given.", min=1, max=65535),
    ] = None,
) -> None:
    """Show the workflow at work: a file that is copied, and one that cannot be copied everywhere.

    Brings up a stack of its own and takes it down again.

    Example: filecopy demo
    """
    with one_sentence_errors():
        demonstration.run(out, port)


def shown(text: str) -> str:
    """``text`` that somebody else chose, on one line and without what a terminal would obey."""
    return escape(printable(text))


def print_outputs(values: dict[str, Any]) -> None:
    """A line for each value, never wrapped, so that it can be copied."""
    for name, value in values.items():
        if isinstance(value, dict):
            lines = [f"  {key}: {item}" for key, item in value.items()]
        elif isinstance(value, list):
            lines = [f"  {item}" for item in value]
        else:
            out.print(f"[bold]{name}[/]: {escape(str(value))}", soft_wrap=True)
            continue
        out.print(f"[bold]{name}[/]:")
        for line in lines:
            out.print(escape(line), soft_wrap=True)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """What went wrong, in one sentence and with status 1, where it is something that a person can mend.

    A request to end, and a terminal that is closed, end a command as Ctrl-C does: what it started is ended, too.
    """
    for request in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(request, signal.default_int_handler)
    try:
        yield
    except StackError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("Interrupted.", status=130)


def _fail(message: str, status: int = 1) -> NoReturn:
    lines = "\n".join(shown(line) for line in message.split("\n"))
    err.print(f"[bold red]error:[/] {lines}", soft_wrap=True)
    raise typer.Exit(status)


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    found = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise StackError(f"{option} takes NAME=VALUE, not {text!r}.")
        found[name] = value
    return found
