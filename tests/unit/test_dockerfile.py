"""What a Dockerfile says for sure of its base images, and what buildx says beside a build."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.build.metadata import BASE_DIGEST, BASE_NAME, base_annotations
from immutag.core.dockerfile import bases_in, changes_bases

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("text", "pinned", "last"),
    [
        ("FROM debian:12", [], "debian:12"),
        ("from debian:12 as base\n", [], "debian:12"),
        (f"FROM debian@{DIGEST}", [f"debian@{DIGEST}"], f"debian@{DIGEST}"),
        (f"FROM --platform=linux/amd64 go:1@{DIGEST} AS build\nFROM scratch", [f"go:1@{DIGEST}"], None),
        ("FROM go:1 AS build\nRUN make\nFROM debian:12\nCOPY --from=build /x /x", [], "debian:12"),
        ("FROM go:1 AS build\nFROM Build", [], None),
        ("ARG BASE=debian:12\nFROM $BASE", [], None),
        (f"FROM ${{BASE}}@{DIGEST}", [], None),
        ("FROM scratch", [], None),
        (f"FROM debian:12\nCOPY --from=tool@{OTHER} /x /x", [f"tool@{OTHER}"], "debian:12"),
        (f"FROM \\\n  # a comment\n  debian@{DIGEST}", [f"debian@{DIGEST}"], f"debian@{DIGEST}"),
        (f"# FROM debian@{DIGEST}\nFROM alpine:3", [], "alpine:3"),
        (f"FROM alpine:3\nRUN cat <<EOF\nFROM debian@{DIGEST}\nEOF\nRUN x", [], "alpine:3"),
        (f"FROM alpine:3\nRUN cat <<'EOF' >x\nFROM debian@{DIGEST}\n", [], None),
        ("FROM debian@sha256:abc", [], "debian@sha256:abc"),
        ("", [], None),
        ("FROM", [], None),
        ("FROM --platform=linux/amd64", [], None),
    ],
)
def test_only_what_is_sure_is_said(text: str, pinned: list[str], last: str | None) -> None:
    found = bases_in(text)
    assert [base.name for base in found.pinned] == pinned
    assert [str(base.digest) for base in found.pinned] == [name.partition("@")[2] for name in pinned]
    assert found.last == last


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["FROM ", "a", "\n", "<<E", "\\", " AS b", "$"])).map("".join)
)
def test_any_text_is_read(text: str) -> None:
    last = bases_in(text).last
    assert last is None or last in text


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("--target=build", True), ("--build-context=a=b", True), ("--from=x", True), ("--target", True),
        ("--network=host", False),
    ],
)  # fmt: skip
def test_arguments_that_lead_elsewhere_are_known(argument: str, changes: bool) -> None:
    assert changes_bases(["--network=host", argument]) == changes


def materials(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {
        "materials": [
            {"uri": uri, "digest": {"sha256": digest.removeprefix("sha256:")}} for uri, digest in pairs
        ]
    }


TOOL = ("pkg:docker/127.0.0.1:5987/tool@1?platform=linux%2Famd64", OTHER)


@pytest.mark.parametrize(
    ("base", "uri", "name"),
    [
        (
            "127.0.0.1:5987/base:1",
            "pkg:docker/127.0.0.1:5987/base@1?platform=linux%2Famd64",
            "127.0.0.1:5987/base:1",
        ),
        ("debian", "pkg:docker/debian@latest?platform=linux%2Famd64", "docker.io/library/debian:latest"),
        ("owner/base:2", "pkg:docker/owner/base@2?platform=linux%2Famd64", "docker.io/owner/base:2"),
        (
            f"ghcr.io/o/base@{DIGEST}",
            f"pkg:docker/ghcr.io/o/base?digest={DIGEST}&platform=linux%2Famd64",
            f"ghcr.io/o/base@{DIGEST}",
        ),
        (
            f"ghcr.io/o/base:1@{DIGEST}",
            f"pkg:docker/ghcr.io/o/base@1?digest={DIGEST}&platform=linux%2Famd64",
            f"ghcr.io/o/base:1@{DIGEST}",
        ),
    ],
)
def test_the_base_that_buildkit_resolved_is_named(tmp_path: Path, base: str, uri: str, name: str) -> None:
    """The addresses are as buildx wrote them for real builds."""
    told = {"buildx.build.provenance": materials((uri, DIGEST), TOOL), "buildx.build.ref": "r/r0/x"}
    (tmp_path / "metadata.json").write_text(json.dumps(told))
    dockerfile = f"FROM 127.0.0.1:5987/tool:1 AS tool\nFROM {base}\n"
    assert base_annotations(tmp_path / "metadata.json", dockerfile) == {BASE_NAME: name, BASE_DIGEST: DIGEST}


def test_a_base_that_differs_from_platform_to_platform_is_not_named(tmp_path: Path) -> None:
    uri = "pkg:docker/debian@12?platform="
    told = {
        "buildx.build.provenance/linux/amd64": materials((f"{uri}linux%2Famd64", DIGEST)),
        "buildx.build.provenance/linux/arm64": materials((f"{uri}linux%2Farm64", OTHER)),
    }
    (tmp_path / "metadata.json").write_text(json.dumps(told))
    assert base_annotations(tmp_path / "metadata.json", "FROM debian:12") == {}
    told["buildx.build.provenance/linux/arm64"] = materials((f"{uri}linux%2Farm64", DIGEST))
    (tmp_path / "metadata.json").write_text(json.dumps(told))
    assert base_annotations(tmp_path / "metadata.json", "FROM debian:12")[BASE_DIGEST] == DIGEST


@pytest.mark.parametrize(
    "told",
    [
        "", "[]", "{", "{}", '{"buildx.build.provenance": 3}',
        '{"buildx.build.provenance": {"materials": [1]}}',
        json.dumps({"buildx.build.provenance": materials(("pkg:docker/debian@12", "sha256:x"))}),
        json.dumps({"buildx.build.provenance": materials(("git+https://x/y", DIGEST))}),
    ],
)  # fmt: skip
def test_a_buildx_that_says_nothing_leaves_it_out(tmp_path: Path, told: str) -> None:
    (tmp_path / "metadata.json").write_text(told)
    assert base_annotations(tmp_path / "metadata.json", "FROM debian:12") == {}
    assert base_annotations(tmp_path / "none.json", "FROM debian:12") == {}
