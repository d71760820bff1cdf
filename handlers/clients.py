"""AWS clients, each created once per container, at its first use. The default region is the function's own.

Emulators set ``AWS_ENDPOINT_URL``, from which the clients take the endpoint. AWS does not set it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.session import Session, get_session

from .s3_protocol import accept_any_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

# A function runs for seconds, so a call that hangs must fail while there is time to report it.
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


@cache
def session() -> Session:
    return get_session()


def s3(region: str | None = None) -> S3Client:
    return cast("S3Client", _client("s3", region))


def stepfunctions() -> SFNClient:
    return cast("SFNClient", _client("stepfunctions", None))


def dynamodb(region: str | None = None) -> DynamoDBClient:
    return cast("DynamoDBClient", _client("dynamodb", region))


def sns(region: str | None = None) -> SNSClient:
    return cast("SNSClient", _client("sns", region))


def sqs() -> SQSClient:
    return cast("SQSClient", _client("sqs", None))


# One cache for all, so that a region that is not given and None are the same.
@cache
def _client(service: str, region: str | None) -> Any:
    if service == "s3":
        # boto3's client can upload a file in parts. The others need only botocore: the import of boto3 takes a while.
        import boto3

        client = boto3.client("s3", region_name=region, config=_CONFIG)
        accept_any_key(client)
        return client
    return session().create_client(service, region_name=region, config=_CONFIG)
