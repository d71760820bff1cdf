"""The commands of ``filecopy``."""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

from filecopy.backfill.run import DEFAULT_RATE, Backfill
from filecopy.embedded import demo as demonstration
from filecopy.embedded import stack as embedded
from filecopy.embedded.configuration import require_checkout
from filecopy.executions.find import MAX_FOLLOWED, list_executions, read_definition, read_history
from filecopy.executions.follow import Follower, follow, follow_running
from filecopy.executions.model import RUNNING, SUCCEEDED
from filecopy.executions.model import STATUSES as EXECUTION_STATUSES
from filecopy.executions.states import own_definition
from filecopy.pages.mermaid import mermaid
from filecopy.pages.report import report_page
from filecopy.pages.svg import svg
from filecopy.polling import Poller
from filecopy.screens import backfill as backfill_screen
from filecopy.screens import send as send_screen
from filecopy.screens.executions import show_executions
from filecopy.screens.history import show_history
from filecopy.screens.records import show_record, show_records
from filecopy.screens.watch import for_watching
from filecopy.sending.plan import plan
from filecopy.sending.upload import Sending
from filecopy.stack.key_filter import key_filter_of
from filecopy.stack.policy import destination_policy
from filecopy.stack.records import STATUSES, list_records, read_record_and_arrivals
from filecopy.stack.stack import Stack, find_stack
from filecopy.terminal import (
    command,
    counted,
    end_quietly,
    err,
    out,
    quoted,
    repeat_in_commands,
    sentence,
    shown,
    to_json,
)
from handlers.text import iso

from . import replay as replaying
from . import retry as retrying
from . import shell, usage
from .errors import StackError, missing_package


class Picture(StrEnum):
    MERMAID = "mermaid"
    SVG = "svg"


# The project's name in pyproject.toml.
DISTRIBUTION = "file-copy-workflow"

DRAW = {Picture.MERMAID: mermaid, Picture.SVG: svg}

app = typer.Typer(
    name="filecopy",
    cls=usage.Commands,
    help="Work with the file copy workflow, or start an embedded stack, which needs no Docker and no account.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Port = Annotated[
    int,
    typer.Option(
        envvar="FILECOPY_PORT",
        metavar="PORT",
        help="The port of the embedded stack. Each port has a stack of its own.",
        min=1,
        max=65535,
    ),
]
Config = Annotated[
    list[str] | None,
    typer.Option(
        "--config", "-c", metavar="NAME=VALUE", help="A setting of the stack, as 'pulumi up -c' takes it. Repeatable."
    ),
]


def _unless_a_port_is_typed(context: typer.Context, name: str | None) -> str | None:
    """A ``--port`` on the command line names the embedded stack there, whatever FILECOPY_STACK says. Suggested commands
    repeat a ``--stack`` that was typed."""
    typed, given = (context.get_parameter_source(parameter) for parameter in ("port", "stack_name"))
    is_overridden = typed and given and (typed.name, given.name) == ("COMMANDLINE", "ENVIRONMENT")
    if name is not None and given and given.name == "COMMANDLINE":
        repeat_in_commands("--stack", name)
    context.call_on_close(repeat_in_commands)
    return None if is_overridden else name


StackName = Annotated[
    str | None,
    typer.Option(
        "--stack",
        "-s",
        envvar="FILECOPY_STACK",
        callback=_unless_a_port_is_typed,
        metavar="NAME|FILE",
        help="A stack that the Pulumi CLI deployed, or a file with its 'pulumi stack output --json'. Without it, the"
        " embedded stack.",
    ),
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The file's key in the source bucket.")]
Execution = Annotated[
    str,
    typer.Argument(
        metavar="KEY|EXECUTION", help="A file's key, for its latest execution, or an execution's name or ARN."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Only what started since then: 30m, 12h, 1d, 2w, or a time such as 2026-01-31T08:00Z.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EmulatorSetting = Annotated[
    list[str] | None,
    typer.Option("--emulator", metavar="NAME=VALUE", help="An environment variable for MiniStack. Repeatable."),
]


def _print_version(is_asked: bool) -> None:
    if is_asked:
        # Imported here, because only this needs it.
        import importlib.metadata

        typer.echo(f"filecopy {importlib.metadata.version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    # No docstring: Typer would show it in place of the help above.
    ...


@app.command()
def up(port: Port = embedded.DEFAULT_PORT, config: Config = None, emulator: EmulatorSetting = None) -> None:
    """Start an embedded stack and leave it running.

    Example: filecopy up --port 4570 -c maxConcurrency=5
    """
    with one_sentence_errors():
        started = time.monotonic()
        with err.status(f"Starting the stack on port {port} …"):
            brought, is_new = embedded.up(
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
        option = "" if port == embedded.DEFAULT_PORT else f" --port {port}"
        filecopy = quoted(shell.program())
        out.print(f'\nPoint this shell at it with:  eval "$({shown(filecopy)} env{option})"', soft_wrap=True)
        out.print("Then copy a file with:        filecopy send README.md", soft_wrap=True)
        stack_option = option.replace("--port", "--stack-port")
        out.print(f"See it in a browser with:     {shown(filecopy)} console{stack_option}", soft_wrap=True)
        out.print(f"Take it down with:            {shown(filecopy)} down{option}", soft_wrap=True)


@app.command()
def down(port: Port = embedded.DEFAULT_PORT) -> None:
    """Stop an embedded stack, and delete it: its processes and its files.

    Example: filecopy down --port 4570
    """
    with one_sentence_errors():
        if embedded.down(port):
            out.print(f"The stack on port {port} is down.")
        else:
            out.print(f"No stack is up on port {port}.{embedded.others(port)}")


@app.command()
def outputs(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print only this output, such as step_function_arn.")
    ] = None,
    as_json: AsJson = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Print the stack's outputs, or one of them.

    Example: filecopy outputs step_function_arn
    """
    with one_sentence_errors():
        values = find_stack(port, stack_name).outputs
        if name is None:
            if as_json:
                typer.echo(json.dumps(values, indent=2))
            else:
                print_outputs(values)
            return
        if name not in values:
            raise StackError(f"There is no output {quoted(name)}. The outputs are {', '.join(values)}.")
        value = values[name]
        typer.echo(value if isinstance(value, str) and not as_json else json.dumps(value))


@app.command()
def env(port: Port = embedded.DEFAULT_PORT, stack_name: StackName = None) -> None:
    """Print the commands that point a shell at the stack, so that 'aws' and 'filecopy' use it.

    They set the address, region and credentials, STEP_FUNCTION_ARN, API_URL, and the stack for 'filecopy'.

    Example: eval "$(filecopy env)"
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        if stack_name is None:
            own = {"FILECOPY_PORT": str(port)}
        else:
            file = Path(stack_name)
            own = {"FILECOPY_STACK": str(file.resolve()) if file.suffix == ".json" else stack_name}
        typer.echo("\n".join(shell.exports(stack.outputs, **own)))


@app.command()
def send(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders with files.", metavar="FILE")],
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The key of a single file. If it ends in /, a prefix for every file."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BUCKET",
            help="Follow only the copies to this destination. Files go to all destinations. Repeatable.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the copies until they have ended.")] = True,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to follow the copies.", min=1)] = 3600,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Upload files, and follow their copies. The exit status is 0 if every copy succeeded.

    Example: filecopy send build-123.zip --key releases/
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        destinations = destinations_of(stack, to)
        planned = plan(files, key, key_filter_of(stack))
        sending = Sending(stack, planned.uploads)
        try:
            problems = send_screen.send(out, stack, sending, planned, destinations, timeout if wait else None)
        except (BotoCoreError, ClientError, KeyboardInterrupt):
            if said := send_screen.in_bucket(sending):
                err.print(said, soft_wrap=True)
            raise
        if problems:
            raise StackError(" ".join(problems))


@app.command()
def backfill(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Only keys that begin with this.")] = "",
    to: Annotated[list[str] | None, typer.Option(metavar="BUCKET", help="Only this destination. Repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be copied, but start nothing.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also copy files whose copies failed before.")
    ] = False,
    rate: Annotated[
        float,
        typer.Option(
            metavar="NUMBER",
            help="At most this many executions are started per second. The default leaves room for uploads.",
            min=0.1,
            max=100,
        ),
    ] = DEFAULT_RATE,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each object that was not up to date.")
    ] = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Copy existing files to each destination that lacks them, or has other content.

    The buckets are compared, so a second run continues where the first one stopped.
    Files that keyPrefix and keySuffix exclude are not copied.

    Example: filecopy backfill releases/ --dry-run
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        work = Backfill(
            stack,
            destinations_of(stack, to),
            prefix=prefix,
            rate=rate,
            is_dry=dry_run,
            retries_failed=retry_failed,
        )
        again = " ".join(["filecopy", *map(quoted, sys.argv[1:])])
        try:
            failed = backfill_screen.backfill(out, err, work, as_json=as_json)
        except KeyboardInterrupt:
            err.print(
                f"Interrupted. The copies that were started continue. To resume, type: {shown(again)}", soft_wrap=True
            )
            raise typer.Exit(130) from None
        if failed:
            raise StackError(
                f"Not copied everywhere: {backfill_screen.some_of(failed)}."
                f" See the reason with '{command('status')} KEY'."
                f" After fixing the cause, type: {again}{'' if retry_failed else ' --retry-failed'}"
            )


@app.command()
def watch(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY|EXECUTION", help="A file's key, or an execution's name or ARN. Without it, all executions."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Show the current state, and exit with status 0.")] = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Watch executions while they run: their states, copies and retries.

    Without an execution, the 50 latest that run. Of one execution, the exit status is 0 if it succeeded, 1 if not.

    Example: filecopy watch build-123.zip
    """
    with one_sentence_errors(), interruption_leaves_the_workflow():
        stack = find_stack(port, stack_name)
        follower, poller = Follower(stack), Poller.of(stack)
        screen = for_watching(out, as_json=as_json, of_one=what is not None)
        if what is None:
            with screen:
                for histories in follow_running(follower, poller):
                    screen.show(histories)
                    if once:
                        break
            return
        execution = follower.find(what)
        with screen:
            for history in follow(follower, execution, poller):
                screen.show([history])
                if once:
                    return
        if history.status != SUCCEEDED:
            raise StackError(f"The execution ended as {history.status}. See: {command('history', execution)}")


@app.command()
def status(
    key: Key,
    as_json: AsJson = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Print the record of a file: its status, and each copy with its result.

    Example: filecopy status build-123.zip
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        record = read_record_and_arrivals(stack, key)
        if record is None:
            raise StackError(f"There is no record of {quoted(key)} in {stack.table}. See the others: {command('list')}")
        if as_json:
            typer.echo(to_json(record.item, indent=2))
        else:
            show_record(out, record)


@app.command("list")
def list_files(
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help=f"Only records with this status: {', '.join(STATUSES)}. Repeatable."),
    ] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(metavar="COUNT", help="At most this many, the latest first.", min=1)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """List the records, the latest first.

    Example: filecopy list --status FAILED --status PARTIAL_FAILURE --since 1d
    """
    with one_sentence_errors():
        statuses = statuses_of(status, STATUSES)
        stack = find_stack(port, stack_name)
        records = list_records(stack, statuses=statuses, since=start_of(since) if since else None)
        # One more than is shown, to say that there are more.
        listed = list(itertools.islice(records, limit + 1))
        if as_json:
            for record in listed[:limit]:
                typer.echo(to_json(record.item))
        else:
            show_records(out, listed[:limit], has_more=len(listed) > limit)


@app.command()
def executions(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="Only executions for this file.")] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help=f"Only with this status: {', '.join(EXECUTION_STATUSES)}. Repeatable."),
    ] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(metavar="COUNT", help="At most this many, the latest first.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """List executions, the latest first. Not only the latest of each file, and also those that have no record.

    Example: filecopy executions --status FAILED --since 1d
    """
    with one_sentence_errors():
        statuses = statuses_of(status, EXECUTION_STATUSES)
        stack = find_stack(port, stack_name)
        start = datetime.fromisoformat(start_of(since)) if since else None
        with err.status("Reading executions …"):
            found = list_executions(stack, key=key, statuses=statuses, since=start)
            listed = list(itertools.islice(found, limit + 1))
            follower = Follower(stack)
            running = [one.arn for one in listed[:limit] if one.status == RUNNING][:MAX_FOLLOWED]
            waiting = {arn for arn in running if follower.look(arn).is_waiting}
        if as_json:
            for one in listed[:limit]:
                typer.echo(to_json({**one.as_json(), "isWaiting": one.arn in waiting}))
        else:
            show_executions(out, listed[:limit], waiting, has_more=len(listed) > limit)


@app.command()
def history(
    what: Execution,
    full: Annotated[bool, typer.Option("--full", help="Also print the input and output of each state.")] = False,
    as_json: AsJson = False,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Print an execution: its states, copies, attempts, errors and times.

    Example: filecopy history build-123.zip --full
    """
    with one_sentence_errors():
        execution = read_history(find_stack(port, stack_name), what)
        if as_json:
            typer.echo(to_json(execution.as_json(), indent=2))
        else:
            show_history(out, execution, full)


@app.command()
def report(
    what: Execution,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = Path(
        "report.html"
    ),
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Write an HTML page about an execution, to attach to an incident.

    Example: filecopy report build-123.zip -o report.html
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        execution = read_history(stack, what)
        write(output, report_page(execution, read_definition(stack, execution)))
        out.print(f"Written to {shown(output)}.", soft_wrap=True)


@app.command()
def console(
    console_port: Annotated[
        int,
        typer.Option("--port", metavar="PORT", help="The port of the console on 127.0.0.1.", min=1, max=65535),
    ] = 8470,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, and change nothing.")] = False,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    port: Annotated[
        int,
        typer.Option(
            "--stack-port",
            envvar="FILECOPY_PORT",
            metavar="PORT",
            help="The port of the embedded stack.",
            min=1,
            max=65535,
        ),
    ] = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Show files and executions in a browser, live; retry, replay and upload there.

    It runs until Ctrl-C, and answers only this machine. The URL has a token.

    Example: filecopy console --read-only
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        # Imported here, because only this needs a web server.
        from filecopy.console import server

        def say(url: str, url_for_once: str) -> None:
            out.print(f"The console is at {url}", soft_wrap=True)
            out.print("It runs until you press Ctrl-C.")
            if open_:
                server.open_browser(url_for_once)

        server.run(stack, console_port, is_read_only=read_only, on_ready=say)


@app.command()
def graph(
    picture: Annotated[
        Picture, typer.Option("--format", metavar="mermaid|svg", help="A diagram for Markdown, or an image.")
    ] = Picture.MERMAID,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write. Without it, the diagram is printed."),
    ] = None,
) -> None:
    """Draw the state machine.

    Example: filecopy graph --format svg -o workflow.svg
    """
    with one_sentence_errors():
        drawn = DRAW[picture](own_definition())
        if output is None:
            typer.echo(drawn)
        else:
            write(output, drawn)


@app.command()
def retry(
    key: Key,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Retry the failed copies of a file. The exit status is 0 if every copy succeeded.

    Example: filecopy retry build-123.zip
    """
    with one_sentence_errors():
        stack = find_stack(port, stack_name)
        left_out: list[str] = []
        with err.status("Retrying the failed copies …"):
            retried = retrying.retry(stack, key, left_out.extend)
        for bucket in left_out:
            err.print(
                f"{shown(bucket)} is not a destination of the stack, so its copy is not retried. The next execution for"
                " the file drops it from the record.",
                soft_wrap=True,
            )
        if retried is None:
            out.print(f"No {'other ' if left_out else ''}copy of {shown(key)} has failed.")
            return
        if retried.is_superseded:
            raise StackError(
                "Nothing was retried: there is a newer upload of the file, which has an execution of its own."
                f" See: {command('status', key)}"
            )
        record = retried.results
        if record is None:
            raise StackError(
                f"The retry ended as {retried.status} and left no results in the record."
                f" See: {command('history', retried.execution_arn)}"
            )
        out.print(
            f"{shown(key)}: {record.status}, {record.copied_count} of {record.total_count} copied."
            f" Execution: {retried.execution_arn}",
            soft_wrap=True,
        )
        if failed := [bucket for bucket in record.failed if bucket not in left_out]:
            raise StackError(f"Still failed: {', '.join(failed)}.")


@app.command()
def replay(
    queue: Annotated[
        str,
        typer.Argument(
            metavar="QUEUE", help="uploads, arrivals, endings or notifications; arrivals-REGION for another region."
        ),
    ] = "uploads",
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Move the messages of a dead-letter queue back into their queue.

    Example: filecopy replay uploads
    """
    with one_sentence_errors():
        count = replaying.replay(find_stack(port, stack_name), queue)
        out.print(f"Moved {counted(count, 'message')} back into {queue}.")


@app.command()
def policy(
    bucket: Annotated[
        str | None, typer.Argument(metavar="BUCKET", help="An external destination (existing: true).")
    ] = None,
    deployer: Annotated[
        bool, typer.Option("--deployer", help="Print the policy of a deployer instead. It needs no stack.")
    ] = False,
    account: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="With --deployer: the AWS account, twelve digits.")
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(metavar="REGION", help="With --deployer: the stack's region. Without it, aws:region of --stack."),
    ] = None,
    config: Config = None,
    part: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="With --deployer: print only this part of a policy that is too long for one managed policy.",
            min=1,
        ),
    ] = None,
    port: Port = embedded.DEFAULT_PORT,
    stack_name: StackName = None,
) -> None:
    """Print the bucket policy that lets the workflow copy into an external bucket. The bucket's owner adds it.

    With --deployer, print the IAM policy of the person or pipeline that deploys a stack. The settings are those of
    --stack, in Pulumi.NAME.yaml, or the defaults, and those of -c.

    Example: filecopy policy partner-builds > policy.json

    Example: filecopy policy --deployer --account 123456789012 --region us-east-1 -c namePrefix=acme- > policy.json
    """
    with one_sentence_errors():
        if (bucket is not None) == deployer:
            raise StackError(
                "policy needs either a BUCKET, for a policy of its owner, or --deployer, for the policy of a deployer."
            )
        if deployer:
            print_deployer_policy(stack_name, account, region, _pairs("--config", config), part)
            return
        given = {"--account": account, "--region": region, "--config": config, "--part": part}
        if wrong := [option for option, value in given.items() if value is not None]:
            raise StackError(
                f"{', '.join(wrong)} cannot be used without --deployer. The policy of a bucket needs none of them."
            )
        document, is_needed = destination_policy(find_stack(port, stack_name), bucket or "")
        if not is_needed:
            err.print(
                f"{shown(bucket)} belongs to the stack, and needs no policy. An external bucket (existing: true) does.",
                soft_wrap=True,
            )
        typer.echo(json.dumps(document, indent=2))


@app.command()
def demo(
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            help="The port of the demonstration's own stack. Without it, any free port.",
            min=1,
            max=65535,
        ),
    ] = None,
) -> None:
    """Show the workflow: a file that is copied, and one that cannot be copied everywhere.

    It starts a stack of its own, and stops it at the end.

    Example: filecopy demo
    """
    with one_sentence_errors():
        demonstration.run(out, port)


for registered in app.registered_commands:
    registered.cls = usage.Command


def destinations_of(stack: Stack, to: list[str] | None) -> list[str]:
    """The stack's destinations, or those among them that ``to`` names.

    Raises:
        StackError: a bucket in ``to`` is not a destination.
    """
    destinations = list(dict.fromkeys(to or stack.destinations))
    if unknown := [bucket for bucket in destinations if bucket not in stack.destinations]:
        raise StackError(
            f"--to must be one of the stack's destinations, {', '.join(stack.destinations)}, not"
            f" {', '.join(map(quoted, unknown))}."
        )
    return destinations


def print_deployer_policy(
    stack_name: str | None, account: str | None, region: str | None, overrides: dict[str, str], part: int | None
) -> None:
    """Print the IAM policy of a deployer, or a part of it.

    Raises:
        StackError: the settings are wrong, or there is no such part.
    """
    require_checkout()
    # Imported here, because it reads the settings with Pulumi, which takes longer to import than everything else.
    from . import deployer

    document = deployer.policy_of(stack=stack_name, account=account, region=region, overrides=overrides)
    printed, how_to_get_parts = deployer.in_parts(document, part)
    if how_to_get_parts:
        err.print(how_to_get_parts, soft_wrap=True)
    typer.echo(json.dumps(printed, indent=2))


def statuses_of(names: list[str] | None, allowed: tuple[str, ...]) -> list[str]:
    """The statuses with these names, in capitals or not; all of them if no name is given.

    Raises:
        StackError: there is no such status.
    """
    statuses = [name.upper() for name in names or allowed]
    if wrong := [status for status in statuses if status not in allowed]:
        raise StackError(f"--status must be one of {', '.join(allowed)}, not {', '.join(wrong)}.")
    return statuses


def start_of(since: str) -> str:
    """The time that ``--since`` gives, in ISO 8601, UTC, as in records.

    Raises:
        StackError: it is not a time.
    """
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    try:
        if since[-1:] in units and since[:-1].isdecimal():
            start = datetime.now(UTC) - timedelta(**{units[since[-1]]: int(since[:-1])})
        else:
            start = datetime.fromisoformat(since)
    except (ValueError, OverflowError):
        raise StackError(
            f"--since must be 30m, 12h, 1d, 2w or a time such as 2026-01-31T08:00Z, not {quoted(since)}."
        ) from None
    # A time without a zone is in the reader's own.
    return iso(start)


def write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StackError(f"{quoted(str(file))} cannot be written: {error.strerror}.") from None


@contextmanager
def interruption_leaves_the_workflow() -> Iterator[None]:
    """Report after Ctrl-C that the copies continue."""
    try:
        yield
    except KeyboardInterrupt:
        err.print("Not followed any more. The workflow continues.")
        raise typer.Exit(130) from None


def print_outputs(values: dict[str, Any]) -> None:
    """Print a line for each value. Lines are not wrapped, so that a value can be copied."""
    for name, value in values.items():
        if isinstance(value, dict):
            lines = [f"  {key}: {item}" for key, item in value.items()]
        elif isinstance(value, list):
            lines = [f"  {item}" for item in value or ["none"]]
        else:
            out.print(f"[bold]{name}[/]: {escape(str(value))}", soft_wrap=True)
            continue
        out.print(f"[bold]{name}[/]:")
        for line in lines:
            out.print(escape(line), soft_wrap=True)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Report an error that a person can fix in one sentence, with status 1.

    SIGTERM and a closed terminal end a command as Ctrl-C does: it ends what it has started.
    """
    # Windows has no SIGHUP.
    for name in ("SIGTERM", "SIGHUP"):
        if request := getattr(signal, name, None):
            signal.signal(request, signal.default_int_handler)
    try:
        yield
    except StackError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(missing_package(error.name))
    except (BotoCoreError, ClientError) as error:
        _fail(f"{sentence(error)} Check the credentials, the region and the stack.")
    except BrokenPipeError:
        end_quietly()
    except OSError as error:
        what = f"{quoted(str(error.filename))} cannot be used" if error.filename else "The output cannot be written"
        _fail(sentence(f"{what}: {error.strerror or error}"))
    except KeyboardInterrupt:
        _fail("Interrupted.", status=130)


def _fail(message: str, status: int = 1) -> NoReturn:
    lines = "\n".join(shown(line) for line in message.split("\n"))
    err.print(f"[bold red]error:[/] {lines}", soft_wrap=True)
    raise typer.Exit(status)


def _pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    pairs = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise StackError(f"{option} must be NAME=VALUE, not {quoted(text)}.")
        pairs[name] = value
    return pairs
