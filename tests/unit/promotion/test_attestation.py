"""Statements are attached once, whoever was killed, whoever writes besides, whatever lies there."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image_promotion.errors import PromotionError, UnreachableError
from image_promotion.evidence.trust.signing import SigningKey
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Promotion, Run, State
from image_promotion.promotion import attestation
from image_promotion.promotion.attachments import WITHOUT_SETTLING
from image_promotion.promotion.attestation import AttestationReport, Attestor, unattested
from image_promotion.promotion.batches import Stage, carry_out
from image_promotion.promotion.statement import PREDICATE_TYPE
from image_promotion.registry.digest import Digest
from image_promotion.registry.manifest import ImageIndex
from image_promotion.registry.referrer_tags import fallback_tag
from tests.support.attachments import BUNDLE_TYPE, ListingStore, artifact, hold, list_of
from tests.support.attestations import TARGET, Verified, new_key, statements_of
from tests.support.memory_store import Event, MemoryStore

KEY = new_key()


@pytest.fixture
def verified(tmp_path: Path, migrated: Path) -> Iterator[Verified]:
    shutil.copy(migrated, tmp_path / "ledger.db")
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        yield Verified(ledger)


@pytest.fixture(params=["fallback tag", "referrers API"])
def target(request: pytest.FixtureRequest) -> MemoryStore:
    kind = MemoryStore if request.param == "fallback tag" else ListingStore
    return kind("qa", "qa")


def attestor_with(key: SigningKey = KEY) -> Attestor:
    return Attestor(key, patience=WITHOUT_SETTLING)


async def attest(
    verified: Verified,
    run: Run,
    promotion: Promotion,
    target: MemoryStore,
    attestor: Attestor | None = None,
) -> AttestationReport:
    return await (attestor or attestor_with()).attest(
        promotion, source=None, target=target, journal=verified.journal(run)
    )


async def said(target: MemoryStore, image: Digest, key: SigningKey = KEY) -> list[dict[str, Any]]:
    return await statements_of(target, TARGET, image, key.public_key_pem)


def noted(verified: Verified, promotion: Promotion) -> str | None:
    found = verified.ledger.attestations.of_promotions([promotion.id]).get(promotion.id)
    return None if found is None else found.digest


async def test_a_verified_promotion_leaves_one_signed_statement_at_its_image(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)

    report = await attest(verified, run, promotion, target)

    (statement,) = await said(target, image.digest)
    assert statement["predicateType"] == PREDICATE_TYPE
    assert statement["predicate"]["target"]["tag"] == "1.4-stable"
    assert report.is_new
    assert noted(verified, promotion) == report.digest
    assert report.digest is not None
    manifest = target.manifests[TARGET][Digest.parse(report.digest)]
    assert manifest.artifact_type == BUNDLE_TYPE
    assert manifest.annotations["dev.sigstore.bundle.content"] == "dsse-envelope"
    assert manifest.annotations["dev.sigstore.bundle.predicateType"] == PREDICATE_TYPE


async def test_to_attest_again_writes_nothing(verified: Verified, target: MemoryStore) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)
    first = await attest(verified, run, promotion, target)
    before = len(target.asked("put_manifest")), len(target.asked("put_blob"))

    again = await attest(verified, verified.begin(), promotion, target)

    assert again == AttestationReport(first.digest, is_new=False)
    assert (len(target.asked("put_manifest")), len(target.asked("put_blob"))) == before


class KilledError(BaseException):
    """Stands for the end of the process: no code of ours may catch it."""


async def test_killed_before_any_of_its_writes_exactly_one_statement_is_there_in_the_end(
    verified: Verified, target: MemoryStore
) -> None:
    run = verified.begin()
    for moment in itertools.count():
        image = target.hold_image(TARGET, f"layer {moment}".encode())
        (promotion,) = verified.promote(run, image.digest, [f"{moment}-stable"])
        left = iter(range(moment))

        async def die(event: Event, left: Iterator[int] = left) -> None:
            is_write = event.action in ("put_manifest", "blob_stored")
            if is_write and next(left, None) is None:
                raise KilledError

        target.hook = die
        was_killed = False
        try:
            await attest(verified, run, promotion, target)
        except KilledError:
            was_killed = True
        target.hook = nothing
        if not was_killed:
            break
        assert noted(verified, promotion) is None
        await attest(verified, verified.begin(), promotion, target)
        assert len(await said(target, image.digest)) == 1
    assert moment >= 2, "a bundle and a manifest, and the list where it is a tag"


async def nothing(_event: Event) -> None:
    """Let everything through."""


class NeverTheSame:
    """A key whose signatures differ each time, as those of key management services do."""

    def __init__(self) -> None:
        self._keys = [KEY]
        self.signed = 0

    @property
    def public_key_pem(self) -> bytes:
        return KEY.public_key_pem

    @property
    def key_id(self) -> str:
        return "kms/1"

    def sign(self, message: bytes) -> bytes:
        self.signed += 1
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        return bytes(KEY._key.sign(message, ECDSA(SHA256())))  # type: ignore[attr-defined]


async def test_killed_between_the_statement_and_its_note_the_statement_is_found_and_noted(
    verified: Verified, target: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)
    key = NeverTheSame()

    def die(*_arguments: object) -> None:
        raise KilledError

    with monkeypatch.context() as context:
        context.setattr("image_promotion.ledger.attestations.Attestations.note", die)
        with pytest.raises(KilledError):
            await attest(verified, run, promotion, target, attestor_with(key))
    assert noted(verified, promotion) is None
    # Another version of the product says so in its statement: the bytes would differ.
    monkeypatch.setattr(attestation, "version", lambda _name: "9.9")
    report = await attest(verified, verified.begin(), promotion, target, attestor_with(key))

    assert not report.is_new
    assert key.signed == 1
    assert noted(verified, promotion) == report.digest
    assert len(await said(target, image.digest)) == 1


async def test_each_tag_of_an_image_has_a_statement_of_its_own_also_when_written_at_once(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    tags = [f"1.{number}-stable" for number in range(8)]
    promotions = verified.promote(run, image.digest, tags)
    attestor = attestor_with()

    async def give_way(_event: Event) -> None:
        await asyncio.sleep(0)

    target.hook = give_way
    await asyncio.gather(*(attest(verified, run, each, target, attestor) for each in promotions))

    statements = await said(target, image.digest)
    assert sorted(each["predicate"]["target"]["tag"] for each in statements) == tags


async def test_two_that_attest_one_promotion_at_once_in_one_process_leave_one_statement(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)
    key = NeverTheSame()
    attestor = attestor_with(key)

    async def give_way(_event: Event) -> None:
        await asyncio.sleep(0)

    target.hook = give_way
    reports = await asyncio.gather(
        *(attest(verified, run, promotion, target, attestor) for _ in range(3))
    )

    assert sorted(each.is_new for each in reports) == [False, False, True]
    assert key.signed == 1
    assert len(await said(target, image.digest)) == 1


async def test_what_others_attached_stays(verified: Verified, target: MemoryStore) -> None:
    image = target.hold_image(TARGET, b"layer")
    theirs = hold(target, TARGET, artifact(image, "application/spdx+json", b"{}"))
    hold(target, TARGET, artifact(image, BUNDLE_TYPE, b"no bundle at all"))
    if not isinstance(target, ListingStore):
        index = list_of(theirs)
        target.hold_manifest(TARGET, index)
        target.tags[TARGET] = {fallback_tag(image.digest): index.digest}
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)

    report = await attest(verified, run, promotion, target)

    if isinstance(target, ListingStore):
        listed = {each.digest for each in await target.list_referrers(TARGET, image.digest) or ()}
    else:
        held = target.manifests[TARGET][target.tags[TARGET][fallback_tag(image.digest)]]
        assert isinstance(held, ImageIndex)
        listed = {each.digest for each in held.manifests}
    assert report.digest is not None
    assert {theirs.digest, Digest.parse(report.digest)} <= listed


async def test_a_statement_that_somebody_else_signed_does_not_stand_for_ours(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)
    forger = new_key()
    await attest(verified, run, promotion, target, attestor_with(forger))
    forget(verified, promotion)
    report = await attest(verified, run, promotion, target)

    assert report.is_new
    assert len(await said(target, image.digest)) == 1
    assert len(await said(target, image.digest, forger)) == 1


def forget(verified: Verified, promotion: Promotion) -> None:
    """Let the ledger know nothing of a statement."""
    from sqlalchemy import delete  # noqa: PLC0415

    from image_promotion.ledger.tables import attestations  # noqa: PLC0415

    with verified.ledger._database.writing() as connection:
        connection.execute(delete(attestations).where(attestations.c.promotion_id == promotion.id))


async def test_a_statement_that_was_cleaned_away_is_attached_anew(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)
    first = await attest(verified, run, promotion, target)
    assert first.digest is not None
    del target.manifests[TARGET][Digest.parse(first.digest)]
    target.tags.get(TARGET, {}).pop(fallback_tag(image.digest), None)

    again = await attest(verified, verified.begin(), promotion, target)

    assert again == AttestationReport(first.digest, is_new=True)
    assert len(await said(target, image.digest)) == 1


async def test_a_failure_leaves_the_promotion_verified_and_may_be_repeated(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)
    attestor = attestor_with()
    journal = verified.journal(run)

    async def act(each: Promotion) -> object:
        return await attestor.attest(each, source=None, target=target, journal=journal)

    async def fail(event: Event) -> None:
        if event.action == "put_manifest":
            raise UnreachableError("the connection broke")

    target.hook = fail
    with pytest.raises(UnreachableError):
        await carry_out(Stage.ATTEST, [promotion.id], act, journal=journal)
    assert verified.ledger.promotion(promotion.id).state is State.VERIFIED
    assert [each.id for each in unattested(verified.ledger, verified.policy)] == [promotion.id]
    target.hook = nothing
    report = await carry_out(Stage.ATTEST, [promotion.id], act, journal=journal)

    assert report.done == 1
    assert unattested(verified.ledger, verified.policy) == ()


async def test_a_signer_that_cannot_sign_leaves_nothing_behind(
    verified: Verified, target: MemoryStore
) -> None:
    class Locked(NeverTheSame):
        def sign(self, message: bytes) -> bytes:  # noqa: ARG002 - the protocol's
            raise PromotionError("the key is locked", retryable=True)

    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.promote(run, image.digest)

    with pytest.raises(PromotionError, match="locked"):
        await attest(verified, run, promotion, target, attestor_with(Locked()))

    assert target.asked("put_manifest") == []
    assert noted(verified, promotion) is None


async def test_what_is_not_verified_is_not_attested(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    run = verified.begin()
    (promotion,) = verified.plan(run, image.digest, ["1.4-stable"])

    assert await attest(verified, run, promotion, target) == AttestationReport(None)
    assert target.asked("put_manifest") == []
    assert unattested(verified.ledger, verified.policy) == ()


async def test_what_was_promoted_before_the_policy_had_the_key_is_left_alone(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    wanted = verified.attestation
    verified.attestation = None
    run = verified.begin()
    (before,) = verified.promote(run, image.digest, ["1.3-stable"])
    verified.attestation = wanted
    later = verified.begin()
    (after,) = verified.promote(later, image.digest, ["1.4-stable"])

    assert [each.id for each in unattested(verified.ledger, verified.policy)] == [after.id]
    assert await attest(verified, later, before, target) == AttestationReport(None)


async def test_what_an_older_version_of_the_policy_verified_is_attested_by_the_present_ones_key(
    verified: Verified, target: MemoryStore
) -> None:
    image = target.hold_image(TARGET, b"layer")
    verified.attestation = {"connection": "mistyped"}
    (promotion,) = verified.promote(verified.begin(), image.digest)
    verified.attestation = {"connection": "signing"}
    run = verified.begin()
    asked_for: list[str] = []

    def find_key(connection_id: str) -> SigningKey:
        asked_for.append(connection_id)
        return KEY

    attestor = attestation.attestor_of(verified.ledger, run.key, find_key)

    assert asked_for == ["signing"]
    assert attestor is not None
    assert [each.id for each in unattested(verified.ledger, verified.policy)] == [promotion.id]
    assert (await attest(verified, run, promotion, target, attestor)).is_new


def test_only_what_was_verified_before_a_moment_is_listed_where_that_is_asked(
    verified: Verified,
) -> None:
    image = Digest.of(b"image")
    (early,) = verified.promote(verified.begin(), image, ["1-stable"])
    moment = verified.clock()
    verified.promote(verified.begin(), image, ["2-stable"])

    found = unattested(verified.ledger, verified.policy, verified_before=moment)

    assert [each.id for each in found] == [early.id]


def test_a_run_whose_policy_wants_no_statements_asks_for_no_key(verified: Verified) -> None:
    verified.attestation = None
    run = verified.begin()

    def find_key(_connection_id: str) -> SigningKey:
        raise AssertionError

    assert attestation.attestor_of(verified.ledger, run.key, find_key) is None
