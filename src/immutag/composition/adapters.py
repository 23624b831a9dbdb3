"""Settings → adapters: registries, targets, the health check, the user's clone.

Each is made, and its libraries imported, when a use case needs it: reading the ledger stays fast.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from immutag.core.deployment import Environment, HealthCheck
from immutag.core.errors import ConfigInvalid
from immutag.core.values import Digest, EnvironmentName, GitSha, Repository
from immutag.settings import CommandTarget, ContainerTarget, EnvironmentSettings, Settings

if TYPE_CHECKING:
    from immutag.core.verification import Verification
    from immutag.deploy import Target
    from immutag.git.absent import NoRepository
    from immutag.git.commit import GitRepository
    from immutag.oci.http import Http
    from immutag.oci.registry import Registry
    from immutag.trust.places import Places
    from immutag.trust.root import RootOfTrust
    from immutag.trust.rule import TrustRule
    from immutag.trust.verifier import Verifier


class Adapters:
    """What the settings name, opened on first use and closed together."""

    def __init__(self, settings: Settings, directory: Path, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._directory = directory
        self._environ = environ
        self._https: dict[Path | None, Http] = {}
        self._registries: dict[Repository, Registry] = {}
        self._verifiers: dict[Repository, Verifier] = {}

    def close(self) -> None:
        for http in self._https.values():
            http.close()

    @cached_property
    def history(self) -> "GitRepository | NoRepository":
        """The clone that the command runs in, if it runs in one: deployments also run elsewhere."""
        from immutag.git.absent import NoRepository
        from immutag.git.commit import GitRepository

        try:
            return GitRepository.find(self._directory)
        except (ConfigInvalid, FileNotFoundError):
            return NoRepository()

    def registry(self, repository: Repository) -> "Registry":
        """The repository in its registry, with the credentials that this machine has for it."""
        from immutag.oci.auth import find_credentials
        from immutag.oci.registry import Registry

        if repository not in self._registries:
            known = self._settings.registries.get(repository.host)
            self._registries[repository] = Registry(
                repository,
                http=self.http(known.ca if known else None),
                credentials=lambda: find_credentials(repository.host, self._environ),
                plain_http=known.plain_http if known else None,
            )
        return self._registries[repository]

    def http(self, ca: Path | None = None) -> "Http":
        from immutag.oci.http import Http

        if ca not in self._https:
            self._https[ca] = Http(ca=ca, environ=self._environ)
        return self._https[ca]

    def verify(self, repository: Repository, digest: Digest) -> "Verification":
        """Who vouches for the digest. Raises SoftVerifyToolError when that cannot be determined."""
        return self.verifier(repository).verify(digest)

    def places(self, repository: Repository) -> "Places":
        """Where what is attached to the repository's images lies."""
        from immutag.oci.objects import Objects
        from immutag.trust.places import Places

        separate = self._settings.trust.signature_repository
        return Places(
            self.registry(repository),
            signatures=self.registry(separate) if separate else None,
            objects=Objects.of_user(self._environ),
        )

    def verifier(self, repository: Repository) -> "Verifier":
        """Who verifies the repository's images, by the configuration's rule."""
        if repository not in self._verifiers:
            self._verifiers[repository] = self.verifier_by(self.trust_rule, repository)
        return self._verifiers[repository]

    def verifier_by(self, rule: "TrustRule", repository: Repository) -> "Verifier":
        """Who verifies them by another rule."""
        from immutag.oci.objects import Objects
        from immutag.trust.verifier import Verifier

        separate = self._settings.trust.signature_repository
        return Verifier(
            self.registry(repository),
            rule,
            root=self.root_of_trust,
            signatures=self.registry(separate) if separate else None,
            objects=Objects.of_user(self._environ),
        )

    @cached_property
    def trust_rule(self) -> "TrustRule":
        """Whose signatures count. Raises ConfigInvalid for a key that cannot be used."""
        from immutag.trust.rule import rule_of

        trust = self._settings.trust
        return rule_of(
            public_keys=trust.public_keys or self._own_public_key(),
            identities=trust.identities,
            transparency_log=trust.transparency_log,
            trusted_root=trust.trusted_root,
        )

    def _own_public_key(self) -> tuple[Path, ...]:
        """The public half of the key that signs here, where nobody else is named."""
        beside = self.public_half
        return (beside,) if beside and not self._settings.trust.identities else ()

    @property
    def public_half(self) -> Path | None:
        """The file with the public half of the key that signs here, if there: cosign writes it beside."""
        trust = self._settings.trust
        beside = trust.signer_key or (trust.key.with_suffix(".pub") if trust.key else None)
        return beside if beside and beside.is_file() else None

    @cached_property
    def root_of_trust(self) -> "RootOfTrust":
        """The Sigstore that the configuration trusts, read when something needs it."""
        from immutag.trust.root import RootOfTrust

        return RootOfTrust(self._settings.trust.trusted_root, self._environ)

    def environment(self, name: EnvironmentName) -> Environment:
        """Raises ConfigInvalid for one that the configuration does not name."""
        found = self._named(name)
        kind = found.target.engine if isinstance(found.target, ContainerTarget) else "command"
        return Environment(name, found.production, kind, found.health, found.timeout_s, found.irreversible)

    def target(self, name: EnvironmentName) -> "Target":
        found = self._named(name)
        if isinstance(found.target, CommandTarget):
            from immutag.deploy.command import CommandTarget as Command

            return Command(
                name, apply=found.target.apply, observe=found.target.observe, cwd=self._settings.root
            )
        return self._container(found, found.target)

    def wait_healthy(self, check: HealthCheck, sha: GitSha, deadline: float) -> None:
        """Raises DeployFailure when the check does not hold by the deadline (monotonic seconds)."""
        from immutag.deploy.health import wait_healthy

        told = {"IMMUTAG_IMAGE_SHA": str(sha)}
        wait_healthy(check, sha=sha, deadline=deadline, http=self.http(), env=told, cwd=self._settings.root)

    def _container(self, found: EnvironmentSettings, target: ContainerTarget) -> "Target":
        from immutag.deploy.container import ContainerSettings
        from immutag.deploy.container import ContainerTarget as Container
        from immutag.oci.auth import find_credentials

        service = self._settings.image.repository.path.rpartition("/")[2]
        return Container(
            "docker" if target.engine == "docker" else "podman",
            found.name,
            ContainerSettings(
                name=target.container or f"{service}-{found.name}",
                network=target.network,
                ports=target.ports,
                env=target.env,
                volumes=target.volumes,
                command=target.command,
                engine_args=target.engine_args,
                run_args=target.run_args,
                stop_timeout_s=target.stop_timeout_s,
                plain_http=self._plain_http(),
            ),
            credentials=lambda host: find_credentials(host, self._environ),
        )

    def _named(self, name: EnvironmentName) -> EnvironmentSettings:
        found = self._settings.environments.get(name)
        if found is None:
            known = ", ".join(map(str, self._settings.environments)) or "none"
            raise ConfigInvalid(
                f"no environment {name} in the configuration",
                expected=known,
                found=str(name),
                remedy=f"add [environments.{name}] to immutag.toml",
            )
        return found

    def _plain_http(self) -> bool:
        host = self._settings.image.repository.host
        known = self._settings.registries.get(host)
        if known:
            return known.plain_http
        from immutag.oci.network import host_of, is_loopback

        return is_loopback(host_of(host))
