"""Screen of ``filecopy send``: the uploads, and then their copies."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from filecopy.sending.follow import CopyFollower, Outcome
from filecopy.sending.plan import NotSent, Plan, Upload
from filecopy.sending.upload import Sending, Sent
from filecopy.stack.stack import Stack
from filecopy.terminal import BAD, GOOD, command, counted, duration, quoted, shown, size

# Seconds between two lines about copies that take long, where there is no bar: in a pipe, or in a log of a build.
LINE_INTERVAL = 60.0


def send(
    console: Console,
    stack: Stack,
    sending: Sending,
    planned: Plan,
    destinations: Sequence[str],
    timeout: float | None,
) -> list[str]:
    """Upload the files of a plan, and follow their copies.

    Args:
        destinations: the destinations that count.
        timeout: seconds to follow the copies; ``None`` to not follow them.

    Returns:
        A sentence for each kind of failure.
    """
    for one in planned.not_sent:
        show_not_sent(console, one)
    if sending.uploads:
        upload(console, sending)
    problems = []
    if count := len(planned.not_sent) + len(sending.not_sent):
        total = len(planned.not_sent) + len(planned.uploads)
        problems.append(f"{count} of {total} files {'was' if count == 1 else 'were'} not sent.")
    if timeout is not None and sending.sent:
        failed = follow_copies(console, stack, sending.sent, destinations, timeout)
        if failed:
            problems.append(f"{failed} of {len(sending.sent)} files did not arrive everywhere.")
    return problems


def show_not_sent(console: Console, one: NotSent) -> None:
    console.print(f"{BAD} {shown(quoted(str(one.path)))}: not sent: {shown(one.reason)}", soft_wrap=True)


class _Speed(ProgressColumn):
    """Bytes a second. rich's own column is red, which is the colour of failures here."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{size(speed)}/s" if speed else "")


def upload(console: Console, sending: Sending) -> None:
    """Upload the files: with a bar on a terminal, and one line at the end if there are several; elsewhere with a line
    for each."""
    uploads = sending.uploads
    has_summary = console.is_terminal and len(uploads) > 1
    bars = Progress(
        TextColumn("Uploading"),
        BarColumn(20),
        TextColumn("{task.fields[files]}"),
        DownloadColumn(),
        _Speed(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bars:
        files = f"0/{len(uploads)} files" if len(uploads) > 1 else ""
        bar = bars.add_task("", total=sum(one.size for one in uploads), files=files)
        ended = 0

        def show(one: Upload, result: Sent | NotSent) -> None:
            nonlocal ended
            ended += 1
            if isinstance(result, NotSent):
                show_not_sent(console, result)
            elif not has_summary:
                _show_uploaded(console, shown(one.key), one.size, sending.bucket)
            if len(uploads) > 1:
                bars.update(bar, files=f"{ended}/{len(uploads)} files")

        sending.run(lambda count: bars.advance(bar, count), show)
    if has_summary and sending.sent:
        keys = {one.key for one in sending.sent}
        total = sum(one.size for one in uploads if one.key in keys)
        _show_uploaded(console, counted(len(keys), "file"), total, sending.bucket)


def _show_uploaded(console: Console, what: str, count: int, bucket: str) -> None:
    console.print(f"Uploaded {what} ({size(count)}) to s3://{shown(bucket)}", soft_wrap=True)


def in_bucket(sending: Sending) -> str | None:
    """The sentence about files that are in the bucket already, after an interruption; ``None`` if there are none."""
    sent = sending.sent
    if not sent:
        return None
    if len(sending.uploads) == 1:
        key = sent[0].key
        return (
            f"{shown(key)} is in s3://{shown(sending.bucket)}, and its copies continue. See them with:"
            f" {shown(command('watch', key))}"
        )
    return (
        f"{len(sent)} of {len(sending.uploads)} files are in s3://{shown(sending.bucket)}, and their copies continue."
        f" See them with: {shown(command('watch'))}"
    )


def follow_copies(
    console: Console, stack: Stack, sent: Sequence[Sent], destinations: Sequence[str], timeout: float
) -> int:
    """Follow the copies of files, and show how each file ended. On a terminal, complete files are only counted if there
    are several. Elsewhere, a line each minute says how far the copies are.

    Returns:
        The number of files that lack a copy.
    """
    has_summary = console.is_terminal and len(sent) > 1
    places = counted(len(destinations), "destination")
    follower = CopyFollower(stack, sent, destinations)
    failed = complete = ended = 0
    bars = Progress(
        TextColumn("Copying"),
        BarColumn(20),
        TextColumn("{task.fields[progress]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bars:
        # Nobody knows how long a small file takes: its bar moves without an end.
        bar = bars.add_task("", total=len(sent) if len(sent) > 1 else None, progress="")
        last_line = time.monotonic()

        def draw() -> None:
            nonlocal last_line
            part = follower.part
            large = f"{size(part.copied)} of {size(part.total)}" if part else ""
            if len(sent) > 1:
                progress = f"{ended}/{len(sent)} files" + (f", {large}" if part else "")
                bars.update(bar, completed=ended, progress=progress)
            elif part:
                bars.update(bar, completed=part.copied, total=part.total, progress=large)
            if not console.is_terminal and time.monotonic() - last_line >= LINE_INTERVAL:
                last_line = time.monotonic()
                copied = f", {large}" if part else ""
                console.print(f"Copying: {ended} of {counted(len(sent), 'file')} complete{copied}", soft_wrap=True)

        for outcome in follower.outcomes(timeout, draw):
            ended += 1
            is_complete = not outcome.missing
            failed += not is_complete
            if has_summary and is_complete and not outcome.is_superseded:
                complete += 1
            else:
                show_outcome(console, outcome, destinations)
    if complete:
        console.print(f"{GOOD} {complete} of {len(sent)} files: {len(destinations)} of {places}")
    return failed


def show_outcome(console: Console, outcome: Outcome, destinations: Sequence[str]) -> None:
    """Show how the copies of one file ended."""
    key, record = outcome.sent.key, outcome.record
    line = f"{len(destinations) - len(outcome.missing)} of {counted(len(destinations), 'destination')}"
    if record and record.took is not None:
        line += f", {duration(record.took)}"
    if outcome.is_superseded:
        line += "; a newer upload has replaced it"
    if not outcome.missing:
        console.print(f"{GOOD} {shown(key)}: {line}", soft_wrap=True)
        return
    why = f" ({shown(outcome.problem)})" if outcome.problem else ""
    console.print(f"{BAD} {shown(key)}: {line}. Missing: {shown(', '.join(outcome.missing))}{why}", soft_wrap=True)
    # Without a record, there is only the execution.
    see = command("status", key) if record else command("history", str(outcome.execution_arn))
    console.print(f"  See: {shown(see)}", soft_wrap=True)
