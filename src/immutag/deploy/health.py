"""Whether a release works: an address that answers 2xx, or a program that exits with status 0."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

from immutag.core.deployment import HealthCheck
from immutag.core.errors import DeployFailure
from immutag.core.values import GitSha, shown
from immutag.oci.http import Http, NoAnswer, Response
from immutag.process import run

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.05, 1.0
_ANSWER_S = 10.0  # for one answer: a request that hangs must not use up all of the time
_ANSWER_BYTES = 1024 * 1024


def wait_healthy(
    check: HealthCheck,
    *,
    sha: GitSha,
    deadline: float,
    http: Http,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Ask until it is healthy, at most for the check's own time and not beyond `deadline` (monotonic).

    An answer without the full SHA, where that is asked for, is of the old release: not healthy yet. `env`
    is added to the environment of the check's program, which runs in `cwd`.
    Raises DeployFailure with what was seen last.
    """
    end = min(deadline, time.monotonic() + check.timeout_s)
    wait_s = _FIRST_WAIT_S
    seen = "nothing was asked: there was no time left"
    while (left := end - time.monotonic()) > 0:
        problem = (
            _ask(http, check.url, check, sha, min(left, _ANSWER_S))
            if check.url is not None
            else _try(check, sha, left, env, cwd)
        )
        if problem is None:
            return
        seen = problem
        time.sleep(max(0.0, min(wait_s, end - time.monotonic())))
        wait_s = min(wait_s * 1.5, _LONGEST_WAIT_S)
    holding = f" that holds {sha}" if check.contains_sha else ""
    raise DeployFailure(
        "the release did not become healthy",
        expected=f"{_success(check)}{holding}, within {check.timeout_s:g} s",
        found=seen,
        remedy="look at the log of the service; immutag history shows what ran before",
    )


def _success(check: HealthCheck) -> str:
    return (
        f"2xx from {shown(check.url)}"
        if check.url is not None
        else f"status 0 from {shown(check.command[0])}"
    )


def _ask(http: Http, url: str, check: HealthCheck, sha: GitSha, timeout_s: float) -> str | None:
    """What is wrong with the answer; `None` if nothing is."""
    try:
        answer = http.request("GET", url, headers={}, limit_bytes=_ANSWER_BYTES, timeout_s=timeout_s)
    except NoAnswer as error:
        return f"{error.fault.value} ({error.found})"
    if 300 <= answer.status < 400:
        return f"status {answer.status}, a redirect, which is not followed"
    if not 200 <= answer.status < 300:
        return f"status {answer.status}: {_first(answer.body)}"
    if check.contains_sha and not _holds(_texts(answer), sha):
        return (
            f"status {answer.status} without the SHA, perhaps still of the old release: {_first(answer.body)}"
        )
    return None


def _try(
    check: HealthCheck, sha: GitSha, timeout_s: float, env: Mapping[str, str] | None, cwd: Path | None
) -> str | None:
    """What is wrong with how the program ended; `None` if nothing is."""
    try:
        finished = run(check.command, timeout_s=timeout_s, cwd=cwd, env=env)
    except OSError as error:
        return f"{shown(check.command[0])} cannot be started: {shown(error.strerror or str(error))}"
    if finished.timed_out:
        return "it did not end in time"
    if finished.status != 0:
        return f"status {finished.status}: {_first(finished.stderr or finished.stdout)}"
    if check.contains_sha and not _holds(finished.text, sha):
        return f"status 0 without the SHA, perhaps still of the old release: {_first(finished.stdout)}"
    return None


def _texts(answer: Response) -> str:
    return "\n".join([*answer.headers.values(), answer.body.decode(errors="replace")])


def _holds(text: str, sha: GitSha) -> bool:
    """As a whole word: a digest that contains these characters is another thing."""
    return re.search(rf"(?<![0-9a-fA-F]){sha}(?![0-9a-fA-F])", text) is not None


def _first(said: bytes) -> str:
    return shown(" ".join(said[:400].decode(errors="replace").split())[:120]) or "nothing said"
