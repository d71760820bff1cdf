"""AWS clients, each made once per container, at its first use. They are of the function's own region, unless told.

The endpoint comes from ``AWS_ENDPOINT_URL``, which emulators set and AWS does not.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.session import Session, get_session

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_stepfunctions import SFNClient

# A function has seconds, so a call that hangs must fail while there is time to report it.
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


# One cache for all, in which a region that is not given and None are the same.
@cache
def _client(service: str, region: str | None) -> Any:
    if service == "s3":
        # boto3's own, which can move a file in parts. The others do without boto3, which takes a while to import.
        import boto3

        return boto3.client("s3", region_name=region, config=_CONFIG)
    return session().create_client(service, region_name=region, config=_CONFIG)
