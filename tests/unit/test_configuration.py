"""Pulumi.yaml, Pulumi.local.yaml, and the configuration that the embedded stack makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pulumi_aws
import pytest
from pulumi_aws._inputs import ProviderEndpointArgsDict

from filecopy.embedded.configuration import PROJECT, PROJECT_ROOT, stack_configuration
from filecopy.errors import StackError

from .mocks import EMULATOR, Recording, declared_settings, load_settings, project_file

# Endpoints are named after the provider's services, resource types after Pulumi's modules.
SERVICE_OF_TYPE = {
    "cloudwatch/logGroup": "logs",
    "cloudwatch/eventRule": "events",
    "cloudwatch/eventTarget": "events",
    "cloudwatch/metricAlarm": "cloudwatch",
    "cloudwatch/dashboard": "cloudwatch",
}


def local() -> dict[str, Any]:
    configuration: dict[str, Any] = project_file("Pulumi.local.yaml")["config"]
    return configuration


def endpoints() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in local()["aws:endpoints"]:
        found |= entry
    return found


def test_the_cli_installs_the_program_into_the_projects_own_environment() -> None:
    """Pulumi's runtime is Python with pip and .venv, so that ``pulumi up`` runs with the packages that make pins."""
    content = project_file("Pulumi.yaml")
    assert content["name"] == PROJECT
    assert content["runtime"] == {"name": "python", "options": {"toolchain": "pip", "virtualenv": ".venv"}}


def test_every_setting_is_explained() -> None:
    """Each declared setting has a type, a default and a description: Pulumi.yaml is where a user looks them up."""
    for name, setting in declared_settings().items():
        assert setting.keys() >= {"type", "default", "description"}, name


def test_the_local_stack_differs_from_the_defaults_where_it_has_to() -> None:
    """The local stack needs no signatures, may delete its buckets, and has an account of its own, without a role for
    API Gateway's logs; its project settings are all declared."""
    own = {key.removeprefix(f"{PROJECT}:"): value for key, value in local().items() if not key.startswith("aws:")}
    assert own == {"apiAuthorization": "NONE", "forceDestroy": True, "manageApiLoggingRole": True}
    assert own.keys() <= declared_settings().keys()


@pytest.mark.parametrize("endpoint", [None, "http://127.0.0.1:4570"])
def test_the_local_stack_loads(endpoint: str | None) -> None:
    """The program takes Pulumi.local.yaml as the embedded stack reads it, with the endpoint that it is told."""
    settings = load_settings(stack_configuration("local", endpoint=endpoint))
    assert settings.emulator_endpoint == (endpoint or EMULATOR)
    assert (settings.api_authorization, settings.force_destroy) == ("NONE", True)


def test_an_endpoint_replaces_every_endpoint() -> None:
    """No service is left on the file's port: a stack on another port would deploy into somebody else's emulator."""
    [replaced] = json.loads(stack_configuration("local", endpoint="http://127.0.0.1:4570")["aws:endpoints"])
    assert replaced == dict.fromkeys(endpoints(), "http://127.0.0.1:4570")


def test_the_provider_knows_every_endpoint() -> None:
    """Each key of aws:endpoints is one of pulumi-aws's, which would refuse the stack, or pass over a misspelt one."""
    known = {name.rstrip("_") for name in ProviderEndpointArgsDict.__annotations__}
    assert endpoints().keys() <= known
    assert {url for name, url in endpoints().items() if name != "s3control"} == {EMULATOR}


def test_the_provider_can_ask_for_a_buckets_tags() -> None:
    """pulumi-aws 7.13 and newer read a bucket's tags from S3 Control, whose host has the account in front: without one
    every bucket fails ("AccountId must only contain a-z, A-Z, 0-9 and -"), and in front of "localhost" or an address
    the name leads nowhere on most machines. Public DNS leads each name under localhost.localstack.cloud to 127.0.0.1.
    """
    assert local()["aws:skipRequestingAccountId"] is False
    assert "sts" in endpoints()
    assert endpoints()["s3control"] == EMULATOR.replace("localhost", "localhost.localstack.cloud")


def test_every_service_that_is_used_has_an_endpoint(whole_program: Recording) -> None:
    """No resource of the local stack is made in a real account, for want of its service's endpoint."""
    types = {found.type.split(":")[1] for found in whole_program.registered if not found.is_component}
    used = {SERVICE_OF_TYPE.get(found, found.split("/")[0]) for found in types}
    assert used == {
        "apigateway",
        "cloudwatch",
        "dynamodb",
        "events",
        "iam",
        "lambda",
        "logs",
        "s3",
        "sfn",
        "sns",
        "sqs",
    }
    # The provider itself asks sts who it is, and s3control for a bucket's tags.
    assert endpoints().keys() == used | {"sts", "s3control"}


def test_the_provider_knows_every_aws_setting() -> None:
    """Each other aws: key is a setting of pulumi-aws: a misspelt skipCredentialsValidation would ask AWS for a user."""
    source = (Path(pulumi_aws.__file__).parent / "config" / "vars.py").read_text(encoding="utf-8")
    known = set(re.findall(r"__config__\.get\w*\('(\w+)'\)", source))
    own = {key.removeprefix("aws:") for key in local() if key.startswith("aws:")}
    assert own - {"endpoints"} <= known


def test_an_override_takes_the_place_of_a_files_value() -> None:
    """What is given on the command line wins over Pulumi.local.yaml, which wins over Pulumi.yaml."""
    configuration = stack_configuration("local", overrides={"apiAuthorization": "AWS_IAM", "maxConcurrency": "5"})
    assert configuration[f"{PROJECT}:apiAuthorization"] == "AWS_IAM"
    assert configuration[f"{PROJECT}:maxConcurrency"] == "5"
    assert configuration[f"{PROJECT}:forceDestroy"] == "true"


def test_an_override_of_no_setting_is_refused() -> None:
    """A misspelt setting is named, with those that there are, and never taken for one that has no effect."""
    with pytest.raises(StackError, match=r"There is no setting 'maxConcurency'\. The settings are .*maxConcurrency"):
        stack_configuration("local", overrides={"maxConcurency": "5"})


def project_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """Has the project's files be those of a folder."""
    monkeypatch.setattr("filecopy.embedded.configuration.PROJECT_ROOT", folder)
    for name in ("Pulumi.yaml", "Pulumi.local.yaml"):
        text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
        if text := files.get(name.split(".")[1], text):
            (folder / name).write_text(text, encoding="utf-8")


def test_a_file_that_the_cli_has_written_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CLI makes texts of true and false, and adds its salt: the embedded stack reads the same settings in it."""
    before = stack_configuration("local")
    text = (PROJECT_ROOT / "Pulumi.local.yaml").read_text(encoding="utf-8")
    rewritten = re.sub(r": (true|false)$", r': "\1"', text, flags=re.MULTILINE) + "encryptionsalt: v1:abc\n"
    assert rewritten.count('"true"') + rewritten.count('"false"') == 6
    project_of(tmp_path, monkeypatch, local=rewritten)
    assert stack_configuration("local") == before


def test_a_file_that_the_cli_has_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "pulumi stack rm local" deletes the file that the embedded stack reads: a sentence says how to get it back."""
    project_of(tmp_path, monkeypatch, local="")
    with pytest.raises(StackError, match=r"Pulumi\.local\.yaml must be in .*git checkout Pulumi\.local\.yaml"):
        stack_configuration("local")


def test_the_clis_own_file_is_no_part_of_the_repository() -> None:
    """README has the local stack's file copied to one that the CLI may write into and delete: git does not see it."""
    ignored = (PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "Pulumi.localstack.yaml" in ignored
    assert "Pulumi.local.yaml" not in ignored
