"""Images that have packages: the databases of apk, dpkg and pip, written by hand."""

from collections.abc import Mapping
from pathlib import Path

from immutag.oci.layout import Layout
from tests.parts.images import GZIPPED_LAYER, add_image, add_index, finish, tar_of

PYTHON = "usr/lib/python3.11/site-packages"


def packaged(folder: Path, **versions: str) -> Layout:
    """A layout with an image that has `musl` by apk, `libc6` by dpkg and `requests` by pip."""
    found = {"musl": "1.2.4-r2", "libc6": "2.36-9+deb12u3", "requests": "2.31.0"} | versions
    return _layout(folder, add_image(folder, *_layers(found), layer_type=GZIPPED_LAYER))


def packaged_for_two(folder: Path) -> Layout:
    """The same for two platforms, one of which has no `requests`."""
    found = {"musl": "1.2.4-r2", "libc6": "2.36-9+deb12u3"}
    children = {}
    for name, more in (("amd64", {"requests": "2.31.0"}), ("arm64", {})):
        children[name] = add_image(folder, *_layers({**found, **more}), architecture=name)
        children[name]["platform"] = {"os": "linux", "architecture": name}
    return _layout(folder, add_index(folder, *children.values()))


def _layout(folder: Path, root: dict[str, object]) -> Layout:
    finish(folder, root)
    return Layout(folder)


def _layers(versions: Mapping[str, str]) -> list[bytes]:
    files = {
        "etc/os-release": 'ID=alpine\nVERSION_ID=3.18.4\nNAME="Alpine Linux"\n',
        "lib/apk/db/installed": f"P:musl\nV:{versions['musl']}\nA:x86_64\nL:MIT\no:musl\nm:N\n\n",
        "var/lib/dpkg/status": (
            f"Package: libc6\nVersion: {versions['libc6']}\nStatus: install ok installed\n"
            "Architecture: amd64\nMaintainer: GNU Libc Maintainers <x@example.com>\n\n"
        ),
    }
    if "requests" in versions:
        metadata = f"{PYTHON}/requests-{versions['requests']}.dist-info/METADATA"
        files[metadata] = f"Metadata-Version: 2.1\nName: requests\nVersion: {versions['requests']}\n\n"
    return [tar_of(name, text.encode()) for name, text in files.items()]
