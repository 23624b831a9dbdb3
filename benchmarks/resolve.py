"""Resolve one tag, beside crane, oras, skopeo and regctl; and 2,000 tags in one process.

    python -m benchmarks.resolve [--runs 10] [--tags 2000]

One tag: the median of whole processes, and how many requests each makes (from the registry's access log).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.compiled import compile_sources
from benchmarks.push import make_layout, measure
from immutag.core.values import GitSha, Repository
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from tests.parts.programs import peer, program
from tests.parts.registries import distribution, in_memory

_SHA = "a" * 40
_RESOLVE = """
import sys
from immutag.core.values import GitSha, Repository
from immutag.oci.http import Http
from immutag.oci.registry import Registry
with Http() as http:
    print(Registry(Repository.parse(sys.argv[1]), http=http).resolve(GitSha(sys.argv[2])).digest)
"""


def _one(host: str, log: Path, runs: int) -> None:
    image = f"{host}/bench/one:{_SHA}"
    regctl = peer("regctl")
    subprocess.run([regctl, "registry", "set", host, "--tls", "disabled"], check=True)
    commands = {
        "immutag": [sys.executable, "-c", _RESOLVE, f"{host}/bench/one", _SHA],
        "crane": [peer("crane"), "digest", image],
        "oras": [peer("oras"), "resolve", "--plain-http", image],
        "skopeo": [
            program("skopeo"),
            "inspect",
            "--no-tags",
            "--raw",
            "--tls-verify=false",
            f"docker://{image}",
        ],
        "regctl": [regctl, "image", "digest", image],
    }
    figures = {}
    for name, argv in commands.items():
        before = log.read_text().count("HTTP/1.1")
        took = statistics.median([measure(argv).seconds for _ in range(runs)])
        figures[name] = took, (log.read_text().count("HTTP/1.1") - before) / runs
    print("resolve one tag, whole process")
    for name, (seconds, requests) in figures.items():
        ratio = seconds / figures["crane"][0]
        print(f"  {name:8} {seconds * 1000:6.1f} ms   {ratio:5.1f} x crane's time   {requests:.0f} requests")


def _many(host: str, what: str, tags: int) -> None:
    with Http() as http:
        registry = Registry(Repository(host, "bench/one"), http=http)
        wanted = [GitSha(_SHA) if at % 2 else GitSha(f"{at:040x}") for at in range(tags)]
        started = time.perf_counter()
        found = registry.resolve_many(wanted)
        seconds = time.perf_counter() - started
        right = [bool(each) == bool(at % 2) for at, each in enumerate(found)]
    print(f"  {what:20} {tags / seconds:6.0f} tags/s   {registry.requests} requests   right: {all(right)}")


def main() -> None:
    compile_sources()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--tags", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="immutag-resolve-") as temporary:
        work = Path(temporary)
        os.environ["REGCTL_CONFIG"] = str(work / "regctl.json")
        make_layout(work / "layout", [1024])
        with (
            distribution(program("docker-registry"), work / "two") as two,
            distribution(peer("registry"), work / "three") as three,
            in_memory(work / "memory") as memory,
        ):
            for registry in (two, three, memory):
                image = f"{registry.host}/bench/one:{_SHA}"
                subprocess.run(
                    [peer("crane"), "push", str(work / "layout"), image], check=True, capture_output=True
                )
            _one(two.host, two.server.log, options.runs)
            print(f"resolve {options.tags} tags, half of them missing, one process")
            for registry, what in (
                (two, "distribution 2.8"),
                (three, "distribution 3"),
                (memory, "in memory"),
            ):
                _many(registry.host, what, options.tags)


if __name__ == "__main__":
    main()
