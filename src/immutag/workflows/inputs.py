"""The action's inputs → the command line of immutag. They come through the environment, never a shell."""

from collections.abc import Mapping

from immutag.core.errors import ConfigInvalid
from immutag.core.values import shown

PREFIX = "IMMUTAG_INPUT_"
KEY = f"{PREFIX}KEY"
CHECK = "check"
KEEP = "keep"
COMMANDS = ("release", "deploy", "rollback", KEEP, CHECK)
_TAKES = {
    "release": ("sha", "metadata-file"),
    "deploy": ("sha", "metadata-file", "environment", "reason", "automatic"),
    "rollback": ("sha", "environment", "reason", "acknowledge-irreversible", "allow-unverified"),
}
_KEEP_FORMAT = "ghcr-cleanup-action"
_FLAGS = ("automatic", "acknowledge-irreversible", "allow-unverified")


def read(environ: Mapping[str, str]) -> dict[str, str]:
    """The inputs by their names in action.yml; an empty one counts as not given."""
    return {
        name.removeprefix(PREFIX).lower().replace("_", "-"): value.strip()
        for name, value in environ.items()
        if name.startswith(PREFIX) and value.strip()
    }


def command(inputs: Mapping[str, str]) -> str:
    """Which of the commands. Raises ConfigInvalid for another."""
    name = inputs.get("command", "")
    if name not in COMMANDS:
        raise ConfigInvalid(
            "the action has no such command",
            expected=" or ".join(COMMANDS),
            found=shown(name) or "nothing",
            remedy="correct `command:` in the workflow",
        )
    return name


def argv(inputs: Mapping[str, str]) -> list[str]:
    """The arguments of release, deploy, rollback or keep. Raises ConfigInvalid."""
    name = command(inputs)
    if name == KEEP:
        return ["--json", "-C", inputs.get("directory", "."), "retention", "keep", f"--format={_KEEP_FORMAT}"]
    argv = ["--json", "-C", inputs.get("directory", "."), name]
    for each in _TAKES[name]:
        given = inputs.get(each, "")
        if each in _FLAGS:
            argv += [f"--{each}"] if _is_true(each, given) else []
        elif given or (each == "sha" and _needs_sha(name, inputs)):
            argv.append(f"--{each}={given}")
    return argv


def _needs_sha(name: str, inputs: Mapping[str, str]) -> bool:
    """A missing SHA is told as such: `rollback` without one would list candidates, and be green."""
    return name == "rollback" or (name == "deploy" and "metadata-file" not in inputs)


def _is_true(name: str, text: str) -> bool:
    if text not in ("", "false", "true"):
        raise ConfigInvalid(
            f"`{name}` is yes or no", expected="true or false", found=shown(text), remedy=f"correct `{name}:`"
        )
    return text == "true"
