"""What is refused where IAM is enforced. The other end-to-end tests run there too, and show what is let through."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from components import policies
from filecopy.clients import Clients

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
    notification = enforced.inbox()
    machine, key = enforced.state_machine, f"{uuid.uuid4().hex}.zip"
    started = f"{machine.replace(':stateMachine:', ':execution:')}:{uuid.uuid4()}"
    detail = {"executionArn": started, "status": "ABORTED", "input": json.dumps(enforced.job(key))}
    endings = enforced.stack.outputs["dead_letter_queue_urls"]["endings"].removesuffix("-dead-letters")
    enforced.sqs.send_message(QueueUrl=endings, MessageBody=json.dumps({"detail": detail}))
    assert notification(key)["Subject"] == f"File copy aborted: {key}"


def test_plain_http_is_refused_where_the_stack_asks_for_tls(enforced: System) -> None:
    """The policies that the stack has wherever there is TLS, put on this one, which has none, let nobody in."""
    bucket = enforced.destinations[0]
    may_write = policies.policy(policies.allow(["s3:PutObject"], ["*"]), policies.allow(["sqs:SendMessage"], ["*"]))
    user = enforced.clients_of(enforced.make_user(may_write))
    user("s3").put_object(Bucket=bucket, Key="before.zip", Body=b"x")
    enforced.s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps(policies.bucket_refuses_plain_http(f"arn:aws:s3:::{bucket}"))
    )
    try:
        assert refusal(lambda: user("s3").put_object(Bucket=bucket, Key="after.zip", Body=b"x")) == "AccessDenied"
    finally:
        enforced.s3.delete_bucket_policy(Bucket=bucket)

    queue = enforced.sqs.create_queue(QueueName=f"tls-{uuid.uuid4().hex}")["QueueUrl"]
    arn = enforced.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    user("sqs").send_message(QueueUrl=queue, MessageBody="before")
    policy = json.dumps(policies.queue_refuses_plain_http(arn))
    enforced.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    assert "Denied" in refusal(lambda: user("sqs").send_message(QueueUrl=queue, MessageBody="after"))


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
    copy(f"{enforced.source}/mine.zip?versionId={version}", enforced.destinations[0])
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
