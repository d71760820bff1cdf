"""What is refused where IAM is enforced. The other end-to-end tests run there too, and show what is let through."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from components import policies
from components.names import DEAD_LETTERS_SUFFIX
from filecopy.executions.find import list_executions, read_definition, read_history
from filecopy.executions.follow import Follower
from filecopy.replay import replay
from filecopy.retry import Retried, retry
from filecopy.stack.clients import Clients
from filecopy.stack.records import list_records, read_record, read_records
from filecopy.stack.stack import Stack

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
        QueueUrl=system.outputs["upload_queue_url"], MessageBody="{}"
    ),
    "forge the end of an execution": lambda user, system: user("sqs").send_message(
        QueueUrl=system.outputs["dead_letter_queue_urls"]["endings"].removesuffix(DEAD_LETTERS_SUFFIX), MessageBody="{}"
    ),
    "run a function": lambda user, _system: user("lambda").invoke(FunctionName="build-worker", Payload=b"{}"),
}

# An operator replays dead letters.
OPERATORS = ("start", "record", "forge an event", "forge the end of an execution")


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_user_without_a_policy_is_refused(enforced: System, use: Call) -> None:
    """Credentials of the account alone are not enough for anything."""
    stranger = enforced.clients_of(enforced.make_user())
    assert "Denied" in (code := refusal(lambda: use(stranger, enforced))) or "Authorization" in code


@pytest.mark.parametrize("use", [name for name in USES if name not in ("upload", "start", "record")])
def test_a_user_of_the_stack_may_do_no_more_than_use_it(enforced: System, use: str) -> None:
    """The documented policy lets in uploads, starts and looks. Copies, records and functions stay out of reach."""
    assert "Denied" in (code := refusal(lambda: USES[use](enforced.user, enforced))) or "Authorization" in code


# What docs/operations.md tells an operator to do, and what of it a user may do as well.
GROUP = "/aws/lambda/replication-worker"
ALARM = "file-copy-slow"
A_DAY = {"startTime": int(time.time()) - 86400, "endTime": int(time.time())}
RUNBOOK: dict[str, Call] = {
    "watch": lambda who, system: Follower(operated(who, system)).current(),
    "status": lambda who, system: read_record(operated(who, system), "known.zip"),
    "several records": lambda who, system: read_records(operated(who, system), ["known.zip", "operated.zip"]),
    "list": lambda who, system: list(list_records(operated(who, system))),
    "executions": lambda who, system: list(list_executions(operated(who, system), key="operated.zip")),
    "report": lambda who, system: report_on(operated(who, system), "operated.zip"),
    "retry": lambda who, system: retry(operated(who, system), "operated.zip"),
    "replay": lambda who, system: replay(operated(who, system), "uploads"),
    "stop": lambda who, system: who("stepfunctions").stop_execution(
        executionArn=system.start_waiting(f"{uuid.uuid4().hex}.zip")
    ),
    "list executions": lambda who, system: who("stepfunctions").list_executions(
        stateMachineArn=system.state_machine, statusFilter="FAILED"
    ),
    "every record": lambda who, system: who("dynamodb").scan(TableName=system.table),
    "depth of a queue": lambda who, system: who("sqs").get_queue_attributes(
        QueueUrl=system.outputs["upload_queue_url"], AttributeNames=["All"]
    ),
    "depth of a dead-letter queue": lambda who, system: who("sqs").get_queue_attributes(
        QueueUrl=system.outputs["dead_letter_queue_urls"]["endings"], AttributeNames=["All"]
    ),
    "who reads a queue": lambda who, _: who("lambda").list_event_source_mappings(FunctionName="replication-worker"),
    "read a queue again": lambda who, system: who("lambda").update_event_source_mapping(
        UUID=system.lambda_.list_event_source_mappings(FunctionName="regional-sync")["EventSourceMappings"][0]["UUID"],
        Enabled=True,
    ),
    "concurrency": lambda who, _: who("lambda").get_account_settings(),
    "who is subscribed": lambda who, system: who("sns").list_subscriptions_by_topic(
        TopicArn=system.outputs["digest_topic_arn"]
    ),
    "tail of a log": lambda who, _: who("logs").filter_log_events(logGroupName=GROUP),
    "query of logs": lambda who, _: who("logs").start_query(logGroupName=GROUP, queryString="fields @message", **A_DAY),
    "answer to a query": lambda who, system: who("logs").get_query_results(
        queryId=system.clients("logs").start_query(logGroupName=GROUP, queryString="fields @message", **A_DAY)[
            "queryId"
        ]
    ),
    "alarms": lambda who, _: who("cloudwatch").describe_alarms(AlarmNamePrefix="file-copy-"),
    "silence": lambda who, _: who("cloudwatch").disable_alarm_actions(AlarmNames=[ALARM]),
    "no more silence": lambda who, _: who("cloudwatch").enable_alarm_actions(AlarmNames=[ALARM]),
    "false alarm": lambda who, _: who("cloudwatch").set_alarm_state(
        AlarmName=ALARM, StateValue="OK", StateReason="A test"
    ),
    "dashboard": lambda who, system: who("cloudwatch").get_dashboard(DashboardName=system.outputs["dashboard_name"]),
    "metrics": lambda who, _: who("cloudwatch").get_metric_data(
        MetricDataQueries=[{"Id": "used", "Expression": "1"}], StartTime=0, EndTime=1
    ),
    "who stopped it": lambda who, _: who("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "StopExecution"}]
    ),
}
A_USERS = ("watch", "status", "several records", "list", "executions", "report", "retry", "list executions")
NOT_ENFORCED = ("read a queue again", "concurrency")
"""By the emulator (docs/engines.md)."""


def operated(who: Clients, system: System) -> Stack:
    return Stack(system.outputs, who)


def report_on(stack: Stack, key: str) -> object:
    return read_definition(stack, read_history(stack, key))


def test_an_operator_may_do_what_the_runbook_says_and_is_allowed_no_more(enforced: System) -> None:
    """With the documented policy each step goes through, and each action of the policy is one of a step's."""
    operator, used = enforced.clients_of(enforced.make_operator()), set()

    def record(model: Any, **_more: object) -> None:
        # CloudWatch's permissions are not called what its signatures are.
        used.add(f"{model.service_model.signing_name.replace('monitoring', 'cloudwatch')}:{model.name}")

    for service in ("cloudtrail", "cloudwatch", "dynamodb", "lambda", "logs", "sns", "sqs", "stepfunctions"):
        operator(service).meta.events.register("provide-client-params", record)
    enforced.upload("operated.zip")
    enforced.run(enforced.job("operated.zip", "operated-later"))
    enforced.s3.create_bucket(Bucket="operated-later")
    enforced.sqs.send_message(
        QueueUrl=enforced.outputs["dead_letter_queue_urls"]["uploads"],
        MessageBody=json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
    )
    done = {name: step(operator, enforced) for name, step in RUNBOOK.items()}
    assert done["replay"] == 1
    retried = done["retry"]
    assert isinstance(retried, Retried)
    assert retried.results
    assert (retried.status, retried.results.status) == ("SUCCEEDED", "COMPLETED")
    assert used == {action for statement in enforced.operator_policy()["Statement"] for action in statement["Action"]}


@pytest.mark.parametrize("step", [name for name in RUNBOOK if name not in (*A_USERS, *NOT_ENFORCED)])
def test_a_user_of_the_stack_is_no_operator(enforced: System, step: str) -> None:
    """What the runbook says beyond looking and retrying, the policy of a user does not allow."""
    assert "Denied" in (code := refusal(lambda: RUNBOOK[step](enforced.user, enforced))) or "Authorization" in code


@pytest.mark.parametrize("use", [name for name in USES if name not in OPERATORS])
def test_an_operator_reaches_no_file(enforced: System, use: str) -> None:
    """Uploads, files, records and functions are out of an operator's reach."""
    operator = enforced.clients_of(enforced.make_operator())
    assert "Denied" in (code := refusal(lambda: USES[use](operator, enforced))) or "Authorization" in code


def test_an_operator_works_on_this_stack_alone(enforced: System) -> None:
    """What is beside the stack's own is not stopped, scanned, switched, read or silenced."""
    iam, here, policy = enforced.clients("iam"), f"us-east-1:{ACCOUNT}", json.dumps(enforced.operator_policy())

    alarm = f"arn:aws:cloudwatch:{here}:alarm"
    for action, resource, is_allowed in (
        ("cloudwatch:DescribeAlarms", f"{alarm}:*", True),
        ("cloudwatch:DisableAlarmActions", f"{alarm}:{ALARM}", True),
        ("cloudwatch:GetDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/file-copy-workflow", True),
        ("states:StopExecution", f"arn:aws:states:{here}:execution:other:1", False),
        ("dynamodb:Scan", f"arn:aws:dynamodb:{here}:table/Other", False),
        ("sqs:SendMessage", f"arn:aws:sqs:{here}:other", False),
        ("sqs:SendMessage", f"arn:aws:sqs:{here}:file-copy-uploads-dead-letters", False),
        ("sqs:ReceiveMessage", f"arn:aws:sqs:{here}:file-copy-uploads", False),
        ("logs:FilterLogEvents", f"arn:aws:logs:{here}:log-group:/aws/lambda/other:*", False),
        ("cloudwatch:DisableAlarmActions", f"{alarm}:other", False),
        ("cloudwatch:GetDashboard", f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/other", False),
    ):
        [result] = iam.simulate_custom_policy(PolicyInputList=[policy], ActionNames=[action], ResourceArns=[resource])[
            "EvaluationResults"
        ]
        assert result["EvalDecision"] == ("allowed" if is_allowed else "implicitDeny"), (action, resource)


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
        assert enforced.post(path, {}, signer=SigV4Auth(credentials, "execute-api", enforced.region))[0] == 403


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
    iam, role = enforced.clients("iam"), enforced.outputs["step_function_role_arn"]
    sts, name = enforced.clients("sts"), role.split("/")[-1]
    assert refusal(lambda: sts.assume_role(RoleArn=role, RoleSessionName="test")) == "AccessDenied"
    as_deployed = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    for_the_test = policies.policy({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": root})
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(for_the_test))
    try:
        taken = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        yield Clients(
            enforced.endpoint,
            enforced.region,
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


@pytest.mark.slow
def test_the_owner_of_a_bucket_is_told_what_to_add_to_its_policy(enforced: System) -> None:
    """'filecopy policy' prints JSON that names the bucket and the workflow's role, and S3 takes it as it is."""
    bucket = enforced.destinations[1]
    port = str(enforced.stack.port)
    printed = filecopy("policy", bucket, "--port", port)
    assert printed.returncode == 0
    assert printed.stderr.startswith(f"{bucket} belongs to the stack, and needs no policy")
    [statement] = json.loads(printed.stdout)["Statement"]
    assert statement["Resource"] == f"arn:aws:s3:::{bucket}/*"
    roles = [enforced.outputs[name] for name in ("step_function_role_arn", "copy_worker_role_arn")]
    assert statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] == roles
    enforced.s3.put_bucket_policy(Bucket=bucket, Policy=printed.stdout)
    enforced.s3.delete_bucket_policy(Bucket=bucket)
    refused = filecopy("policy", "nobodys", "--port", port)
    assert refused.returncode == 1
    assert "nobodys is not a destination of the stack" in refused.stderr
