"""components/settings.py: the values that are accepted, the values that are refused, and the errors."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest.mock import patch

import pulumi
import pytest
from pulumi.runtime.config import get_config

from components.aws_rules import LOG_RETENTION_DAYS
from components.settings import Destination, SettingsError
from filecopy.embedded.configuration import PROJECT

from .mocks import ACCOUNT, DEFAULTS, EMULATOR, REGION, Recording, arn, declared_settings, load_settings, project

ENDPOINTS = {"aws:endpoints": json.dumps([{"apigateway": f"{EMULATOR}/"}])}
TLS_ENDPOINTS = {"aws:endpoints": json.dumps([{"apigateway": "https://localhost.localstack.cloud:4566"}])}

NAME_PREFIX = "at most 30 characters of a-z, 0-9 and '-', the first of them a letter or digit"
BUCKET_NAME = (
    "a bucket name of 3 to 63 characters of a-z, 0-9, '-' and '.', with a letter or digit at both ends and no '..'"
)
UNRESERVED = "a bucket name that S3 does not reserve, and that is not an IP address"
CONCURRENCY = "an integer from 1 to 40"
URL = "empty, or an https:// URL (on an emulator also http://) in ASCII without user or query"
KEY = "at most 1024 characters of a-z, A-Z, 0-9 and !-_.'()/"
KMS_KEY = "the ARN of a KMS key (not of an alias) in the stack's own region, or empty"
RESERVED = "an integer from 0 (no limit) to 1000"
DAYS = "an integer from 0 (keep forever) to 36500"
RETENTION = f"one of {', '.join(map(str, LOG_RETENTION_DAYS))}"
SIGNED = "AWS_IAM on AWS"
ZIP = "empty or the end of .zip if artifactBaseUrl is set"
MEMBERS = "bucket, existing, region, account, kmsKeyArn"
ARTIFACTS = "https://ci.example.com"
OTHER_ACCOUNT = "210987654321"
EU_KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/0a1b"
TAG_KEY = "1 to 128 letters, digits, spaces and _ . : / = + - @, without aws: at the beginning"
TAG_VALUE = "a string of at most 256 letters, digits, spaces and _ . : / = + - @"
TAG_ONCE = "different from the other keys and from Project and Stack, whatever their case"


def destinations(*items: object) -> str:
    return json.dumps(items)


def test_nothing_set_means_the_defaults_that_are_promised() -> None:
    """The program's own defaults are the names and bounds of the user's guide, so they need no configuration."""
    assert load_settings(project()) == DEFAULTS


def test_each_declared_default_is_the_programs() -> None:
    """Setting a default of Pulumi.yaml changes nothing: the CLI and the embedded stack deploy the same."""
    for name, setting in declared_settings().items():
        default = setting["default"]
        value = default if isinstance(default, str) else json.dumps(default)
        if name != "allowGlobalNames":
            assert load_settings(project(**{name: value})) == DEFAULTS, name


@pytest.mark.parametrize("settings", [{}, {"allowGlobalNames": "false"}, {"namePrefix": ""}])
def test_a_stack_on_aws_has_a_prefix(settings: dict[str, str]) -> None:
    """Without one, a bucket name that another account has would stop the deployment half-way. The error says this, and
    what allows it."""
    with pytest.raises(SettingsError) as refused:
        load_settings(project(**{"allowGlobalNames": "false", **settings}))
    told = str(refused.value)
    assert told.startswith("Nothing was created or changed")
    assert 'namePrefix must be set on AWS, such as acme-, not "". Bucket names are global' in told
    assert "set allowGlobalNames to true" in told
    assert load_settings(project(allowGlobalNames="false", namePrefix="acme-")).source_bucket == "acme-global-builds"
    endpoints = {"aws:endpoints": json.dumps([{"apigateway": "http://localhost:4566"}])}
    local = load_settings(project(allowGlobalNames="false") | endpoints)
    assert local.source_bucket == "global-builds"


def test_the_program_reads_the_declared_settings_and_no_others() -> None:
    """The program reads each setting of Pulumi.yaml, and no other: none has no effect, and none is undocumented."""
    read: set[str] = set()

    def recorded(key: str) -> Any:
        read.add(key)
        return get_config(key)

    with patch("pulumi.config.get_config", recorded):
        # allowPublicApi has an effect only if the API would be public.
        Recording().run(project(apiAuthorization="NONE", allowPublicApi="true"))
    own = {key.removeprefix(f"{PROJECT}:") for key in read if key.startswith(f"{PROJECT}:")}
    assert own == set(declared_settings())


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        *[("namePrefix", value, NAME_PREFIX) for value in ("Acme-", "-acme", "acme_", "a" * 31, "acme.", "a\n")],
        *[
            ("sourceBucket", value, BUCKET_NAME)
            for value in ("Builds", "a..b", "ab", "", "a" * 64, "-builds", "builds-", ".builds", "a_b", "a/b", "abc\n")
        ],
        *[
            ("sourceBucket", value, UNRESERVED)
            for value in (
                "192.168.5.4", "xn--builds", "sthree-builds", "amzn-s3-demo-builds", "builds-s3alias",
                "builds--ol-s3", "builds.mrap", "builds--x-s3", "builds--table-s3",
            )
        ],
        *[("apiAuthorization", value, "AWS_IAM or NONE") for value in ("aws_iam", "CUSTOM", "")],
        *[("maxConcurrency", value, CONCURRENCY) for value in ("0", "41", "-1", "abc", "1.5", "", " 5", "9" * 10)],
        *[("copyWorkerConcurrency", value, RESERVED) for value in ("-1", "1001", "none", "1.5", "")],
        *[("logRetentionDays", value, RETENTION) for value in ("2", "0", "31", "month", "30.0")],
        *[
            (name, value, "true or false")
            for name in ("forceDestroy", "manageApiLoggingRole")
            for value in ("yes", "True", "1", "")
        ],
        ("apiAuthorization", "NONE", SIGNED),
        *[("noncurrentVersionDays", value, DAYS) for value in ("-1", "36501", "1.5", "", "never", "9" * 10)],
        *[
            ("kmsKeyArn", value, KMS_KEY)
            for value in (
                arn("kms", "alias/builds"), arn("kms", "key/"), arn("s3", "key/0a1b"),
                arn("kms", "key/0a1b").replace(REGION, "eu-west-1"), arn("kms", "key/0a1b").replace(ACCOUNT, "1"),
                arn("kms", "key/0a1b\n"), arn("kms", "key/*"),
            )
        ],
        *[
            ("artifactBaseUrl", value, URL)
            for value in (
                "http://builds.example.com", "builds.example.com", "ftp://builds.example.com", "https://", "/",
                "https://example.com?x=1", "https://example.com#x", "https://exa mple.com", "file:///etc",
            )
        ],
        # Each has a special meaning in a policy's resource, or is encoded in a notification's filter.
        *[
            (name, value, KEY)
            for name in ("keyPrefix", "keySuffix")
            for value in (
                "k" * 1025, "ä", "a b", "a+b", "a%20b", "a*", "a?", "${aws:username}/", "$", "a,b", "a:b", "a=b", "a&b",
                "a@b", "a;b", "a~b", "a#b", "a\\b", '"', "[a]", "a\n", "\n", "\x00", "\u0661",
            )
        ],
        *[
            (name, value, "a list")
            for name in ("destinations", "notificationEmails", "operationsEmails")
            for value in ("region-a-builds", "a@example.com,b@example.com")
        ],
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_name(name: str, value: str, allowed: str) -> None:
    """The error for a bad value names the setting, the allowed values and the value, before any call of AWS."""
    with pytest.raises(SettingsError) as refused:
        load_settings(project(**{name: value}))
    assert f"\n  {name} must be {allowed}, not {json.dumps(value, ensure_ascii=False)}." in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "where", "value", "allowed"),
    [
        ({"destinations": "[]"}, "destinations", [], f"a list with at least one object {{{MEMBERS}}}"),
        ({"destinations": '{"bucket": "a-builds"}'}, "destinations", {"bucket": "a-builds"}, "a list"),
        *[
            (
                {"destinations": destinations(item)},
                "destinations[0]", item, f"an object {{{MEMBERS}}} with the bucket's name as a string",
            )
            for item in ("a-builds", {"bucket": 5}, {})
        ],
        (
            {"destinations": destinations({"bucket": "a-builds"}, {"bucket": "B-builds"})},
            "destinations[1].bucket", "B-builds", BUCKET_NAME,
        ),
        ({"destinations": destinations({"bucket": "10.0.0.1"})}, "destinations[0].bucket", "10.0.0.1", UNRESERVED),
        (
            {"destinations": destinations({"bucket": "a-builds"}, {"bucket": "a-builds"})},
            "destinations[1].bucket", "a-builds", "different from the other destinations",
        ),
        (
            {
                "namePrefix": "acme-",
                "destinations": destinations({"bucket": "builds"}, {"bucket": "acme-builds", "existing": True}),
            },
            "destinations[1].bucket", "acme-builds", "different from the other destinations",
        ),
        (
            {"destinations": destinations({"bucket": "global-builds"})},
            "destinations[0].bucket", "global-builds", "different from the source bucket",
        ),
        (
            {"namePrefix": "a" * 30, "destinations": destinations({"bucket": "b" * 34})},
            "destinations[0].bucket", "a" * 30 + "b" * 34, BUCKET_NAME,
        ),
        ({"namePrefix": "a" * 30, "sourceBucket": "b" * 34}, "sourceBucket", "a" * 30 + "b" * 34, BUCKET_NAME),
        ({"namePrefix": "xn--"}, "sourceBucket", "xn--global-builds", UNRESERVED),
        (
            {"destinations": destinations({"bucket": "a-builds", "exists": True})},
            "A member of destinations[0]", "exists", f"one of {MEMBERS}",
        ),
        (
            {"destinations": destinations({"bucket": "a-builds", "existing": "yes"})},
            "destinations[0].existing", "yes", "true or false",
        ),
        (
            {"namePrefix": "acme-", "destinations": destinations({"bucket": "a-builds", "account": OTHER_ACCOUNT})},
            "destinations[0].account", OTHER_ACCOUNT, "left out unless existing is true",
        ),
        *[
            (
                {"destinations": destinations({"bucket": "a-builds", "region": region})},
                "destinations[0].region", region, "a region of the stack's own partition",
            )
            for region in (
                "", "eu", "EU-WEST-1", "eu-west-1a", "eu-west-1\n", "eu-west-99", 5, "cn-north-1", "us-gov-west-1",
            )
        ],
        *[
            (
                {"destinations": destinations({"bucket": "theirs", "existing": True, "account": account})},
                "destinations[0].account", account, "the twelve digits of the account that owns the bucket, in quotes",
            )
            for account in (int(OTHER_ACCOUNT), OTHER_ACCOUNT[1:], OTHER_ACCOUNT + "0", "a" * 12, "")
        ],
        *[
            (
                {"destinations": destinations({"bucket": "a-builds", "region": "eu-west-1", "kmsKeyArn": key})},
                "destinations[0].kmsKeyArn", key, "the ARN of a KMS key (not of an alias) in the bucket's own region",
            )
            for key in (arn("kms", "key/0a1b"), "key/0a1b", EU_KEY.replace("key/", "alias/"), 5)
        ],
        (
            {"kmsKeyArn": arn("kms", "key/0a1b"), "destinations": destinations({"bucket": "b", "region": "eu-west-1"})},
            "destinations[0].kmsKeyArn", None, "the ARN of a KMS key in eu-west-1",
        ),
        (
            {"destinations": destinations({"bucket": "theirs", "existing": True, "kmsKeyArn": arn("kms", "key/0a1b")})},
            "destinations[0].kmsKeyArn", arn("kms", "key/0a1b"), "left out if existing is true",
        ),
        *[
            ({"notificationEmails": json.dumps([address])}, "notificationEmails[0]", address, "an e-mail address")
            for address in ("ops", "ops@example", "@example.com", "a b@example.com", "a@b@example.com", "", 5)
        ],
        (
            {"notificationEmails": '["ops@example.com", "ops@example.com"]'},
            "notificationEmails[1]", "ops@example.com", "different from the other addresses",
        ),
        *[
            ({"operationsEmails": json.dumps(addresses)}, where, addresses[-1], allowed)
            for addresses, where, allowed in (
                (["ops"], "operationsEmails[0]", "an e-mail address"),
                (["ops@example.com"] * 2, "operationsEmails[1]", "different from the other addresses"),
            )
        ],
        *[
            ({"tags": json.dumps({key: "builds"})}, "A key in tags", key, TAG_KEY)
            for key in ("", "t" * 129, "aws:team", "AWS:team", "team\n", "team?")
        ],
        *[
            ({"tags": json.dumps(dict.fromkeys(keys, "builds"))}, "A key in tags", keys[-1], TAG_ONCE)
            for keys in (["Project"], ["stack"], ["team", "Team"])
        ],
        *[
            ({"tags": json.dumps({"team": value})}, "tags.team", value, TAG_VALUE)
            for value in ("b" * 257, "builds\n", "a&b", 5, None, ["builds"])
        ],
        ({"tags": '["team"]'}, "tags", ["team"], "an object of strings"),
        ({"tags": "team=builds"}, "tags", "team=builds", "an object of strings"),
        ({"tags": json.dumps({f"tag-{index}": "" for index in range(49)})}, "tags", 49, "at most 48 tags"),
        *[
            ({"artifactBaseUrl": ARTIFACTS, "keySuffix": suffix}, "keySuffix", suffix, ZIP)
            for suffix in (".tar", "a.zip", ".ZIP", ".zip/", "zi")
        ],
        *[
            ({"apiAuthorization": "NONE", "allowPublicApi": value}, "apiAuthorization", "NONE", SIGNED)
            for value in ("false", "yes")
        ],
        (
            {"apiAuthorization": "NONE", "allowPublicApi": "yes"},
            "allowPublicApi", "yes", "true or false",
        ),
    ],
)  # fmt: skip
def test_a_bad_member_is_refused_by_its_path(settings: dict[str, str], where: str, value: object, allowed: str) -> None:
    """The error for a bad member of a list, or for a name that the prefix makes bad, names the path of the member."""
    with pytest.raises(SettingsError) as refused:
        load_settings(project(**settings))
    assert f"\n  {where} must be {allowed}, not {json.dumps(value)}." in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"apiAuthorization": "NONE"}, "To allow that, also set allowPublicApi to true."),
        (
            {"destinations": destinations({"bucket": "builds", "region": "eu"})},
            "Its regions are af-south-1, ap-east-1, ",
        ),
        (
            {
                "kmsKeyArn": arn("kms", "key/0a1b"),
                "destinations": destinations({"bucket": "builds", "region": "eu-west-1"}),
            },
            "The stack's kmsKeyArn is a key in another region, which a bucket in eu-west-1 cannot use.",
        ),
        ({"artifactBaseUrl": ARTIFACTS, "keySuffix": ".tar"}, "build-worker stores a build as COMMIT.zip."),
    ],
)
def test_an_error_that_needs_it_says_what_to_do(settings: dict[str, str], advice: str) -> None:
    """A rule that a reader cannot guess has its reason, or the next step, after the error."""
    with pytest.raises(SettingsError) as refused:
        load_settings(project(**settings))
    [_, problem] = str(refused.value).splitlines()
    assert re.search(rf", not .+\. .*{re.escape(advice)}", problem)


def test_a_refusal_names_every_problem() -> None:
    """One run shows all wrong settings, so it takes one failed deployment to fix them, and not one for each."""
    bad = project(maxConcurrency="0", forceDestroy="yes", destinations="[]", sourceBucket="B", keyPrefix="k" * 1025)
    with pytest.raises(SettingsError) as refused:
        load_settings(bad)
    first, *problems = str(refused.value).splitlines()
    assert first == "Nothing was created or changed, because these settings are wrong:"
    assert {problem.split()[0] for problem in problems} == {
        "maxConcurrency", "forceDestroy", "destinations", "sourceBucket", "keyPrefix",
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["Acme_", "a" * 60])
def test_a_bad_prefix_is_reported_once(prefix: str) -> None:
    """A wrong prefix is not reported again for each bucket name that begins with it: that would hide other errors."""
    with pytest.raises(SettingsError) as refused:
        load_settings(project(namePrefix=prefix, maxConcurrency="0"))
    _, *problems = str(refused.value).splitlines()
    assert [problem.split()[0] for problem in problems] == ["namePrefix", "maxConcurrency"]


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION", None])
def test_a_keys_region_is_the_one_the_provider_takes(monkeypatch: pytest.MonkeyPatch, region: str | None) -> None:
    """Without aws:region, a key is compared with the environment's region. Without either, it is refused."""
    configuration = project(kmsKeyArn=arn("kms", "key/0a1b"))
    del configuration["aws:region"]
    if region:
        monkeypatch.setenv(region, REGION)
        assert load_settings(configuration).kms_key_arn == arn("kms", "key/0a1b")
    else:
        with pytest.raises(SettingsError, match="kmsKeyArn must be "):
            load_settings(configuration)


@pytest.mark.parametrize("setting", [{"maxConcurrency": "0"}, {"destinations": "[]"}, {"apiAuthorization": "x"}])
def test_a_bad_setting_creates_nothing(setting: dict[str, str]) -> None:
    """Settings are checked before the first resource is created, so a mistake leaves no incomplete stack."""
    recording = Recording()
    with pytest.raises(pulumi.RunError, match="Nothing was created"):
        recording.run(project(**setting))
    assert recording.registered == []


@pytest.mark.parametrize(
    ("configuration", "attribute", "expected"),
    [
        *[(project(maxConcurrency=str(number)), "max_concurrency", number) for number in (1, 40)],
        *[
            (project(copyWorkerConcurrency=str(number)), "copy_worker_concurrency", number) for number in (0, 1, 1000)
        ],
        *[(project(logRetentionDays=str(days)), "log_retention_days", days) for days in LOG_RETENTION_DAYS],
        (project(forceDestroy="true"), "force_destroy", True),
        (project(manageApiLoggingRole="true"), "manage_api_logging_role", True),
        (project(apiAuthorization="NONE", allowPublicApi="true"), "api_authorization", "NONE"),
        *[
            (project(apiAuthorization="NONE") | endpoints, "api_authorization", "NONE")
            for endpoints in (ENDPOINTS, TLS_ENDPOINTS)
        ],
        *[
            (project(noncurrentVersionDays=str(days)), "noncurrent_version_days", days) for days in (0, 1, 36_500)
        ],
        *[
            (project(kmsKeyArn=arn("kms", key)), "kms_key_arn", arn("kms", key))
            for key in ("key/1234abcd-12ab-34cd-56ef-1234567890ab", "key/mrk-1234abcd12ab34cd56ef1234567890ab")
        ],
        (
            project(kmsKeyArn=f"arn:aws-us-gov:kms:us-gov-west-1:{ACCOUNT}:key/0a1b") | {"aws:region": "us-gov-west-1"},
            "kms_key_arn", f"arn:aws-us-gov:kms:us-gov-west-1:{ACCOUNT}:key/0a1b",
        ),
        *[
            (project(artifactBaseUrl=ARTIFACTS, keySuffix=suffix), "key_suffix", suffix)
            for suffix in ("", "p", "zip", ".zip")
        ],
        (project(keySuffix=".tar"), "key_suffix", ".tar"),
        (project(keyPrefix="in/", keySuffix=".zip"), "keys", "in/*.zip"),
        (project(keyPrefix="aZ09!-_.'()/"), "key_prefix", "aZ09!-_.'()/"),
        (project(keySuffix="-aZ09!_.'()/"), "key_suffix", "-aZ09!_.'()/"),
        (project(), "requires_tls", True),
        (project() | ENDPOINTS, "requires_tls", False),
        (project() | TLS_ENDPOINTS, "requires_tls", True),
        (project(namePrefix="a" * 30), "source_bucket", "a" * 30 + "global-builds"),
        (project(sourceBucket="b" * 63), "source_bucket", "b" * 63),
        (project(sourceBucket="my.builds-1"), "source_bucket", "my.builds-1"),
        (project(keyPrefix="k" * 1024), "key_prefix", "k" * 1024),
        (project(keySuffix=".zip"), "key_suffix", ".zip"),
        (
            project(notificationEmails='["a@example.com", "b+c@example.co.uk"]'),
            "notification_emails", ("a@example.com", "b+c@example.co.uk"),
        ),
        (project(operationsEmails='["a@example.com"]'), "operations_emails", ("a@example.com",)),
        *[
            (project(tags=json.dumps(tags)), "tags", tags)
            for tags in (
                {"team": "builds", "cost-center": "", "é:/=+-@ ._": "v" * 256, "t" * 128: "v"},
                {f"tag-{index}": "v" for index in range(48)},
            )
        ],
        (project(artifactBaseUrl="https://ci.example.com/b/"), "artifact_base_url", "https://ci.example.com/b"),
        (project(artifactBaseUrl="http://x:8000") | ENDPOINTS, "artifact_base_url", "http://x:8000"),
        (project() | ENDPOINTS, "emulator_endpoint", EMULATOR),
        (
            project(
                namePrefix="acme-",
                destinations=destinations(
                    {"bucket": "a-builds", "region": REGION}, {"bucket": "theirs", "existing": True}
                ),
            ),
            "destinations", (Destination(bucket="acme-a-builds"), Destination(bucket="theirs", existing=True)),
        ),
        (
            project(
                kmsKeyArn=arn("kms", "key/0a1b"),
                destinations=destinations(
                    {"bucket": "here"},
                    {"bucket": "here-too", "kmsKeyArn": arn("kms", "key/2c3d")},
                    {"bucket": "there", "region": "eu-west-1", "kmsKeyArn": EU_KEY},
                    {"bucket": "theirs", "existing": True, "region": "ap-southeast-2", "account": OTHER_ACCOUNT},
                ),
            ),
            "destinations",
            (
                Destination(bucket="here", kms_key_arn=arn("kms", "key/0a1b")),
                Destination(bucket="here-too", kms_key_arn=arn("kms", "key/2c3d")),
                Destination(bucket="there", region="eu-west-1", kms_key_arn=EU_KEY),
                Destination(bucket="theirs", existing=True, region="ap-southeast-2", account=OTHER_ACCOUNT),
            ),
        ),
    ],
)  # fmt: skip
def test_a_good_value_is_taken(configuration: dict[str, str], attribute: str, expected: object) -> None:
    """A value at a limit is accepted as it is: the checks refuse nothing that AWS accepts, and change no value."""
    assert getattr(load_settings(configuration), attribute) == expected


@pytest.mark.parametrize(
    ("environment", "own"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, None),
    ],
)
def test_the_stacks_region_is_the_one_the_provider_takes(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], own: str | None
) -> None:
    """Without aws:region, a destination's region is compared with the environment's, as the provider reads it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    configuration = project(destinations=destinations({"bucket": "a-builds", "region": own or REGION}))
    del configuration["aws:region"]
    if own:
        assert load_settings(configuration).destinations == (Destination(bucket="a-builds"),)
    else:
        with pytest.raises(SettingsError, match=r"must be left out until aws:region is set, .* Set aws:region first"):
            load_settings(configuration)


@pytest.mark.parametrize("key", ["0a1b", "alias/builds", "1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms"])
def test_a_key_that_is_no_arn_is_refused(key: str) -> None:
    """The error for a key's ID or alias is a sentence, and not an IndexError from the check of the policies' length."""
    with pytest.raises(SettingsError, match="kmsKeyArn must be "):
        load_settings(project(kmsKeyArn=key))


@pytest.mark.parametrize("settings", [{}, {"apiAuthorization": "AWS_IAM"}])
def test_allow_public_api_is_checked_whenever_it_is_given(settings: dict[str, str]) -> None:
    """A value that is neither true nor false is refused, even if the setting has no effect."""
    with pytest.raises(SettingsError, match="allowPublicApi must be "):
        load_settings(project(allowPublicApi="yes", **settings))


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://apigateway-fips.us-east-1.amazonaws.com",
        "https://apigateway.us-east-1.api.aws",
        "https://apigateway.cn-north-1.amazonaws.com.cn",
        "https://vpce-0a1b-apigateway.us-iso-east-1.vpce.c2s.ic.gov",
        "https://aws-proxy.example.com:8443",
        "https://8.8.8.8",
        "https://[2606:4700::1]",
        "https://localhost.example.com",
        "https://localhost.localstack.cloud.example.com",
        "https://notlocalhost.localstack.cloud",
        "https://",
        "not a url",
    ],
)
def test_an_endpoint_of_aws_is_no_emulator(endpoint: str) -> None:
    """A FIPS or VPC endpoint of AWS, or a proxy in front of it, neither opens the API nor changes its URL."""
    endpoints = {"aws:endpoints": json.dumps([{"apigateway": endpoint}])}
    with pytest.raises(SettingsError, match="apiAuthorization must be "):
        load_settings(project(apiAuthorization="NONE") | endpoints)
    assert load_settings(project() | endpoints).emulator_endpoint is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:4566",
        "http://127.0.0.1:4570",
        "http://[::1]:4566",
        "http://10.0.0.5:4566",
        "http://172.17.0.2:4566",
        "http://192.168.1.5:4566",
        "http://ministack:4566",
        "http://builds.localhost:4566",
        "https://localhost.localstack.cloud:4566",
        "https://apigateway.localhost.localstack.cloud:4566",
    ],
)
def test_an_endpoint_on_ones_own_machine_or_network_is_an_emulator(endpoint: str) -> None:
    """An endpoint on this machine, in a container or at a private address is an emulator's."""
    settings = load_settings(project() | {"aws:endpoints": json.dumps([{"apigateway": f"{endpoint}/"}])})
    assert settings.emulator_endpoint == endpoint
