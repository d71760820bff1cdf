"""The command line where something is not as it should be: one sentence, status 1, and nothing left behind."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from components import policies
from filecopy import terminal
from filecopy.cli import app
from filecopy.embedded import configuration, emulator, stack
from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.errors import StackError, missing_package
from filecopy.retry import Retried
from filecopy.stack import stack as deployed
from filecopy.stack.records import TrackingRecord

from .scripted_aws import ScriptedClients

PORT = 4599
FAKE_PID = 4_194_999
"""Beyond the largest number that Linux gives a process."""


WITHOUT_A_PACKAGE = """
import sys

class Missing:
    def find_spec(name, *_):
        if name == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing)
from filecopy.entry import main
main()
"""


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stacks are kept in a folder of the test's own."""
    monkeypatch.setattr(stack, "PROJECT_ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Emulators are pretended: they start at once, and this list holds those that were stopped."""
    pids: list[int] = []
    monkeypatch.setattr(emulator, "start", lambda *_, **__: FAKE_PID)
    monkeypatch.setattr(emulator, "stop", pids.append)
    monkeypatch.setattr(stack, "Clients", ScriptedClients)
    return pids


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((emulator.HOST, 0)) as server:
        yield server.getsockname()[1]


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command."""
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def refusal(*arguments: str) -> str:
    """The error of a command that cannot do its work."""
    status, output, errors = run(*arguments)
    assert (status, output) == (1, "")
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    return errors.removeprefix("error: ").rstrip("\n")


def write_state(project: Path, state: dict[str, Any]) -> Path:
    folder = project / ".filecopy" / str(PORT)
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


@pytest.mark.parametrize("arguments", [("outputs",), ("outputs", "step_function_arn"), ("outputs", "--json")])
def test_outputs_of_no_stack(arguments: tuple[str, ...]) -> None:
    """Somebody who asks too early is told what to type, and a script gets a status and no text for a value."""
    expected = f"No stack is up on port {PORT}. Run 'filecopy up --port {PORT}'."
    assert refusal(*arguments, "--port", str(PORT)) == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-c", "maxConcurency=5"), "There is no setting 'maxConcurency'. The settings are namePrefix, "),
        (("-c", "maxConcurrency"), "--config must be NAME=VALUE, not maxConcurrency."),
        (("-c", "=5"), "--config must be NAME=VALUE, not =5."),
        (("--emulator", "SFN_WAIT_SCALE"), "--emulator must be NAME=VALUE, not SFN_WAIT_SCALE."),
    ],
)
def test_options_that_mean_nothing(project: Path, arguments: tuple[str, ...], said: str) -> None:
    """A misspelt setting or a missing '=' is refused before anything is started."""
    assert refusal("up", "--port", str(PORT), *arguments).startswith(said)
    assert list(project.iterdir()) == []


def test_a_taken_port(project: Path, busy_port: int) -> None:
    """A port that another program listens on is named with the option that helps, and that program is left alone."""
    said = refusal("up", "--port", str(busy_port))
    assert said.startswith(f"Port {busy_port} of 127.0.0.1 is taken by another program (")
    assert said.endswith("Choose another: --port.")
    assert list(project.iterdir()) == []


def test_a_system_without_hangups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no SIGHUP, and commands work there."""
    monkeypatch.delattr(signal, "SIGHUP")
    assert refusal("outputs", "--port", str(PORT)).startswith("No stack is up on port ")


def test_ministack_is_not_installed(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """Somebody who installed requirements.txt alone is told which package is missing, not that a module is."""
    find_spec = importlib.util.find_spec

    def without_ministack(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "ministack" else find_spec(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_ministack)
    assert refusal("up", "--port", str(PORT)) == missing_package("ministack")
    assert list(project.iterdir()) == []


@pytest.mark.parametrize("package", ["typer", "boto3"])
def test_a_package_is_not_installed(package: str) -> None:
    """The command itself starts without its packages, to say in one line which is missing and what to run."""
    code = WITHOUT_A_PACKAGE.format(package=package)
    result = subprocess.run(
        [sys.executable, "-c", code, "--help"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: {missing_package(package)}\n"


def test_the_program_misses_a_package(monkeypatch: pytest.MonkeyPatch, project: Path, stopped: list[int]) -> None:
    """A package that only the program imports is named too, and the emulator that was started is ended again."""

    def program(*_: object, **__: object) -> dict[str, Any]:
        raise ModuleNotFoundError("No module named 'pulumi_aws'", name="pulumi_aws")

    monkeypatch.setattr("filecopy.embedded.program.run_program", program)
    assert refusal("up", "--port", str(PORT)) == missing_package("pulumi_aws")
    assert (stopped, list(project.iterdir())) == ([FAKE_PID], [])


@pytest.mark.parametrize(
    "arguments",
    [
        ("up",),
        ("down",),
        ("outputs",),
        ("status", "build-123.zip"),
        ("policy", "--deployer", "--account", "123456789012", "--region", "us-east-1"),
    ],
)
def test_what_needs_the_projects_files_says_so(
    monkeypatch: pytest.MonkeyPatch, project: Path, arguments: tuple[str, ...]
) -> None:
    """An installed package has no program to deploy and no settings: a sentence says where they are."""
    monkeypatch.delenv("FILECOPY_STACK", raising=False)
    monkeypatch.setattr(configuration, "PROJECT_ROOT", project)
    said = refusal(*arguments)
    assert said.startswith("The embedded stack and --deployer need a checkout of the project, ")
    assert said.endswith(" or name a stack that is deployed with --stack.")
    assert list(project.iterdir()) == []


def test_a_bad_setting(project: Path, stopped: list[int]) -> None:
    """The program's own refusal is said as it is, and nothing is left running."""
    said = refusal("up", "--port", str(PORT), "-c", "maxConcurrency=0")
    assert said.splitlines() == [
        "Nothing was created or changed, because these settings are wrong:",
        '  maxConcurrency must be an integer from 1 to 40, not "0".',
    ]
    assert (stopped, list(project.iterdir())) == ([FAKE_PID], [])


def test_a_resource_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, project: Path, stopped: list[int]) -> None:
    """The first cause is said, without the errors that Pulumi wraps it in, and nothing is left running."""
    error = {"Error": {"Code": "LimitExceededException", "Message": "Too many tables"}}
    monkeypatch.setattr(stack, "Clients", lambda *_: ScriptedClients(CreateTable=error))
    said = refusal("up", "--port", str(PORT))
    assert said.startswith("The emulator did not create aws:dynamodb/table:Table 'tracking': ")
    assert said.endswith("Too many tables")
    assert (stopped, list(project.iterdir())) == ([FAKE_PID], [])


def test_a_mistake_of_ours_comes_out_as_it_is(
    monkeypatch: pytest.MonkeyPatch, project: Path, stopped: list[int]
) -> None:
    """An error that nobody foresaw is not hidden, nor searched for a known cause for ever, and nothing is left."""
    monkeypatch.setattr(stack, "Clients", lambda *_: ScriptedClients(CreateTable={"TableDescription": {}}))
    with pytest.raises(KeyError, match="TableArn"):
        run("up", "--port", str(PORT))
    assert (stopped, list(project.iterdir())) == ([FAKE_PID], [])


def test_a_stack_is_up_after_up(monkeypatch: pytest.MonkeyPatch, stopped: list[int]) -> None:
    """outputs finds the stack that up made, and up finds it again; a stack is never changed in place."""
    monkeypatch.setattr(emulator, "runs", lambda pid: pid == FAKE_PID)
    monkeypatch.setattr(emulator, "answers", lambda port: port == PORT)
    port = ("--port", str(PORT))
    status, output, _ = run("up", *port)
    assert status == 0
    assert f"The stack is up at http://127.0.0.1:{PORT} (" in output
    # What to type next works from here, where filecopy may not be on the PATH.
    next_steps = re.findall(r"(?m)^(?:Point|Take).*?with: +(.*)$", output)
    assert len(next_steps) == 2
    environment = re.fullmatch(r'eval "\$\((\S*filecopy) env --port (\d+)\)"', next_steps[0])
    assert environment
    assert environment[2] == str(PORT)
    assert next_steps[1] == f"{environment[1]} down --port {PORT}"

    assert run("outputs", "dynamodb_table_name", *port) == (0, "FileCopyTracking\n", "")
    assert run("outputs", "destination_buckets", *port) == (0, '["region-a-builds", "region-b-builds"]\n', "")
    status, output, _ = run("outputs", "--json", *port)
    assert json.loads(output)["api_gateway_url"] == f"http://127.0.0.1:{PORT}/restapis/api/live/_user_request_"
    assert refusal("outputs", "table", *port).startswith(
        "There is no output table. The outputs are region, endpoint, step_function_"
    )

    assert f"The stack was up at http://127.0.0.1:{PORT}.\n" in run("up", *port)[1]
    assert "cannot be changed. Run" in refusal("up", "-c", "maxConcurrency=5", *port)
    assert stopped == []
    assert run("down", *port)[:2] == (0, f"The stack on port {PORT} is down.\n")
    assert stopped == [FAKE_PID]
    assert run("down", *port)[:2] == (0, f"No stack is up on port {PORT}.\n")


def test_another_port_has_a_stack(project: Path) -> None:
    """Whoever forgot the port is told which there are, by commands that need a stack as by down."""
    write_state(project, {})
    assert refusal("outputs", "--port", "4570") == (
        f"No stack is up on port 4570. There is one on port {PORT}. Run 'filecopy up --port 4570'."
    )
    assert run("down", "--port", "4570")[1] == f"No stack is up on port 4570. There is one on port {PORT}.\n"
    for port in (4571, 4572):
        (project / ".filecopy" / str(port)).mkdir()
    said = run("down", "--port", "4570")[1]
    assert said == f"No stack is up on port 4570. There are stacks on ports 4571, 4572 and {PORT}.\n"


@pytest.mark.parametrize("state", [{}, {"pid": FAKE_PID, "port": PORT}])
def test_a_half_made_stack(project: Path, stopped: list[int], state: dict[str, Any]) -> None:
    """The rest of an interrupted up is neither used as a stack nor deployed over, and down removes it."""
    write_state(project, state)
    said = refusal("up", "--port", str(PORT))
    assert said == (
        f"Another command creates a stack on port {PORT}, or was killed while it did."
        f" Wait, or run 'filecopy down --port {PORT}'."
    )
    expected = f"No stack is up on port {PORT}. Run 'filecopy up --port {PORT}'."
    assert refusal("outputs", "--port", str(PORT)) == expected
    assert run("down", "--port", str(PORT))[:2] == (0, f"The stack on port {PORT} is down.\n")
    assert (stopped, list(project.iterdir())) == ([], [])


def test_a_stack_whose_emulator_died(project: Path, stopped: list[int]) -> None:
    """A dead emulator is said to be dead, and a process that got its number since is not mistaken for it, nor ended."""
    folder = write_state(project, {"pid": os.getpid(), "port": PORT, "region": "us-east-1", "outputs": {}})
    for command in (("outputs",), ("up",)):
        said = refusal(*command, "--port", str(PORT))
        assert said.startswith(f"The emulator on port {PORT} has died, and its files are lost. Its log is {folder}")
    assert run("down", "--port", str(PORT))[0] == 0
    assert (stopped, list(project.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("[]", "it is not a JSON object"),
        ('{"pid": "1"}', "pid is '1'"),
        ('{"pid": 1, "port": 4599, "outputs": {}}', "region is missing"),
    ],
)
def test_a_damaged_state_file(project: Path, stopped: list[int], text: str, problem: str) -> None:
    """A state file that is cut off or was edited is named with what is wrong, and down clears it away."""
    file = write_state(project, {}) / "state.json"
    file.write_text(text, encoding="utf-8")
    for command in (("outputs",), ("up",)):
        assert refusal(*command, "--port", str(PORT)) == (
            f"The state file {file} is damaged: {problem}. Run 'filecopy down --port {PORT}', then"
            f" 'filecopy up --port {PORT}'."
        )
    assert run("down", "--port", str(PORT))[:2] == (0, f"The stack on port {PORT} is down.\n")
    assert (stopped, list(project.iterdir())) == ([], [])


def test_an_emulator_whose_process_is_not_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator that down cannot end is not passed over."""
    write_state(project, {})
    monkeypatch.setattr(emulator, "answers", lambda port: port == PORT)
    said = refusal("down", "--port", str(PORT))
    assert said.startswith(f"The files of the stack on port {PORT} are removed, but an emulator still answers there, ")
    assert list(project.iterdir()) == []


def test_a_stacks_folder_that_is_a_file(project: Path) -> None:
    """up and down name a file that is in the place of a stack's folder."""
    (project / ".filecopy").write_text("mine")
    folder = project / ".filecopy" / str(PORT)
    assert refusal("up", "--port", str(PORT)).startswith(
        f"The files of the stack in {folder} cannot be changed: Not a directory. "
    )
    (project / ".filecopy").unlink()
    folder.parent.mkdir()
    folder.write_text("mine")
    assert refusal("down", "--port", str(PORT)).startswith(
        f"The files of the stack in {folder} cannot be changed: Not a directory. Make sure that it is a folder "
    )


def test_a_folder_that_is_no_stacks(project: Path) -> None:
    """A folder that somebody put beside those of the stacks is not taken for one."""
    write_state(project, {}).with_name("4566.old").mkdir()
    assert refusal("outputs", "--port", "4570").startswith(
        f"No stack is up on port 4570. There is one on port {PORT}. "
    )


# --- Policy -----------------------------------------------------------------------------------------------------

ROLE = "arn:aws-cn:iam::123456789012:role/file-copy-workflow"
MACHINE = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:file-copy-workflow"


@pytest.fixture
def up_with_theirs(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    """A stack that is up and has a destination of somebody else's, and no emulator that would answer a call."""
    monkeypatch.setattr(emulator, "runs", lambda pid: pid == FAKE_PID)
    monkeypatch.setattr(emulator, "answers", lambda port: port == PORT)
    monkeypatch.setattr(deployed, "Clients", ScriptedClients)
    outputs = {
        "region": "us-east-1",
        "endpoint": f"http://127.0.0.1:{PORT}",
        "step_function_arn": MACHINE,
        "destination_buckets": ["region-a-builds", "theirs"],
        "existing_destination_buckets": ["theirs"],
        "step_function_role_arn": ROLE,
        "copy_worker_role_arn": f"{ROLE}-2",
        "dynamodb_table_name": "FileCopyTracking",
        "source_bucket": "global-builds",
    }
    write_state(project, {"pid": FAKE_PID, "port": PORT, "region": "us-east-1", "outputs": outputs})


@pytest.mark.usefixtures("up_with_theirs")
def test_suggested_commands_name_the_stack_that_was_typed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next command works on the same stack when it is typed as it is printed."""
    state = json.loads((project / ".filecopy" / str(PORT) / "state.json").read_text(encoding="utf-8"))
    (project / "the outputs.json").write_text(json.dumps(state["outputs"]), encoding="utf-8")
    named = str(project / "the outputs.json")
    assert refusal("status", "k.zip", "--port", str(PORT)).endswith("See the others: filecopy list")
    assert refusal("status", "k.zip", "--stack", named).endswith(f"See the others: filecopy list --stack '{named}'")
    monkeypatch.setenv("FILECOPY_STACK", named)
    assert refusal("status", "k.zip").endswith("See the others: filecopy list")
    assert terminal.command("watch", "-k") == "filecopy watch -- -k"


@pytest.mark.usefixtures("up_with_theirs")
def test_policy_prints_what_an_owner_adds() -> None:
    """The output is a bucket policy, to be given to the owner as it is, with ARNs of the stack's own partition."""
    status, output, errors = run("policy", "theirs", "--port", str(PORT))
    assert (status, errors) == (0, "")
    assert json.loads(output) == policies.existing_destination("arn:aws-cn:s3:::theirs", [ROLE, f"{ROLE}-2"])


@pytest.mark.usefixtures("up_with_theirs")
def test_policy_of_the_stacks_own_bucket() -> None:
    """It is printed, and whoever asked for it is told that nobody has to add it to anything."""
    status, output, errors = run("policy", "region-a-builds", "--port", str(PORT))
    assert (status, json.loads(output)["Statement"][0]["Resource"]) == (0, "arn:aws-cn:s3:::region-a-builds/*")
    assert errors == (
        "region-a-builds belongs to the stack, and needs no policy. An external bucket (existing: true) does.\n"
    )


@pytest.mark.usefixtures("up_with_theirs")
@pytest.mark.parametrize("bucket", ["thiers", "global-builds", ""])
def test_policy_of_no_destination(bucket: str) -> None:
    """A misspelt bucket gets no policy that would be of no use; the refusal lists the destinations and what to do."""
    assert refusal("policy", bucket, "--port", str(PORT)) == (
        f"{shlex.quote(bucket)} is not a destination of the stack. Its destinations are region-a-builds, theirs."
        " Add the bucket to the setting destinations, with existing: true, and deploy."
    )


def test_policy_of_no_stack() -> None:
    """Whoever asks too early is told what to type, and a file that the output goes to stays empty."""
    expected = f"No stack is up on port {PORT}. Run 'filecopy up --port {PORT}'."
    assert refusal("policy", "theirs", "--port", str(PORT)) == expected


@pytest.fixture
def settings_in(monkeypatch: pytest.MonkeyPatch, project: Path) -> Path:
    """The folder that the settings of stacks are read from."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "FILECOPY_STACK"):
        monkeypatch.delenv(name, raising=False)
    (project / "Pulumi.yaml").write_text((PROJECT_ROOT / "Pulumi.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(configuration, "PROJECT_ROOT", project)
    return project


DEPLOYER = ("policy", "--deployer", "--account", "123456789012")


@pytest.mark.usefixtures("settings_in")
def test_policy_of_a_deployer_needs_no_stack() -> None:
    """It comes from the settings that are given, and goes into a file as it is."""
    status, output, errors = run(*DEPLOYER, "--region", "cn-north-1", "-c", "namePrefix=acme-")
    assert status == 0
    document = json.loads(output)
    assert document["Version"] == "2012-10-17"
    arns = {resource for statement in document["Statement"] for resource in statement["Resource"]} - {"*"}
    assert "arn:aws-cn:s3:::acme-global-builds" in arns
    assert all(resource.startswith("arn:aws-cn:") for resource in arns)
    assert re.fullmatch(
        r"The policy has [67],[0-9]{3} characters\. IAM allows 6,144 in a managed policy, and 10,240 in the inline"
        r" policies of a role\. For 2 managed policies, print each with --part, 1 to 2, and attach all\.\n",
        errors,
    )


@pytest.mark.usefixtures("settings_in")
def test_policy_of_a_deployer_in_parts() -> None:
    """The parts are managed policies, and together all of it."""
    arguments = (*DEPLOYER, "--region", "us-east-1", "-c", "namePrefix=acme-")
    whole = json.loads(run(*arguments)[1])["Statement"]
    parts = []
    for number in ("1", "2"):
        status, output, errors = run(*arguments, "--part", number)
        assert (status, errors) == (0, "")
        parts += json.loads(output)["Statement"]
    assert parts == whole
    assert refusal(*arguments, "--part", "3") == "--part must be 1 or 2, not 3."


def test_policy_of_a_deployer_takes_a_stacks_settings(settings_in: Path) -> None:
    """Those that 'pulumi config set' wrote, before the stack is there, and -c on top of them."""
    (settings_in / "Pulumi.production.yaml").write_text(
        "config: {aws:region: eu-west-1, file-copy-workflow:namePrefix: acme-}", encoding="utf-8"
    )
    for name in ("production", "acme/file-copy-workflow/production"):
        status, output, _ = run(*DEPLOYER, "--stack", name, "-c", "sourceBucket=uploads")
        assert (status, '"arn:aws:s3:::acme-uploads"' in output) == (0, True)
        assert '"arn:aws:sqs:eu-west-1:123456789012:acme-file-copy-*"' in output
    (settings_in / "Pulumi.new.yaml").write_text("", encoding="utf-8")
    assert run(*DEPLOYER, "--stack", "new", "--region", "us-east-1", "-c", "allowGlobalNames=true")[0] == 0
    assert "namePrefix must be set on AWS" in refusal(*DEPLOYER, "--stack", "new", "--region", "us-east-1")


@pytest.mark.usefixtures("settings_in")
def test_policy_of_a_deployer_where_the_environment_says_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the program takes it from there."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    arguments = (*DEPLOYER, "-c", "namePrefix=acme-")
    assert ":eu-west-1:" in run(*arguments)[1]
    assert ":us-east-1:" in run(*arguments, "--region", "us-east-1")[1]


@pytest.mark.usefixtures("settings_in")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "policy needs either a BUCKET"),
        (("theirs", "--deployer"), "policy needs either a BUCKET"),
        (
            ("theirs", "--account", "123456789012", "--part", "1"),
            "--account, --part cannot be used without",
        ),
        (("theirs", "-c", "namePrefix=a-"), "--config cannot be used without --deployer."),
        (("--deployer",), "--account must be the twelve digits of the AWS account, not left out."),
        (("--deployer", "--account", "12"), "--account must be the twelve digits of the AWS account, not 12."),
        (DEPLOYER[1:], "--region must be a region of AWS, such as us-east-1, not left out."),
        ((*DEPLOYER[1:], "--region", "narnia"), "--region must be a region of AWS, such as us-east-1, not narnia."),
        ((*DEPLOYER[1:], "--stack", "production"), "Pulumi.production.yaml must be in"),
        ((*DEPLOYER[1:], "--stack", "outputs.json"), "--stack must be the name of a stack of the Pulumi CLI"),
        ((*DEPLOYER[1:], "--region", "us-east-1", "-c", "namePrefix=A"), "Nothing was created or changed, because"),
        ((*DEPLOYER[1:], "--region", "us-east-1", "-c", "nmaePrefix=a"), "There is no setting 'nmaePrefix'."),
    ],
)
def test_policy_with_wrong_options(arguments: tuple[str, ...], said: str) -> None:
    """Which ones go together, and what each takes, is said in a sentence; an output file stays empty."""
    assert refusal("policy", *arguments).startswith(said)


@pytest.mark.usefixtures("up_with_theirs")
@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (("policy", "theirs"), "step_function_role_arn"),
        (("policy", "theirs"), "copy_worker_role_arn"),
        (("policy", "theirs"), "destination_buckets"),
        (("send", __file__), "destination_buckets"),
        (("replay",), "dead_letter_queue_urls"),
    ],
)
def test_a_stack_of_an_older_program(project: Path, arguments: tuple[str, ...], output: str) -> None:
    """A command that needs an output that the stack does not have says which, and what to do."""
    file = project / ".filecopy" / str(PORT) / "state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    state["outputs"].pop(output, None)
    file.write_text(json.dumps(state), encoding="utf-8")
    assert refusal(*arguments, "--port", str(PORT)) == (
        f"The stack has no output {output}. Deploy it with this version of the program."
    )


# --- What other people chose ------------------------------------------------------------------------------------

ODD = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj.\u200b\r[red]b[/red]:boom:"
SHOWN = "a?[2J?]0;title??31m?gpj.??[red]b[/red]:boom:"


def test_an_error_of_aws_ends_before_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's sentences have no full stop."""

    def get(_port: int) -> stack.EmbeddedStack:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "You may not"}}, "GetItem")

    monkeypatch.setattr(stack, "get", get)
    assert refusal("outputs").endswith(": You may not. Check the credentials, the region and the stack.")


def test_an_error_says_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error with a name in it that somebody chose clears no screen, sets no title, and has lines of its own only."""

    def get(_port: int) -> stack.EmbeddedStack:
        raise StackError(f"{ODD} is wrong:\n  {ODD}")

    monkeypatch.setattr(stack, "get", get)
    assert refusal("outputs").split("\n") == [f"{SHOWN} is wrong:", f"  {SHOWN}"]


@pytest.mark.usefixtures("up_with_theirs")
@pytest.mark.parametrize("arguments", [("policy", ODD), ("retry", ODD), ("outputs", ODD)])
def test_a_refused_argument_says_nothing_to_the_terminal(arguments: tuple[str, ...]) -> None:
    """The error shows the argument, and the terminal obeys none of it."""
    said = refusal(*arguments, "--port", str(PORT))
    assert said.isprintable()
    assert "[red]b[/red]" in said


@pytest.mark.usefixtures("up_with_theirs")
@pytest.mark.parametrize(
    ("retried", "said"),
    [
        (None, f"No copy of {SHOWN} has failed."),
        (
            {
                "executionId": "execution-1",
                "status": "COMPLETED",
                "successfulCopies": 2,
                "failedCopies": 0,
                "totalBuckets": 2,
                "failedBuckets": [],
            },
            f"{SHOWN}: COMPLETED, 2 of 2 copied. Execution: execution-1",
        ),
    ],
)
def test_a_key_says_nothing_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, retried: dict[str, Any] | None, said: str
) -> None:
    """A file whose key is an escape sequence, or markup, is shown as what it is called, on one line."""
    result = None if retried is None else Retried("execution-1", "SUCCEEDED", None, TrackingRecord.of(retried))
    monkeypatch.setattr("filecopy.retry.retry", lambda *_: result)
    status, output, _ = run("retry", ODD, "--port", str(PORT))
    assert (status, output.split()) == (0, said.split())


# --- Retries ----------------------------------------------------------------------------------------------------

WITH_RESULTS = {
    "status": "FAILED",
    "successfulCopies": 0,
    "failedCopies": 1,
    "totalBuckets": 1,
    "failedBuckets": ["theirs"],
}


@pytest.mark.usefixtures("up_with_theirs")
@pytest.mark.parametrize(
    ("ended", "record"),
    [
        (("ABORTED", None), {}),
        (("ABORTED", None), {"executionId": "execution-1", "status": "FAILED"}),
        (("TIMED_OUT", None), {"executionId": "execution-1", **WITH_RESULTS}),
        (("FAILED", "TrackingFailed"), {"executionId": "execution-1", **WITH_RESULTS}),
        (("FAILED", "TrackingFailed"), {"executionId": "execution-0", "status": "FAILED"}),
        (("FAILED", "States.Runtime"), {"executionId": "execution-1", "status": "IN_PROGRESS"}),
    ],
)
def test_a_retry_without_results(
    monkeypatch: pytest.MonkeyPatch, ended: tuple[str, str | None], record: dict[str, Any]
) -> None:
    """A retry that was stopped, or that could not write its record, is said to have ended so, with the execution to
    look at. What an earlier execution left in the record is not told as its results."""
    monkeypatch.setattr("filecopy.retry.retry", lambda *_: Retried("execution-1", *ended, TrackingRecord.of(record)))
    assert refusal("retry", "build-123.zip", "--port", str(PORT)) == (
        f"The retry ended as {ended[0]} and left no results in the record. See: filecopy history execution-1"
    )


@pytest.mark.usefixtures("up_with_theirs")
def test_a_retry_that_fails_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome is printed, and what is still missing is the error."""
    retried = Retried(
        "execution-1", "FAILED", "CopiesFailed", TrackingRecord.of({"executionId": "execution-1", **WITH_RESULTS})
    )
    monkeypatch.setattr("filecopy.retry.retry", lambda *_: retried)
    status, output, errors = run("retry", "k.zip", "--port", str(PORT))
    assert (status, errors) == (1, "error: Still failed: theirs.\n")
    assert output == "k.zip: FAILED, 0 of 1 copied. Execution: execution-1\n"


@pytest.mark.usefixtures("up_with_theirs")
@pytest.mark.parametrize("others", [False, True])
def test_a_retry_that_leaves_a_bucket_out(others: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is not a destination is named, and does not make the retry fail."""
    after = TrackingRecord.of({"executionId": "execution-1", **WITH_RESULTS, "failedBuckets": ["no-such"]})

    def retry(_stack: object, _key: str, on_left_out: Callable[[list[str]], None]) -> Retried | None:
        on_left_out(["no-such"])
        return Retried("execution-1", "FAILED", "CopiesFailed", after) if others else None

    monkeypatch.setattr("filecopy.retry.retry", retry)
    status, output, errors = run("retry", "k.zip", "--port", str(PORT))
    assert status == 0
    assert errors.startswith("no-such is not a destination of the stack, so its copy is not retried. The next execut")
    assert output == (
        "k.zip: FAILED, 0 of 1 copied. Execution: execution-1\n" if others else "No other copy of k.zip has failed.\n"
    )


@pytest.mark.usefixtures("up_with_theirs")
def test_a_retry_of_an_older_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file was uploaded anew since: the retry makes no copy, and says why."""
    retried = Retried(
        "execution-1", "SUCCEEDED", None, TrackingRecord.of({"executionId": "execution-2", **WITH_RESULTS})
    )
    monkeypatch.setattr("filecopy.retry.retry", lambda *_: retried)
    assert refusal("retry", "a b.zip", "--port", str(PORT)) == (
        "Nothing was retried: there is a newer upload of the file, which has an execution of its own."
        " See: filecopy status 'a b.zip'"
    )


# --- Help -------------------------------------------------------------------------------------------------------

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", ["80", "120"])
@pytest.mark.parametrize("command", ["", *sorted(COMMANDS)])
def test_help_says_what_to_type(command: str, width: str) -> None:
    """No Python type, no brackets of brackets, and no line that the terminal would break."""
    told = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": width, "TERMINAL_WIDTH": width})
    assert told.exit_code == 0
    assert not re.search(r"<[\w\[]|[{}]|\[\[|<=", told.output)
    assert max(map(len, told.output.splitlines())) <= int(width)


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("send", "[OPTIONS] FILE..."),
        ("watch", "[OPTIONS] [KEY|EXECUTION]"),
        ("status", "[OPTIONS] KEY"),
        ("outputs", "[OPTIONS] [NAME]"),
        ("list", "[OPTIONS]"),
    ],
)
def test_usage_is_as_typed(command: str, usage: str) -> None:
    """An optional argument is in brackets, and a repeatable one has dots."""
    told = CliRunner().invoke(app, [command, "--help"])
    assert f" {command} {usage}\n" in re.sub(" +\n", "\n", told.output)


@pytest.mark.parametrize("command", ["", *sorted(COMMANDS)])
def test_help_is_short_or_long(command: str) -> None:
    """-h is what many type first."""
    short, long = (CliRunner().invoke(app, [*command.split(), option]) for option in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)


def test_version() -> None:
    """The version is that of the package that is installed, whatever else is typed."""
    expected = f"filecopy {importlib.metadata.version('file-copy-workflow')}\n"
    assert run("--version") == run("--version", "status") == (0, expected, "")
