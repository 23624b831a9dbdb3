"""Settings → the ledger's head outside: who signs it, where it lies, whose word counts (DR-017)."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immutag.core.checkpoint import Note, origin_of, parse_note
from immutag.core.errors import ConfigInvalid, ImmutagError, LedgerCorrupt, MissingTag
from immutag.core.facts import Anchored, Stream
from immutag.core.frozen import replace
from immutag.core.known_head import KnownHead
from immutag.core.policy import Repositories
from immutag.core.report import Report
from immutag.core.values import GitSha, ImageRef, shown
from immutag.ledger import Ledger
from immutag.ledger.against import verify
from immutag.ledger.head import Head
from immutag.settings import Settings

if TYPE_CHECKING:
    from immutag.composition.adapters import Adapters
    from immutag.oci.registry import Registry
    from immutag.trust import Signer
    from immutag.trust.rule import TrustRule
    from immutag.trust.signing.key_signer import KeySigner
    from immutag.usecases.known_heads import Trusting

REPOSITORY, IMAGE = "repository", "oci:"
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
        self._repositories = Repositories(image.repository, image.staging, image.main)
        self._adapters = adapters
        self._ledger = ledger
        self._signer = signer
        self._report = report

    @property
    def can_sign(self) -> bool:
        """Whether a key is configured: a checkpoint needs one, an identity cannot sign notes."""
        return bool(self._trust.key or self._trust.signer)

    def anchor(self) -> Anchored:
        """Leave the head in the registry. Raises as `usecases.anchor` does."""
        from immutag.usecases.anchor import anchor

        return anchor(
            self._repositories.canonical,
            ledger=self._ledger,
            registry=self._place,
            key=self._key,
            keys=(*self._rule.keys, self._key.public),
            report=self._report,
        )

    def anchor_where_possible(self) -> Anchored | None:
        """After a deployment: nothing without a key; only said where the registry does not take it, since
        what happened is in the ledger. Raises LedgerCorrupt, as `anchor` does."""
        if not self.can_sign:
            return None
        try:
            return self.anchor()
        except LedgerCorrupt:
            raise
        except ImmutagError as error:
            self._report.step(f"the ledger's head was not anchored: {error.message}: {error.found}")
            return None

    def verify(self, against: str | None, directory: Path) -> tuple[Head, list[KnownHead]]:
        """The head of a ledger that is what it was, and the heads that it was held against.

        `against`: a file, `repository`, or `oci:` and an image. Raises LedgerCorrupt, ConfigInvalid.
        """
        known = self._known(against, directory) if against else []
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

    def _known(self, against: str, directory: Path) -> list[KnownHead]:
        from immutag.usecases import known_heads

        if against == REPOSITORY:
            return list(known_heads.in_registry(self._place, self._ledger.head().size, self._trusting))
        if against.startswith(IMAGE):
            image = ImageRef.parse(against.removeprefix(IMAGE))
            return list(
                known_heads.in_image(image, self._adapters.registry(image.repository), self._trusting)
            )
        content = read_file(directory / against)
        return list(known_heads.in_file(content, against, self._trusting))

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

    @cached_property
    def _key(self) -> "KeySigner":
        from immutag.trust.signing.key_signer import KeySigner

        signer = self._signer() if self.can_sign else None
        if isinstance(signer, KeySigner):
            return signer
        raise ConfigInvalid(
            "there is no key to sign a checkpoint with",
            expected="[trust] key, or a program as [trust] signer",
            found="an identity (keyless), which cannot sign notes" if self._trust.keyless else "neither",
            remedy="cosign generate-key-pair, and name the key in immutag.toml",
        )

    @cached_property
    def _rule(self) -> "TrustRule":
        """Whose word counts; our own key's, unlocked if need be, where the configuration names none."""
        rule = self._adapters.trust_rule
        return rule if rule.keys or not self.can_sign else replace(rule, keys=(self._key.public,))

    @cached_property
    def _trusting(self) -> "Trusting":
        from immutag.usecases.known_heads import Trusting

        canonical = self._repositories.canonical
        return Trusting(self._rule, self._adapters.root_of_trust.authorities, canonical, origin_of(canonical))


def check_proof(file: Path, keys: Sequence[Path]) -> dict[str, Any]:
    """What a proof shows, with the public keys in these files alone. Raises LedgerCorrupt, ConfigInvalid."""
    from immutag.trust.public_key import load_public_key
    from immutag.usecases.check_proof import check_proof

    return check_proof(read_file(file), [load_public_key(key) for key in keys])


def read_file(file: Path) -> bytes:
    """A file that a person named. Raises ConfigInvalid."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or "an error of the system") from error
    if len(content) > _LIMIT_BYTES:
        raise _unreadable(file, f"more than {_LIMIT_BYTES} bytes")
    return content


def _unreadable(file: Path, found: str) -> ConfigInvalid:
    return ConfigInvalid(
        "the kept head or proof cannot be read",
        expected="a file by `immutag ledger head`, `immutag ledger anchor` or `immutag ledger prove`",
        found=shown(f"{file}: {found}"),
        remedy="immutag ledger head > FILE, when the ledger is known to be right",
    )
