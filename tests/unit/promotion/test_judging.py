"""Tests that an image passes by what is known of it, and never by what is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_promotion.evidence.report import ScanState
from image_promotion.evidence.sources.source import EvidenceSource
from image_promotion.ledger.ledger import Ledger
from image_promotion.ledger.records import Outcome
from image_promotion.policy.criteria.verdict import Need
from image_promotion.policy.evidence_sources import Source, SourceName
from image_promotion.policy.model import Policy
from image_promotion.promotion import evidence as evidence_module
from image_promotion.promotion import judging as judging_module
from image_promotion.promotion.decision import ImageDecision, ImageName
from image_promotion.promotion.judging import judge_images
from image_promotion.registry.descriptor import Platform
from image_promotion.registry.digest import Digest
from image_promotion.registry.platforms import ABOUT
from tests.support.exhibits import (
    COMPONENT,
    LICENSE,
    MAX_AGE,
    NOW,
    RELEASE,
    STRANGER,
    Exhibit,
    FakeSource,
    Flaw,
)
from tests.support.memory_store import MemoryStore, platform_index_of
from tests.unit.promotion.conftest import SOURCE, World, policy_of

REFERRERS, REGISTRY, FILES = SourceName.REFERRERS, SourceName.REGISTRY, SourceName.FILES
NEEDS = (Need.COMPONENTS, Need.VULNERABILITIES, Need.SIGNATURES)
TRUST: Mapping[str, Mapping[str, object]] = {
    "signed": {"trust": {"referrers": {"signed_by": ["release"]}}},
    "anybody": {"trust": {"referrers": "any"}},
    "by default": {},
}

# What a policy asks for, with what it needs and whether a good document lets it hold.
HELD: Mapping[Need, tuple[dict[str, object], ...]] = {
    Need.COMPONENTS: (
        {"component": {"equals": COMPONENT}},
        {"license": {"is_not_one_of": ["GPL-3.0-only"]}},
        {"not": {"license": {"is_one_of": ["GPL-3.0-only"]}}},
    ),
    Need.VULNERABILITIES: ({"vulnerabilities": {"critical": "= 0"}},),
    Need.SIGNATURES: ({"signature": {"signed_by": ["release"]}},),
}
NOT_HELD: Mapping[Need, tuple[dict[str, object], ...]] = {
    Need.COMPONENTS: (
        {"component": {"equals": "log4j-core"}},
        {"license": {"is_not_one_of": [LICENSE]}},
    ),
    Need.VULNERABILITIES: ({"vulnerabilities": {"all": "> 0"}},),
}


@dataclass
class Place:
    """A source store with a single image and an index of two, and the sources of evidence."""

    ledger: Ledger
    store: MemoryStore = field(default_factory=lambda: MemoryStore("dev", "dev"))
    sources: dict[SourceName, FakeSource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.single = self.store.hold_image(SOURCE, b"single").digest
        parts = [self.store.hold_image(SOURCE, name.encode()) for name in ("amd64", "arm64")]
        self.amd64, self.arm64 = (each.digest for each in parts)
        index = platform_index_of(
            *zip(parts, (Platform("linux", "amd64"), Platform("linux", "arm64")), strict=True)
        )
        self.index = self.store.hold_manifest(SOURCE, index).digest

    async def judge(
        self,
        policy: Policy,
        *digests: Digest,
        keep: bool = False,
        afresh: bool = False,
        now: object = NOW,
    ) -> list[ImageDecision]:
        images = [ImageName(SOURCE, f"{n}-stable", str(digest)) for n, digest in enumerate(digests)]
        judged = await judge_images(
            policy,
            images,
            source=self.store,
            ledger=self.ledger,
            now=now,  # type: ignore[arg-type]
            afresh=afresh,
            keep=keep,
        )
        return list(judged.decisions)

    async def outcome(self, policy: Policy, digest: Digest) -> Outcome:
        (decision,) = await self.judge(policy, digest)
        assert (decision.target_digest is not None) is (decision.outcome is Outcome.PROMOTE)
        return decision.outcome


@pytest.fixture(scope="module")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """A ledger that nothing is kept in."""
    return Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")


@pytest.fixture
def place(shared_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(shared_ledger)
    monkeypatch.setattr(evidence_module, "_source", _giving(made))
    return made


def _giving(place: Place) -> Callable[..., EvidenceSource]:
    def give(settings: Source, *_: object) -> EvidenceSource:
        return place.sources[settings.name]

    return give


def policy(
    triggers: Sequence[object], trust: str = "signed", order: Sequence[SourceName] = (REFERRERS,)
) -> Policy:
    evidence: dict[str, object] = {
        "sources": [{"files": "reports"} if each is FILES else str(each) for each in order],
        "max_age": MAX_AGE,
        "signers": {"release": {"key": RELEASE.pem.decode()}},
    }
    return policy_of(triggers=list(triggers), evidence={**evidence, **TRUST[trust]})


# Every flaw, by every trust, through every trigger, on every shape


SHAPES = ("single image", "index", "one platform", "both platforms")


def _subjects(place: Place, shape: str) -> tuple[Digest, tuple[Digest, ...]]:
    """Return the image, and what documents are attached to."""
    return {
        "single image": (place.single, (place.single,)),
        "index": (place.index, (place.index,)),
        "one platform": (place.index, (place.amd64,)),
        "both platforms": (place.index, (place.amd64, place.arm64)),
    }[shape]


@pytest.mark.parametrize("flaw", [*Flaw, None], ids=lambda each: str(each or "missing"))
@pytest.mark.parametrize("trust", TRUST)
async def test_evidence_passes_an_image_when_nothing_is_wrong_with_it(
    place: Place, flaw: Flaw | None, trust: str
) -> None:
    passed = 0
    for source, shape, need in itertools.product((REFERRERS, REGISTRY), SHAPES, NEEDS):
        if source is REGISTRY and need is Need.SIGNATURES:
            continue
        image, subjects = _subjects(place, shape)
        exhibits = [Exhibit(need, each, flaw) for each in subjects if flaw is not None]
        place.sources = {
            REFERRERS: FakeSource(REFERRERS),
            REGISTRY: FakeSource(REGISTRY),
            source: FakeSource(source, exhibits),
        }
        reaches = shape in {"single image", "index"} or (
            # A signature of the images in an index is none of the index.
            shape == "both platforms" and need is not Need.SIGNATURES
        )
        counts = [each.counts(source, wants_signature=trust != "anybody") for each in exhibits]
        good = bool(counts) and all(counts)
        expected = Outcome.PROMOTE if good and reaches else Outcome.WAIT
        passed += expected is Outcome.PROMOTE
        for trigger in HELD[need]:
            rules = policy([trigger], trust, (REFERRERS, REGISTRY))
            assert await place.outcome(rules, image) is expected, (source, shape, trigger)
        for trigger in NOT_HELD.get(need, ()):
            rules = policy([trigger], trust, (REFERRERS, REGISTRY))
            # What is known of one platform is enough against the image.
            rejected = Outcome.REJECT if good else Outcome.WAIT
            assert await place.outcome(rules, image) is rejected, (source, shape, trigger)
    assert (passed > 0) is (flaw is Flaw.NONE or _is_harmless_somewhere(flaw))


def _is_harmless_somewhere(flaw: Flaw | None) -> bool:
    """Say whether the flaw is none in one of the cases: a signature of no age, an unsigned scan."""
    return flaw not in {None, Flaw.BROKEN, Flaw.UNKNOWN, Flaw.OTHER_IMAGE}


# Any world, against an oracle


@dataclass(frozen=True)
class Situation:
    """What the sources have, and what a policy asks for.

    Args:
        is_index: Whether the image is an index of two platforms.
        order: The sources in the policy's order.
        has: What each has: need, where it is attached, flaw.
        down: Those that cannot be asked.
        trust: One of TRUST.
        tree: The trigger.
    """

    is_index: bool
    order: tuple[SourceName, ...]
    has: Mapping[SourceName, Sequence[tuple[Need, int, Flaw]]]
    down: frozenset[SourceName]
    trust: str
    tree: object


_leaves = st.sampled_from(
    [("leaf", need, each, True) for need, found in HELD.items() for each in found]
    + [("leaf", need, each, False) for need, found in NOT_HELD.items() for each in found]
)
_trees = st.recursive(
    _leaves,
    lambda inner: (
        st.tuples(st.sampled_from(["any", "all"]), st.lists(inner, min_size=1, max_size=3))
        | st.tuples(st.just("not"), inner)
    ),
    max_leaves=6,
)
# Good ones more often, or hardly any image would pass.
_flaws = st.just(Flaw.NONE) | st.just(Flaw.NONE) | st.sampled_from(Flaw)
_documents = st.lists(
    st.tuples(st.sampled_from(NEEDS), st.sampled_from([0, 0, 1, 2]), _flaws), max_size=6
)
_worlds = st.builds(
    Situation,
    is_index=st.booleans(),
    order=st.permutations([REFERRERS, REGISTRY, FILES]).map(tuple),
    has=st.fixed_dictionaries({REFERRERS: _documents, REGISTRY: _documents, FILES: _documents}),
    down=st.sets(st.sampled_from([REFERRERS, REGISTRY, FILES]), max_size=1).map(frozenset),
    trust=st.sampled_from(list(TRUST)),
    tree=_trees,
)


def _written(tree: object) -> object:
    match tree:
        case ("leaf", _, document, _):
            return document
        case ("not", part):
            return {"not": _written(part)}
        case (str(name), list(parts)):
            return {name: [_written(each) for each in parts]}
    raise AssertionError(tree)


def _needed(tree: object) -> set[Need]:
    match tree:
        case ("leaf", Need() as need, _, _):
            return {need}
        case ("not", part):
            return _needed(part)
        case (_, list(parts)):
            return set().union(*map(_needed, parts))
    raise AssertionError(tree)


def _value(tree: object, known: set[Need]) -> bool | None:
    """Judge a tree: None is not known."""
    match tree:
        case ("leaf", need, _, bool(holds)):
            return holds if need in known else None
        case ("not", part):
            value = _value(part, known)
            return None if value is None else not value
        case ("any", list(parts)):
            values = [_value(each, known) for each in parts]
            return True if True in values else None if None in values else False
        case ("all", list(parts)):
            values = [_value(each, known) for each in parts]
            return False if False in values else None if None in values else True
    raise AssertionError(tree)


def _expected(world: Situation, subjects: Sequence[Digest]) -> Outcome:
    """Say what must become of the image; knows nothing of how it is found out."""
    places: list[set[int]] = [{0, 1}, {0, 2}] if world.is_index else [{0}]
    known: list[set[Need]] = [set() for _ in places]
    for source in world.order:
        if source in world.down:
            if all(_needed(world.tree) <= each for each in known):
                continue
            break
        for need, at, flaw in world.has[source]:
            exhibit = Exhibit(need, subjects[at if world.is_index else 0], flaw)
            if not exhibit.counts(source, wants_signature=world.trust != "anybody"):
                continue
            for each, found in zip(places, known, strict=True):
                # A signature of an image in the index is none of the index.
                reached = {0} if need is Need.SIGNATURES else each
                if at in reached or not world.is_index:
                    found.add(need)
    values = [_value(world.tree, each) for each in known]
    if False in values:
        return Outcome.REJECT
    return Outcome.WAIT if None in values else Outcome.PROMOTE


@given(world=_worlds)
@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_only_what_is_known_for_every_platform_decides(
    place: Place, world: Situation
) -> None:
    image = place.index if world.is_index else place.single
    subjects = (place.index, place.amd64, place.arm64) if world.is_index else (place.single,)
    place.sources = {
        name: FakeSource(
            name,
            [
                Exhibit(need, subjects[at if world.is_index else 0], flaw)
                for need, at, flaw in found
            ],
            is_down=name in world.down,
        )
        for name, found in world.has.items()
    }
    rules = policy([_written(world.tree)], world.trust, world.order)

    assert await place.outcome(rules, image) is _expected(world, subjects)


# What is kept, and what is asked again


def _asks(place: Place) -> list[int]:
    return [len(each.asked) for each in place.sources.values()]


@pytest.fixture
def keeping(world: World, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place with a ledger of its own."""
    made = Place(world.ledger)
    monkeypatch.setattr(evidence_module, "_source", _giving(made))
    return made


async def test_what_was_kept_decides_again_without_asking(keeping: Place) -> None:
    keeping.sources = {REFERRERS: FakeSource(REFERRERS, [Exhibit(Need.COMPONENTS, keeping.single)])}
    rules = policy(HELD[Need.COMPONENTS])

    first = await keeping.judge(rules, keeping.single, keep=True)
    keeping.sources[REFERRERS].is_down = True
    assert await keeping.judge(rules, keeping.single, keep=True) == first
    assert first[0].outcome is Outcome.PROMOTE
    assert _asks(keeping) == [1]
    # Afresh, the source is asked and does not answer.
    (again,) = await keeping.judge(rules, keeping.single, afresh=True)
    assert again.outcome is Outcome.WAIT


async def test_tags_of_one_digest_gather_once_and_are_all_told_to_the_source(
    keeping: Place,
) -> None:
    keeping.sources = {REFERRERS: FakeSource(REFERRERS, [Exhibit(Need.COMPONENTS, keeping.single)])}
    both = await keeping.judge(
        policy(HELD[Need.COMPONENTS]), keeping.single, keeping.single, keep=True
    )

    assert [each.outcome for each in both] == [Outcome.PROMOTE] * 2
    assert [each.tags for each in keeping.sources[REFERRERS].asked] == [("0-stable", "1-stable")]


async def test_very_many_images_are_decided_some_at_a_time(
    keeping: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_module, "IMAGES_IN_MEMORY", 2)
    digests = [keeping.store.hold_image(SOURCE, b"%d" % n).digest for n in range(3)]
    keeping.sources = {
        REFERRERS: FakeSource(
            REFERRERS, [Exhibit(Need.COMPONENTS, each) for each in digests if each != digests[1]]
        )
    }
    decisions = await keeping.judge(policy(HELD[Need.COMPONENTS]), *digests, *digests)

    assert [each.outcome for each in decisions] == [
        Outcome.PROMOTE,
        Outcome.WAIT,
        Outcome.PROMOTE,
    ] * 2
    assert [each.image.digest for each in decisions] == [str(each) for each in digests] * 2
    assert _asks(keeping) == [3]


async def test_what_has_become_too_old_is_asked_for_again(keeping: Place) -> None:
    keeping.sources = {REFERRERS: FakeSource(REFERRERS, [Exhibit(Need.COMPONENTS, keeping.single)])}
    rules = policy(HELD[Need.COMPONENTS])
    await keeping.judge(rules, keeping.single, keep=True)

    (later,) = await keeping.judge(rules, keeping.single, now=NOW + timedelta(days=8))
    assert later.outcome is Outcome.WAIT
    assert "longer ago than max_age" in later.reasons[0].found
    assert _asks(keeping) == [2]


async def test_whoever_is_trusted_by_now_is_asked_for_again(keeping: Place) -> None:
    unsigned = Exhibit(Need.COMPONENTS, keeping.single, Flaw.UNSIGNED)
    keeping.sources = {REFERRERS: FakeSource(REFERRERS, [unsigned])}
    triggers = HELD[Need.COMPONENTS]

    (loose,) = await keeping.judge(policy(triggers, "anybody"), keeping.single, keep=True)
    (strict,) = await keeping.judge(policy(triggers), keeping.single, keep=True)
    assert (loose.outcome, strict.outcome) == (Outcome.PROMOTE, Outcome.WAIT)
    assert "is not signed" in strict.reasons[0].found
    assert _asks(keeping) == [2]


async def test_another_trigger_asks_for_what_was_not_gathered(keeping: Place) -> None:
    keeping.sources = {REFERRERS: FakeSource(REFERRERS, [Exhibit(Need.COMPONENTS, keeping.single)])}
    await keeping.judge(policy(HELD[Need.COMPONENTS]), keeping.single, keep=True)

    keeping.sources[REFERRERS].exhibits = [Exhibit(Need.VULNERABILITIES, keeping.single)]
    rules = policy(HELD[Need.VULNERABILITIES])
    assert (await keeping.judge(rules, keeping.single))[0].outcome is Outcome.PROMOTE


async def test_a_signature_that_comes_late_is_seen_although_others_have_signed(
    keeping: Place,
) -> None:
    theirs = Exhibit(Need.SIGNATURES, keeping.single)
    keeping.sources = {REFERRERS: FakeSource(REFERRERS, [theirs])}
    other = {"key": STRANGER.pem.decode()}
    rules = policy_of(
        triggers=[{"signature": {"signed_by": ["qa"]}}],
        evidence={
            "sources": ["referrers"],
            "signers": {"release": {"key": RELEASE.pem.decode()}, "qa": other},
        },
    )

    (early,) = await keeping.judge(rules, keeping.single, keep=True)
    assert early.outcome is Outcome.WAIT
    assert early.reasons[0].found.startswith("none by them; 1 by others: release")
    keeping.sources[REFERRERS].exhibits = [
        theirs,
        Exhibit(Need.SIGNATURES, keeping.single, Flaw.WRONGLY_SIGNED),
    ]
    (late,) = await keeping.judge(rules, keeping.single, keep=True)
    assert late.outcome is Outcome.PROMOTE


async def test_an_image_that_waits_reads_the_same_the_next_time(keeping: Place) -> None:
    keeping.sources = {
        REFERRERS: FakeSource(
            REFERRERS,
            [
                Exhibit(need, keeping.single, flaw)
                for need, flaw in itertools.product(NEEDS, Flaw)
                # What is from the future comes into its time.
                if flaw not in {Flaw.NONE, Flaw.FUTURE}
            ],
            says=ScanState.RUNNING,
        ),
        REGISTRY: FakeSource(REGISTRY, is_down=True),
    }
    rules = policy(
        [trigger for need in NEEDS for trigger in HELD[need]], order=(REFERRERS, REGISTRY)
    )
    seen = [
        (await keeping.judge(rules, keeping.single, now=NOW + timedelta(minutes=minutes)))[0]
        for minutes in (0, 7)
    ]
    assert seen[0].outcome is Outcome.WAIT
    assert seen[0].reasons == seen[1].reasons


async def test_what_another_trigger_decides_is_not_looked_into(place: Place) -> None:
    place.sources = {REFERRERS: FakeSource(REFERRERS)}
    (decision,) = await place.judge(
        policy([{"tag": {"equals": "other"}}, *HELD[Need.COMPONENTS]]), place.single
    )

    assert decision.outcome is Outcome.REJECT
    assert "not looked at, since another trigger decides" in decision.reasons[1].found
    assert _asks(place) == [0]


# An index by somebody who wants an image to get past the triggers


@pytest.mark.parametrize(
    ("platform", "is_judged"),
    [
        (Platform("unknown", "unknown"), False),
        (Platform("linux", "s390x"), True),
        (None, True),
    ],
)
async def test_an_image_does_not_pass_for_an_attestation_by_its_annotation_alone(
    place: Place, platform: Platform | None, is_judged: bool
) -> None:
    good, hidden = (place.store.hold_image(SOURCE, each) for each in (b"good", b"hidden"))
    marked = replace(hidden, annotations={ABOUT: str(good.digest)})
    index = platform_index_of((good, Platform("linux", "amd64")), (marked, platform))
    place.store.hold_manifest(SOURCE, index)
    place.sources = {REFERRERS: FakeSource(REFERRERS, [Exhibit(Need.COMPONENTS, good.digest)])}

    outcome = await place.outcome(policy(HELD[Need.COMPONENTS]), index.digest)
    assert outcome is (Outcome.WAIT if is_judged else Outcome.PROMOTE)


async def test_no_image_of_an_index_hides_behind_the_platform_of_another(place: Place) -> None:
    images = [place.store.hold_image(SOURCE, name) for name in (b"bad", b"good", b"guise")]
    bad, good, guise = images
    amd64 = Platform("linux", "amd64")
    index = platform_index_of(
        (bad, amd64), (good, amd64), (guise, Platform("linux", f"amd64 {bad.digest}"))
    )
    place.store.hold_manifest(SOURCE, index)
    place.sources = {
        REFERRERS: FakeSource(
            REFERRERS, [Exhibit(Need.COMPONENTS, each.digest) for each in (good, guise)]
        )
    }
    assert await place.outcome(policy(HELD[Need.COMPONENTS]), index.digest) is Outcome.WAIT
