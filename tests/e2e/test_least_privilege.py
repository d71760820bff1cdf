"""Each role may do what its principal does, and nothing beside it.

What a principal does is not written down here a second time: the state machine's calls are read from the definition
that is deployed, a function's are recorded while its handler runs against the stack, and what Lambda and Step Functions
themselves ask of a role follows from its logs, its queue and its traces. A table says which permission each call takes
(AWS service authorization reference), and the emulator's policy simulator says whether a role has it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.session import Session

from components import policies
from filecopy.stack.clients import Clients
from handlers.build_worker import FetchError
from tests.handlers import conftest as aws_events
from tests.handlers.test_build_worker import Context

from .system import ACCOUNT, System

Permission = tuple[str, str]
"""An action, and the ARN of what it is done to."""

EVERYTHING = "*"
"""What an action is done to for which AWS has no resource (AWS service authorization reference)."""

KEY = "releases/least privilege.zip"
MACHINE_ROLE = "file-copy-workflow"
API_LOGS_ROLE = "file-copy-api-logs"
OTHER_ACCOUNT = "111111111111"
FUNCTIONS = (
    "copy-worker",
    "replication-worker",
    "step-function-invoker",
    "build-worker",
    "regional-sync",
    "execution-watcher",
    "notification-digest",
)


# --- What a call takes ------------------------------------------------------------------------------------------


def object_arn(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}"


def table_arn(name: str) -> str:
    return f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{name}"


def read(call: dict[str, Any], what: str = "") -> set[Permission]:
    """What it takes to get an object, or its version where the call names one."""
    action = f"s3:GetObjectVersion{what}" if "VersionId" in call else f"s3:GetObject{what}"
    return {(action, object_arn(call["Bucket"], call["Key"]))}


def head_object(call: dict[str, Any]) -> set[Permission]:
    # S3 answers 404 for a missing key only to callers that may list, and 403 to others. copy-worker takes both as
    # missing.
    is_copy = "ExpectedBucketOwner" in call
    return read(call) if is_copy else read(call) | {("s3:ListBucket", f"arn:aws:s3:::{call['Bucket']}")}


def copy_object(call: dict[str, Any]) -> set[Permission]:
    copy = object_arn(call["Bucket"], call["Key"])
    source = read(call["CopySource"]) | read(call["CopySource"], "Tagging")
    return source | {("s3:PutObject", copy), ("s3:PutObjectTagging", copy)}


def upload_part_copy(call: dict[str, Any]) -> set[Permission]:
    return read(call["CopySource"]) | on_object("PutObject")(call)


def on_object(action: str) -> Callable[[dict[str, Any]], set[Permission]]:
    """The permissions of a call that needs one action on one object."""
    return lambda call: {(f"s3:{action}", object_arn(call["Bucket"], call["Key"]))}


def on_item(action: str) -> Callable[[dict[str, Any]], set[Permission]]:
    return lambda call: {(f"dynamodb:{action}", table_arn(call["TableName"]))}


def on_queue(action: str) -> Callable[[dict[str, Any]], set[Permission]]:
    """The permissions of a call that names the queue by its URL."""
    return lambda call: {(f"sqs:{action}", f"arn:aws:sqs:us-east-1:{ACCOUNT}:{call['QueueUrl'].rsplit('/', 1)[1]}")}


def on_arn(action: str, parameter: str) -> Callable[[dict[str, Any]], set[Permission]]:
    """The permissions of a call that needs one action on the ARN that a parameter has."""
    return lambda call: {(action, call[parameter])}


PERMISSIONS: dict[str, Callable[[dict[str, Any]], set[Permission]]] = {
    "HeadObject": head_object,
    "GetObjectAttributes": lambda call: read(call) | read(call, "Attributes"),
    "GetObjectTagging": lambda call: read(call, "Tagging"),
    "CopyObject": copy_object,
    "UploadPartCopy": upload_part_copy,
    "PutObject": on_object("PutObject"),
    "CreateMultipartUpload": on_object("PutObject"),
    "UploadPart": on_object("PutObject"),
    "CompleteMultipartUpload": on_object("PutObject"),
    "AbortMultipartUpload": on_object("AbortMultipartUpload"),
    "ListParts": on_object("ListMultipartUploadParts"),
    "GetItem": on_item("GetItem"),
    "PutItem": on_item("PutItem"),
    "UpdateItem": on_item("UpdateItem"),
    "Invoke": on_arn("lambda:InvokeFunction", "FunctionName"),
    "ReceiveMessage": on_queue("ReceiveMessage"),
    "DeleteMessageBatch": on_queue("DeleteMessage"),
    "GetTopicAttributes": on_arn("sns:GetTopicAttributes", "TopicArn"),
    "Publish": on_arn("sns:Publish", "TopicArn"),
    "StartExecution": on_arn("states:StartExecution", "stateMachineArn"),
    "DescribeExecution": on_arn("states:DescribeExecution", "executionArn"),
}


def permissions_of(operation: str, call: dict[str, Any]) -> set[Permission]:
    """The permissions that a call needs, by its operation and its parameters.

    Raises:
        AssertionError: the table above does not have the operation.
    """
    assert operation in PERMISSIONS, f"Which permissions does {operation} need? Add it to PERMISSIONS."
    return PERMISSIONS[operation](call)


# --- What the principals do -------------------------------------------------------------------------------------


def tasks(states: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for state in states.values():
        if state["Type"] == "Task":
            yield state
        yield from tasks(state.get("ItemProcessor", {}).get("States", {}))


def traced(*actions: str) -> set[Permission]:
    """What a service does in a role's name to leave traces, and what it asks besides."""
    return {(f"xray:{action}", EVERYTHING) for action in ("PutTraceSegments", "PutTelemetryRecords", *actions)}


def done_by_step_functions(system: System) -> set[Permission]:
    """What it does itself in the role's name, for the log and the traces that the state machine is made with.

    Step Functions developer guide, "Logging using CloudWatch Logs" and "Tracing with AWS X-Ray".
    """
    described = system.stepfunctions.describe_state_machine(stateMachineArn=system.state_machine)
    assert described["loggingConfiguration"]["level"] != "OFF"
    to_deliver_logs = (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )  # fmt: skip
    # MiniStack does not say that a machine is traced: tests/unit/test_components.py shows that this one is.
    return {(f"logs:{action}", EVERYTHING) for action in to_deliver_logs} | traced(
        "GetSamplingRules", "GetSamplingTargets"
    )


def done_by_the_state_machine(system: System) -> set[Permission]:
    """From the definition's Tasks, for the file KEY and the stack's destinations."""
    described = system.stepfunctions.describe_state_machine(stateMachineArn=system.state_machine)
    states = json.loads(described["definition"])["States"]
    used: set[Permission] = set()
    for task in tasks(states):
        service, action = task["Resource"].removeprefix("arn:aws:states:::").removeprefix("aws-sdk:").split(":")
        arguments = task["Arguments"]
        if action == "copyObject":
            # The source is a version, or has none: S3 may take minutes until a new bucket keeps versions.
            assert '"Bucket": $states.input, "Key": $job.sourceKey, "CopySource": $job.sourceBucket' in arguments
            assert '$exists($source.versionId) ? "?versionId="' in arguments
            source = object_arn(system.source, KEY)
            used |= {("s3:GetObjectVersion", source), ("s3:GetObjectVersionTagging", source)}
            used |= {("s3:GetObject", source), ("s3:GetObjectTagging", source)}
            for bucket in system.destinations:
                copy = object_arn(bucket, KEY)
                used |= {("s3:PutObject", copy), ("s3:PutObjectTagging", copy)}
        else:
            assert service in ("s3", "dynamodb", "sns", "lambda")
            meant = {"{% $job.sourceBucket %}": system.source, "{% $job.sourceKey %}": KEY}
            call = {name: meant.get(str(value), value) for name, value in arguments.items()}
            used |= permissions_of(action[0].upper() + action[1:], call)
    return used | done_by_step_functions(system)


def copies(system: System, **changes: Any) -> Iterator[dict[str, Any]]:
    """What copy-worker is asked for: KEY to each destination, of its version, and without one."""
    record = uploaded(system)
    for version in ({"versionId": record["sourceVersionId"]}, {}):
        source = {
            "etag": record["sourceETag"],
            "size": int(record["sourceSize"]),
            "storageClass": "STANDARD",
            "checksums": {},
            **version,
            **changes,
        }
        for bucket in system.destinations:
            yield {
                "executionId": record["executionId"],
                "sourceBucket": system.source,
                "sourceKey": KEY,
                "source": source,
                "destinationBucket": bucket,
                "region": system.region,
                "account": ACCOUNT,
            }


def have_begun(system: System, upload_id: str) -> None:
    """Has the record of KEY say that a copy in parts was begun to each destination."""
    record = uploaded(system)
    noted = {"uploadId": {"S": upload_id}, "partSize": {"N": "5242880"}, "of": {"S": record["sourceVersionId"]}}
    system.dynamodb.update_item(
        TableName=system.table,
        Key={"fileKey": {"S": KEY}, "sourceBucket": {"S": system.source}},
        UpdateExpression="SET uploads = :uploads",
        ExpressionAttributeValues={":uploads": {"M": {bucket: {"M": noted} for bucket in system.destinations}}},
    )


def uploaded(system: System) -> dict[str, Any]:
    record = system.record(KEY)
    return record or system.upload(KEY, b"least privilege")


def set_source_version(system: System, version: str | None) -> None:
    """Has the record of KEY say which version was copied, or none, as where the source bucket keeps none."""
    system.dynamodb.update_item(
        TableName=system.table,
        Key={"fileKey": {"S": KEY}, "sourceBucket": {"S": system.source}},
        UpdateExpression="SET sourceVersionId = :version" if version else "REMOVE sourceVersionId",
        **({"ExpressionAttributeValues": {":version": {"S": version}}} if version else {}),
    )


def arrivals(system: System) -> Iterator[object]:
    """In each destination a copy as expected, one that has to be compared with the source, and a damaged one; with
    versions, and without them on either side.
    """
    record = uploaded(system)
    for source_version in (record["sourceVersionId"], None):
        set_source_version(system, source_version)
        for result in record["copyResults"]:
            for etag, more_bytes, version in (
                (result["etag"], 0, result["versionId"]),
                ("0" * 32, 0, result["versionId"]),
                ("0" * 32, 0, None),
                ("0" * 32, 1, result["versionId"]),
            ):
                arrival = aws_events.s3_record(
                    KEY,
                    bucket=result["destinationBucket"],
                    eTag=etag,
                    size=int(record["sourceSize"]) + more_bytes,
                    versionId=version,
                )
                # Later than the arrivals of the upload itself.
                arrival["eventTime"] = "2100-01-01T00:00:00.000Z"
                yield aws_events.sqs_event(aws_events.s3_event(arrival))
    set_source_version(system, record["sourceVersionId"])


def events_for(name: str, system: System, host: aws_events.ArtifactHost) -> Iterator[object]:
    """Events with which the function does everything that it ever does."""
    match name:
        case "copy-worker":
            # A small file, and one whose parts have checksums; a large one that was put together by a run that could
            # not say so; one that is aborted.
            yield from copies(system, size=0)
            yield from copies(system, size=0, checksumOfParts="CRC32")
            for is_aborted in (False, True):
                have_begun(system, "gone")
                yield from ({**copy, "abort": is_aborted} for copy in copies(system))
        case "replication-worker":
            yield aws_events.sqs_event(aws_events.s3_event(aws_events.s3_record(KEY)))
        case "step-function-invoker":
            yield aws_events.api_event(json.dumps(system.job(KEY)))
        case "build-worker":
            # A small artifact, one that is stored in parts, and one whose host breaks off.
            large = b"x" * 20_000_000
            host.answers["/abcdef0"] = aws_events.whole(b"small")
            host.answers["/abcdef1"] = aws_events.whole(large)
            host.answers["/abcdef2"] = aws_events.Answer(headers={"Content-Length": "30000000"}, body=large)
            yield from ({"commit": path.removeprefix("/")} for path in host.answers)
        case "regional-sync":
            yield from arrivals(system)
        case "notification-digest":
            url = system.sqs.get_queue_url(QueueName="file-copy-notifications")["QueueUrl"]
            notification = json.dumps({"Subject": "File copy failed: a.zip", "Message": "Failed"})
            system.sqs.send_message(QueueUrl=url, MessageBody=notification)
            yield {"time": datetime.now(UTC).isoformat()}
        case "execution-watcher":
            # One that was stopped; one that failed; and one that succeeded, whose output was too long for its event.
            stopped = system.start_waiting("releases/stopped.zip")
            system.stepfunctions.stop_execution(executionArn=stopped)
            for detail in (
                {"executionArn": stopped, "status": "ABORTED"},
                {"executionArn": uploaded(system)["executionId"], "status": "SUCCEEDED"},
            ):
                yield aws_events.sqs_event(json.dumps({"detail": detail}))


def done_by_a_function(system: System, name: str, monkeypatch: pytest.MonkeyPatch) -> set[Permission]:
    """Recorded while the function's handler runs here, with the function's environment, against the open_system."""
    used: set[Permission] = set()
    make_client = Session.create_client

    def record_client(session: Session, *arguments: Any, **options: Any) -> Any:
        client = make_client(session, *arguments, **options)
        # The tests' own clients name their endpoint; the handlers' have it from the environment.
        if options.get("endpoint_url"):
            return client

        def record(params: dict[str, Any], model: Any, **_more: object) -> None:
            used.update(permissions_of(model.name, params))

        client.meta.events.register("provide-client-params", record)
        return client

    configuration = system.lambda_.get_function_configuration(FunctionName=name)
    with aws_events.serving_artifacts() as host, monkeypatch.context() as patch:
        for variable, value in {
            **configuration["Environment"]["Variables"],
            "AWS_ENDPOINT_URL": system.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": system.region,
            **({"ARTIFACT_BASE_URL": host.url} if name == "build-worker" else {}),
            **({"SUBSCRIPTIONS": "1"} if name == "notification-digest" else {}),
            **({"MULTIPART_THRESHOLD": "0"} if name == "copy-worker" else {}),
        }.items():
            patch.setenv(variable, value)
        patch.delenv("AWS_PROFILE", raising=False)
        patch.setattr(Session, "create_client", record_client)
        handler = importlib.import_module(f"handlers.{name.replace('-', '_')}").handler
        for event in events_for(name, system, host):
            aws_events.forget_everything()
            with contextlib.suppress(FetchError):
                handler(event, Context())
    aws_events.forget_everything()
    # What Lambda itself does in the role's name.
    log_stream = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/lambda/{name}:log-stream:2026/11/23/[$LATEST]0"
    used |= {("logs:CreateLogStream", log_stream), ("logs:PutLogEvents", log_stream)}
    # In the mode PassThrough, it writes traces of calls that another trace has caused.
    assert configuration["TracingConfig"]["Mode"] in ("Active", "PassThrough")
    used |= traced()
    for mapping in system.lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            used.add((f"sqs:{action}", mapping["EventSourceArn"]))
    return used


@pytest.fixture(scope="session")
def done() -> dict[str, set[Permission]]:
    """What each role's principal was seen to do, filled in by the first test that asks."""
    return {}


@pytest.fixture
def used(
    open_system: System, done: dict[str, set[Permission]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, set[Permission]]:
    if not done:
        uploaded(open_system)
        done[MACHINE_ROLE] = done_by_the_state_machine(open_system)
        done.update({name: done_by_a_function(open_system, name, monkeypatch) for name in FUNCTIONS})
    return done


# --- What the roles may do --------------------------------------------------------------------------------------


def allowed(system: System, role: str, action: str, *resources: str) -> list[str]:
    """Those of the resources to which the role may do this, each asked for by itself: the emulator answers for the
    first of several only."""
    iam, found = system.clients("iam"), []
    for resource in resources:
        [result] = iam.simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", ActionNames=[action], ResourceArns=[resource]
        )["EvaluationResults"]
        if result["EvalDecision"] == "allowed":
            found.append(resource)
    return found


def granted(system: System, role: str) -> list[policies.Statement]:
    """The statements of the role's only policy."""
    iam = system.clients("iam")
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    [name] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    statements: list[policies.Statement] = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"][
        "Statement"
    ]
    return statements


def neighbours(arn: str) -> list[str]:
    """What is next to a resource: names that begin or end like its own, in the same place."""
    if arn.startswith("arn:aws:s3:::"):
        bucket, slash, key = arn.removeprefix("arn:aws:s3:::").partition("/")
        return [f"arn:aws:s3:::{name}{slash}{key}" for name in (f"{bucket}-2", f"my-{bucket}", "somebody-elses")]
    *place, name = arn.split(":", 5)
    kind, separator, rest = name.partition("/" if place[2] == "dynamodb" else ":")
    first, colon, more = rest.partition(":")
    changed = [f"{kind}{separator}{first}-2{colon}{more}"] if separator else [f"{kind}-2", f"my-{kind}"]
    elsewhere = [":".join([*place[:3], "eu-west-1", place[4], name]), ":".join([*place[:4], OTHER_ACCOUNT, name])]
    return [":".join([*place, name]) for name in changed] + elsewhere


def kind_of(arn: str) -> tuple[str, bool]:
    """The service, and whether it is an object in a bucket."""
    return arn.split(":")[2], arn.startswith("arn:aws:s3:::") and "/" in arn


def place_of(arn: str) -> str:
    """The bucket of an object; whatever else the ARN says of anything else."""
    return arn.split("/")[0] if arn.startswith("arn:aws:s3:::") else arn


def test_every_role_is_known(open_system: System) -> None:
    """A role that is added has to be looked at by the tests below."""
    roles = {role["RoleName"] for role in open_system.clients("iam").list_roles()["Roles"]}
    assert roles == {MACHINE_ROLE, API_LOGS_ROLE, *FUNCTIONS}


@pytest.mark.parametrize("role", [MACHINE_ROLE, *FUNCTIONS])
def test_a_role_may_do_what_its_principal_does(
    open_system: System, used: dict[str, set[Permission]], role: str
) -> None:
    """Nothing that a principal was seen to do is refused."""
    for action, resource in sorted(used[role]):
        assert allowed(open_system, role, action, resource) == [resource], action


@pytest.mark.parametrize("role", [MACHINE_ROLE, *FUNCTIONS])
def test_a_role_may_do_nothing_else(open_system: System, used: dict[str, set[Permission]], role: str) -> None:
    """What it may do to one thing it may not do to that thing's neighbours, nor to what is other principals'."""
    everybodys = {resource for permissions in used.values() for _, resource in permissions} - {EVERYTHING}
    for action in sorted({action for action, resource in used[role] if resource != EVERYTHING}):
        own = {resource for used_action, resource in used[role] if used_action == action}
        next_to_them = {neighbour for resource in own for neighbour in neighbours(resource)}
        # Which files of a bucket a role may touch is the key filter's, and has a test of its own.
        places = {place_of(resource) for resource in own}
        like_them = {resource for resource in everybodys if kind_of(resource) in {kind_of(mine) for mine in own}}
        others = next_to_them | {resource for resource in like_them if place_of(resource) not in places}
        assert allowed(open_system, role, action, *sorted(others)) == [], action


@pytest.mark.parametrize("role", [MACHINE_ROLE, *FUNCTIONS])
def test_a_role_may_not_do_what_nobody_needs(open_system: System, used: dict[str, set[Permission]], role: str) -> None:
    """The actions that are granted are those that are used, each on everything that it is granted on.

    What is granted on everything is done to what AWS has no resource for, and to nothing that has one.
    """
    for statement in granted(open_system, role):
        assert statement["Effect"] == "Allow"
        for action in statement["Action"]:
            for pattern in statement["Resource"]:
                done_to = {resource for used_action, resource in used[role] if used_action == action}
                assert (pattern == EVERYTHING) == (EVERYTHING in done_to), f"{role}: {action} on {pattern}."
                # In fnmatch alone, a bracket means something.
                literal = pattern.replace("[", "[[]")
                assert any(fnmatchcase(resource, literal) for resource in done_to), (
                    f"{role} does not use {action} on {pattern}."
                )


@pytest.mark.parametrize("role", [MACHINE_ROLE, *FUNCTIONS])
def test_every_statement_is_needed(open_system: System, used: dict[str, set[Permission]], role: str) -> None:
    """Without any one statement of its policy, the principal could not do all that it does."""
    statements = granted(open_system, role)
    iam = open_system.clients("iam")
    for left_out in range(len(statements)):
        rest = json.dumps(policies.policy(*[s for index, s in enumerate(statements) if index != left_out]))
        decisions = [
            iam.simulate_custom_policy(PolicyInputList=[rest], ActionNames=[action], ResourceArns=[resource])[
                "EvaluationResults"
            ][0]["EvalDecision"]
            for action, resource in used[role]
        ]
        assert set(decisions) != {"allowed"}, f"{role} needs no {statements[left_out]}."


@pytest.mark.parametrize("role", [MACHINE_ROLE, "copy-worker", "build-worker", "regional-sync"])
def test_a_bucket_of_the_same_name_in_another_account_is_out_of_reach(
    open_system: System, used: dict[str, set[Permission]], role: str
) -> None:
    """What the role may do to the stack's buckets it may not do to those that somebody else makes under their names.

    The emulator takes no aws:ResourceAccount from who asks, but that of the account that the simulator is asked in.
    """
    elsewhere = Clients(open_system.endpoint, open_system.region, access_key=OTHER_ACCOUNT)
    policy = json.dumps(policies.policy(*granted(open_system, role)))
    of_buckets = sorted((action, resource) for action, resource in used[role] if action.startswith("s3:"))
    assert of_buckets
    for action, resource in of_buckets:
        decisions = [
            clients("iam").simulate_custom_policy(
                PolicyInputList=[policy], ActionNames=[action], ResourceArns=[resource]
            )["EvaluationResults"][0]["EvalDecision"]
            for clients in (open_system.clients, elsewhere)
        ]
        assert decisions == ["allowed", "implicitDeny"], action


def test_only_api_gateways_own_role_is_not_bound_to_a_place(open_system: System) -> None:
    """The role for the logs of all APIs has AWS's own policy, on everything: it writes and reads logs, deletes none.
    Other roles have such a statement only for traces and the delivery of the state machine's log."""
    everywhere = [
        (role, action)
        for role in (MACHINE_ROLE, API_LOGS_ROLE, *FUNCTIONS)
        for statement in granted(open_system, role)
        if "*" in statement["Resource"]
        for action in statement["Action"]
    ]
    others = {action for role, action in everywhere if role != API_LOGS_ROLE}
    assert {action for action in others if not action.startswith("xray:")} <= {
        action for role, action in everywhere if role == MACHINE_ROLE
    }
    assert all(action.startswith("logs:") for role, action in everywhere if role == API_LOGS_ROLE)
    here = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/apigateway/file-copy-api:log-stream:0"
    assert allowed(open_system, API_LOGS_ROLE, "logs:PutLogEvents", here) == [here]
    for action in ("logs:DeleteLogGroup", "logs:DeleteLogStream", "logs:PutRetentionPolicy"):
        assert allowed(open_system, API_LOGS_ROLE, action, here) == []


@pytest.mark.parametrize(
    ("key", "is_allowed"),
    [("releases/1.zip", True), ("releases/a/b.zip", True), ("releases/1.txt", False), ("secrets/1.zip", False)],
)
def test_a_key_filter_bounds_what_the_workflow_may_copy(open_system: System, key: str, is_allowed: bool) -> None:
    """With keyPrefix and keySuffix, other files of the source bucket are out of reach."""
    keys = policies.keys_like("releases/", ".zip")
    policy = policies.copy_workflow(
        "arn:aws:s3:::s", ["arn:aws:s3:::d"], ["arn:aws:s3:::e"], table_arn("t"), "arn:aws:sns:::t", "w", keys, []
    )
    for action, resource in (
        ("s3:GetObject", object_arn("s", key)),
        ("s3:GetObjectVersion", object_arn("s", key)),
        ("s3:PutObject", object_arn("d", key)),
        ("s3:PutObject", object_arn("e", key)),
    ):
        [result] = open_system.clients("iam").simulate_custom_policy(
            PolicyInputList=[json.dumps(policy)], ActionNames=[action], ResourceArns=[resource]
        )["EvaluationResults"]
        assert (result["EvalDecision"] == "allowed") is is_allowed
