"""Settings → the ledger's head outside: who signs it, where it lies, whose word counts (DR-017)."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immutag.core.checkpoint import Note, is_note, origin_of, parse_note, parse_tree_head
from immutag.core.errors import ConfigInvalid, ImmutagError, LedgerCorrupt, MissingTag
from immutag.core.facts import Anchored, Stream
from immutag.core.frozen import replace
from immutag.core.known_head import KnownHead
from immutag.core.policy import Repositories
from immutag.core.report import Report
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import GitSha, ImageRef, shown
from immutag.ledger import Ledger
from immutag.ledger.against import verify
from immutag.ledger.head import Head
from immutag.settings import Settings

if TYPE_CHECKING:
    from immutag.composition.adapters import Adapters
    from immutag.oci.registry import Registry
    from immutag.trust import Signer
    from immutag.trust.public_key import PublicKey
    from immutag.trust.rule import TrustRule
    from immutag.trust.signing.head_signer import HeadSigner
    from immutag.trust.signing.key_signer import KeySigner
    from immutag.trust.signing.rekor import Rekor
    from immutag.usecases.trusting import Trusting

REPOSITORY, IMAGE = "repository", "oci:"
_KEEP_A_HEAD = "immutag ledger head > FILE, when the ledger is known to be right"
_LIMIT_BYTES = 16 * 1024 * 1024


class Anchors:
    """What a service does with its ledger's head. Everything is made on first use."""

    def __init__(
        self,
        settings: Settings,
        adapters: "Adapters",
        ledger: Ledger,
        *,
        signer: "Callable[[], Signer]",
        report: Report,
    ) -> None:
        image = settings.image
        self._trust = settings.trust
        self._in_rekor = settings.ledger.anchor_in_rekor
        self._repositories = Repositories(image.repository, image.staging, image.main)
        self._adapters = adapters
        self._ledger = ledger
        self._signer = signer
        self._report = report

    @property
    def can_sign(self) -> bool:
        """Whether there is something to sign a checkpoint with."""
        return self._trust.signs

    def require_log(self) -> None:
        """That the log takes heads signed by our key, as far as can be said without unlocking it.

        Raises ConfigInvalid; SoftVerifyToolError where it cannot be told which log that is.
        """
        from immutag.trust.public_key import load_public_key

        if not self._trust.signs:
            raise self._no_key()
        if half := self._adapters.public_half:
            self._log(load_public_key(half))

    def anchor(self) -> Anchored:
        """Leave the head in the registry. Raises as `usecases.anchor` does."""
        from immutag.usecases.anchor import anchor

        signer, own = self._head_signer()
        rule = replace(
            self._rule,
            keys=(*self._rule.keys, *own.keys),
            identities=(*self._rule.identities, *own.identities),
        )
        return anchor(
            self._repositories.canonical,
            ledger=self._ledger,
            registry=self._place,
            signer=signer,
            trusting=replace(self._trusting, rule=rule, logged=False),
            report=self._report,
        )

    def anchor_where_possible(self) -> str | None:
        """After a deployment: the note, if the head was signed as one; nothing without a signer.

        Only said where it cannot be left outside, since what happened is in the ledger. Raises LedgerCorrupt,
        as `anchor` does.
        """
        if not self.can_sign:
            return None
        try:
            note = self.anchor().note
        except LedgerCorrupt:
            raise
        except ImmutagError as error:
            self._report.step(f"the ledger's head was not anchored: {error.message}: {error.found}")
            return None
        return note if is_note(note) else None

    def verify(
        self, against: str | None, directory: Path, checkpoint: str | None = None
    ) -> tuple[Head, list[KnownHead]]:
        """The head of a ledger that is what it was, and the heads that it was held against.

        `against`: a file, `repository`, or `oci:` and an image; `checkpoint`: the file that a bundle is over.
        Raises LedgerCorrupt, ConfigInvalid.
        """
        known = self._known(against, directory, checkpoint) if against else []
        return verify(self._ledger, known), known

    def prove(self, sha: GitSha) -> dict[str, Any]:
        """A proof that the ledger holds this release, as a document."""
        from immutag.usecases.prove import prove

        service = self._repositories.canonical
        return prove(self._stream(sha), service=service, ledger=self._ledger, sign=self._sign).as_document()

    def prove_consistency(self, old: Path) -> dict[str, Any]:
        """A proof that the ledger goes on from the checkpoint in a file."""
        from immutag.usecases.prove import prove_consistency

        note, service = parse_note(read_file(old)), self._repositories.canonical
        return prove_consistency(note, service=service, ledger=self._ledger, sign=self._sign).as_document()

    def _known(self, against: str, directory: Path, checkpoint: str | None) -> list[KnownHead]:
        from immutag.usecases import known_heads

        if against == REPOSITORY:
            return list(known_heads.in_registry(self._place, self._ledger.head().size, self._trusting))
        if against.startswith(IMAGE):
            image = _image(against)
            return list(
                known_heads.in_image(image, self._adapters.registry(image.repository), self._trusting)
            )
        content = read_file(directory / against)
        texts = self._texts if checkpoint is None else lambda: [text_in(read_file(directory / checkpoint))]
        return list(known_heads.in_file(content, against, self._trusting, texts))

    def _texts(self) -> Iterator[str]:
        """What a bundle may be over: the heads of this ledger as it grew, and those left in the registry."""
        from immutag.ledger.against import tree_heads
        from immutag.usecases.checkpoints import checkpoints

        yield from (head.text() for head in tree_heads(self._ledger, self._trusting.origin))
        found = checkpoints(self._place, size=self._ledger.head().size, trusting=self._trusting)
        yield from (each.text for each in found.kept)

    def _stream(self, sha: GitSha) -> Stream:
        for repository in (self._repositories.canonical, self._repositories.staging):
            stream = Stream.release(repository, sha)
            if self._ledger.stream(stream, last=1):
                return stream
        raise MissingTag(
            "the ledger knows no release of this SHA",
            expected=f"a release of {sha} in {self._repositories.canonical}",
            found="no such release",
            remedy=f"immutag release --sha {sha}",
        )

    def _sign(self, head: Head) -> Note:
        from immutag.usecases.anchor import sign_head

        return sign_head(head, self._repositories.canonical, self._key)

    @property
    def _place(self) -> "Registry":
        """Where checkpoints lie: beside the service's signatures."""
        return self._adapters.registry(self._trust.signature_repository or self._repositories.canonical)

    def _head_signer(self) -> "tuple[HeadSigner, TrustRule]":
        """Who signs heads here, and the rule that trusts nobody else."""
        from immutag.trust.rule import TrustRule
        from immutag.trust.signing.head_signer import IdentitySigner, NoteSigner
        from immutag.trust.signing.keyless import KeylessSigner

        signer = self._signer() if self._trust.keyless else None
        if isinstance(signer, KeylessSigner):
            own = IdentityRule(Pattern(signer.identity.issuer), Pattern(signer.identity.subject))
            return IdentitySigner(signer), TrustRule(identities=(own,))
        return NoteSigner(self._key, self._log(self._key.public)), TrustRule((self._key.public,))

    def _log(self, key: "PublicKey") -> "Rekor | None":
        """The log that the key's checkpoints are entered in, if they are."""
        from immutag.trust.signing.rekor import Rekor
        from immutag.trust.signing.services import Services

        if not self._in_rekor:
            return None
        services = Services(self._trust.signing_config, self._trust.trusted_root)
        return Rekor(services, key, authority=self._adapters.root_of_trust.authorities)

    @cached_property
    def _key(self) -> "KeySigner":
        from immutag.trust.signing.key_signer import KeySigner

        signer = self._signer() if self._has_key else None
        if isinstance(signer, KeySigner):
            return signer
        raise self._no_key()

    def _no_key(self) -> ConfigInvalid:
        return ConfigInvalid(
            "there is no key to sign a checkpoint with",
            expected="[trust] key, or a program as [trust] signer",
            found="an identity (keyless), which cannot sign notes" if self._trust.keyless else "neither",
            remedy="cosign generate-key-pair, and name the key in immutag.toml",
        )

    @property
    def _has_key(self) -> bool:
        return bool(self._trust.key or self._trust.signer)

    @cached_property
    def _rule(self) -> "TrustRule":
        """Whose word counts; our own key's, unlocked if need be, where the configuration names none."""
        rule = self._adapters.trust_rule
        return rule if rule.keys or not self._has_key else replace(rule, keys=(self._key.public,))

    @cached_property
    def _trusting(self) -> "Trusting":
        from immutag.usecases.trusting import Trusting

        canonical = self._repositories.canonical
        authority = self._adapters.root_of_trust.authorities
        return Trusting(self._rule, authority, canonical, origin_of(canonical), logged=self._in_rekor)


def check_proof(file: Path, keys: Sequence[Path]) -> dict[str, Any]:
    """What a proof shows, with the public keys in these files alone. Raises LedgerCorrupt, ConfigInvalid."""
    from immutag.trust.public_key import load_public_key
    from immutag.usecases.check_proof import check_proof

    return check_proof(
        read_file(file, remedy="immutag ledger prove SHA > FILE"), [load_public_key(key) for key in keys]
    )


def text_in(content: bytes) -> str:
    """What is signed of a kept checkpoint: a note's text, or all of a bare one. Raises ConfigInvalid."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = ""
    if is_note(text):
        return parse_note(content).text
    parse_tree_head(text)
    return text


def _image(against: str) -> ImageRef:
    try:
        return ImageRef.parse(against.removeprefix(IMAGE))
    except ImmutagError as error:
        raise ConfigInvalid(
            "that names no image",
            expected=f"{IMAGE}REPOSITORY@DIGEST",
            found=shown(against),
            remedy="immutag show SHA, which prints a release's image",
        ) from error


def read_file(file: Path, *, remedy: str = _KEEP_A_HEAD) -> bytes:
    """A file that a person named. Raises ConfigInvalid."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or "an error of the system", remedy) from error
    if len(content) > _LIMIT_BYTES:
        raise _unreadable(file, f"more than {_LIMIT_BYTES} bytes", remedy)
    return content


def _unreadable(file: Path, found: str, remedy: str) -> ConfigInvalid:
    return ConfigInvalid(
        "the kept head or proof cannot be read",
        expected="a file by `immutag ledger head`, `immutag ledger anchor` or `immutag ledger prove`",
        found=shown(f"{file}: {found}"),
        remedy=remedy,
    )
