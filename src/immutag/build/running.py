"""Running a builder: its whole output into the log, its last words into the error."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from immutag import process
from immutag.core.errors import BuildFailure, ConfigInvalid
from immutag.core.report import Report
from immutag.core.values import shown

_LAST_LINES = 20
_LAST_BYTES = 64 * 1024
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PACKAGES = {
    "buildah": "apt-get install buildah",
    "podman": "apt-get install podman",
    "docker": "apt-get install docker.io",
}


def run_builder(
    argv: Sequence[str],
    *,
    cwd: Path,
    timeout_s: float,
    log: Path,
    report: Report,
    env: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> process.Finished:
    """Run it to a good end; its output is added to the log. Raises BuildFailure, ConfigInvalid."""
    try:
        with log.open("ab") as file:
            done = process.run(
                argv, cwd=cwd, timeout_s=timeout_s, log=file, line=report.output, env=env, without=without
            )
    except FileNotFoundError:
        raise missing(argv[0]) from None
    if not done.ok:
        raise failure(done, timeout_s=timeout_s, log=log)
    return done


def missing(program: str) -> ConfigInvalid:
    """The builder is not installed."""
    name = Path(program).name
    return ConfigInvalid(
        f"{name} is missing",
        expected=f"{name} on the PATH",
        found="none",
        remedy=PACKAGES.get(name, f"install {name}"),
    )


def failure(done: process.Finished, *, timeout_s: float, log: Path) -> BuildFailure:
    """What went wrong, with the last lines of the log."""
    said = last_lines(log) or "no output"
    if done.timed_out:
        return BuildFailure(
            "the build ran out of time",
            expected=f"an end within {round(timeout_s, 1):g} s",
            found=said,
            remedy=f"read {log}; then raise timeout in [build] of immutag.toml",
        )
    return BuildFailure(
        "the build failed",
        expected=f"{Path(done.argv[0]).name} to end with status 0",
        found=f"status {done.status}:\n{said}",
        remedy=f"read {log}",
    )


def last_lines(log: Path) -> str:
    """The log's last lines for a person: bounded, without colours and other terminal escapes."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _LAST_BYTES))
        text = file.read().decode(errors="replace")
    lines = [_COLOUR.sub("", line).rstrip() for line in text.replace("\r", "\n").split("\n")]
    return "\n".join(shown(line) for line in [line for line in lines if line][-_LAST_LINES:])
