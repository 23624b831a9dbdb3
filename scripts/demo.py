"""The demonstration behind ./demo: two commits, from git to a running service and back, every claim checked.

Everything lives in one temporary folder and in processes that are ended by pid, also when interrupted.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.containers import NoEngine, engine_environment, remove_storage

ROOT = Path(__file__).resolve().parent.parent
POLICY_VIOLATION, LEDGER_CORRUPT = 14, 21
_READY_S = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotProved(Exception):
    """Something that immutag promises was not so."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where it happens: the service's sources, the registry, and the environment of every command."""

    folder: Path
    sources: Path
    registry: str
    service: str
    env: Mapping[str, str]

    @property
    def repository(self) -> str:
        return f"{self.registry}/demo/hello"


def main() -> int:
    parser = argparse.ArgumentParser(prog="./demo")
    parser.add_argument("--busybox", type=Path, required=True)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    for sign in _SIGNALS:
        signal.signal(sign, _interrupt)
    began = time.monotonic()
    try:
        with stage(options.busybox, keep=options.keep) as here:
            tell(here)
    except (NotProved, NoEngine) as stop:
        print(f"\n✗ {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is left running", file=sys.stderr)
        return 130
    print(f"\nAll of it held, in {time.monotonic() - began:.0f} seconds.")
    return 0


def tell(here: Stage) -> None:
    """The story, top to bottom."""
    title("A service under git, and where it may run")
    set_up(here)

    title("Two commits, two releases")
    first, second = release(here, "first"), release(here, "second")
    released_once(here, second)

    title("Deploy the first, then the second")
    deploy(here, first)
    deploy(here, second)

    title("Roll back")
    roll_back(here, first, second)

    title("The rollback holds")
    hold(here, first, second)

    title("What happened, and the proof of it")
    proof(here)


def set_up(here: Stage) -> None:
    git(here, "init", "--quiet", "--initial-branch=main")
    shutil.copytree(ROOT / "examples" / "hello", here.sources, dirs_exist_ok=True)
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "--message", "A service that answers with its commit")
    immutag(here, "init")
    config = here.sources / "immutag.toml"
    config.write_text(
        config.read_text().replace(
            "127.0.0.1:5000/hello", here.repository
        )  # what it supposes without a remote
        + textwrap.dedent(f"""\
            network = "host"
            env = {{ PORT = "{here.service.rpartition(":")[2]}" }}
            health = {{ url = "http://{here.service}/healthz", timeout = 20, contains_sha = true }}
        """)
    )
    immutag(here, "doctor")
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "--message", "Where it may run")
    proved("the configuration was found out, not asked for; we named the registry and how the service runs")


def release(here: Stage, which: str) -> str:
    """Commit something, release it, and compare the registry's bytes with the ledger."""
    (here.sources / "CHANGES").write_text(f"{which}\n")
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "--message", f"The {which} change")
    sha = git(here, "rev-parse", "HEAD")
    immutag(here, "release")
    recorded = asked(here, "show", sha)["image"].partition("@")[2]
    check(tag_digest(here, sha) == recorded, f"the tag {sha[:12]}… holds other bytes than the ledger says")
    proved(f"the {which} commit's 40-character tag holds exactly the bytes in the ledger, {recorded[:19]}…")
    return sha


def released_once(here: Stage, sha: str) -> None:
    before = tag_digest(here, sha), writes(here)
    immutag(here, "release", "--sha", sha)
    check((tag_digest(here, sha), writes(here)) == before, "a second release wrote to the registry")
    proved("releasing the same commit again wrote nothing: a SHA tag is written once")


def deploy(here: Stage, sha: str) -> None:
    immutag(here, "deploy", "--sha", sha, "--env", "production")
    answers(here, sha)


def roll_back(here: Stage, first: str, second: str) -> None:
    immutag(here, "rollback", "--env", "production")
    proved("without a SHA nothing was chosen and nothing was changed: these are the candidates")
    before = builds(here)
    immutag(here, "rollback", "--env", "production", "--sha", first, "--reason", "the second is broken")
    answers(here, first)
    check(builds(here) == before, "the rollback built something")
    proved(f"the rollback from {second[:12]} ran recorded bytes by digest, and built nothing")


def hold(here: Stage, first: str, second: str) -> None:
    immutag(here, "deploy", "--sha", second, "--env", "production", "--automatic", expect=POLICY_VIOLATION)
    answers(here, first)
    proved("CI cannot undo a rollback by deploying again: the environment is held")
    immutag(here, "hold", "lift", "--env", "production", "--reason", "the fix is on its way")
    immutag(here, "status")
    proved("a person lifted the hold, with a reason that stays in the ledger")


def proof(here: Stage) -> None:
    immutag(here, "history")
    immutag(here, "ledger", "head")
    kept = here.folder / "kept-head"
    kept.write_text(json.dumps(asked(here, "ledger", "head")))
    immutag(here, "ledger", "verify", "--against", str(kept))
    proved("every entry holds the hash of the one before it, up to the head that was kept outside the ledger")

    copy = here.folder / "tampered.db"
    tampered(here.sources / ".immutag" / "ledger.db", copy)
    print("(in a copy, somebody changes one character of what the third entry says)")
    immutag(here, "ledger", "verify", expect=LEDGER_CORRUPT, IMMUTAG_LEDGER_URL=f"sqlite:{copy}")
    proved("one changed character is found, and the entry is named")


def tampered(ledger: Path, copy: Path) -> None:
    """A copy of the ledger in which one character of the third entry's commit is another."""
    with closing(sqlite3.connect(ledger)) as real, closing(sqlite3.connect(copy)) as forged, forged:
        real.backup(forged)
        guards = forged.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (guard,) in guards:  # the file refuses changes, until its owner has it otherwise
            forged.execute(f"DROP TRIGGER {guard}")
        (text,) = forged.execute("SELECT text FROM entries WHERE sequence = 3").fetchone()
        at = text.index('"sha":"') + len('"sha":"')
        other = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
        forged.execute("UPDATE entries SET text = ? WHERE sequence = 3", (other,))


# What the checks ask: git, the registry and the service themselves.


def answers(here: Stage, sha: str) -> None:
    with urllib.request.urlopen(f"http://{here.service}/", timeout=10) as answer:
        body = answer.read().decode().strip()
    print(f"$ curl http://{here.service}/\n{body}")
    check(sha in body, f"the service does not answer with {sha}")
    proved(f"what runs is the commit {sha[:12]}…, by its own word")


def tag_digest(here: Stage, tag: str) -> str:
    """The digest of the manifest behind a tag, computed here from the bytes that the registry gives."""
    name = here.repository.partition("/")[2]
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
    asked_for = urllib.request.Request(
        f"http://{here.registry}/v2/{name}/manifests/{tag}", headers={"Accept": accept}
    )
    with urllib.request.urlopen(asked_for, timeout=10) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


def writes(here: Stage) -> int:
    """How many requests have written to the registry."""
    log = (here.folder / "registry.log").read_text()
    return sum(log.count(f'"{method} /v2/') for method in ("PUT", "POST", "PATCH", "DELETE"))


def builds(here: Stage) -> int:
    """How many builds the ledger has."""
    return sum(entry["type"] == "built" for entry in asked(here, "history", "--limit", "1000"))


def git(here: Stage, *arguments: str) -> str:
    ran = subprocess.run(
        ["git", *arguments], cwd=here.sources, env=here.env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.strip()


def asked(here: Stage, *arguments: str) -> Any:
    """A reading command's JSON, without showing it."""
    ran = subprocess.run(
        [ROOT / ".venv" / "bin" / "immutag", "--json", *arguments], cwd=here.sources, env=here.env,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(ran.stdout)


def immutag(here: Stage, *arguments: str, expect: int = 0, **env: str) -> None:
    """Run a command as a person would see it. Its exit status must be the expected one."""
    print("$ immutag", *(f'"{word}"' if " " in word else word for word in arguments), flush=True)
    ran = subprocess.run(
        [ROOT / ".venv" / "bin" / "immutag", *arguments], cwd=here.sources, env={**here.env, **env},
        stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if ran.returncode != expect:
        raise NotProved(f"it ended with status {ran.returncode} instead of {expect}")
    if expect:
        print(f"(exit status {expect})")


def title(text: str) -> None:
    print(f"\n── {text}\n", flush=True)


def proved(text: str) -> None:
    print(f"✓ {text}\n", flush=True)


def check(held: bool, otherwise: str) -> None:
    if not held:
        raise NotProved(otherwise)


# The stage, and what is taken away afterwards.


@contextmanager
def stage(busybox: Path, *, keep: bool) -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="immutag-demo-"))
    registry: subprocess.Popen[bytes] | None = None
    env = surroundings()
    left = False
    try:
        print("trying which settings podman needs on this machine")
        env |= engine_environment(folder / "engine", busybox)
        host = f"127.0.0.1:{free_port()}"
        registry = start_registry(folder, host)
        sources = folder / "hello"
        sources.mkdir()
        shutil.copy(busybox, sources / "busybox")
        here = Stage(folder, sources, host, f"127.0.0.1:{free_port()}", env)
        print(f"a registry serves on {host}; everything is in {folder}")
        yield here
        if keep:
            say_what_runs(here, registry.pid)
            left = True
    finally:
        if not left:
            take_away(folder, registry, env)


def surroundings() -> dict[str, str]:
    """The environment without other settings for git or immutag, and without CI: here is one ledger only."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMMUTAG_", "GIT_"))}
    kept.pop("CI", None)
    who = {"NAME": "Demo", "EMAIL": "demo@example.com"}
    for name, value in who.items():
        kept |= {f"GIT_AUTHOR_{name}": value, f"GIT_COMMITTER_{name}": value}
    return kept | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "IMMUTAG_BUILD_BUILDER": "buildah",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_registry(folder: Path, host: str) -> subprocess.Popen[bytes]:
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": host, "secret": "demo"},
    }
    (folder / "registry.yml").write_text(json.dumps(config))
    with (folder / "registry.log").open("wb") as log:
        started = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and started.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(host.rpartition(":")[2]))) == 0:
                return started
        time.sleep(0.02)
    end(started)
    raise NotProved(f"the registry did not start: {(folder / 'registry.log').read_text()[-500:]}")


def take_away(folder: Path, registry: subprocess.Popen[bytes] | None, env: Mapping[str, str]) -> None:
    """End what runs and delete the folder; an impatient Ctrl-C does not stop this half-way."""
    for sign in _SIGNALS:
        signal.signal(sign, signal.SIG_IGN)
    if "CONTAINERS_CONF" in env:
        subprocess.run(
            ["podman", "rm", "--all", "--force", "--time", "0"], env=env, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    if registry is not None:
        end(registry)
    remove_storage(folder / "engine", env)
    shutil.rmtree(folder)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def say_what_runs(here: Stage, registry: int) -> None:
    names = ("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF")
    settings = " ".join(f"{name}={here.env[name]}" for name in names)
    print(
        f"Still running, as you asked: the service on http://{here.service}/\n"
        f"and the registry on {here.registry}.\n"
        f"To go on by hand, in a shell of its own:\n"
        f"  cd {here.sources}\n"
        f"  export {settings} BUILDAH_ISOLATION=chroot\n"
        f'  export PATH="{Path(sys.executable).parent}:$PATH"\n'
        f"  immutag status\n"
        f"To end all of it:\n"
        f"  {settings} podman rm --all --force --time 0\n"
        f"  kill {registry}\n"
        f"  rm -rf {here.folder}"
    )


def _interrupt(sign: int, frame: object) -> None:
    del sign, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
