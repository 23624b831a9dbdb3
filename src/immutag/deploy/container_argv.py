"""How a container is to be run, and the command lines for it: pure functions of the settings."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from immutag.core.errors import ConfigInvalid
from immutag.core.values import EnvironmentName, GitSha, ImageRef, shown

_SAME_ADDRESS = ("host", "container:", "ns:")
_PUBLISHING = ("-p", "-P", "--publish", "--publish-all", "--ip", "--ip6", "--mac-address")


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """How a container is run. `engine_args` stand before every subcommand, `run_args` after ours in `run`."""

    name: str
    network: str | None = None
    ports: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    engine_args: tuple[str, ...] = ()
    run_args: tuple[str, ...] = ()
    stop_timeout_s: float = 10.0
    plain_http: bool = False

    def __post_init__(self) -> None:
        for key, value in self.env.items():
            if not key or key.startswith("#") or "=" in key or key.split() != [key] or "\n" in value:
                raise ConfigInvalid(
                    "a variable that an engine's env file cannot hold",
                    expected="a name without spaces, and a value of one line",
                    found=shown(key) or "no name",
                    remedy="correct env of this environment in immutag.toml",
                )

    @property
    def alone(self) -> bool:
        """Whether two containers with these settings would want the same port or address."""
        networks = (self.network or "", *_options(self.run_args, "--network", "--net"))
        return (
            bool(self.ports)
            or any(network.startswith(_SAME_ADDRESS) for network in networks)
            or any(word.partition("=")[0] in _PUBLISHING or word[:2] == "-p" for word in self.run_args)
        )

    @property
    def env_file(self) -> bytes:
        return "".join(f"{key}={value}\n" for key, value in self.env.items()).encode()

    @property
    def fingerprint(self) -> str:
        """Tells whether a container was started with these settings."""
        about = (
            self.network,
            self.ports,
            sorted(self.env.items()),
            self.volumes,
            self.command,
            self.run_args,
        )
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def container_name(settings: ContainerSettings, image: ImageRef, sha: GitSha | None) -> str:
    return f"{settings.name}-{sha.short if sha else image.digest.hex[:12]}"


def pull_argv(settings: ContainerSettings, image: ImageRef, *, plain_http: Sequence[str]) -> tuple[str, ...]:
    """`plain_http`: what tells this engine to speak it, where the settings allow it."""
    return ("pull", "--quiet", *(plain_http if settings.plain_http else ()), str(image))


def run_argv(
    settings: ContainerSettings, environment: EnvironmentName, image: ImageRef, sha: GitSha | None
) -> tuple[str, ...]:
    """By digest; it never pulls, and the container's variables come on standard input."""
    labels = {
        "immutag.container": settings.name,
        "immutag.environment": str(environment),
        "immutag.sha": str(sha or ""),
        "immutag.digest": str(image.digest),
        "immutag.settings": settings.fingerprint,
    }
    return (
        "run", "--detach", "--pull", "never", "--restart", "unless-stopped",
        "--name", container_name(settings, image, sha),
        *each("--label", (f"{key}={value}" for key, value in labels.items())),
        *each("--network", (settings.network,) if settings.network else ()),
        *each("--publish", settings.ports),
        *each("--volume", settings.volumes),
        *each("--env-file", ("/dev/stdin",) if settings.env else ()),
        *settings.run_args, str(image), *settings.command,
    )  # fmt: skip


def each(option: str, values: Iterable[str]) -> Iterator[str]:
    for value in values:
        yield from (option, value)


def _options(words: Sequence[str], *names: str) -> Iterator[str]:
    """The values of these options, written as `--name value` or `--name=value`."""
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name in names:
            yield value if equals else following
