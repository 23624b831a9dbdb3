"""Release a commit: content, then the claim, then its evidence, then the SHA tag (DR-011, DR-018).

Before: the commit and its repository are known and allowed. After: the SHA tag names the claimed digest,
read back, and the ledger says so. Killed in between: whatever was done is found again by the next run,
here or elsewhere. Running it twice changes nothing.
"""

import time
from collections.abc import Callable, Sequence

from immutag.build.workspace import BuiltLayout
from immutag.core.errors import (
    DigestMismatch,
    ImmutagError,
    LedgerConflict,
    MissingTag,
    PushFailure,
    SoftVerifyToolError,
)
from immutag.core.facts import (
    Built,
    Claimed,
    Evidence,
    EvidenceFailed,
    Fact,
    Pushed,
    Requested,
    SignatureChecked,
    SignatureReason,
    SignatureStatus,
    Stopped,
    Stream,
    Tagged,
    WriteOnce,
)
from immutag.core.frozen import frozen
from immutag.core.release import Release, Seen, Step, decide, fold, owed
from immutag.core.report import Report
from immutag.core.values import Digest, GitSha, RepositoryType, ShaTag, ShortTag
from immutag.core.verification import Verification, signature_of
from immutag.ledger import Ledger
from immutag.oci import Descriptor, Store
from immutag.oci.copy import copy, settled
from immutag.usecases.evidence import Witness, attest
from immutag.usecases.record import append_anyway

_LOOKS = 1000


@frozen()
class Order:
    """The release that is asked for. `given`: its content is the user's layout, not a build of ours."""

    tag: ShaTag
    repository_type: RepositoryType
    branch: str | None
    source: str | None
    given: bool
    short_tag: bool
    write_once: WriteOnce

    @property
    def stream(self) -> Stream:
        return Stream.release(self.tag.repository, self.tag.sha)


@frozen()
class Content:
    """The layout folder that we hold: how to make it (or find it finished), and how to read it."""

    make: Callable[[], BuiltLayout]
    layout: Callable[[], Store]
    discard: Callable[[], None]


def release(
    order: Order,
    *,
    content: Content,
    witness: Witness,
    registry: Store,
    ledger: Ledger,
    verify: Callable[[Digest], Verification],
    report: Report,
) -> Release:
    """Bring the release to its end, from wherever it stands.

    Raises BuildFailure, PushFailure, DigestMismatch, RegistryAuth, RegistryUnavailable, LedgerConflict,
    LedgerCorrupt; each but the ledger's own is recorded as `stopped`.
    """
    built: BuiltLayout | None = None
    tried: frozenset[Evidence] = frozenset()
    step = Step.REQUEST
    try:
        for _ in range(_LOOKS):
            entries = ledger.stream(order.stream)
            state = fold(order.tag, entries)
            missing = owed(state, witness.wanted - tried, signs=witness.signs)
            seen = _look(order, state, registry, built, missing)
            try:
                step = decide(state, seen)
            except (DigestMismatch, LedgerConflict):
                if _moved(ledger, order, state):
                    continue
                raise
            if step is Step.DONE:
                content.discard()
                return state
            facts: Sequence[Fact]
            if step is Step.BUILD:
                built = content.make()
                facts = _built(order, state, built)
            elif step is Step.ATTEST and state.claim:
                evidence = min(missing, key=list(Evidence).index)
                facts = attest(evidence, state.claim, witness, report, told=[e.fact for e in entries])
                tried |= {fact.evidence for fact in facts if isinstance(fact, EvidenceFailed)}
            else:
                facts = _act(
                    step,
                    order,
                    state,
                    built,
                    content=content,
                    registry=registry,
                    verify=verify,
                    report=report,
                )
            _append(ledger, order, state, facts)
    except ImmutagError as error:
        _record_stop(ledger, order, step, built, error)
        raise
    raise LedgerConflict(
        "the release's stream never came to rest",
        expected="an end after a few looks",
        found=f"{_LOOKS} changes by others",
        remedy="immutag release, when the others have ended",
    )


def _act(
    step: Step,
    order: Order,
    state: Release,
    built: BuiltLayout | None,
    *,
    content: Content,
    registry: Store,
    verify: Callable[[Digest], Verification],
    report: Report,
) -> Sequence[Fact]:
    """Do the step, and give its fact; none for what needs none."""
    match step:
        case Step.REQUEST:
            return [_requested(order)]
        case Step.PUSH if built:
            return [_push(order, built.root, content.layout(), registry, report)]
        case Step.CLAIM if built:
            return [_claimed(order, built.root)]
        case Step.CHECK_SIGNATURE:
            return [_check_signature(order, state, verify, report)]
        case Step.TAG:
            return [_tag(order, state, registry, report)]
        case Step.TAG_SHORT:
            _put_tag(_claim(state), order.tag.sha.short, registry)
            return []
        case _:
            raise AssertionError(f"{step} of a layout that nobody saw")


def _look(
    order: Order,
    state: Release,
    registry: Store,
    built: BuiltLayout | None,
    missing: frozenset[Evidence],
) -> Seen:
    """What the registry says now, and what we hold. Asked anew at each step, since others act too."""
    tag = registry.resolve(order.tag.sha)
    short = registry.resolve(order.tag.sha.short) if order.short_tag and tag and state.tagged else None
    return Seen(
        tag=tag.digest if tag else None,
        layout=built.root.digest if built else None,
        given=order.given,
        content=bool(state.claim and tag is None and registry.exists(_claim(state))),
        owed=missing,
        short_wanted=order.short_tag,
        short=short.digest if short else None,
    )


def _claim(state: Release) -> Descriptor:
    assert state.claim  # noqa: S101 - asked for only after the claim
    return Descriptor(state.claim.media_type, state.claim.digest, state.claim.size_bytes)


def _moved(ledger: Ledger, order: Order, state: Release) -> bool:
    newest = ledger.stream(order.stream, last=1)
    return bool(newest) and newest[-1].version != state.version


def _append(ledger: Ledger, order: Order, state: Release, facts: Sequence[Fact]) -> None:
    """Append, unless others were faster: then nothing is lost, the next look sees what they did."""
    try:
        for version, fact in enumerate(facts, state.version):
            ledger.append(order.stream, fact, after=version)
    except LedgerConflict:
        if not _moved(ledger, order, state):
            raise


def _requested(order: Order) -> Requested:
    tag = order.tag
    return Requested(tag.sha, tag.repository, order.repository_type, order.branch, order.source)


def _built(order: Order, state: Release, built: BuiltLayout) -> Sequence[Built]:
    """Nothing if it is not new: an interrupted run recorded it, or the claim stands already."""
    if state.claim or built.root.digest in state.built:
        return []
    found = Built(
        sha=order.tag.sha,
        repository=order.tag.repository,
        digest=built.root.digest,
        media_type=built.root.media_type,
        size_bytes=built.root.size_bytes,
        platform=built.platform,
        builder=built.builder,
        duration_ms=built.duration_ms,
    )
    return [found]


def _push(order: Order, root: Descriptor, layout: Store, registry: Store, report: Report) -> Pushed:
    """Leaves first, root last; then the root is read back by its digest (DR-007)."""
    report.step(f"push {order.tag.repository}@{root.digest}")
    begun = time.monotonic()
    copy(layout, registry, root, report=report)
    try:
        with registry.fetch(root) as blocks:
            for _ in blocks:
                pass
    except MissingTag as error:
        raise PushFailure(
            "the registry took the image, but does not have it",
            expected=str(root.digest),
            found="404 for the digest",
            remedy="immutag doctor",
        ) from error
    duration_ms = round((time.monotonic() - begun) * 1000)
    return Pushed(order.tag.sha, order.tag.repository, root.digest, duration_ms)


def _claimed(order: Order, root: Descriptor) -> Claimed:
    return Claimed(order.tag.sha, order.tag.repository, root.digest, root.media_type, root.size_bytes)


def _check_signature(
    order: Order, state: Release, verify: Callable[[Digest], Verification], report: Report
) -> SignatureChecked:
    """What the signatures' places hold. In a release even "cannot tell" is only a fact (law 7)."""
    digest = _claim(state).digest
    try:
        status, reason, signer = signature_of(verify(digest))
    except SoftVerifyToolError as error:
        report.step(f"signature of {digest}: cannot be determined: {error.found}")
        status, reason, signer = SignatureStatus.UNVERIFIED, SignatureReason.ERROR, None
    return SignatureChecked(order.tag.sha, order.tag.repository, digest, status, reason, signer)


def _tag(order: Order, state: Release, registry: Store, report: Report) -> Tagged:
    claim = _claim(state)
    report.step(f"tag {order.tag}")
    _put_tag(claim, order.tag.sha, registry)
    if order.short_tag:
        _put_tag(claim, order.tag.sha.short, registry)
    return Tagged(order.tag.sha, order.tag.repository, claim.digest, order.short_tag, order.write_once)


def _put_tag(manifest: Descriptor, tag: GitSha | ShortTag, registry: Store) -> None:
    """Point the tag at the claimed manifest, or find that it already does. Never overwrites."""
    found = registry.resolve(tag)
    if found is None:
        registry.tag(manifest, tag)
        found = settled(lambda: registry.resolve(tag))  # read back: it is not believed (DR-007)
    if found is None:
        raise PushFailure(
            "the registry took the tag, but does not have it",
            expected=f"{tag} → {manifest.digest}",
            found="404 for the tag",
            remedy="immutag release, which completes it",
        )
    if found.digest != manifest.digest:
        raise DigestMismatch(
            "the tag holds other content than was claimed",
            expected=str(manifest.digest),
            found=str(found.digest),
            remedy=f"find out who wrote {tag}; it is never overwritten",
        )


def _record_stop(
    ledger: Ledger, order: Order, step: Step, built: BuiltLayout | None, error: ImmutagError
) -> None:
    append_anyway(
        ledger,
        order.stream,
        Stopped.by(
            error,
            sha=order.tag.sha,
            repository=order.tag.repository,
            command="release",
            stage=step.name.lower(),
            digest=built.root.digest if built else None,
        ),
    )
