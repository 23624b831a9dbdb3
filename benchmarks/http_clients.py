"""Which HTTP client: 2,000 HEADs of one blob in a fresh process, for DR-012.

    python -m benchmarks.http_clients [--requests 2000] [--runs 3]

The libraries are installed by pip into an environment that is thrown away. Per client: requests a second of
the whole process, how long its import takes beyond a bare Python, and its peak memory.
"""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.push import measure
from immutag.core.values import Repository
from immutag.oci import Descriptor
from immutag.oci.content import digest_of
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from tests.parts.programs import program
from tests.parts.registries import distribution

_LIBRARIES = ("pycurl", "urllib3", "requests", "httpx", "aiohttp")
_THREADS = """
from concurrent.futures import ThreadPoolExecutor
import threading
local = threading.local()
with ThreadPoolExecutor(8) as pool:
    assert all(status == 200 for status in pool.map(head, range(count)))
"""
_CLIENTS = {
    "http.client": (
        "import http.client",
        """
def head(_):
    if not hasattr(local, "c"): local.c = http.client.HTTPConnection(host)
    local.c.request("HEAD", path); answer = local.c.getresponse(); answer.read(); return answer.status
"""
        + _THREADS,
    ),
    "pycurl": (
        "import pycurl",
        """
def head(_):
    if not hasattr(local, "c"): local.c = pycurl.Curl()
    c = local.c; c.setopt(c.URL, f"http://{host}{path}"); c.setopt(c.NOBODY, 1)
    c.perform(); return c.getinfo(c.RESPONSE_CODE)
"""
        + _THREADS,
    ),
    "urllib3": (
        "import urllib3",
        """
pool_manager = urllib3.PoolManager(maxsize=8)
def head(_): return pool_manager.request("HEAD", f"http://{host}{path}").status
"""
        + _THREADS,
    ),
    "requests": (
        "import requests",
        """
def head(_):
    if not hasattr(local, "c"): local.c = requests.Session()
    return local.c.head(f"http://{host}{path}").status_code
"""
        + _THREADS,
    ),
    "httpx": (
        "import httpx",
        """
client = httpx.Client()
def head(_): return client.head(f"http://{host}{path}").status_code
"""
        + _THREADS,
    ),
    "aiohttp": (
        "import asyncio, aiohttp",
        """
async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=16)) as session:
        async def head():
            async with session.head(f"http://{host}{path}") as answer:
                return answer.status
        assert all(status == 200 for status in await asyncio.gather(*(head() for _ in range(count))))
asyncio.run(main())
""",
    ),
    "immutag": (
        "import immutag.oci.registry, pycurl",
        """
from immutag.core.values import Digest, Repository
from immutag.oci import Descriptor
from immutag.oci.fanout import for_each
from immutag.oci.http import Http
from immutag.oci.registry import Registry
name, _, digest = path.removeprefix("/v2/").partition("/blobs/")
content = Descriptor("application/x", Digest(digest), 7)
with Http() as client:
    registry = Registry(Repository(host, name), http=client)
    def head(_, stop): assert registry.exists(content)
    for_each(head, range(count), workers=8)
""",
    ),
}


def _environment(folder: Path) -> str:
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *_LIBRARIES], check=True)
    return python


def _push_something(host: str) -> str:
    """A blob to ask for; its path."""
    content = Descriptor("application/x", digest_of(b"content"), len(b"content"))
    with Http() as http:
        Registry(Repository(host, "bench/head"), http=http).push(content, io.BytesIO(b"content"))
    return f"/v2/bench/head/blobs/{content.digest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="immutag-http-") as temporary:
        work = Path(temporary)
        installed = _environment(work / "venv")
        with distribution(program("docker-registry"), work / "registry") as registry:
            path = _push_something(registry.host)
            print(f"{options.requests} HEADs, distribution 2.8, plain HTTP on loopback")
            for name, (imports, script) in _CLIENTS.items():
                python = sys.executable if name == "immutag" else installed
                given = f"host, path, count = {registry.host!r}, {path!r}, {options.requests}\n"
                whole = [measure([python, "-c", f"{imports}\n{given}{script}"]) for _ in range(options.runs)]
                seconds = statistics.median(run.seconds for run in whole)
                peak = max(run.peak_kib for run in whole) / 1024
                print(
                    f"  {name:12} {options.requests / seconds:7.0f} requests/s   "
                    f"import {_import_ms(python, imports):4.0f} ms   {peak:5.1f} MiB"
                )


def _import_ms(python: str, imports: str) -> float:
    def best(code: str) -> float:
        return min(measure([python, "-c", code]).seconds for _ in range(5))

    return (best(imports) - best("pass")) * 1000


if __name__ == "__main__":
    main()
