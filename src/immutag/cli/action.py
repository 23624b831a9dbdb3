"""What the action of the CI service runs: one command of immutag, and its result in the service's forms."""

import io
import json
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from immutag.cli import main
from immutag.cli.output import write_json, write_result
from immutag.core.errors import ImmutagError
from immutag.core.values import GitSha
from immutag.workflows import github
from immutag.workflows.inputs import CHECK, KEY, argv, command, read

Result = tuple[int, Mapping[str, Any]]


def run_action(environ: MutableMapping[str, str]) -> int:
    """The exit status of the command that the inputs name. `environ` is this process's own."""
    on_github = environ.get("GITHUB_ACTIONS") == "true"
    with _no_commands() if on_github else nullcontext(), signing_key(environ):
        status, document = _run(environ)
        write_result(write_json(document))
    error = document.get("error")
    if error is None:
        _append(environ.get("GITHUB_OUTPUT"), github.outputs(document))
    _append(
        environ.get("GITHUB_STEP_SUMMARY"),
        github.summary(document) if error is None else github.failure_summary(error),
    )
    if error is not None and on_github:
        write_result(github.annotation(error))
    return status


@contextmanager
def signing_key(environ: MutableMapping[str, str]) -> Iterator[None]:
    """The secret with the private key as the file that `[trust] key` names, for nobody else and for as long
    as the command runs; builders and targets, which inherit the environment, do not see it there."""
    key = environ.pop(KEY, "")
    if not key.strip():
        yield
        return
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", prefix="immutag-key-", dir=environ.get("RUNNER_TEMP"), encoding="utf-8"
    ) as file:
        file.write(key)
        file.flush()
        environ["IMMUTAG_TRUST_KEY"] = file.name
        yield


@contextmanager
def _no_commands() -> Iterator[None]:
    """Builders print what they like: nothing that is printed meanwhile is a command to GitHub."""
    import secrets

    word = secrets.token_hex(16)
    write_result(f"::stop-commands::{word}")
    try:
        yield
    finally:
        write_result(f"::{word}::")


def _run(environ: Mapping[str, str]) -> Result:
    try:
        inputs = read(environ)
        if command(inputs) == CHECK:
            return 0, {"image_sha": str(GitSha.to_run(inputs.get("sha", "")))}
        arguments = argv(inputs)
    except ImmutagError as error:
        return error.exit_status, {"error": error.as_json()}
    result = io.StringIO()
    with redirect_stdout(result):
        status = main(arguments)
    document: dict[str, Any] = json.loads(result.getvalue())
    return status, document


def _append(file: str | None, text: str) -> None:
    if file and text:
        with Path(file).open("a", encoding="utf-8") as opened:
            opened.write(text)
