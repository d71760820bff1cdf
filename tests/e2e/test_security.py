"""What is refused where IAM is enforced. The other end-to-end tests run there too, and show what is let through."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from components import policies
from filecopy.clients import Clients
from tests.handlers.conftest import failed, sqs_event

from .system import ACCOUNT, System, filecopy

Call = Callable[[Clients, System], object]


def refusal(call: Callable[[], object]) -> str:
    """The code with which AWS refuses the call."""
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


USES: dict[str, Call] = {
    "upload": lambda user, system: user("s3").put_object(Bucket=system.source, Key="stranger.zip", Body=b"x"),
    "read": lambda user, system: user("s3").get_object(Bucket=system.destinations[0], Key="known.zip"),
    "overwrite a copy": lambda user, system: user("s3").put_object(
        Bucket=system.destinations[0], Key="known.zip", Body=b"x"
    ),
    "start": lambda user, system: user("stepfunctions").start_execution(
        stateMachineArn=system.state_machine, input="{}"
    ),
    "record": lambda user, system: user("dynamodb").get_item(
        TableName=system.table,
        Key={"fileKey": {"S": "known.zip"}, "sourceBucket": {"S": system.source}},
    ),
    "forge a record": lambda user, system: user("dynamodb").put_item(
        TableName=system.table, Item={"fileKey": {"S": "known.zip"}, "sourceBucket": {"S": system.source}}
    ),
    "forge a notification": lambda user, system: user("sns").publish(TopicArn=system.topic, Message="All is lost"),
    "forge an event": lambda user, system: user("sqs").send_message(
        QueueUrl=system.stack.outputs["upload_queue_url"], MessageBody="{}"
    ),
    "run a function": lambda user, _system: user("lambda").invoke(FunctionName="build-worker", Payload=b"{}"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_user_without_a_policy_is_refused(enforced: System, use: Call) -> None:
    """Credentials of the account alone are not enough for anything."""
    stranger = enforced.clients_of(enforced.make_user())
    assert "Denied" in (code := refusal(lambda: use(stranger, enforced))) or "Authorization" in code


@pytest.mark.parametrize("use", [name for name in USES if name not in ("upload", "start", "record")])
def test_a_user_of_the_stack_may_do_no_more_than_use_it(enforced: System, use: str) -> None:
    """The documented policy lets in uploads, starts and looks. Copies, records and functions stay out of reach."""
    assert "Denied" in (code := refusal(lambda: USES[use](enforced.user, enforced))) or "Authorization" in code


@pytest.mark.parametrize("path", ["/step-function", "/builds"])
def test_the_api_refuses_who_does_not_sign_or_may_not_call(enforced: System, path: str) -> None:
    """No signature, a wrong one, and one of a user without the policy get 403, before any function runs."""
    signer, enforced.signer = enforced.signer, None
    try:
        assert enforced.post(path, {})[0] == 403
    finally:
        enforced.signer = signer
    stranger = enforced.make_user()
    wrong = Credentials(stranger.access_key, "wrong")
    for credentials in (wrong, stranger):
        assert enforced.post(path, {}, signer=SigV4Auth(credentials, "execute-api", enforced.stack.region))[0] == 403


def test_nobody_but_the_stack_publishes_failures(enforced: System) -> None:
    """A user whom IAM allows to publish to every topic is refused by the topic's own policy."""
    everywhere = policies.policy(policies.allow(["sns:Publish"], ["*"]))
    publisher = enforced.clients_of(enforced.make_user(everywhere))
    assert refusal(lambda: publisher("sns").publish(TopicArn=enforced.topic, Message="x")) == "AuthorizationError"
    other = enforced.sns.create_topic(Name=f"other-{uuid.uuid4().hex}")["TopicArn"]
    publisher("sns").publish(TopicArn=other, Message="x")


def test_functions_publish_failures_with_their_own_roles(enforced: System) -> None:
    """execution-watcher, whose role the emulator does take on, gets past the topic's policy."""
    notification, key = enforced.inbox(), f"{uuid.uuid4().hex}.zip"
    execution = enforced.start_waiting(key)
    enforced.stepfunctions.stop_execution(executionArn=execution)
    assert notification(execution)["Subject"] == f"File copy aborted: {key}"


def test_an_ending_that_was_not_is_not_believed(enforced: System) -> None:
    """A forged event of an execution that runs, or that never was, changes no record and publishes nothing, even where
    it gets past the queue; the true end of the same execution does both."""
    notification, key = enforced.inbox(), f"{uuid.uuid4().hex}.zip"
    running = enforced.start_waiting(key)
    never_was = f"{running.rsplit(':', 1)[0]}:{uuid.uuid4()}"
    keys = {running: key, never_was: f"never-{key}"}
    for execution, file_key in keys.items():
        # As if the execution were in the middle of its copies.
        enforced.dynamodb.update_item(
            TableName=enforced.table,
            Key={"fileKey": {"S": file_key}, "sourceBucket": {"S": enforced.source}},
            UpdateExpression="SET executionId = :execution, #status = :status, leaseExpiresAt = :later",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={
                ":execution": {"S": execution},
                ":status": {"S": "IN_PROGRESS"},
                ":later": {"N": "9999999999"},
            },
        )
    before = {file_key: enforced.record(file_key) for file_key in keys.values()}
    for execution, file_key in keys.items():
        detail = {"executionArn": execution, "status": "ABORTED", "input": json.dumps(enforced.job(file_key))}
        forged = sqs_event(json.dumps({"detail": {**detail, "error": "Forged", "cause": "forged"}}))
        answer = enforced.lambda_.invoke(FunctionName="execution-watcher", Payload=json.dumps(forged))
        assert json.load(answer["Payload"]) == failed(0)
    assert {file_key: enforced.record(file_key) for file_key in keys.values()} == before

    enforced.stepfunctions.stop_execution(executionArn=running)
    told = notification(running)
    assert "orged" not in told["Message"]
    # What the forged events had published would have come before.
    assert [found for found in notification.received if key in found["Message"]] == [told]

    def closed() -> str | None:
        status = (enforced.record(key) or {}).get("status")
        return status if status != "IN_PROGRESS" else None

    assert enforced.wait_for("the record to be closed", closed) == "FAILED"
    assert enforced.record(f"never-{key}") == before[f"never-{key}"]


def over_tls(client: Any) -> Any:
    """The client, whose calls the emulator from now on takes for calls over TLS, as behind a proxy that ends it."""

    def mark(request: AWSRequest, **_more: object) -> None:
        request.headers["X-Forwarded-Proto"] = "https"

    client.meta.events.register("before-sign", mark)
    return client


def test_plain_http_is_refused_where_the_stack_asks_for_tls(enforced: System) -> None:
    """The policies that the stack has wherever there is TLS, put on this one, which has none, let in nobody who comes
    over plain HTTP, and everybody else as before."""
    bucket = enforced.destinations[0]
    may_write = policies.policy(policies.allow(["s3:PutObject"], ["*"]), policies.allow(["sqs:SendMessage"], ["*"]))
    credentials = enforced.make_user(may_write)
    user, tls_user = enforced.clients_of(credentials), enforced.clients_of(credentials)
    user("s3").put_object(Bucket=bucket, Key="before.zip", Body=b"x")
    enforced.s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps(policies.bucket_refuses_plain_http(f"arn:aws:s3:::{bucket}"))
    )
    try:
        assert refusal(lambda: user("s3").put_object(Bucket=bucket, Key="after.zip", Body=b"x")) == "AccessDenied"
        over_tls(tls_user("s3")).put_object(Bucket=bucket, Key="after.zip", Body=b"x")
    finally:
        enforced.s3.delete_bucket_policy(Bucket=bucket)

    queue = enforced.sqs.create_queue(QueueName=f"tls-{uuid.uuid4().hex}")["QueueUrl"]
    arn = enforced.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    user("sqs").send_message(QueueUrl=queue, MessageBody="before")
    policy = json.dumps(policies.queue_refuses_plain_http(arn))
    enforced.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    assert "Denied" in refusal(lambda: user("sqs").send_message(QueueUrl=queue, MessageBody="after"))
    over_tls(tls_user("sqs")).send_message(QueueUrl=queue, MessageBody="after")


@pytest.fixture
def as_the_workflow(enforced: System) -> Iterator[Any]:
    """S3 with the state machine's role, which only Step Functions may take on: the test changes that for a moment."""
    iam, role = enforced.clients("iam"), enforced.stack.outputs["step_function_role_arn"]
    sts, name = enforced.clients("sts"), role.split("/")[-1]
    assert refusal(lambda: sts.assume_role(RoleArn=role, RoleSessionName="test")) == "AccessDenied"
    as_deployed = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    for_the_test = policies.policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": root})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(for_the_test))
    try:
        taken = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        yield Clients(
            enforced.stack.endpoint,
            enforced.stack.region,
            taken["AccessKeyId"],
            taken["SecretAccessKey"],
            taken["SessionToken"],
        )("s3")
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(as_deployed))


def test_the_workflow_cannot_be_turned_on_other_buckets(enforced: System, as_the_workflow: Any) -> None:
    """Whoever names another bucket of the same account gets AccessDenied, and no data moves."""
    enforced.upload("mine.zip")
    neighbour = f"neighbour-{uuid.uuid4().hex}"
    enforced.s3.create_bucket(Bucket=neighbour)
    enforced.s3.put_object(Bucket=neighbour, Key="secret.zip", Body=b"secret")

    def copy(source: str, destination: str) -> object:
        return as_the_workflow.copy_object(Bucket=destination, Key="copied.zip", CopySource=source)

    version = enforced.s3.head_object(Bucket=enforced.source, Key="mine.zip")["VersionId"]
    for own in (f"{enforced.source}/mine.zip?versionId={version}", f"{enforced.source}/mine.zip"):
        copy(own, enforced.destinations[0])
    assert refusal(lambda: copy(f"{neighbour}/secret.zip", enforced.destinations[0])) == "AccessDenied"
    assert refusal(lambda: copy(f"{enforced.source}/mine.zip?versionId={version}", neighbour)) == "AccessDenied"
    assert refusal(lambda: as_the_workflow.head_object(Bucket=neighbour, Key="secret.zip")) == "403"
    assert refusal(lambda: as_the_workflow.put_object(Bucket=enforced.source, Key="x", Body=b"")) == "AccessDenied"
    listed = enforced.s3.list_objects_v2(Bucket=neighbour)["Contents"]
    assert [item["Key"] for item in listed] == ["secret.zip"]


def test_the_owner_of_a_bucket_is_told_what_to_add_to_its_policy(enforced: System) -> None:
    """'filecopy policy' prints JSON that names the bucket and the workflow's role, and S3 takes it as it is."""
    bucket = enforced.destinations[1]
    port = str(enforced.stack.port)
    printed = filecopy("policy", bucket, "--port", port)
    assert (printed.returncode, printed.stderr) == (0, "")
    [statement] = json.loads(printed.stdout)["Statement"]
    assert statement["Resource"] == f"arn:aws:s3:::{bucket}/*"
    assert statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] == enforced.stack.outputs["step_function_role_arn"]
    enforced.s3.put_bucket_policy(Bucket=bucket, Policy=printed.stdout)
    enforced.s3.delete_bucket_policy(Bucket=bucket)
    refused = filecopy("policy", "nobodys", "--port", port)
    assert refused.returncode == 1
    assert "'nobodys' is no destination of the stack" in refused.stderr
