"""The life of a local stack, from "stack init" to "stack rm", as README describes it, on any engine."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components import outputs
from filecopy.embedded.configuration import PROJECT_ROOT, stack_configuration
from filecopy.embedded.emulator import free_port
from tests.unit.mocks import Recording

from . import session
from .checkout import Checkout, Step, counts
from .engines import Engine
from .results import Results

SECTION = "On LocalStack"
STACK = "localstack"
FILE = f"Pulumi.{STACK}.yaml"

# Every path of a file: uploads, odd keys, direct starts, the API, copies in parts, overwrites, retry, replay, backfill.
# The look of the commands and of the report does not depend on the engine. "make test-stack" runs the rest.
PATHS = (
    "test_api.py",
    "test_backfill.py::test_what_was_there_before_is_distributed_once",
    "test_copy_worker.py::test_a_large_file_arrives_everywhere",
    "test_copy_worker.py::test_what_a_key_that_needs_encoding_costs",
    "test_direct_start.py",
    "test_overwrite.py",
    "test_retry_and_replay.py",
    "test_same_as_simulation.py",
    "test_upload.py",
)

# Seconds. The end-to-end tests may take this long on a slow engine.
STACK_TESTS_DEADLINE = 3600.0


def live(
    engine: Engine, folder: Path, faults: Iterable[tuple[str, str]], ending: signal.Signals = signal.SIGKILL
) -> None:
    """Creates a stack in the engine, uses it, changes it, interrupts changes, and destroys it.

    Args:
        folder: an empty one.
        faults: resources, by type and logical name, with a property that the engine does not return as it was set. The
            CLI finds them changed at each preview.
        ending: the signal that ends the second update.
    """
    life = _Life(engine=engine, folder=folder, faults=frozenset(faults), checkout=Checkout.make(folder))
    life.create_the_stack()
    life.refuse_a_wrong_setting()
    life.configure()
    life.deploy()
    life.send_a_file()
    life.find_nothing_to_change()
    life.run_the_end_to_end_tests()
    life.update_after_an_interruption()
    life.update_after_a_signal(ending)
    life.destroy()
    life.write_results()


@dataclass(kw_only=True)
class _Life:
    """A local stack, and what is known of it. Each method is a step, or a few that belong together."""

    engine: Engine
    folder: Path
    faults: frozenset[tuple[str, str]]
    checkout: Checkout
    outputs: dict[str, Any] = field(default_factory=dict)
    """The outputs of the stack, after the deployment."""

    def __post_init__(self) -> None:
        self.empty = self.engine.leftovers()
        self.results = Results(engine=self.engine, cli=self.checkout.pulumi("version").strip())

    def create_the_stack(self) -> None:
        with self.checkout.step("stack init"):
            self.checkout.type_readme(SECTION, "pulumi login")
            _listen_on(self.checkout.folder / FILE, self.engine.port)

    def refuse_a_wrong_setting(self) -> None:
        """The error names the allowed values, and no resource is created."""
        with self.checkout.step("a wrong setting"):
            self._set(maxConcurrency="41")
            printed = self.checkout.pulumi("up", "--yes", fails=True)
            assert 'maxConcurrency must be an integer from 1 to 40, not "41".' in printed
            assert self.checkout.resources() == []
            assert self.engine.leftovers() == self.empty
            self.checkout.pulumi("config", "rm", "maxConcurrency")

    def configure(self) -> None:
        """The settings that the tests of copies in parts and of builds need."""
        artifacts = f"http://127.0.0.1:{free_port()}/artifacts"
        self._set(multipartThresholdMiB="5", artifactBaseUrl=artifacts)

    def deploy(self) -> None:
        """Creates the resources that the program registers, and the stack itself, and prints the outputs."""
        expected = len(Recording().run(stack_configuration("local")).registered) + 1
        with self.checkout.step("preview"):
            assert len([step for step in self.checkout.steps() if step.operation == "create"]) == expected
        with self.checkout.step("up"):
            assert counts(self.checkout.type_readme(SECTION, "pulumi up")) == {"created": expected}
            self.results.resources = expected
        with self.checkout.step("stack output"):
            self.outputs = self.checkout.outputs()
            assert self.outputs[outputs.ENDPOINT] == f"http://localhost:{self.engine.port}"
            arn = self.checkout.pulumi("stack", "output", outputs.STEP_FUNCTION_ARN).strip()
            assert arn == self.outputs[outputs.STEP_FUNCTION_ARN]

    def send_a_file(self) -> None:
        with self.checkout.step("see that it works"):
            assert self.outputs[outputs.STEP_FUNCTION_ARN] in self.checkout.type_readme(SECTION, "eval")

    def find_nothing_to_change(self) -> None:
        """A preview, a refresh and an update of an unchanged program change only the known faults of the engine."""
        with self.checkout.step("preview without a change"):
            steps = self.checkout.steps()
            assert_nothing_of_ours(steps, self.faults)
            self.results.drift = ", ".join(f"`{step.name}`" for step in steps)
        with self.checkout.step("preview --refresh without a change"):
            assert_nothing_of_ours(self.checkout.steps("--refresh"), self.faults)
        with self.checkout.step("up without a change"):
            assert self.checkout.up().keys() <= {"unchanged", "updated"}

    def run_the_end_to_end_tests(self) -> None:
        with self.checkout.step("the end-to-end tests"):
            outputs_file = self.folder / "outputs.json"
            outputs_file.write_text(json.dumps(self.outputs), encoding="utf-8")
            self.results.take(_run_stack_tests(outputs_file, self.folder / "results.json"))

    def update_after_an_interruption(self) -> None:
        """After Ctrl-C, the next update completes the first, and adds a destination as README does."""
        with self.checkout.step("an update that is interrupted, and another"):
            self._set(maxConcurrency="5", logRetentionDays="60")
            self.checkout.interrupted_up(signal.SIGINT)
            self.checkout.type_readme(SECTION, "pulumi config set --path 'destinations[0]")
            assert self._concurrency() == 5
            assert "region-c-builds" in _buckets(self.engine)
            assert {group.get("retentionInDays") for group in _log_groups(self.engine)} == {60}

    def update_after_a_signal(self, ending: signal.Signals) -> None:
        """After an update that was killed, ``pulumi cancel`` and an update complete it."""
        with self.checkout.step(f"an update that is ended by {ending.name}, and another"):
            self.checkout.pulumi("config", "rm", "--path", "destinations[1]")
            self._set(apiAuthorization="AWS_IAM", maxConcurrency="6")
            self.checkout.interrupted_up(ending)
            if ending is signal.SIGKILL:
                self.checkout.pulumi("cancel", "--yes")
            self.checkout.up()
            assert self._concurrency() == 6
            assert _buckets(self.engine) == {"global-builds", "region-a-builds", "region-c-builds"}
            assert _authorizations(self.engine) == {"AWS_IAM"}

    def destroy(self) -> None:
        """Nothing is left in the engine, in the CLI's state, or in the checkout."""
        with self.checkout.step("destroy"):
            self.checkout.type_readme(SECTION, "pulumi destroy")
            assert self.engine.leftovers() == self.empty
            assert STACK not in self.checkout.pulumi("stack", "ls")
        # The CLI writes a salt into the settings file of a stack, and deletes the file with the stack.
        assert self.checkout.changes() == ""

    def write_results(self) -> None:
        self.results.timings = self.checkout.timings
        self.results.write()

    def _set(self, **settings: str) -> None:
        for name, value in settings.items():
            self.checkout.pulumi("config", "set", name, value)

    def _concurrency(self) -> int:
        arn = self.outputs[outputs.STEP_FUNCTION_ARN]
        described = self.engine.clients("stepfunctions").describe_state_machine(stateMachineArn=arn)
        definition = json.loads(described["definition"])
        return int(definition["States"]["CopyToMultipleBuckets"]["MaxConcurrency"])


def assert_nothing_of_ours(steps: Iterable[Step], faults: Iterable[tuple[str, str]]) -> None:
    """Fails if a preview would change more than the known faults of the engine."""
    known = set(faults)
    assert [step for step in steps if step.operation != "update" or (step.type, step.name) not in known] == []


def _listen_on(file: Path, port: int) -> None:
    """Makes the one change that another port needs."""
    file.write_text(file.read_text(encoding="utf-8").replace(":4566", f":{port}"), encoding="utf-8")


def _run_stack_tests(outputs_file: Path, results_file: Path) -> Path:
    paths = [f"tests/e2e/{path}" for path in PATHS]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *paths]
    done = session.run(
        [*command, "--stack", str(outputs_file), "--results", str(results_file)],
        cwd=PROJECT_ROOT,
        # LocalStack answers a few calls a second, so this many of the hundred histories, unless all are asked for.
        env={"HISTORIES": "10", **os.environ},
        timeout=STACK_TESTS_DEADLINE,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-3000:]
    return results_file


def _buckets(engine: Engine) -> set[str]:
    return {bucket["Name"] for bucket in engine.clients("s3").list_buckets()["Buckets"]}


def _log_groups(engine: Engine) -> list[dict[str, object]]:
    groups: list[dict[str, object]] = engine.clients("logs").describe_log_groups()["logGroups"]
    return groups


def _authorizations(engine: Engine) -> set[str]:
    gateway = engine.clients("apigateway")
    [api] = gateway.get_rest_apis()["items"]
    resources = gateway.get_resources(restApiId=api["id"], embed=["methods"])["items"]
    return {
        gateway.get_method(restApiId=api["id"], resourceId=resource["id"], httpMethod=method)["authorizationType"]
        for resource in resources
        for method in resource.get("resourceMethods", {})
    }
