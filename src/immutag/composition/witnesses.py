"""Settings → who signs, and what is attached to a release: signature, provenance, SBOMs (DR-018).

Keys are unlocked and identities fetched when they are first needed; `soon` does it while a build runs.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from immutag.actor import actor
from immutag.core.builder import builder_id
from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.core.facts import Claimed, Entry, Evidence, Fact, Stream
from immutag.core.linkage import Document, Link
from immutag.core.policy import Enforcement
from immutag.core.report import Report
from immutag.core.values import ImageRef, Repository
from immutag.ledger import Ledger
from immutag.settings import Settings
from immutag.usecases.evidence import Witness

if TYPE_CHECKING:
    from immutag.core.statement import Statement
    from immutag.git.commit import Commit
    from immutag.oci.layout import Layout
    from immutag.oci.registry import Registry
    from immutag.trust import Signer
    from immutag.trust.root import RootOfTrust
    from immutag.usecases.attest import Attesting
    from immutag.usecases.release import Order

_SBOMS = {"cyclonedx": Evidence.CYCLONEDX, "spdx": Evidence.SPDX}


class Witnesses:
    """What this project attaches. Everything is made on first use."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        registry: "Callable[[Repository], Registry]",
        root: "Callable[[], RootOfTrust]",
        ledger: Ledger,
        report: Report,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._registry = registry
        self._root = root
        self._ledger = ledger
        self._report = report
        self._lock = threading.Lock()
        self._made: Signer | None = None

    def signer(self) -> "Signer":
        """Who signs here, unlocked once for all threads. Raises ConfigInvalid, SoftVerifyToolError."""
        from immutag.trust.signing.signers import signer

        trust = self._settings.trust
        if not trust.signs:  # an identity that the CI happens to have would leave its name in a public log
            raise ConfigInvalid(
                "nothing says who signs",
                expected="[trust] key, signer, or keyless = true",
                found="none of them",
                remedy='cosign generate-key-pair, and key = "cosign.key" under [trust] of immutag.toml',
            )
        with self._lock:
            if self._made is None:
                self._made = signer(
                    key=trust.key,
                    program=trust.signer,
                    program_key=trust.signer_key,
                    signing_config=trust.signing_config,
                    trusted_root=trust.trusted_root,
                )
            return self._made

    def soon(self) -> None:
        """Unlock in the background, unless a person has to be asked: then at the moment that it is needed."""
        from immutag.trust.signing.password import VARIABLE

        if self._settings.trust.signs and (not self._settings.trust.key or VARIABLE in self._environ):
            threading.Thread(target=self._unlock, daemon=True).start()

    def _unlock(self) -> None:
        """What goes wrong here goes wrong again where it is needed, and is said there."""
        try:
            self.signer()
        except ImmutagError:
            return

    def attesting(self, repository: Repository) -> "Attesting":
        """How statements about this repository's images are made, found and attached."""
        from immutag.oci.objects import Objects
        from immutag.trust.places import Places
        from immutag.trust.signing.own import is_by
        from immutag.usecases.attest import Attesting

        signer, signatures = self.signer(), self._settings.trust.signature_repository
        separate = self._registry(signatures) if signatures else None
        images = self._registry(repository)
        return Attesting(
            signer=signer,
            registry=separate or images,
            places=Places(images, signatures=separate, objects=Objects.of_user(self._environ)),
            is_ours=lambda bundle: is_by(signer, bundle, authority=self._root().authorities),
        )

    def of(self, order: "Order", commit: "Commit", layout: "Callable[[], Layout | None]") -> Witness:
        """What a release of this commit owes, and how it is made; `layout` is what it was built in."""
        trust = self._settings.trust
        sboms = _Sboms(
            self._settings, order, commit, layout=layout, registry=self._registry, report=self._report
        )

        def make(evidence: Evidence, claim: Claimed) -> Sequence[Fact]:
            match evidence:
                case Evidence.SIGNATURE:
                    return self.sign(claim, self._provenance_if_known(claim))
                case Evidence.PROVENANCE:
                    return [self._prove(claim)]
                case Evidence.CYCLONEDX | Evidence.SPDX:
                    attesting = self.attesting(claim.repository) if trust.signs else None
                    return sboms.describe(evidence, claim, attesting)

        return Witness(self._wanted(), trust.signs, trust.verification is Enforcement.MANDATORY, make)

    def sign(self, claim: Claimed, provenance: "Statement | None" = None) -> Sequence[Fact]:
        """The signature of a claimed digest, and its provenance with it."""
        from immutag.usecases.sign import sign

        legacy, by = self._settings.trust.legacy, self.attesting(claim.repository)
        return sign(claim, self._claimed_at(claim), provenance=provenance, legacy=legacy, by=by)

    def _prove(self, claim: Claimed) -> Fact:
        from immutag.usecases.prove_origin import prove_origin

        by = self.attesting(claim.repository)
        return prove_origin(claim, self._claimed_at(claim), self._provenance(claim), by=by)

    def _provenance(self, claim: Claimed) -> "Statement":
        """Where the claimed digest comes from. Raises LedgerConflict where nobody recorded it."""
        from immutag.composition.recipes import Recipes
        from immutag.core.provenance import Run, provenance

        recipes = Recipes(self._settings, self._registry)
        return provenance(
            self._entries(claim),
            recipe=recipes.recipe(),
            bases=recipes.bases(claim),
            run=Run(self.builder_id, actor(self._environ)),
        )

    def _provenance_if_known(self, claim: Claimed) -> "Statement | None":
        """To go with the signature; if it cannot be made, that is said when its own turn comes."""
        if Evidence.PROVENANCE not in self._wanted():
            return None
        try:
            return self._provenance(claim)
        except ImmutagError:
            return None

    def _entries(self, claim: Claimed) -> Sequence[Entry]:
        return self._ledger.stream(Stream.release(claim.repository, claim.sha))

    def _claimed_at(self, claim: Claimed) -> str:
        return next(each.time for each in self._entries(claim) if isinstance(each.fact, Claimed))

    @cached_property
    def builder_id(self) -> str:
        """Where this runs, as provenance and summaries name it."""
        return builder_id(self._environ, self._settings.provenance.builder_id)

    def _wanted(self) -> frozenset[Evidence]:
        settings, wanted = self._settings, set[Evidence]()
        if settings.trust.signs:
            wanted.add(Evidence.SIGNATURE)
            if settings.provenance.enabled:
                wanted.add(Evidence.PROVENANCE)
        if settings.sbom.enabled:
            wanted |= {_SBOMS[name] for name in settings.sbom.formats}
        return frozenset(wanted)


class _Sboms:
    """The SBOMs of one release: made once, in all formats, for whichever is attached first."""

    def __init__(
        self,
        settings: Settings,
        order: "Order",
        commit: "Commit",
        *,
        layout: "Callable[[], Layout | None]",
        registry: "Callable[[Repository], Registry]",
        report: Report,
    ) -> None:
        self._settings = settings
        self._order = order
        self._commit = commit
        self._layout = layout
        self._registry = registry
        self._report = report
        self._made: Mapping[Evidence, Document] | None = None

    def describe(self, evidence: Evidence, claim: Claimed, attesting: "Attesting | None") -> Sequence[Fact]:
        from immutag.usecases.describe import describe

        to = Link(
            claim.sha, ImageRef(claim.repository, claim.digest), self._order.source, self._commit.time_s
        )
        return describe(
            evidence,
            claim,
            to=to,
            documents=lambda: self._documents(claim, to),
            registry=self._registry(claim.repository),
            artifacts=self._settings.root / ".immutag" / "artifacts",
            attesting=attesting,
        )

    def _documents(self, claim: Claimed, of: Link) -> Mapping[Evidence, Document]:
        from immutag.trust.evidence.sbom import Scanner
        from immutag.usecases.scan import scan

        sbom = self._settings.sbom
        if self._made is None:
            self._made = scan(
                claim,
                [_SBOMS[name] for name in sbom.formats],
                of=of,
                scanner=Scanner(sbom.command, sbom.timeout_s, self._settings.root),
                layout=self._layout(),
                registry=self._registry(claim.repository),
                report=self._report,
            )
        return self._made
