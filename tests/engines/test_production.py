"""A stack as on AWS, with README's commands. It is on MiniStack, by AWS_ENDPOINT_URL, so the program sees AWS."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from components import outputs

from .checkout import Checkout
from .engines import Engine, ministack, missing

SECTION = "On AWS"
# The number in README, which includes the stack itself.
RESOURCES = 163
KEPT = "acme-region-b-builds"

pytestmark = pytest.mark.skipif(missing("MiniStack") is not None, reason=missing("MiniStack") or "")


def test_what_must_not_go_stays(tmp_path: Path) -> None:
    """Files and records survive mistakes: a destroy in any form, another prefix, a removed destination. A stack that is
    destroyed on purpose leaves only the bucket that was removed from it before."""
    (tmp_path / "engine").mkdir()
    with ministack(tmp_path / "engine") as engine:
        credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        checkout = Checkout.make(tmp_path, AWS_ENDPOINT_URL=engine.url, **credentials)
        checkout.type_readme(SECTION, "make setup")
        checkout.type_readme(SECTION, "pulumi config set aws:region")
        # The engine is at an IP address, so a bucket's name cannot be in front of the host.
        checkout.pulumi("config", "set", "aws:s3UsePathStyle", "true")

        with checkout.step("up that is interrupted, and another"):
            checkout.interrupted_up(signal.SIGINT)
            checkout.type_readme(SECTION, "pulumi up")
            assert len(checkout.resources()) + 1 == RESOURCES
            stack_outputs = checkout.outputs()
            assert stack_outputs[outputs.ENDPOINT] == ""
            assert stack_outputs[outputs.API_GATEWAY_URL].startswith("https://")
        before = contents(engine)
        assert before.keys() == {f"acme-{name}" for name in ("global-builds", "region-a-builds", "region-b-builds")}

        with checkout.step("destroy is refused"):
            everything = engine.leftovers()
            assert "because it is protected" in checkout.pulumi("destroy", "--yes", fails=True)
            assert engine.leftovers() == everything

        with checkout.step("another prefix is refused"):
            checkout.pulumi("config", "set", "namePrefix", "other-")
            printed = checkout.pulumi("preview", fails=True)
            assert "unable to replace resource" in printed
            assert "marked for protection" in printed
            checkout.pulumi("config", "set", "namePrefix", "acme-")

        with checkout.step("a destination is taken out"):
            engine.clients("s3").put_object(Bucket=KEPT, Key="kept.zip", Body=b"kept")
            checkout.pulumi("config", "set", "--path", "destinations[0].bucket", "region-a-builds")
            assert "because it is protected" in checkout.pulumi("up", "--yes", "--skip-preview", fails=True)
            assert contents(engine) == before
            checkout.pulumi("state", "unprotect", "--all", "--yes")
            checkout.up()
            assert checkout.outputs()[outputs.DESTINATION_BUCKETS] == ["acme-region-a-builds"]
            assert contents(engine) == before
            assert (
                not engine.clients("s3").get_bucket_notification_configuration(Bucket=KEPT).get("QueueConfigurations")
            )
            assert engine.clients("s3").get_object(Bucket=KEPT, Key="kept.zip")["Body"].read() == b"kept"
            assert "because it is protected" in checkout.pulumi("destroy", "--yes", fails=True)

        with checkout.step("destroy without a preview"):
            assert "because it is protected" in checkout.pulumi("destroy", "--yes", "--skip-preview", fails=True)
            assert contents(engine) == before
            assert engine.clients("dynamodb").list_tables()["TableNames"] == ["acme-FileCopyTracking"]

        with checkout.step("destroy"):
            checkout.type_readme(SECTION, "pulumi config set forceDestroy")
            assert [line.split() for line in engine.leftovers()] == [["buckets", "1", KEPT]]
            assert "production" not in checkout.pulumi("stack", "ls")
        assert checkout.changes() == ""


def contents(engine: Engine) -> dict[str, dict[str, Any]]:
    """The configuration of each bucket that protects it and its files."""
    s3 = engine.clients("s3")
    return {
        bucket["Name"]: {
            "versions": s3.get_bucket_versioning(Bucket=bucket["Name"])["Status"],
            "encryption": s3.get_bucket_encryption(Bucket=bucket["Name"])["ServerSideEncryptionConfiguration"],
            "policy": s3.get_bucket_policy(Bucket=bucket["Name"])["Policy"],
            "lifecycle": s3.get_bucket_lifecycle_configuration(Bucket=bucket["Name"])["Rules"],
            "public": s3.get_public_access_block(Bucket=bucket["Name"])["PublicAccessBlockConfiguration"],
            "owner": s3.get_bucket_ownership_controls(Bucket=bucket["Name"])["OwnershipControls"],
        }
        for bucket in s3.list_buckets()["Buckets"]
    }
