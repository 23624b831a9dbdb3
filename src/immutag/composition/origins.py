"""Where an image comes from, as a deployment asks it, and the summary that it signs afterwards (DR-018)."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from immutag.core.errors import ImmutagError
from immutag.core.facts import Stream
from immutag.core.policy import in_force
from immutag.core.report import Report
from immutag.core.values import Digest, ShaTag
from immutag.core.verification import Verified
from immutag.ledger import Ledger
from immutag.settings import Settings

if TYPE_CHECKING:
    from immutag.composition.adapters import Adapters
    from immutag.composition.witnesses import Witnesses
    from immutag.core.summary import Act, Policy
    from immutag.usecases.origin import Origin


class Origins:
    """Whom this project believes about where an image comes from, and what it signs about deployments."""

    def __init__(
        self,
        settings: Settings,
        adapters: "Adapters",
        witnesses: "Witnesses",
        *,
        ledger: Ledger,
        report: Report,
    ) -> None:
        self._settings = settings
        self._adapters = adapters
        self._witnesses = witnesses
        self._ledger = ledger
        self._report = report

    def of(self, tag: ShaTag, digest: Digest) -> "Origin":
        """What trusted provenance says of a release. Raises SoftVerifyToolError."""
        from immutag.trust.checks import Case
        from immutag.trust.trusted import trusted_signer
        from immutag.usecases.origin import expected_of, find_origin

        rule = self._adapters.trust_rule
        if not rule.keys and not rule.identities:
            return None
        entries = self._ledger.stream(Stream.release(tag.repository, tag.sha))
        builders = self._settings.provenance.builder_id
        case = Case(digest, tag.repository, rule, self._adapters.root_of_trust.authorities)
        return find_origin(
            expected_of(tag, digest, entries, [builders] if builders else []),
            places=self._adapters.places(tag.repository),
            trusted=partial(trusted_signer, case=case),
        )

    def summarise(self, stream: Stream, checkpoint: str | None) -> None:
        """Sign a summary of the environment's last act, once; `checkpoint` is the ledger's, where there is
        one. That it could not be signed changes nothing of what happened, so it is only said, and the next
        command tries again."""
        if not self._settings.trust.signs:
            return
        try:
            self._summarise(stream, checkpoint)
        except ImmutagError as error:
            self._report.step(f"no summary of the deployment: {error.message}: {error.found}")

    def _summarise(self, stream: Stream, checkpoint: str | None) -> None:
        from immutag.core.summary import last_act
        from immutag.usecases.origin import Proved
        from immutag.usecases.summarise import Summarising, summarise

        act = last_act(self._ledger.stream(stream))
        if act is None:
            return
        repository = act.fact.repository
        origin = self.of(ShaTag(repository, act.fact.sha), act.fact.digest)
        proved = [origin.manifest] if isinstance(origin, Proved) else []
        summarise(
            stream=stream,
            ledger=self._ledger,
            inputs=list(dict.fromkeys([*self._vouching(act), *proved])),
            proved=bool(proved),
            by=Summarising(
                signer=self._witnesses.signer(),
                policy=self._policy(stream),
                verifier=self._witnesses.builder_id,
                registry=self._adapters.registry(repository),
                attestations=self._adapters.registry(self._settings.trust.signature_repository or repository),
                checkpoint=lambda: checkpoint,
            ),
            report=self._report,
        )

    def _vouching(self, act: "Act") -> Sequence[Digest]:
        """The manifests of what vouched for it."""
        found = self._adapters.verify(act.fact.repository, act.fact.digest)
        if not isinstance(found, Verified):
            return []
        return [each.digest for each in found.candidates if each.refused_by is None]

    def _policy(self, stream: Stream) -> "Policy":
        """The rule that is in force in the environment."""
        from immutag.core.summary import Policy
        from immutag.usecases.state import state_of

        rule = self._adapters.trust_rule
        enforcement = in_force(self._settings.trust.verification, state_of(self._ledger, stream))
        return Policy(
            enforcement, tuple(key.name for key in rule.keys), rule.identities, rule.transparency_log
        )
