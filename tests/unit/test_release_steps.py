"""Each row of a release's decision, and its refusals. The order of all of them: `test_write_order`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import DigestMismatch, ImmutagError, LedgerConflict
from immutag.core.facts import (
    Attested,
    Built,
    Claimed,
    Described,
    Entry,
    Evidence,
    Fact,
    Pushed,
    Requested,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Signed,
    Stopped,
    Stream,
    Tagged,
    WriteOnce,
)
from immutag.core.frozen import replace
from immutag.core.release import Release, Seen, Step, decide, fold, owed
from immutag.core.statement import CYCLONEDX, SLSA_PROVENANCE
from immutag.core.values import Digest, GitSha, Repository, RepositoryType, ShaTag

SHA = GitSha("a" * 40)
REPOSITORY = Repository("registry.example", "owner/api")
TAG = ShaTag(REPOSITORY, SHA)
OURS, OTHER = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def requested() -> Requested:
    return Requested(SHA, REPOSITORY, RepositoryType.CANONICAL, "main", None)


def built(digest: Digest = OURS) -> Built:
    return Built(SHA, REPOSITORY, digest, MEDIA_TYPE, 7, "linux/amd64", "buildah", 1)


def pushed(digest: Digest = OURS) -> Pushed:
    return Pushed(SHA, REPOSITORY, digest, 1)


def claimed(digest: Digest = OURS) -> Claimed:
    return Claimed(SHA, REPOSITORY, digest, MEDIA_TYPE, 7)


def checked(digest: Digest = OURS) -> SignatureChecked:
    return SignatureChecked(
        SHA, REPOSITORY, digest, SignatureStatus.UNVERIFIED, SignatureReason.MISSING, None
    )


def tagged(digest: Digest = OURS) -> Tagged:
    return Tagged(SHA, REPOSITORY, digest, False, WriteOnce.CONVENTION)


def signed(digest: Digest = OURS) -> Signed:
    return Signed(SHA, REPOSITORY, digest, "key", (OTHER,))


def described(digest: Digest = OURS) -> Described:
    return Described(SHA, REPOSITORY, digest, Evidence.CYCLONEDX, OTHER, OTHER)


def attested(predicate_type: str, digest: Digest = OURS) -> Attested:
    return Attested(SHA, REPOSITORY, digest, predicate_type, "key", OTHER)


def told(*facts: Fact) -> Release:
    """The release of which the ledger says this."""
    stream = Stream.release(REPOSITORY, SHA)
    return fold(
        TAG,
        [
            Entry(at, stream, at, "2026-01-01T00:00:00.000Z", "tester", "", "", fact)
            for at, fact in enumerate(facts, 1)
        ],
    )


OWED = frozenset({Evidence.SIGNATURE})
BUILT = (requested(), built())
PUSHED = (*BUILT, pushed())
CLAIMED = (*PUSHED, claimed())
CHECKED = (*CLAIMED, checked())
TAGGED = (*CHECKED, tagged())

ROWS: list[tuple[str, tuple[Fact, ...], Seen, Step]] = [
    ("nothing is known", (), Seen(), Step.REQUEST),
    ("the request comes before a look at what is there", (), Seen(tag=OTHER, layout=OURS), Step.REQUEST),
    ("no layout", (requested(),), Seen(), Step.BUILD),
    ("a layout that the ledger does not know", (requested(),), Seen(layout=OURS), Step.BUILD),
    ("a layout of which another build is known", BUILT, Seen(layout=OTHER), Step.BUILD),
    ("the build is known, its layout is not here", BUILT, Seen(), Step.BUILD),
    ("built, and here", BUILT, Seen(layout=OURS), Step.PUSH),
    ("another build was pushed, not this one", (*PUSHED, built(OTHER)), Seen(layout=OTHER), Step.PUSH),
    ("pushed, and the layout is elsewhere", PUSHED, Seen(), Step.BUILD),
    ("pushed", PUSHED, Seen(layout=OURS), Step.CLAIM),
    ("claimed", CLAIMED, Seen(layout=OURS, content=True), Step.CHECK_SIGNATURE),
    ("claimed by somebody whose layout is elsewhere", CLAIMED, Seen(content=True), Step.CHECK_SIGNATURE),
    (
        "claimed by somebody with another build",
        CLAIMED,
        Seen(layout=OTHER, content=True),
        Step.CHECK_SIGNATURE,
    ),
    ("tagged by somebody who died before he said so", CLAIMED, Seen(tag=OURS), Step.CHECK_SIGNATURE),
    ("evidence is owed", CLAIMED, Seen(content=True, owed=OWED), Step.ATTEST),
    ("evidence is owed, and the content has gone", CLAIMED, Seen(owed=OWED), Step.BUILD),
    ("evidence is owed to a tag that is there", TAGGED, Seen(tag=OURS, owed=OWED), Step.ATTEST),
    ("signed, after it was checked", (*CHECKED, signed()), Seen(content=True), Step.CHECK_SIGNATURE),
    ("checked", CHECKED, Seen(content=True), Step.TAG),
    ("the tag is there, its fact is not", CHECKED, Seen(tag=OURS), Step.TAG),
    ("the fact is there, the tag has gone", TAGGED, Seen(content=True), Step.TAG),
    ("tagged", TAGGED, Seen(tag=OURS), Step.DONE),
    ("tagged, and another build is at hand", TAGGED, Seen(tag=OURS, layout=OTHER), Step.DONE),
    ("the claimed content has gone", CLAIMED, Seen(), Step.BUILD),
    ("the claimed content has gone, and is here", CLAIMED, Seen(layout=OURS), Step.PUSH),
    ("tag and content of a release have gone", TAGGED, Seen(), Step.BUILD),
    ("tag and content of a release have gone, and are here", TAGGED, Seen(layout=OURS), Step.PUSH),
    ("given: first look at it", TAGGED, Seen(tag=OURS, given=True), Step.BUILD),
    ("given: the claimed one", TAGGED, Seen(tag=OURS, given=True, layout=OURS), Step.DONE),
    (
        "given: the claimed one, before the tag",
        CHECKED,
        Seen(given=True, layout=OURS, content=True),
        Step.TAG,
    ),
    ("no short tag wanted", TAGGED, Seen(tag=OURS, short=OTHER), Step.DONE),
    ("no short tag yet", TAGGED, Seen(tag=OURS, short_wanted=True), Step.TAG_SHORT),
    ("the short tag agrees", TAGGED, Seen(tag=OURS, short_wanted=True, short=OURS), Step.DONE),
]


@pytest.mark.parametrize(("facts", "seen", "step"), [pytest.param(*row, id=name) for name, *row in ROWS])
def test_the_next_step(facts: tuple[Fact, ...], seen: Seen, step: Step) -> None:
    assert decide(told(*facts), seen) is step


REFUSALS: list[tuple[str, tuple[Fact, ...], Seen, type[ImmutagError], Digest | None]] = [
    (
        "a tag that nobody claimed, before minutes of building",
        (requested(),),
        Seen(tag=OTHER),
        DigestMismatch,
        None,
    ),
    (
        "a tag that nobody claimed, also with our content",
        PUSHED,
        Seen(tag=OURS, layout=OURS),
        DigestMismatch,
        None,
    ),
    ("a tag that was moved before the end", CLAIMED, Seen(tag=OTHER, layout=OURS), DigestMismatch, OURS),
    ("a tag that was moved after the end", TAGGED, Seen(tag=OTHER), DigestMismatch, OURS),
    (
        "given: other content than claimed",
        CLAIMED,
        Seen(given=True, layout=OTHER, content=True),
        DigestMismatch,
        OURS,
    ),
    (
        "given: other content than released",
        TAGGED,
        Seen(tag=OURS, given=True, layout=OTHER),
        DigestMismatch,
        OURS,
    ),
    ("claimed content gone, other bytes built", CLAIMED, Seen(layout=OTHER), LedgerConflict, OURS),
    ("released content gone, other bytes built", TAGGED, Seen(layout=OTHER), LedgerConflict, OURS),
    (
        "the short tag is another's",
        TAGGED,
        Seen(tag=OURS, short_wanted=True, short=OTHER),
        DigestMismatch,
        OURS,
    ),
]


@pytest.mark.parametrize(
    ("facts", "seen", "error", "expected"), [pytest.param(*row, id=name) for name, *row in REFUSALS]
)
def test_a_refusal_says_what_was_expected_and_found(
    facts: tuple[Fact, ...], seen: Seen, error: type[ImmutagError], expected: Digest | None
) -> None:
    with pytest.raises(error) as caught:
        decide(told(*facts), seen)
    found = next(digest for digest in (seen.short, seen.tag, seen.layout) if digest)
    if seen.given:
        found = OTHER
    assert caught.value.found == str(found)
    assert caught.value.expected == str(expected or f"no tag {TAG}, or a claim in the ledger")


MAKERS = (built, pushed, claimed, signed, checked, tagged)
DIGESTS = st.none() | st.sampled_from([OURS, OTHER])
SEEN = st.builds(
    Seen, tag=DIGESTS, layout=DIGESTS, given=st.booleans(), content=st.booleans(),
    owed=st.sampled_from([frozenset(), OWED]), short_wanted=st.booleans(), short=DIGESTS,
)  # fmt: skip
FACTS = st.lists(
    st.sampled_from(
        [requested()]
        + [
            make(digest)
            for make in (built, pushed, claimed, signed, checked, tagged)
            for digest in (OURS, OTHER)
        ]
    )
).map(tuple)


@given(FACTS, SEEN)
def test_whatever_is_told_and_seen_no_step_breaks_the_order(facts: tuple[Fact, ...], seen: Seen) -> None:
    """Also for streams that no release of ours would write."""
    release = told(*facts)
    claim = release.claim.digest if release.claim else None
    try:
        step = decide(release, seen)
    except (DigestMismatch, LedgerConflict):
        return
    if step is Step.PUSH:
        assert seen.layout in ({claim} if claim else release.built)
    if step is Step.CLAIM:
        assert claim is None
        assert seen.tag is None
        assert seen.layout in release.pushed
    if step in (Step.ATTEST, Step.CHECK_SIGNATURE, Step.TAG):
        assert claim
        assert seen.tag == claim or (seen.tag is None and seen.content)
    if step in (Step.TAG, Step.TAG_SHORT, Step.DONE):
        assert release.checked
        assert not seen.owed
    if step in (Step.TAG_SHORT, Step.DONE):
        assert seen.tag == claim
        assert release.tagged
    if seen.given and step in (Step.CHECK_SIGNATURE, Step.TAG, Step.TAG_SHORT, Step.DONE):
        assert seen.layout == claim


EVERYTHING = frozenset(Evidence)


@pytest.mark.parametrize(
    ("facts", "signs", "missing"),
    [
        (CLAIMED, True, EVERYTHING),
        (CLAIMED, False, {Evidence.CYCLONEDX, Evidence.SPDX}),
        ((*CLAIMED, signed()), True, EVERYTHING - {Evidence.SIGNATURE}),
        ((*CLAIMED, signed(OTHER)), True, EVERYTHING),
        ((*CLAIMED, attested(SLSA_PROVENANCE)), True, EVERYTHING - {Evidence.PROVENANCE}),
        ((*CLAIMED, described()), True, EVERYTHING),
        ((*CLAIMED, described()), False, {Evidence.SPDX}),
        ((*CLAIMED, attested(CYCLONEDX)), True, EVERYTHING),
        ((*CLAIMED, described(), attested(CYCLONEDX)), True, EVERYTHING - {Evidence.CYCLONEDX}),
        ((*CLAIMED, described(), attested(CYCLONEDX, OTHER)), True, EVERYTHING),
    ],
)
def test_evidence_is_owed_until_the_ledger_has_it(
    facts: tuple[Fact, ...], signs: bool, missing: set[Evidence]
) -> None:
    assert owed(told(*facts), EVERYTHING, signs=signs) == missing


def test_only_what_is_wanted_is_owed() -> None:
    assert owed(told(*CLAIMED), frozenset(), signs=True) == frozenset()


def test_nothing_told_is_an_empty_release() -> None:
    assert told() == Release(TAG)


def test_a_release_holds_every_build_and_push() -> None:
    release = told(requested(), built(), built(OTHER), pushed(OTHER), built())
    assert (release.requested, release.version) == (True, 5)
    assert release.built == {OURS, OTHER}
    assert release.pushed == {OTHER}


def test_the_first_claim_is_the_only_one() -> None:
    assert told(*CLAIMED, claimed(OTHER)).claim == claimed()


def test_a_signature_of_other_content_does_not_count() -> None:
    assert not told(*CLAIMED, checked(OTHER)).checked
    assert not told(*PUSHED, checked(), claimed()).checked


def test_a_command_that_stopped_changes_nothing_but_the_version() -> None:
    error = LedgerConflict("x", expected="y", found="z", remedy="w")
    stopped = Stopped.by(error, sha=SHA, repository=REPOSITORY, command="release", stage="push")
    before = told(*CHECKED)
    assert told(*CHECKED, stopped) == replace(before, version=before.version + 1)
