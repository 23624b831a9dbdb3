"""Verify many signed images by key, beside cosign: one process each, two at a time, and one for all of them.

    python -m benchmarks.verify [--images 500] [--runs 5] [--registry memory|2|3]

Whole processes, start-up included, the median of the runs (cosign in turn: once). Cold has an empty store of
objects, warm the one that the run before has left. Every figure is of verified images only: a run that does
not verify all of them fails. Ratios of more than 1 are faster than cosign.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.compiled import compile_sources
from benchmarks.push import cpu_s, measure
from immutag.core.values import ImageRef, Repository
from immutag.oci import registry as oci
from immutag.oci.http import Http
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import load_private_key
from tests.parts.keys import new_key, private_pem, public_pem
from tests.parts.programs import peer, program
from tests.parts.registries import Registry, distribution, in_memory
from tests.parts.vouching import sign_many

_COSIGN = ["verify", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--allow-http-registry"]


class Site:
    """A project that trusts one key, and images that it has signed."""

    def __init__(self, folder: Path, host: str, count: int, *, legacy: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        key = new_key("P-256")
        (folder / "our.key").write_bytes(private_pem(key))
        (folder / "cosign.pub").write_bytes(public_pem(key))
        repository = Repository(host, f"bench/{folder.name}")
        (folder / "immutag.toml").write_text(
            f'[image]\nrepository = "{repository}"\n[trust]\npublic_keys = ["cosign.pub"]\n'
        )
        signer = KeySigner(load_private_key(folder / "our.key", password=lambda: b""))
        with Http(environ={}) as http:
            images = sign_many(
                oci.Registry(repository, http=http), folder / "images", signer, count, legacy=legacy
            )
        self.images = [str(ImageRef(repository, image.digest)) for image in images]

    def immutag(self, images: Sequence[str], store: Path) -> float:
        """Seconds for one process, which fails unless it verifies every image."""
        code = "import sys; from immutag.cli import main; sys.exit(main(sys.argv[1:]))"
        environment = {"XDG_CACHE_HOME": str(store)}
        with self._inside(environment):
            return measure([sys.executable, "-c", code, "verify", *images]).seconds

    def cosign(self, images: Sequence[str]) -> float:
        with self._inside({}):
            return measure([peer("cosign"), *_COSIGN, *images]).seconds

    def cosign_each(self, images: Sequence[str], at_once: int) -> float:
        """A process for each image, by xargs."""
        argv = [program("xargs"), f"-P{at_once}", "-n1", peer("cosign"), *_COSIGN]
        started = time.perf_counter()
        subprocess.run(
            argv, input="\n".join(images), text=True, cwd=self.folder, check=True, capture_output=True
        )
        return time.perf_counter() - started

    @contextmanager
    def _inside(self, environment: dict[str, str]) -> Iterator[None]:
        before, kept = Path.cwd(), dict(os.environ)
        os.chdir(self.folder)
        os.environ.update(environment)
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(kept)


@dataclass(frozen=True, slots=True)
class _Rate:
    """Images a second, and the seconds of CPU that the registry spent on a run: no client gets below them."""

    images_s: float
    registry_cpu_s: float


def _many(site: Site, registry: Registry, runs: int, what: str) -> None:
    def rate(timed: Callable[[int], float], runs: int = runs) -> _Rate:
        before_s = cpu_s(registry.server.pid)
        seconds = _median(timed, runs)
        return _Rate(len(site.images) / seconds, (cpu_s(registry.server.pid) - before_s) / runs)

    rates = {
        "cosign, one process each, in turn": (in_turn := rate(lambda _: site.cosign_each(site.images, 1), 1)),
        "cosign, one process each, xargs -P2": (both := rate(lambda _: site.cosign_each(site.images, 2), 1)),
        "cosign, one process for all": (one := rate(lambda _: site.cosign(site.images))),
        "immutag, cold": rate(lambda run: site.immutag(site.images, site.folder / f"cold-{run}")),
        "immutag, warm": rate(lambda _: site.immutag(site.images, site.folder / "cold-0")),
    }
    print(f"{len(site.images)} images, {what}")
    for name, each in rates.items():
        ratios = "   ".join(
            f"{each.images_s / other.images_s:5.2f} x {beside}"
            for beside, other in (("in turn", in_turn), ("-P2", both), ("one", one))
        )
        cpu = f"registry {each.registry_cpu_s:5.2f} s of CPU"
        print(f"  {name:36} {each.images_s:7.1f} images/s   {ratios}   {cpu}")


def _one(site: Site, runs: int, what: str) -> None:
    image = site.images[:1]
    cosign = _median(lambda _: site.cosign(image), runs)
    ours = _median(lambda run: site.immutag(image, site.folder / f"one-{run}"), runs)
    print(f"one image, {what}, start-up included")
    print(f"  cosign {cosign * 1000:6.1f} ms   immutag {ours * 1000:6.1f} ms   {cosign / ours:.2f} x")


def _median(timed: Callable[[int], float], runs: int) -> float:
    return statistics.median([timed(run) for run in range(runs)])


def main() -> None:
    compile_sources()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--registry", choices=["memory", "2", "3"], default="memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="immutag-verify-") as temporary:
        work = Path(temporary)
        registries = {
            "memory": lambda: in_memory(work / "registry"),
            "2": lambda: distribution(program("docker-registry"), work / "registry"),
            "3": lambda: distribution(peer("registry"), work / "registry"),
        }
        with registries[options.registry]() as registry:
            for legacy in (False, True):
                what = "legacy signatures" if legacy else "bundles"
                site = Site(work / what.split(maxsplit=1)[0], registry.host, options.images, legacy=legacy)
                _many(site, registry, options.runs, what)
                _one(site, 2 * options.runs + 1, what)


if __name__ == "__main__":
    main()
