"""What a release costs over bare `buildah bud` and `buildah push` of the same image.

    python -m benchmarks.release [--runs 10]

Whole processes, in turns, each with a new commit; the median of each, their difference, and the ratio. Then
the same signed with cosign's own key file, and what `cosign sign` takes for one image beside it.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.compiled import compile_sources
from scripts.containers import engine_environment, remove_storage
from tests.parts.checkouts import GIT_ENV, Checkout
from tests.parts.programs import peer, program
from tests.parts.registries import Registry, distribution

_DOCKERFILE = 'FROM scratch\nCOPY busybox /busybox\nCOPY number /number\nCMD ["/busybox", "true"]\n'
_GOAL_S, _GOAL_SIGNED_S, _GOAL_RATIO = 0.25, 0.5, 1.05
_PASSWORD = "of the benchmark"


def main() -> None:
    compile_sources()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    root = Path(tempfile.mkdtemp(prefix="immutag-bench-"))
    env = {**os.environ, **GIT_ENV, **engine_environment(root / "engine", Path(program("busybox")))}
    env.pop("CI", None)
    try:
        with distribution(program("docker-registry"), root / "registry") as registry:
            checkout = _checkout(root, registry)
            bare, ours = measure(runs, checkout, registry, env)
            signed = {**env, **_key(root)}
            bare_signed, ours_signed = measure(runs, checkout, registry, signed)
            by_cosign = _sign(runs, root, checkout, registry, signed)
    finally:
        remove_storage(root / "engine", env)
        shutil.rmtree(root)
    show("release", bare, ours, _GOAL_S)
    show("signed release", bare_signed, ours_signed, _GOAL_SIGNED_S)
    print(f"cosign sign --key   {statistics.median(by_cosign):.3f} s  one image, for comparison")


def measure(
    runs: int, checkout: Checkout, registry: Registry, env: Mapping[str, str]
) -> tuple[list[float], list[float]]:
    """Seconds of bare build and push, and of a release; the first round warms up."""
    bare, ours = [], []
    for run in range(runs + 1):
        sha = checkout.commit(f"commit {run}", {"number": str(run)})
        image = f"{registry.host}/bare/image:{sha}"
        build = ["buildah", "bud", "--quiet", "--no-cache", "--tag", image, "."]
        push = ["buildah", "push", "--quiet", "--tls-verify=false", image]
        bare.append(_seconds([build, push], checkout.path, env))
        ours.append(_seconds([[_immutag(), "release", "--quiet"]], checkout.path, env))
    return bare[1:], ours[1:]


def show(what: str, bare: list[float], ours: list[float], goal_s: float) -> None:
    by_hand, release = statistics.median(bare), statistics.median(ours)
    print(f"buildah bud + push  {by_hand:.3f} s")
    print(f"{what:19} {release:.3f} s")
    print(f"over it             {release - by_hand:+.3f} s  goal ≤ {goal_s} s")
    print(f"ratio               {release / by_hand:.2f}  goal ≤ {_GOAL_RATIO}, or the one above")


def _checkout(root: Path, registry: Registry) -> Checkout:
    checkout = Checkout(root / "service")
    checkout.path.mkdir()
    checkout.git("init", "--quiet", "--initial-branch=main")
    shutil.copy(program("busybox"), checkout.path / "busybox")
    config = f'[image]\nrepository = "{registry.repository()}"\n[build]\nbuilder = "buildah"\n'
    checkout.write({"Dockerfile": _DOCKERFILE, "immutag.toml": config, ".gitignore": ".immutag/\n"})
    return checkout


def _key(root: Path) -> dict[str, str]:
    """A key pair of cosign's, and what makes immutag sign with it and trust it."""
    env = {"COSIGN_PASSWORD": _PASSWORD}
    subprocess.run(
        [peer("cosign"), "generate-key-pair"],
        cwd=root,
        env={**os.environ, **env},
        check=True,
        capture_output=True,
    )
    return {
        **env,
        "IMMUTAG_TRUST_KEY": str(root / "cosign.key"),
        "IMMUTAG_TRUST_PUBLIC_KEYS": str(root / "cosign.pub"),
    }


def _sign(
    runs: int, root: Path, checkout: Checkout, registry: Registry, env: Mapping[str, str]
) -> list[float]:
    """Seconds of cosign signing one of the bare images, without any service."""
    config = ["--signing-config", str(root / "services.json")]
    make = [peer("cosign"), "signing-config", "create", "--out", str(root / "services.json")]
    subprocess.run(make, cwd=root, env=env, check=True, capture_output=True)
    digest = subprocess.run(
        [peer("crane"), "digest", f"{registry.host}/bare/image:{checkout.head}"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    image = f"{registry.host}/bare/image@{digest}"
    sign = [
        peer("cosign"), "sign", "--yes", "--key", str(root / "cosign.key"), *config,
        "--allow-http-registry", image,
    ]  # fmt: skip
    return [_seconds([sign], checkout.path, env) for _ in range(runs)]


def _seconds(commands: list[list[str]], folder: Path, env: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    for argv in commands:
        subprocess.run(argv, cwd=folder, env=env, check=True, capture_output=True)
    return time.perf_counter() - begun


def _immutag() -> str:
    return str(Path(sys.executable).with_name("immutag"))


if __name__ == "__main__":
    main()
