from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.web import proof
from image_promotion.web.proof import claims_to_know, knows_secret, signed_with_secret

SECRET = "canary-5ecret-of-the-webhook"
BODY = b'{"repository": "dev/website"}'


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def _signature(secret: str, body: bytes = BODY) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {SECRET}",
        f"bearer  {SECRET}",
        SECRET,
        _basic(f"airflow:{SECRET}"),
        _basic(f":{SECRET}"),
    ],
)
def test_the_secret_is_known_by_whichever_way_a_product_can_send_it(value: str) -> None:
    assert knows_secret(SECRET, {"authorization": value})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {SECRET[:-1]}",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET.upper()}",
        f"Token {SECRET}",
        f"Digest {SECRET}",
        _basic(SECRET),
        _basic(f"{SECRET}:"),
        f"Basic {SECRET}",
        "Basic \xff\xfe",
        "Basic /w==",
        "\xe9" * 20,
        "Bearer \udcff",
    ],
)
def test_whoever_does_not_have_the_secret_does_not_know_it(value: str) -> None:
    assert not knows_secret(SECRET, {"authorization": value})
    assert not knows_secret(None, {"authorization": value})


@pytest.mark.parametrize("value", ["", "Bearer ", "Bearer None", _basic("airflow:")])
def test_nobody_knows_the_secret_where_there_is_none(value: str) -> None:
    assert not knows_secret(None, {"authorization": value})
    assert not signed_with_secret(None, {"x-hub-signature-256": _signature("")}, BODY)


def test_not_even_what_stands_in_for_a_missing_secret_is_one() -> None:
    stand_in = proof._NOBODYS_SECRET
    assert not knows_secret(None, {"authorization": f"Bearer {stand_in}"})
    assert not signed_with_secret(None, {"x-hub-signature-256": _signature(stand_in)}, BODY)


def test_a_body_signed_with_the_secret_is_known_by_its_signature() -> None:
    assert signed_with_secret(SECRET, {"x-hub-signature-256": _signature(SECRET)}, BODY)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "sha256=",
        _signature("another"),
        _signature(SECRET, BODY + b" "),
        _signature(SECRET).removeprefix("sha256="),
        _signature(SECRET).replace("sha256", "sha1"),
        _signature(SECRET).upper(),
        "sha256=\xe9",
    ],
)
def test_another_signature_is_none(signature: str) -> None:
    assert not signed_with_secret(SECRET, {"x-hub-signature-256": signature}, BODY)


@given(st.text(max_size=80))
def test_any_header_is_answered(value: str) -> None:
    assert not knows_secret(SECRET, {"authorization": value})
    assert not signed_with_secret(SECRET, {"x-hub-signature-256": value}, BODY)


def test_proof_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    knows_secret(SECRET, {"authorization": "Bearer x"})
    knows_secret(None, {"authorization": "Bearer x"})
    signed_with_secret(SECRET, {"x-hub-signature-256": "sha256=00"}, BODY)
    signed_with_secret(None, {"x-hub-signature-256": "sha256=00"}, BODY)
    assert len(compared) == 4


def test_only_a_proof_of_any_kind_is_worth_reading_on() -> None:
    assert claims_to_know({"authorization": ""})
    assert claims_to_know({"x-hub-signature-256": ""})
    assert not claims_to_know({"cookie": "session=1", "x-api-key": SECRET})
