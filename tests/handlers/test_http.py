"""Requests and responses of API Gateway."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from handlers import http

from .conftest import api_event


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


@pytest.mark.parametrize("value", [{"commit": "abc123"}, [], None, "é 📦", 1.5])
@pytest.mark.parametrize("is_base64", [False, True])
def test_a_body_is_parsed(value: Any, is_base64: bool) -> None:
    """Plain and Base64 bodies mean the same, because API Gateway sends either, as its media types are set."""
    body = json.dumps(value, ensure_ascii=False)
    assert http.json_body(api_event(encoded(body.encode()) if is_base64 else body, is_base64=is_base64)) == value


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (api_event(None), "missing"),
        (api_event(""), "missing"),
        (api_event(" \r\n"), "missing"),
        (api_event("", is_base64=True), "missing"),
        (api_event(encoded(b" "), is_base64=True), "missing"),
        (api_event("{'commit': 1}"), "must be a JSON object: "),
        (api_event('{"commit": 1'), "must be a JSON object: "),
        (api_event("[" * 100_000), "must be a JSON object: "),
        (api_event("1" * 5_000), "must be a JSON object: "),
        (api_event(encoded(b"\xff\xfe\xfd"), is_base64=True), "must be a JSON object: "),
        (api_event("e30", is_base64=True), "must be valid base64 or UTF-8"),
        (api_event("e30=é", is_base64=True), "must be valid base64 or UTF-8"),
        (api_event("{e30=}", is_base64=True), "must be valid base64 or UTF-8"),
        (api_event("\ud800"), "must be valid base64 or UTF-8"),
        (api_event('"' + "é" * (128 * 1024) + '"'), "at most 262144 bytes, not 262146"),
    ],
)
def test_another_body_is_a_bad_request(event: dict[str, Any], said: str) -> None:
    """Whatever a client sends is answered with what is wrong with it, not with a failure of the function."""
    with pytest.raises(http.BadRequestError, match=said):
        http.json_body(event)


def test_the_largest_body_is_taken() -> None:
    """The limit is in bytes and includes itself, or a large input that Step Functions takes is refused here."""
    text = "x" * (http.MAX_BODY_BYTES - 2)
    assert http.json_body(api_event(f'"{text}"')) == text


def test_an_answer_is_what_api_gateway_takes() -> None:
    """Status, texts as headers, and the body as a text: anything else API Gateway turns into a 502."""
    assert http.response(429, {"message": "é"}, {"Retry-After": "5"}) == {
        "statusCode": 429,
        "headers": {"Content-Type": "application/json", "Retry-After": "5"},
        "body": '{"message": "\\u00e9"}',
    }
    answer = http.bad_request(http.BadRequestError(["One.", "Two."]))
    assert (answer["statusCode"], json.loads(answer["body"])["problems"]) == (400, ["One.", "Two."])
