"""`[environments.NAME]`: the common keys, and those of the environment's target."""

from immutag.core.deployment import HealthCheck
from immutag.core.errors import ConfigInvalid
from immutag.core.values import EnvironmentName
from immutag.settings import kinds
from immutag.settings.model import CommandTarget, ContainerTarget, EnvironmentSettings
from immutag.settings.section import Section, Source, dotted

COMMON = ("target", "production", "irreversible", "health", "timeout")
CONTAINER = (
    "container", "network", "ports", "env", "volumes", "command", "engine_args", "run_args", "stop_timeout",
)  # fmt: skip
COMMAND = ("apply", "observe")
TARGETS = {"docker": CONTAINER, "podman": CONTAINER, "command": COMMAND}
LATER = ("compose", "kubernetes", "akash", "terraform", "git")


def read_environment(source: Source, name: str, table: dict[str, object]) -> EnvironmentSettings:
    """One environment. Raises ConfigInvalid."""
    environment = EnvironmentName(name)
    path = ("environments", name)
    every = tuple(dict.fromkeys((*COMMON, *CONTAINER, *COMMAND)))
    kind = _target_kind(Section(source, path, table, every))
    for key in table:
        if key in every and key not in (*COMMON, *TARGETS[kind]):
            raise _of_another_target(key, kind, path, source)
    section = Section(source, path, table, (*COMMON, *TARGETS[kind]))
    return EnvironmentSettings(
        name=environment,
        target=_command(section) if kind == "command" else _container(section, kind),
        production=section.get("production", kinds.FLAG, name == "production"),
        irreversible=section.get("irreversible", kinds.WORDS, []),
        health=_health(section),
        timeout_s=section.get("timeout", kinds.SECONDS, 300),
    )


def _of_another_target(key: str, kind: str, path: tuple[str, ...], source: Source) -> ConfigInvalid:
    return ConfigInvalid(
        f"{dotted((*path, key))} is no key of target {kind}",
        expected=f"its keys: {', '.join(TARGETS[kind])}",
        found=f"{key} in {source.file}",
        remedy=f"remove {key}, or choose the target that it belongs to",
    )


def _target_kind(section: Section) -> str:
    kind = section.required("target", kinds.TEXT, '"podman"')
    expected = f"one of {', '.join(TARGETS)}"
    if kind in LATER:
        expected += f"; {kind} is not in this version"
    if kind not in TARGETS:
        raise section.where("target").wrong(expected, kind)
    return kind


def _container(section: Section, engine: str) -> ContainerTarget:
    return ContainerTarget(
        engine=engine,
        container=section.optional("container", kinds.TEXT),
        network=section.optional("network", kinds.TEXT),
        ports=section.get("ports", kinds.WORDS, []),
        env=section.get("env", kinds.TEXTS, {}),
        volumes=section.get("volumes", kinds.WORDS, []),
        command=section.get("command", kinds.WORDS, []),
        engine_args=section.get("engine_args", kinds.WORDS, []),
        run_args=section.get("run_args", kinds.WORDS, []),
        stop_timeout_s=section.get("stop_timeout", kinds.SECONDS, 10),
    )


def _command(section: Section) -> CommandTarget:
    return CommandTarget(
        apply=section.required("apply", kinds.PROGRAM, '["./deploy.sh"]'),
        observe=section.optional("observe", kinds.PROGRAM) or (),
    )


def _health(section: Section) -> HealthCheck | None:
    where = section.where("health")
    table = section.section("health", ("url", "command", "timeout", "contains_sha"))
    if table is None:
        return None
    url, command = table.optional("url", kinds.HTTP_URL), table.optional("command", kinds.PROGRAM) or ()
    if (url is None) == (not command):
        raise _one_check(where)
    return HealthCheck(
        url=url,
        command=command,
        timeout_s=table.get("timeout", kinds.SECONDS, 60),
        contains_sha=table.get("contains_sha", kinds.FLAG, False),
    )


def _one_check(where: kinds.Where) -> ConfigInvalid:
    return where.wrong("either a url or a command", "both or neither")
