from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from image_promotion.policy.evidence import Evidence
from image_promotion.policy.evidence_sources import SourceName
from image_promotion.policy.signers import FOLDER, MAX_FILE_SIZE_BYTES


def _public_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


KEY = _public_key()
KEYLESS = {"identity": "ci@example.org", "issuer": "https://issuer.example.org"}


def _refusal(content: object, folder: Path | None = None) -> str:
    with pytest.raises(ValidationError) as caught:
        Evidence.model_validate(content, context={FOLDER: folder} if folder else None)
    errors = caught.value.errors()
    assert len(errors) == 1, errors
    return str(errors[0]["msg"])


def test_without_the_key_attached_evidence_needs_a_signature_and_nobody_can_give_it() -> None:
    evidence = Evidence()
    assert [each.name for each in evidence.sources] == ["referrers", "registry"]
    assert evidence.signers_for(SourceName.REFERRERS) == {}
    assert evidence.signers_for(SourceName.REGISTRY) is None


def test_attached_evidence_counts_when_one_of_the_signers_signed_it() -> None:
    evidence = Evidence.model_validate({"signers": {"release": {"key": KEY}}})
    assert list(evidence.signers_for(SourceName.REFERRERS) or ()) == ["release"]


def test_trust_can_name_some_of_the_signers_or_anybody() -> None:
    signers = {"release": {"key": KEY}, "scanner": {"key": KEY}}
    some = Evidence.model_validate(
        {
            "signers": signers,
            "trust": {"referrers": {"signed_by": ["scanner"]}, "files": {"signed_by": ["release"]}},
        }
    )
    assert list(some.signers_for(SourceName.REFERRERS) or ()) == ["scanner"]
    assert list(some.signers_for(SourceName.FILES) or ()) == ["release"]
    anybody = Evidence.model_validate({"signers": signers, "trust": {"referrers": "any"}})
    assert anybody.signers_for(SourceName.REFERRERS) is None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"sources": ["registry", {"files": "/reports"}, {"syft": {"attach": True}}, "grype"]},
        {"signers": {"release": {"key": KEY}}, "trust": {"referrers": {"signed_by": ["release"]}}},
        {"trust": {"referrers": "any", "files": "any"}, "max_age": "36h"},
        {"signers": {"ci": {**KEYLESS, "trust_root": "{}"}}},
    ],
)
def test_what_is_recorded_is_read_again_as_the_same(content: dict[str, object]) -> None:
    evidence = Evidence.model_validate(content)
    recorded = json.dumps(evidence.model_dump(mode="json", exclude_none=True))
    assert Evidence.model_validate(json.loads(recorded)) == evidence


def test_a_key_in_a_file_beside_the_policy_is_recorded_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "release.pub").write_text(KEY)
    evidence = Evidence.model_validate(
        {"signers": {"release": {"key_file": "keys/release.pub"}}}, context={FOLDER: tmp_path}
    )
    recorded = evidence.model_dump(mode="json", exclude_none=True)
    (tmp_path / "keys" / "release.pub").unlink()
    again = Evidence.model_validate(recorded)
    assert again.signers["release"].key == KEY
    assert again.signers["release"].key_file == "keys/release.pub"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/passwd", "leaves the folder"),
        ("../release.pub", "leaves the folder"),
        ("keys/../../release.pub", "leaves the folder"),
        ("missing.pub", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("binary.pub", "is no text"),
        ("large.pub", "has more than"),
        ("broken.pub", "no public key in PEM"),
    ],
)
def test_a_file_that_cannot_be_a_key_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "binary.pub").write_bytes(b"\xff\xfe")
    (tmp_path / "large.pub").write_bytes(b"-" * (MAX_FILE_SIZE_BYTES + 1))
    (tmp_path / "broken.pub").write_text(KEY.replace("BEGIN", "BEGUN"))
    assert said in _refusal({"signers": {"release": {"key_file": name}}}, tmp_path)


def test_a_private_key_is_refused_without_being_repeated() -> None:
    secret = (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )
    said = _refusal({"signers": {"release": {"key": secret}}})
    assert "private key" in said
    assert secret.splitlines()[1] not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"sources": []}, "needs at least one source"),
        ({"sources": "referrers"}, "must be a list, not a text"),
        ({"sources": ["clair"]}, "there is no source of evidence 'clair'"),
        ({"sources": [{"clair": "x"}]}, "there is no source of evidence 'clair'"),
        ({"sources": ["files"]}, "files needs a folder"),
        ({"sources": [{"files": ""}]}, "must be a folder"),
        ({"sources": [{"referrers": {"attach": True}}]}, "referrers has no settings"),
        ({"sources": [{"syft": {"atach": True}}]}, "has unknown settings"),
        ({"sources": ["trivy", "trivy"]}, "names trivy twice"),
        ({"signers": {"a b": {"key": KEY}}}, "'a b' is no name for a signer"),
        ({"signers": {"a": {}}}, "is incomplete"),
        ({"signers": {"a": KEYLESS}}, "is incomplete"),
        ({"signers": {"a": {"key": KEY, **KEYLESS}}}, "has a key and a keyless identity"),
        ({"signers": {"a": {"key": "ssh-rsa AAAA"}}}, "no public key in PEM"),
        ({"trust": {"referrers": {"signed_by": ["a"]}}}, "there is no signer 'a'"),
        ({"trust": {"referrers": "anyone"}}, "'anyone' says nobody"),
        ({"trust": {"referrers": {}}}, "is a mapping"),
        ({"trust": {"referrers": {"signed_by": []}}}, "needs at least one value"),
        ({"trust": {"registry": "any"}}, "Extra inputs"),
        ({"max_age": "soon"}, "'soon' is no duration"),
    ],
)
def test_what_makes_no_sense_is_refused_with_one_reason(
    content: dict[str, object], said: str
) -> None:
    assert said in _refusal(content)


def test_two_folders_of_files_are_two_sources() -> None:
    evidence = Evidence.model_validate({"sources": [{"files": "/a"}, {"files": "/b"}]})
    assert [each.folder for each in evidence.sources] == ["/a", "/b"]
