"""An SBOM is of one commit and one digest, and says so itself (DR-009)."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import immutag
from immutag.core.errors import BuildFailure
from immutag.core.facts import Evidence
from immutag.core.linkage import Link
from immutag.core.sbom import (
    MEDIA_TYPES,
    PREDICATES,
    artifact_name,
    file_name,
    join,
    link,
    packages,
    unlinked,
)
from immutag.core.values import Digest, GitSha, ImageRef, Repository
from immutag.trust.evidence.sbom import encode, read_document
from tests.unit.test_packages import _JSON

_SHA = GitSha("0123456789abcdef0123456789abcdef01234567")
_DIGEST = Digest("sha256:" + "ab" * 32)
_OTHER = Digest("sha256:" + "cd" * 32)
_LINK = Link(
    _SHA, ImageRef(Repository.parse("ghcr.io/owner/api"), _DIGEST), "https://example.com/api", 1_700_000_000
)


def _cyclonedx(**component: Any) -> dict[str, Any]:
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {"timestamp": "2020-01-01T00:00:00Z", "component": component} if component else {},
        "components": [
            {"type": "library", "bom-ref": "m", "name": "musl", "version": "1", "purl": "pkg:apk/musl@1"}
        ],
        "dependencies": [{"ref": "m", "dependsOn": []}],
    }


def _spdx(*described: str, **subject: Any) -> dict[str, Any]:
    image = [{"SPDXID": "SPDXRef-image", "name": "image", "downloadLocation": "NOASSERTION", **subject}]
    return {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "documentNamespace": "https://example.com/random",
        "creationInfo": {"created": "2020-01-01T00:00:00Z", "creators": ["Tool: x"]},
        "packages": [
            *image,
            {"SPDXID": "SPDXRef-musl", "name": "musl", "versionInfo": "1", "downloadLocation": "NOASSERTION"},
        ],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": each}
            for each in described
        ],
    }


_DOCUMENTS = {
    "cyclonedx of nothing": _cyclonedx(),
    "cyclonedx of a name": _cyclonedx(type="application", name="x", version="latest"),
    "spdx of nothing": _spdx(),
    "spdx of one": _spdx("SPDXRef-image"),
    "spdx of several": _spdx("SPDXRef-image", "SPDXRef-musl"),
}


@pytest.mark.parametrize("document", _DOCUMENTS.values(), ids=_DOCUMENTS)
def test_a_linked_document_is_of_its_release_and_of_no_other(document: dict[str, Any]) -> None:
    before = json.dumps(document)
    linked = link(document, _LINK)
    assert json.dumps(document) == before
    assert unlinked(document, _SHA, _DIGEST)
    assert unlinked(linked, _SHA, _DIGEST) == ()
    assert unlinked(linked, _SHA, _OTHER)
    assert unlinked(linked, GitSha("f" * 40), _DIGEST)
    assert str(_SHA) in json.dumps(linked)
    assert "musl" in [each.name for each in packages(linked)]


@pytest.mark.parametrize("document", _DOCUMENTS.values(), ids=_DOCUMENTS)
def test_linking_again_changes_nothing(document: dict[str, Any]) -> None:
    linked = link(document, _LINK)
    assert encode(link(json.loads(encode(linked)), _LINK)) == encode(linked)


def test_two_runs_over_the_same_packages_give_the_same_bytes() -> None:
    one, other = _cyclonedx(name="x"), _cyclonedx(name="y")
    other["serialNumber"] = "urn:uuid:00000000-0000-4000-8000-000000000000"
    other["metadata"]["timestamp"] = "2026-01-01T00:00:00Z"
    assert encode(link(one, _LINK)) == encode(link(other, _LINK))
    spdx, again = _spdx("SPDXRef-image"), _spdx("SPDXRef-image")
    again["documentNamespace"], again["creationInfo"]["created"] = "https://x/1", "2026-01-01T00:00:00Z"
    assert encode(link(spdx, _LINK)) == encode(link(again, _LINK))


@pytest.mark.parametrize(
    "document",
    [
        _cyclonedx(name="x", hashes=[{"alg": "SHA-256", "content": _OTHER.hex}]),
        _spdx("SPDXRef-image", checksums=[{"algorithm": "SHA256", "checksumValue": _OTHER.hex}]),
    ],
)
def test_a_document_about_another_digest_is_refused_and_not_rewritten(document: dict[str, Any]) -> None:
    with pytest.raises(BuildFailure, match="of another image"):
        link(document, _LINK)


_TAMPERED = {
    "cyclonedx version": ("cyclonedx of nothing", lambda d: d["metadata"]["component"].update(version="1")),
    "cyclonedx hash": ("cyclonedx of nothing", lambda d: d["metadata"]["component"]["hashes"].clear()),
    "cyclonedx revision": (
        "cyclonedx of nothing",
        lambda d: d["metadata"]["component"]["properties"].clear(),
    ),
    "spdx version": ("spdx of nothing", lambda d: d["packages"][-1].update(versionInfo="1")),
    "spdx checksum": ("spdx of nothing", lambda d: d["packages"][-1]["checksums"].clear()),
    "spdx namespace": ("spdx of nothing", lambda d: d.update(documentNamespace="https://example.com/sbom")),
    "spdx second subject": (
        "spdx of nothing",
        lambda d: d.update(documentDescribes=["SPDXRef-musl"]),
    ),
}


@pytest.mark.parametrize("case", _TAMPERED.values(), ids=_TAMPERED)
def test_each_part_of_the_link_is_needed(case: tuple[str, Any]) -> None:
    name, tamper = case
    linked = json.loads(encode(link(_DOCUMENTS[name], _LINK)))
    assert unlinked(linked, _SHA, _DIGEST) == ()
    tamper(linked)
    assert len(unlinked(linked, _SHA, _DIGEST)) == 1


_KEYS = st.sampled_from(
    ["bomFormat", "metadata", "component", "components", "hashes", "alg", "content", "properties", "packages",
     "relationships", "documentDescribes", "SPDXID", "checksums", "externalRefs", "annotations", "name"]
)  # fmt: skip


@given(
    st.dictionaries(_KEYS, _JSON | st.dictionaries(_KEYS, _JSON, max_size=4), max_size=8),
    st.sampled_from(list(_DOCUMENTS)),
)
def test_any_document_can_be_linked_or_is_refused(more: dict[str, Any], name: str) -> None:
    document = {**_DOCUMENTS[name], **more}
    try:
        linked = link(document, _LINK)
    except BuildFailure:
        return
    assert unlinked(linked, _SHA, _DIGEST) == ()


@given(
    st.sampled_from(list(Evidence)[2:]),
    st.binary(max_size=64) | _JSON.map(lambda value: json.dumps(value).encode()),
)
def test_no_document_of_others_brings_the_reader_down(evidence: Evidence, content: bytes) -> None:
    with pytest.raises(BuildFailure):
        read_document(content, evidence)


@pytest.mark.parametrize(
    ("evidence", "content"),
    [
        (Evidence.CYCLONEDX, b'{"bomFormat":"CycloneDX","specVersion":"1.6","specVersion":"1.6"}'),
        (Evidence.CYCLONEDX, b'{"bomFormat":"CycloneDX","specVersion":"1.3"}'),
        (Evidence.CYCLONEDX, b'{"bomFormat":"CycloneDX","specVersion":"1.6","components":{}}'),
        (Evidence.CYCLONEDX, b'{"spdxVersion":"SPDX-2.3"}'),
        (Evidence.SPDX, b'{"spdxVersion":"SPDX-3.0"}'),
        (Evidence.SPDX, b'{"bomFormat":"CycloneDX","specVersion":"1.6"}'),
        (Evidence.SPDX, b'{"spdxVersion":"SPDX-2.3","packages":{}}'),
    ],
)
def test_what_is_not_the_wanted_format_is_refused(evidence: Evidence, content: bytes) -> None:
    with pytest.raises(BuildFailure):
        read_document(content, evidence)


def test_half_a_character_is_refused_with_words() -> None:
    document = read_document(
        b'{"bomFormat":"CycloneDX","specVersion":"1.6","x":"\\ud800"}', Evidence.CYCLONEDX
    )
    with pytest.raises(BuildFailure, match="not what it should be") as refused:
        encode(document)
    assert refused.value.found == "'\\ud800'"


@pytest.mark.parametrize("name", ["cyclonedx of a name", "spdx of one"])
def test_the_same_package_on_two_platforms_stays_apart(name: str) -> None:
    document = _DOCUMENTS[name]
    joined = join({"linux/amd64": document, "linux/arm64/v8": document})
    linked = link(joined, _LINK)
    assert unlinked(linked, _SHA, _DIGEST) == ()
    identifiers = _identifiers(linked)
    assert len(set(identifiers)) == len(identifiers)
    assert packages(linked) == packages(document)
    for reference in _references(linked):
        assert reference in identifiers


def _identifiers(document: dict[str, Any]) -> list[str]:
    if "bomFormat" in document:
        platforms = document["components"]
        found = [
            document["metadata"]["component"],
            *platforms,
            *(c for each in platforms for c in each["components"]),
        ]
        return [each["bom-ref"] for each in found]
    return [document["SPDXID"], *(each["SPDXID"] for each in document["packages"])]


def _references(document: dict[str, Any]) -> list[str]:
    if "bomFormat" in document:
        return [each["ref"] for each in document["dependencies"]]
    return [
        each[key] for each in document["relationships"] for key in ("spdxElementId", "relatedSpdxElement")
    ]


# --- the published contract


def test_the_contract_says_what_is_done() -> None:
    file = Path(immutag.__file__).parent / "schemas" / "sbom-linkage.yaml"
    contract = yaml.safe_load(file.read_text())
    words = {
        "sha": str(_SHA), "digest": str(_DIGEST), "hex": _DIGEST.hex, "repository": "ghcr.io/owner/api",
        "image": str(_LINK.image), "purl": _LINK.purl,
    }  # fmt: skip
    assert contract["artifact"]["name"].format(**words) == artifact_name(_SHA)
    for evidence, name in ((Evidence.CYCLONEDX, "cyclonedx of nothing"), (Evidence.SPDX, "spdx of nothing")):
        form = contract["formats"][evidence.value.removeprefix("sbom-")]
        linked = link(_DOCUMENTS[name], _LINK)
        assert form["file"].format(**words) == file_name(evidence, _SHA)
        assert (form["media_type"], form["predicate_type"]) == (MEDIA_TYPES[evidence], PREDICATES[evidence])
        assert form["document"]
        for path, value in form["document"].items():
            assert _substituted(value, words) in _at(linked, path.split(".")), path


def _substituted(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _substituted(each, words) for key, each in value.items()}
    return value.format(**words) if isinstance(value, str) else value


def _at(document: Any, path: list[str]) -> list[Any]:
    """All that lies at a path; `[]` goes into each entry of a list."""
    found = [document]
    for step in path:
        name, is_list = step.removesuffix("[]"), step.endswith("[]")
        found = [each[name] for each in found if name in each]
        if is_list:
            found = [entry for each in found for entry in each]
    return found
