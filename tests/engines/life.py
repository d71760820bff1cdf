"""The life of a local stack, as README tells it, whichever engine it is in."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

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

# Every path of a file: uploads and odd keys, direct starts, the API, copies in parts, an overwrite, retry, replay,
# backfill. What the commands and the report look like does not depend on the engine. "make test-stack" runs the rest.
PATHS = (
    "test_api.py",
    "test_backfill.py::test_what_was_there_before_is_distributed_once",
    "test_copy_worker.py::test_a_large_file_arrives_everywhere",
    "test_copy_worker.py::test_what_a_key_that_needs_encoding_costs",
    "test_direct_start.py",
    "test_overwrite.py",
    "test_retry_and_replay.py",
    "test_upload.py",
)

# Seconds. What the end-to-end tests may take against a slow engine.
STACK_TESTS_DEADLINE = 1800.0


def live(
    engine: Engine, folder: Path, faults: Iterable[tuple[str, str]], ending: signal.Signals = signal.SIGKILL
) -> None:
    """Brings a stack up in the engine, uses it, changes it, interrupts that, and takes it down.

    Args:
        folder: an empty one.
        faults: what the engine does not give back as it was told, which the CLI sees as changed at each preview: the
            resource's type and its logical name.
        ending: how the second update is ended.
    """
    checkout = Checkout.make(folder)
    empty = engine.leftovers()
    results = Results(engine=engine, cli=checkout.pulumi("version").strip())

    with checkout.step("stack init"):
        checkout.type_readme(SECTION, "pulumi login")
        _listen_on(checkout.folder / FILE, engine.port)

    with checkout.step("a wrong setting"):
        checkout.pulumi("config", "set", "maxConcurrency", "41")
        said = checkout.pulumi("up", "--yes", fails=True)
        assert 'maxConcurrency must be an integer from 1 to 40, not "41".' in said
        assert checkout.resources() == []
        assert engine.leftovers() == empty
        checkout.pulumi("config", "rm", "maxConcurrency")

    # What the tests of copies in parts and of builds need.
    checkout.pulumi("config", "set", "multipartThresholdMiB", "5")
    checkout.pulumi("config", "set", "artifactBaseUrl", f"http://127.0.0.1:{free_port()}/artifacts")
    expected = len(Recording().run(stack_configuration("local")).registered)

    with checkout.step("preview"):
        assert len([step for step in checkout.steps() if step.operation == "create"]) == expected + 1

    with checkout.step("up"):
        # The stack itself is one more.
        assert counts(checkout.type_readme(SECTION, "pulumi up")) == {"created": expected + 1}
        results.resources = expected + 1

    with checkout.step("stack output"):
        found = checkout.outputs()
        assert found[outputs.ENDPOINT] == f"http://localhost:{engine.port}"
        arn = checkout.pulumi("stack", "output", outputs.STEP_FUNCTION_ARN).strip()
        assert arn == found[outputs.STEP_FUNCTION_ARN]
        told = folder / "outputs.json"
        told.write_text(json.dumps(found), encoding="utf-8")

    with checkout.step("see that it works"):
        assert found[outputs.STEP_FUNCTION_ARN] in checkout.type_readme(SECTION, "eval")

    with checkout.step("preview without a change"):
        found_changed = checkout.steps()
        assert_nothing_of_ours(found_changed, faults)
        results.drift = ", ".join(f"`{step.name}`" for step in found_changed)

    with checkout.step("preview --refresh without a change"):
        assert_nothing_of_ours(checkout.steps("--refresh"), faults)

    with checkout.step("up without a change"):
        assert checkout.up().keys() <= {"unchanged", "updated"}

    with checkout.step("the end-to-end tests"):
        results.take(_run_stack_tests(told, folder / "results.json"))

    with checkout.step("an update that is interrupted, and another"):
        checkout.pulumi("config", "set", "maxConcurrency", "5")
        checkout.pulumi("config", "set", "logRetentionDays", "60")
        checkout.interrupted_up(signal.SIGINT)
        checkout.type_readme(SECTION, "pulumi config set --path 'destinations[0]")
        assert _concurrency(engine, arn) == 5
        assert "region-c-builds" in _buckets(engine)
        assert {group.get("retentionInDays") for group in _log_groups(engine)} == {60}

    with checkout.step(f"an update that is ended by {ending.name}, and another"):
        checkout.pulumi("config", "rm", "--path", "destinations[1]")
        checkout.pulumi("config", "set", "apiAuthorization", "AWS_IAM")
        checkout.pulumi("config", "set", "maxConcurrency", "6")
        checkout.interrupted_up(ending)
        if ending is signal.SIGKILL:
            checkout.pulumi("cancel", "--yes")
        checkout.up()
        assert _concurrency(engine, arn) == 6
        assert _buckets(engine) == {"global-builds", "region-a-builds", "region-c-builds"}
        assert _authorizations(engine) == {"AWS_IAM"}

    with checkout.step("destroy"):
        checkout.type_readme(SECTION, "pulumi destroy")
        assert engine.leftovers() == empty
        assert STACK not in checkout.pulumi("stack", "ls")

    # The CLI writes salt into a stack's file, and deletes it with the stack: none of it is the repository's.
    assert checkout.changes() == ""
    results.timings = checkout.timings
    results.write()


def assert_nothing_of_ours(steps: Iterable[Step], faults: Iterable[tuple[str, str]]) -> None:
    """Fails where a preview would change more than what the engine does not give back."""
    known = set(faults)
    assert [step for step in steps if step.operation != "update" or (step.type, step.name) not in known] == []


def _listen_on(file: Path, port: int) -> None:
    """The one change that another port takes."""
    file.write_text(file.read_text(encoding="utf-8").replace(":4566", f":{port}"), encoding="utf-8")


def _run_stack_tests(outputs_file: Path, results_file: Path) -> Path:
    paths = [f"tests/e2e/{path}" for path in PATHS]
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *paths]
    done = session.run(
        [*command, "--stack", str(outputs_file), "--results", str(results_file)],
        cwd=PROJECT_ROOT,
        env=os.environ,
        timeout=STACK_TESTS_DEADLINE,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-3000:]
    return results_file


def _concurrency(engine: Engine, state_machine_arn: str) -> int:
    described = engine.clients("stepfunctions").describe_state_machine(stateMachineArn=state_machine_arn)
    definition = json.loads(described["definition"])
    return int(definition["States"]["CopyToMultipleBuckets"]["MaxConcurrency"])


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
