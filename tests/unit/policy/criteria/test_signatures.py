from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_promotion.policy.criteria.logic import Not
from image_promotion.policy.criteria.signatures import SignedBy
from image_promotion.policy.criteria.verdict import Need, Verdict
from image_promotion.policy.facts import Signature
from tests.support.policies import NOW, facts

RELEASE = Signature("release", "cosign, referrer sha256:ab")
CI = Signature("ci")


def test_a_signature_of_one_of_the_signers_is_enough() -> None:
    criterion = SignedBy(("release", "qa"))
    finding = criterion.judge(facts(signatures=(CI, RELEASE)), NOW)

    assert finding.verdict is Verdict.HELD
    assert finding.trigger == 'signed by "release" or "qa"'
    assert finding.found == ("1 by them: release (cosign, referrer sha256:ab); 1 by others: ci")
    assert finding.source == "the image's signatures"
    assert (finding.count, finding.items) == (1, ("release (cosign, referrer sha256:ab)",))
    assert criterion.needs == {Need.SIGNATURES}


def test_a_signature_of_somebody_else_is_none_and_may_be_followed_by_one() -> None:
    finding = SignedBy(("release",)).judge(
        facts(signatures=(CI,), why_no_signatures="one is over another image"), NOW
    )

    assert finding.verdict is Verdict.UNKNOWN
    assert finding.found == "none by them; 1 by others: ci; one is over another image"


def test_an_image_without_a_signature_waits_for_one() -> None:
    criterion = SignedBy(("release",))

    for image in (facts(), facts(signatures=())):
        assert criterion.judge(image, NOW).verdict is Verdict.UNKNOWN
        assert criterion.judge(image, NOW).found == "no signature yet"
    bad = facts(why_no_signatures="1 is by a key that nobody named")
    assert criterion.judge(bad, NOW).found == "1 is by a key that nobody named"


def test_that_nobody_will_sign_is_never_known() -> None:
    for image in (facts(), facts(signatures=(CI,)), facts(signatures=(RELEASE,))):
        assert Not(SignedBy(("release",))).judge(image, NOW).verdict is not Verdict.HELD


def test_signed_by_nobody_in_particular_is_refused() -> None:
    with pytest.raises(ValueError, match="needs at least one value"):
        SignedBy(())


_names = st.sampled_from(["a", "b", "A", "ab"])


@given(st.none() | st.lists(_names, max_size=4), st.lists(_names, min_size=1))
def test_the_signature_of_a_signer_is_looked_for_by_the_whole_name(
    by: list[str] | None, signers: list[str]
) -> None:
    signatures = None if by is None else tuple(Signature(each) for each in by)
    verdict = SignedBy(tuple(signers)).judge(facts(signatures=signatures), NOW).verdict

    assert verdict is (Verdict.HELD if set(by or ()) & set(signers) else Verdict.UNKNOWN)
