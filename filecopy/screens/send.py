"""Screen of ``filecopy send``: uploads, and then their copies."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from filecopy import sending
from filecopy.errors import StackError
from filecopy.sending import Sent, Upload
from filecopy.stack.stack import Stack
from filecopy.terminal import BAD, GOOD, counted, duration, shown, size

# Files that are uploaded at the same time, each in up to four parts at a time.
UPLOADS_AT_ONCE = 4


def upload(console: Console, stack: Stack, uploads: Sequence[Upload]) -> list[Sent]:
    """Upload files: on a terminal with a bar, and one line for all of them; elsewhere with a line for each."""
    total = sum(one.size for one in uploads)
    is_summed_up = console.is_terminal and len(uploads) > 1
    what = shown(uploads[0].key) if len(uploads) == 1 else f"{len(uploads)} files"
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    is_interrupted = threading.Event()

    def print_uploaded(name: str, count: int) -> None:
        console.print(f"Uploaded {name} ({size(count)}) to s3://{stack.source_bucket}", soft_wrap=True)

    with bars, ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        bar = bars.add_task(f"Uploading {what}", total=total)

        def advance(count: int) -> None:
            if is_interrupted.is_set():
                # An exception here aborts the upload.
                raise StackError("Interrupted.")
            bars.advance(bar, count)

        def send(one: Upload) -> Sent:
            sent = sending.send(stack, one, advance)
            if not is_summed_up:
                print_uploaded(shown(one.key), one.size)
            return sent

        try:
            sent = list(pool.map(send, uploads))
        except BaseException:
            # One upload failed, or Ctrl-C: do not wait for the others.
            is_interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise
    if is_summed_up:
        print_uploaded(what, total)
    return sent


def follow_copies(
    console: Console, stack: Stack, sent: Sequence[Sent], destinations: Sequence[str], timeout: float
) -> int:
    """Follow the files' copies, and print the outcome of each file.

    On a terminal, many files without a failure share one line.

    Returns:
        The number of files without a copy in every destination.
    """
    is_summed_up = console.is_terminal and len(sent) > 1
    places = counted(len(destinations), "destination")
    failed = complete = 0
    with console.status(f"Copying to {places} …") as status:
        for count, outcome in enumerate(sending.follow(stack, sent, destinations, timeout), start=1):
            key = shown(outcome.sent.key)
            line = f"{len(destinations) - len(outcome.missing)} of {places}, {duration(outcome.record.took or 0)}"
            if outcome.is_superseded:
                line += "; a newer upload of it has taken its place"
            if outcome.missing:
                failed += 1
                console.print(f"{BAD} {key}: {line}. Missing: {', '.join(outcome.missing)}", soft_wrap=True)
                console.print(f"  See: filecopy status {shown(shlex.quote(outcome.sent.key))}", soft_wrap=True)
            elif is_summed_up and not outcome.is_superseded:
                complete += 1
            else:
                console.print(f"{GOOD} {key}: {line}", soft_wrap=True)
            status.update(f"Copying to {places} … {count} of {len(sent)} files are through")
    if complete:
        console.print(f"{GOOD} {complete} of {len(sent)} files: {len(destinations)} of {places}")
    return failed
