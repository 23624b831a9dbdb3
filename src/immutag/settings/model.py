"""The configuration as values: what the rest of the program gets instead of a TOML document."""

from collections.abc import Mapping
from pathlib import Path

from immutag.core.deployment import HealthCheck
from immutag.core.frozen import frozen
from immutag.core.policy import Enforcement
from immutag.core.trust import IdentityRule
from immutag.core.values import EnvironmentName, Platform, Repository


@frozen()
class ImageSettings:
    """`[image]`. `main` is the branch whose commits are canonical (DR-005)."""

    repository: Repository
    staging: Repository
    main: str
    short_tag: bool


@frozen()
class BuildSettings:
    """`[build]`. `context` is relative to the configuration's folder, `file` to the context."""

    builder: str
    context: Path
    file: Path
    args: Mapping[str, str]
    platforms: tuple[Platform, ...]
    timeout_s: float
    builder_args: tuple[str, ...]


@frozen()
class RegistrySettings:
    """`[registry."host"]`. `plain_http` is on for loopback only, unless asked for."""

    host: str
    plain_http: bool
    ca: Path | None


@frozen()
class GitBranch:
    """A branch of a git repository, as git takes its address."""

    url: str
    name: str


@frozen()
class LedgerSettings:
    """`[ledger]`. `url` is what the configuration says. `path` is the SQLite file, absolute; with a `branch`,
    which then is the ledger, the folder of its local copy. `anchor_in_rekor`: the head is also entered in the
    transparency log of `[trust] signing_config`."""

    url: str
    path: Path
    branch: GitBranch | None
    accept_unshared: bool
    anchor_in_rekor: bool


@frozen()
class TrustSettings:
    """`[trust]` (DR-003, DR-018). At most one of `key`, `signer` and `keyless` is set; without any of them
    nothing is signed. `signer_key` is the public key of the program `signer`.

    `transparency_log`: a key's signature counts only with proof that a log holds it; a certificate's always
    needs it. `legacy`: cosign's `.sig` is written beside the bundle.
    """

    verification: Enforcement
    key: Path | None
    signer: tuple[str, ...]
    signer_key: Path | None
    keyless: bool
    public_keys: tuple[Path, ...]
    identities: tuple[IdentityRule, ...]
    trusted_root: Path | None
    signing_config: Path | None
    transparency_log: bool
    legacy: bool
    signature_repository: Repository | None

    @property
    def signs(self) -> bool:
        """Whether there is something to sign with."""
        return bool(self.key or self.signer or self.keyless)


@frozen()
class SbomSettings:
    """`[sbom]` (DR-009). No `command`: syft, as this package brings it."""

    enabled: bool
    formats: tuple[str, ...]
    command: tuple[str, ...]
    timeout_s: float


@frozen()
class ProvenanceSettings:
    """`[provenance]`: SLSA provenance with each signed release. No `builder_id`: from where it runs."""

    enabled: bool
    builder_id: str | None


@frozen()
class MetricsSettings:
    """`[metrics]`: off unless asked for (DR-010)."""

    enabled: bool
    textfile: Path | None
    pushgateway: str | None


@frozen()
class ContainerTarget:
    """An environment that is one container of an engine on this machine. No `container`: a derived name."""

    engine: str
    container: str | None
    network: str | None
    ports: tuple[str, ...]
    env: Mapping[str, str]
    volumes: tuple[str, ...]
    command: tuple[str, ...]
    engine_args: tuple[str, ...]
    run_args: tuple[str, ...]
    stop_timeout_s: float


@frozen()
class CommandTarget:
    """An environment that the team's own programs change and observe. No `observe`: never `ok`."""

    apply: tuple[str, ...]
    observe: tuple[str, ...]


@frozen()
class EnvironmentSettings:
    """`[environments.NAME]`. `timeout_s` bounds each act on the target."""

    name: EnvironmentName
    target: ContainerTarget | CommandTarget
    production: bool
    irreversible: tuple[str, ...]
    health: HealthCheck | None
    timeout_s: float


@frozen()
class Origin:
    """One key, its value as it was written, and where it came from: a file, a variable, or `default`."""

    key: str
    value: object
    source: str


@frozen()
class Settings:
    """Everything that immutag.toml and the environment say. `root` is the folder that paths start from."""

    file: Path
    image: ImageSettings
    build: BuildSettings
    registries: Mapping[str, RegistrySettings]
    ledger: LedgerSettings
    trust: TrustSettings
    sbom: SbomSettings
    provenance: ProvenanceSettings
    metrics: MetricsSettings
    environments: Mapping[EnvironmentName, EnvironmentSettings]
    origins: tuple[Origin, ...]

    @property
    def root(self) -> Path:
        return self.file.parent
