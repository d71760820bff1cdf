"""The commands of docs/operations.md that change a stack by hand: draining it, and an earlier definition."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from filecopy.embedded.configuration import PROJECT_ROOT

from .system import System

pytestmark = pytest.mark.slow

OPERATIONS = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def blocks(section: str) -> list[str]:
    """The commands of a section, block by block."""
    [text] = re.findall(rf"^### {section}$(.*?)^### ", OPERATIONS, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def typed(system: System, folder: Path, *commands: str) -> str:
    """What a shell prints that uses the stack."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
        "FILECOPY_PORT": str(system.stack.port),
        "AWS_PAGER": "",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(['eval "$(filecopy env)"', *commands])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_drained_stack_loses_a_destination_without_a_failure(breakable: System, tmp_path: Path) -> None:
    """Uploads wait. After the change, they are copied to the destinations that remain."""
    system, (stop, look, go_on) = breakable, blocks("Drain a stack")
    kept, removed = system.destinations
    assert system.upload("before.zip")["status"] == "COMPLETED"
    mapping = re.findall(r"^mapping=.*$", stop, re.MULTILINE)
    printed = typed(system, tmp_path, stop, look)
    assert "Disabled" in printed.splitlines()
    assert "RUNNING" not in printed
    system.put("waiting.zip")
    system.wait_for("the upload in the queue", lambda: _waiting(system) or None)
    assert system.executions_of("waiting.zip") == []
    # What "pulumi up" does, with forceDestroy.
    system._empty(removed, "")
    system.s3.delete_bucket(Bucket=removed)
    with system.function_told("replication-worker", DESTINATION_BUCKETS=json.dumps([kept])):
        typed(system, tmp_path, *mapping, go_on)
        record = system.finished_record("waiting.zip")
        assert (record["status"], record["destinationBuckets"]) == ("COMPLETED", [kept])


def _waiting(system: System) -> int:
    name = "ApproximateNumberOfMessages"
    asked = system.sqs.get_queue_attributes(QueueUrl=system.outputs["upload_queue_url"], AttributeNames=[name])
    return int(asked["Attributes"][name])


def test_an_earlier_definition_is_put_back(breakable: System, tmp_path: Path) -> None:
    """A bad definition is deployed as another version; the one before it copies files again."""
    system, [roll_back] = breakable, blocks("Roll a bad definition back")
    version = system.outputs["step_function_version_arn"]
    assert version == f"{system.state_machine}:1"
    bad = {"StartAt": "Bad", "States": {"Bad": {"Type": "Fail", "Error": "Bad"}}}
    system.stepfunctions.update_state_machine(
        stateMachineArn=system.state_machine, definition=json.dumps(bad), publish=True
    )
    assert system.run(system.job("a.zip"))["error"] == "Bad"
    printed = typed(system, tmp_path, f"STEP_FUNCTION_ARN={system.state_machine}", roll_back)
    assert f"{system.state_machine}:2" in printed, "the versions are listed"
    assert f"{system.state_machine}:3" in printed, "the definition that is put back is published, too"
    assert system.upload("b.zip")["status"] == "COMPLETED"
