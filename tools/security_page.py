"""Writes the program's own policies into docs/security.md: ``make docs``. ``--check`` fails if they are out of date.

The program runs on mocks that record its resources, for the account 123456789012 in us-east-1.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from components import policies
from components.names import ALARM_NAMES_BEGIN_WITH
from components.policies.deployer import characters, deployer_policy, managed_policies
from filecopy.deployer import deployment
from filecopy.embedded.configuration import PROJECT_ROOT
from filecopy.embedded.program import load_settings
from tests.unit.mocks import ACCOUNT, REGION, Recording, arn, project

PAGE = PROJECT_ROOT / "docs" / "security.md"

PRINCIPALS = {
    "file-copy-workflow": "the state machine",
    "copy-worker": "function",
    "replication-worker": "function",
    "step-function-invoker": "function",
    "build-worker": "function",
    "regional-sync": "function",
    "execution-watcher": "function",
    "notification-digest": "function",
    "file-copy-api-logs": "API Gateway, for the logs of all APIs of the account and region",
}
KEY = arn("kms", "key/1234abcd-12ab-34cd-56ef-1234567890ab")


def sections() -> dict[str, str]:
    """The generated parts of the page, by name."""
    run = Recording().run(project(kmsKeyArn=KEY, manageApiLoggingRole="true"))
    state_machine = arn("states", "stateMachine:file-copy-workflow")
    user = policies.use_workflow(
        source_bucket_arn="arn:aws:s3:::global-builds",
        state_machine_arn=state_machine,
        table_arn=arn("dynamodb", "table/FileCopyTracking"),
        api_execution_arn=arn("execute-api", "API_ID"),
        keys="*",
        kms_key_arn=KEY,
    )
    operator = policies.operate_workflow(
        state_machine_arn=state_machine,
        table_arn=arn("dynamodb", "table/FileCopyTracking"),
        queue_arns=[arn("sqs", f"file-copy-{queue}") for queue in run.outputs["dead_letter_queue_urls"]],
        function_arns=[
            arn("lambda", f"function:{name}") for name in ("replication-worker", "regional-sync", "execution-watcher")
        ],
        topic_arns=[arn("sns", f"file-copy-{topic}") for topic in ("failures", "digests")],
        # Resources are registered in any order.
        log_group_arns=sorted(
            arn("logs", f"log-group:{group['name']}") for group in run.inputs("cloudwatch/logGroup:LogGroup").values()
        ),
        alarm_names=f"{ALARM_NAMES_BEGIN_WITH}*",
        dashboard_name="file-copy-workflow",
    )
    roles = [
        f"arn:aws:iam::{state_machine.split(':')[4]}:role/{name}" for name in ("file-copy-workflow", "copy-worker")
    ]
    owner = policies.existing_destination("arn:aws:s3:::partner-builds", roles)
    return {
        "roles": _roles(run),
        "resources": _resources(run),
        "deployer": _deployer(),
        "user": _json(user),
        "operator": _json(operator),
        "owner": _json(owner),
    }


def _roles(run: Recording) -> str:
    lines = ["| role | of | may | on |", "|---|---|---|---|"]
    found = {
        policy["role"]: json.loads(policy["policy"]) for policy in run.inputs("iam/rolePolicy:RolePolicy").values()
    }
    for role in [*PRINCIPALS, *sorted(found.keys() - PRINCIPALS.keys())]:
        first = f"`{role}` | {PRINCIPALS[role]}"
        for statement in found[role]["Statement"]:
            lines.append(
                f"| {first} | {_codes(statement['Action'])} | {_codes(statement['Resource'])}{_when(statement)} |"
            )
            first = " | "
    return "\n".join(lines)


def _deployer() -> str:
    """The deployer's policy of a stack with the default settings on AWS."""
    stack = deployment(load_settings(project()), partition="aws", account=ACCOUNT, region=REGION)
    document = deployer_policy(stack)
    rows = [
        f"| {_codes(statement['Action'])} | {_codes(statement['Resource'])}{_when(statement)} |"
        for statement in document["Statement"]
    ]
    parts = len(managed_policies(document))
    head = ["| may | on |", "|---|---|"]
    return "\n".join(
        [*head, *rows, "", f"It has {characters(document):,} characters, and needs {parts} managed policies."]
    )


def _resources(run: Recording) -> str:
    lines = ["| policy of | statements |", "|---|---|"]
    for kind, noun in (
        ("s3/bucketPolicy:BucketPolicy", "bucket"),
        ("sqs/queuePolicy:QueuePolicy", "queue"),
        ("sns/topicPolicy:TopicPolicy", "topic"),
    ):
        for policy in run.inputs(kind).values():
            owner = str(policy.get("bucket") or policy.get("queueUrl") or policy["arn"])
            place = re.split("[:/]", owner)[-1]
            sentences = "<br>".join(_sentence(statement) for statement in json.loads(policy["policy"])["Statement"])
            lines.append(f"| {noun} `{place}` | {sentences} |")
    return "\n".join(lines[:2] + sorted(lines[2:]))


def _sentence(statement: policies.Statement) -> str:
    verb = {"Allow": "allows", "Deny": "denies"}[statement["Effect"]]
    principal = statement["Principal"]
    principal = "everybody" if principal == "*" else f"`{principal['Service']}`"
    return f"{verb} {principal} {_codes(statement['Action'])}{_when(statement)}"


def _when(statement: policies.Statement) -> str:
    conditions = [
        f"{operator} `{key}` {_codes(values)}"
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    return f" where {' and '.join(conditions)}" if conditions else ""


def _codes(values: str | list[str]) -> str:
    return ", ".join(f"`{value}`" for value in ([values] if isinstance(values, str) else values))


def _json(document: dict[str, Any]) -> str:
    return f"```json\n{json.dumps(document, indent=2)}\n```"


def filled(page: str) -> str:
    """``page`` with its generated parts up to date."""
    for name, content in sections().items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        before, _, rest = page.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"error: {PAGE} must have the lines {start} and {end}.")
        page = f"{before}{start}\n{content}\n{end}{after}"
    return page


def missing_tests(page: str) -> list[str]:
    """The tests that the page names but that do not exist."""
    missing, path = [], ""
    for named in re.findall(r"`(tests/[\w/.]*)?(?:::(\w+))?`", page):
        path = named[0] or path
        if not path:
            continue
        file = PROJECT_ROOT / path
        if not file.is_file() or (named[1] and f"def {named[1]}(" not in file.read_text(encoding="utf-8")):
            missing.append("::".join(part for part in (path, named[1]) if part))
    return missing


def main() -> None:
    written = PAGE.read_text(encoding="utf-8")
    if missing := missing_tests(written):
        raise SystemExit(f"error: docs/security.md names tests that do not exist: {', '.join(missing)}.")
    current = filled(written)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(current, encoding="utf-8")
    elif current != written:
        raise SystemExit("error: docs/security.md is out of date. Run 'make docs'.")


if __name__ == "__main__":
    main()
