"""Packages of SBOMs, and what changed between two of them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.packages import Changed, Difference, Package, difference
from immutag.core.sbom import packages

_NAMES = st.sampled_from(["musl", "openssl", "requests", "zlib", "@angular/core"])
_VERSIONS = st.sampled_from(["1.0", "1.1", "2.0-r1", ""])


@st.composite
def _package(draw: st.DrawFn) -> Package:
    name, version = draw(_NAMES), draw(_VERSIONS)
    form = draw(
        st.sampled_from(["", "pkg:apk/alpine/{0}@{1}?arch=x86_64", "pkg:npm/{0}@{1}#path", "pkg:npm/{0}"])
    )
    return Package(name, version, form.format(name, version))


_LISTS = st.lists(_package(), max_size=12)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            [
                "bomFormat", "components", "name", "version", "purl", "type", "group", "packages", "SPDXID",
                "externalRefs", "referenceType", "relationships", "documentDescribes", "relatedSpdxElement",
            ]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=30,
)  # fmt: skip


def _state(found: list[Package]) -> set[tuple[str, str]]:
    return {(each.identity, each.version) for each in found}


@given(_LISTS)
def test_nothing_changed_between_a_list_and_itself(found: list[Package]) -> None:
    assert difference(found, list(reversed(found))) == Difference((), (), ())


@given(_LISTS, _LISTS)
def test_a_difference_leads_from_the_old_list_to_the_new_one(old: list[Package], new: list[Package]) -> None:
    found = difference(old, new)
    reached = _state(old) - _state(list(found.removed)) | _state(list(found.added))
    for each in found.changed:
        identity = Package(each.name, each.new, each.purl).identity
        assert (identity, each.old) in reached
        reached = reached - {(identity, each.old)} | {(identity, each.new)}
    assert reached == _state(new)


@given(_LISTS, _LISTS)
def test_the_other_way_round_what_was_added_is_removed(old: list[Package], new: list[Package]) -> None:
    there, back = difference(old, new), difference(new, old)
    assert (there.added, there.removed) == (back.removed, back.added)
    assert sorted((each.old, each.new) for each in there.changed) == sorted(
        (each.new, each.old) for each in back.changed
    )


def test_one_version_for_another_is_a_change_and_several_are_not() -> None:
    old = [
        Package("musl", "1", "pkg:apk/musl@1"),
        Package("ms", "1", "pkg:npm/ms@1"),
        Package("gone", "3", ""),
    ]
    new = [Package("musl", "2", "pkg:apk/musl@2?arch=arm64"), Package("ms", "2", ""), Package("new", "1", "")]
    new += [Package("ms", "2", "pkg:npm/ms@2"), Package("ms", "3", "pkg:npm/ms@3")]
    found = difference(old, new)
    assert found.changed == (Changed("musl", "1", "2", "pkg:apk/musl@2?arch=arm64"),)
    assert [(each.name, each.version) for each in found.removed] == [("gone", "3"), ("ms", "1")]
    assert [(each.name, each.version) for each in found.added] == [
        ("ms", "2"), ("ms", "2"), ("ms", "3"), ("new", "1"),
    ]  # fmt: skip
    assert str(found) == "1 changed, 4 added, 2 removed"


@pytest.mark.parametrize(
    ("purl", "identity"),
    [
        ("pkg:apk/alpine/musl@1.2?arch=x86_64&distro=alpine-3.18", "pkg:apk/alpine/musl"),
        ("pkg:npm/%40angular/core@1", "pkg:npm/%40angular/core"),
        ("pkg:npm/@angular/core", "pkg:npm/@angular/core"),
        ("pkg:npm/@angular/core@1", "pkg:npm/@angular/core"),
        ("pkg:golang/example.com/m@v1.2#cmd/x", "pkg:golang/example.com/m"),
        ("", "the name"),
    ],
)
def test_a_package_is_the_same_in_each_of_its_versions(purl: str, identity: str) -> None:
    assert Package("the name", "1", purl).identity == identity


def test_both_formats_list_the_same_packages() -> None:
    cyclonedx = {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"type": "container", "name": "api", "version": "1"}},
        "components": [
            {"type": "file", "name": "/bin/sh"},
            {"type": "library", "name": "musl", "version": "1.2", "purl": "pkg:apk/musl@1.2"},
            {
                "type": "container",
                "name": "linux/amd64",
                "components": [{"type": "library", "group": "org.x", "name": "y", "version": "3"}],
            },
        ],
    }
    spdx = {
        "spdxVersion": "SPDX-2.3",
        "packages": [
            {"SPDXID": "SPDXRef-api", "name": "api", "versionInfo": "1"},
            {"SPDXID": "SPDXRef-amd64", "name": "linux/amd64", "primaryPackagePurpose": "CONTAINER"},
            {"SPDXID": "SPDXRef-y", "name": "org.x/y", "versionInfo": "3"},
            {
                "SPDXID": "SPDXRef-musl",
                "name": "musl",
                "versionInfo": "1.2",
                "externalRefs": [
                    {"referenceType": "cpe23Type", "referenceLocator": "cpe"},
                    {"referenceType": "purl", "referenceLocator": "pkg:apk/musl@1.2"},
                ],
            },
        ],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": "SPDXRef-api",
            }
        ],
    }
    expected = (Package("musl", "1.2", "pkg:apk/musl@1.2"), Package("org.x/y", "3", ""))
    assert packages(cyclonedx) == packages(spdx) == expected


@given(st.dictionaries(st.sampled_from(["bomFormat", "components", "packages", "relationships"]), _JSON))
def test_whatever_is_no_package_is_left_out(document: dict[str, Any]) -> None:
    found = packages(json.loads(json.dumps(document)))
    assert all(isinstance(text, str) for each in found for text in (each.name, each.version, each.purl))
