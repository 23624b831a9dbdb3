"""What `immutag policy` asks of a project: how far it is from mandatory, what a rule would have refused,
and the rule for others."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from immutag.core.facts import Stream
from immutag.core.values import EnvironmentName, ImageRef
from immutag.core.views import Document
from immutag.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from immutag.composition.adapters import Adapters
    from immutag.core.trust import IdentityRule
    from immutag.core.verification import Verification
    from immutag.ledger import Ledger
    from immutag.trust.enforcers.render import Rule
    from immutag.trust.enforcers.yaml import Value

Enforcer = Literal["kyverno", "policy-controller"]


class Policies:
    """The trust rule of a project, and what it has met with."""

    def __init__(self, settings: Settings, adapters: "Adapters", ledger: "Ledger") -> None:
        self._settings = settings
        self._adapters = adapters
        self._ledger = ledger

    def status(self, environments: Sequence[EnvironmentName]) -> list[Document]:
        """How far these environments, or all, are from mandatory verification."""
        from immutag.usecases.policy_status import policy_status

        return [
            policy_status(
                name, self._settings.trust.verification, ledger=self._ledger, stream=self._stream(name)
            )
            for name in self._named(environments)
        ]

    def simulate(
        self,
        environments: Sequence[EnvironmentName],
        last: int,
        keys: Sequence[Path] = (),
        identities: "Sequence[IdentityRule]" = (),
    ) -> list[Document]:
        """The last deployments of these environments, or of all, under mandatory verification by the
        configuration's rule, or by that of the given keys and identities. Raises ConfigInvalid."""
        from immutag.usecases.policy_simulate import simulate

        replayed = simulate(
            map(self._stream, self._named(environments)),
            last=last,
            ledger=self._ledger,
            verify=self._verifier(keys, identities),
        )
        return [each.as_document() for each in replayed]

    def rule(self) -> "Rule":
        """The trust rule, as others are told it. Raises ConfigInvalid where nobody is trusted."""
        from immutag.trust.enforcers.render import File, Rule
        from immutag.trust.public_key import load_public_key

        trust = self._settings.trust
        root = trust.trusted_root and File(
            trust.trusted_root, self._adapters.root_of_trust.text().content.decode(errors="replace")
        )
        known = self._settings.registries.get(self._settings.image.repository.host)
        return Rule(
            keys=tuple(File(path, load_public_key(path).pem().decode()) for path in trust.public_keys),
            identities=trust.identities,
            transparency_log=trust.transparency_log,
            trusted_root=root or None,
            signatures=trust.signature_repository,
            plain_http=known.plain_http if known else False,
            ca=known.ca if known else None,
        )

    def admission(self, enforcer: Enforcer) -> "list[dict[str, Value]]":
        """The rule as an admission controller's resources, for both repositories."""
        from immutag.trust.enforcers.kyverno import kyverno
        from immutag.trust.enforcers.policy_controller import policy_controller

        make = {"kyverno": kyverno, "policy-controller": policy_controller}[enforcer]
        image = self._settings.image
        return make(self.rule(), (image.repository, image.staging))

    def _verifier(
        self, keys: Sequence[Path], identities: "Sequence[IdentityRule]"
    ) -> "Callable[[ImageRef], Verification]":
        """The configuration's rule, or another; whichever, logs and roots are the configuration's."""
        from immutag.trust.rule import rule_of

        if not keys and not identities:
            return lambda image: self._adapters.verify(image.repository, image.digest)
        trust = self._settings.trust
        rule = rule_of(
            public_keys=keys,
            identities=identities,
            transparency_log=trust.transparency_log,
            trusted_root=trust.trusted_root,
        )
        verifier = cache(partial(self._adapters.verifier_by, rule))
        return lambda image: verifier(image.repository).verify(image.digest)

    def _named(self, environments: Sequence[EnvironmentName]) -> Sequence[EnvironmentName]:
        for name in environments:
            self._adapters.environment(name)
        return environments or list(self._settings.environments)

    def _stream(self, name: EnvironmentName) -> Stream:
        return Stream.environment(self._settings.image.repository, name)
