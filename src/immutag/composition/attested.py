"""What `immutag attestations` asks of a project: everything that is attested of an image, by whomever."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from immutag.composition.several import documents, or_error
from immutag.core.values import ImageRef
from immutag.core.views import Document
from immutag.settings import Settings

if TYPE_CHECKING:
    from immutag.composition.adapters import Adapters
    from immutag.ledger import Ledger
    from immutag.trust.evidence.github import GitHub
    from immutag.usecases.attestations import Judge, Where


class Attested:
    """Where a project looks, and whom it trusts."""

    def __init__(
        self, settings: Settings, adapters: "Adapters", ledger: "Ledger", environ: Mapping[str, str]
    ) -> None:
        self._settings = settings
        self._adapters = adapters
        self._ledger = ledger
        self._environ = environ

    def attestations(
        self, texts: Sequence[str], image: Callable[[str], ImageRef], source: str | None
    ) -> list[Document]:
        """Each image's, from one source or from all that its registry has; what is new goes into the ledger.
        Of several images, one that fails has its error instead.

        Raises, of one image, SoftVerifyToolError if a place cannot be asked, MissingTag if it is not there.
        """
        return documents(
            texts, [or_error(lambda text: self._attestations(image(text), source), text) for text in texts]
        )

    def _attestations(self, image: ImageRef, source: str | None) -> Document:
        from immutag.usecases.attestations import Source, gather, ingest

        gathered = gather(
            image,
            Source(source) if source else None,
            where=self._where(image),
            judge=self._judge(image),
        )
        return {**gathered.as_document(), "ingested": ingest(gathered, ledger=self._ledger)}

    def _where(self, image: ImageRef) -> "Where":
        from immutag.oci.objects import Objects
        from immutag.usecases.attestations import Where

        separate = self._settings.trust.signature_repository
        return Where(
            self._adapters.registry(image.repository),
            self._adapters.registry(separate) if separate else None,
            Objects.of_user(self._environ),
            self._github,
        )

    def _judge(self, image: ImageRef) -> "Judge":
        from immutag.trust.checks import Case
        from immutag.trust.trusted import trusted_signer

        case = Case(
            image.digest,
            image.repository,
            self._adapters.trust_rule,
            self._adapters.root_of_trust.authorities,
        )
        return partial(trusted_signer, case=case)

    def _github(self) -> "GitHub":
        from immutag.trust.evidence.github import GitHub

        return GitHub.of(self._adapters.http(), self._environ, self._source())

    def _source(self) -> str | None:
        """Where the sources are, as the clone that the command runs in says."""
        from immutag.git.commit import GitRepository
        from immutag.git.remote import https_url

        clone = self._adapters.history
        remote = clone.remote_url() if isinstance(clone, GitRepository) else None
        return https_url(remote) if remote else None
