"""Where heads of the ledger were kept: a file, an image's attestations, the registry's checkpoints (DR-017).

A head that was printed is as good as the place that it was kept in. Everything else must be signed by a key
or identity that is trusted; what is not is no evidence, neither for the ledger nor against it.
"""

from collections.abc import Callable, Iterable, Sequence

from immutag.core.checkpoint import parse_note, parse_tree_head
from immutag.core.errors import ConfigInvalid, ImmutagError, LedgerCorrupt
from immutag.core.facts import SignatureReason
from immutag.core.known_head import KnownHead, parse_head
from immutag.core.values import ImageRef, shown
from immutag.oci.fanout import map_each
from immutag.oci.referrers import Referrer, referrers
from immutag.oci.registry import Registry
from immutag.trust.attached import BUNDLE, Kind, in_referrer, with_content
from immutag.trust.checks import check_message_form
from immutag.trust.evidence.heads import heads_in_bundle
from immutag.trust.evidence.signed_content import is_over, signer_of_content
from immutag.trust.judgement import Refused
from immutag.usecases.checkpoints import CHECKPOINT, LOGGED, checkpoints, head_in, kept_in
from immutag.usecases.trusting import Trusting

_WORKERS = 8
_NOTE = "\n\n— "


def in_file(
    content: bytes, name: str, trusting: Trusting, texts: Callable[[], Iterable[str]] = tuple
) -> Sequence[KnownHead]:
    """The heads in a file: what `ledger head` printed, a checkpoint, the bundle of an attestation, or the one
    with a log's proof of a checkpoint. This one does not hold what it is over: `texts` are what it may be.

    Raises ConfigInvalid for what is none of them, or by nobody who is trusted; LedgerCorrupt for one that was
    altered after it was signed.
    """
    if _NOTE.encode() in content:
        found = head_in(parse_note(content), origin=trusting.origin, keys=trusting.rule.keys, name=name)
        if found is None:
            raise _nobodys(
                name, f"a checkpoint of {trusting.origin} by a trusted key", "one by somebody else"
            )
        return [found]
    if b"dsseEnvelope" in content:
        return _in_bundle(content, name, trusting)
    if BUNDLE.encode() in content:
        return [_in_logged(content, name, trusting, texts)]
    try:
        return [parse_head(content.decode(), name)]
    except UnicodeDecodeError:
        return [parse_head("", name)]


def in_image(image: ImageRef, registry: Registry, trusting: Trusting) -> Sequence[KnownHead]:
    """The heads in what is attached to an image. Raises ConfigInvalid if nobody who is trusted left one
    there, RegistryUnavailable, RegistryAuth."""

    def look(referrer: Referrer) -> Sequence[KnownHead]:
        return _in_referrer(referrer, registry, trusting)

    found = [
        head for each in map_each(look, referrers(registry, image.digest), workers=_WORKERS) for head in each
    ]
    if not found:
        raise _nobodys(str(image), "an attestation or checkpoint with a head, by somebody trusted", "none")
    return found


def in_registry(registry: Registry, size: int, trusting: Trusting) -> Sequence[KnownHead]:
    """The heads that `ledger anchor` left in the registry, for a ledger of this size. Raises ConfigInvalid if
    nobody who is trusted left one, RegistryUnavailable, RegistryAuth."""
    found = checkpoints(registry, size=size, trusting=trusting)
    if not found.kept:
        others = f"{found.others} by somebody else" if found.others else "none"
        raise _nobodys(
            str(registry.repository), f"a checkpoint of {trusting.origin} by somebody trusted", others
        )
    return found.heads


def _in_referrer(referrer: Referrer, registry: Registry, trusting: Trusting) -> Sequence[KnownHead]:
    if referrer.artifact_type == CHECKPOINT:
        kept = kept_in(referrer, registry, trusting)
        return [kept.head] if kept else []
    found: list[KnownHead] = []
    for attached in in_referrer("", referrer):
        if attached.kind is not Kind.BUNDLE:
            continue
        content = with_content(attached, registry, None).content or b""
        name = f"{registry.repository}@{referrer.content.digest}"
        try:
            found += in_file(content, name, trusting)
        except (ConfigInvalid, LedgerCorrupt):
            continue
    return found


def _in_bundle(content: bytes, name: str, trusting: Trusting) -> Sequence[KnownHead]:
    try:
        found = heads_in_bundle(
            content,
            rule=trusting.rule,
            authority=trusting.authority,
            repository=trusting.repository,
            name=name,
        )
    except Refused as refused:
        raise _of(refused, "attestation", name) from None
    if not found:
        raise _nobodys(name, "an attestation that holds the ledger's head", "one that holds none")
    return found


def _in_logged(
    content: bytes, name: str, trusting: Trusting, texts: Callable[[], Iterable[str]]
) -> KnownHead:
    try:
        _, signature = check_message_form(content)
        text = next((each for each in texts() if is_over(signature, each.encode())), None)
        if text is None:
            raise _nobodys(
                name,
                "the text that the bundle is over",
                "neither a head of this ledger nor one in the registry",
            )
        head = parse_tree_head(text)
        signer = signer_of_content(content, text.encode(), rule=trusting.rule, authority=trusting.authority)
    except Refused as refused:
        raise _of(refused, "checkpoint's bundle", name) from None
    if head.origin != trusting.origin:
        raise _nobodys(name, f"a checkpoint of {trusting.origin}", f"one of {head.origin}")
    return KnownHead.of(head, f"{name}, signed by {signer}{LOGGED}")


def _of(refused: Refused, what: str, name: str) -> ImmutagError:
    if refused.reason is SignatureReason.INVALID:
        return LedgerCorrupt(
            f"the {what} is not what was signed",
            expected="a bundle whose signature holds",
            found=shown(f"{refused.check.value}: {refused.why}"),
            remedy="take it from where it was kept first: it was altered on the way",
        )
    return _nobodys(name, f"a {what} by somebody trusted", refused.why)


def _nobodys(place: str, expected: str, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"there is nothing to hold the ledger against in {shown(place)}",
        expected=expected,
        found=shown(found),
        remedy="immutag ledger anchor; [trust] public_keys names the keys that count",
    )
