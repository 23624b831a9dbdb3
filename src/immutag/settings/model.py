"""The configuration as values: what the rest of the program gets instead of a TOML document."""

from collections.abc import Mapping
from pathlib import Path

from immutag.core.deployment import HealthCheck
from immutag.core.frozen import frozen
from immutag.core.policy import Enforcement
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
class LedgerSettings:
    """`[ledger]`. `path` is the SQLite file, absolute; `url` is what the configuration says."""

    url: str
    path: Path
    accept_unshared: bool


@frozen()
class SignerIdentity:
    """A certificate identity that is trusted, as one issuer vouches for it."""

    issuer: str
    subject: str


@frozen()
class TrustSettings:
    """`[trust]` (DR-003)."""

    verification: Enforcement
    key: Path | None
    public_keys: tuple[Path, ...]
    identities: tuple[SignerIdentity, ...]


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
    metrics: MetricsSettings
    environments: Mapping[EnvironmentName, EnvironmentSettings]
    origins: tuple[Origin, ...]

    @property
    def root(self) -> Path:
        return self.file.parent
