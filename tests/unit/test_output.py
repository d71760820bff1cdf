"""An output that cannot be written, or not with every character: no traceback, and the right exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.terminal import CLOSED_PIPE

pytestmark = pytest.mark.slow

OUTPUTS = {
    "region": "eu-west-1",
    "endpoint": "",
    "step_function_arn": "arn:aws:states:eu-west-1:123456789012:stateMachine:file-copy-workflow",
    "dynamodb_table_name": "FileCopyTracking",
    "source_bucket": "größe ✔ 日本",
}
COMMANDS = [["outputs"], ["outputs", "--json"], ["outputs", "source_bucket"], ["graph"], ["--help"]]


@pytest.fixture
def stack(tmp_path: Path) -> str:
    file = tmp_path / "outputs.json"
    file.write_text(json.dumps(OUTPUTS), encoding="utf-8")
    return str(file)


def run(arguments: list[str], stack: str, stdout: int, **environment: str) -> tuple[int, bytes, str]:
    done = subprocess.run(
        [sys.executable, "-m", "filecopy", *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "FILECOPY_STACK": stack, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
def test_an_output_that_cannot_encode_everything(encoding: str, stack: str) -> None:
    """Characters that the encoding lacks are replaced, signs by similar ones. The status is 0."""
    status, output, errors = run(["outputs"], stack, subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert (status, errors) == (0, "")
    expected = {"cp1252": "größe + ??", "ascii": "gr??e + ??", "latin-1": "größe + ??", "utf-8": "größe ✔ 日本"}
    assert f"source_bucket: {expected[encoding]}\n" in output.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_error_that_cannot_be_encoded(encoding: str, stack: str) -> None:
    """An error names what it is about as far as it can be."""
    status, _, errors = run(["outputs", "日本"], stack, subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert status == 1
    assert errors.startswith("error: There is no output '??'. The outputs are")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk(arguments: list[str], stack: str) -> None:
    """One sentence, and status 1: nobody has what was printed."""
    with Path("/dev/full").open("wb") as full:
        status, _, errors = run(arguments, stack, full.fileno())
    assert (status, errors) == (1, "error: The output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("arguments", COMMANDS[:-1], ids=" ".join)
def test_a_closed_pipe(arguments: list[str], stack: str) -> None:
    """Nobody reads on, as head after its last line: nothing is said, and the status is that of a broken pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        status, _, errors = run(arguments, stack, writer)
    finally:
        os.close(writer)
    assert (status, errors) == (CLOSED_PIPE, "")
