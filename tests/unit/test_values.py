"""Identities: what each takes, that its text gives it back, and that nothing unprintable is ever shown."""

import string
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid, DigestMismatch, ImmutagError, MissingSha, PolicyViolation
from immutag.core.values import (
    Digest,
    EnvironmentName,
    GitSha,
    ImageRef,
    Platform,
    Repository,
    ShaTag,
    ShortTag,
    shown,
)
from tests.parts.facts import DIGESTS, ENVIRONMENTS, REPOSITORIES, SHAS

HEX = "0123456789abcdef"
ANYTHING = st.text() | st.text(HEX + "ABCDEF:/@.-_\n \x1b", max_size=150)


def among(alphabet: str, text: str) -> bool:
    return set(text) <= set(alphabet)


# A SHA.


@given(ANYTHING | st.text(HEX, min_size=38, max_size=42))
@example("a" * 40 + "\n")
@example("٣" * 40)
def test_a_sha_is_40_lowercase_hex_characters_and_nothing_else(text: str) -> None:
    if len(text) == 40 and among(HEX, text):
        assert str(GitSha(text)) == text
    else:
        with pytest.raises(MissingSha):
            GitSha(text)


@given(SHAS)
def test_a_short_tag_begins_the_sha(sha: GitSha) -> None:
    assert str(sha).startswith(str(sha.short))
    assert len(str(sha.short)) == 12


@given(ANYTHING | st.text(HEX, min_size=11, max_size=13))
@example("a" * 12 + "\n")
def test_a_short_tag_is_12_lowercase_hex_characters(text: str) -> None:
    if len(text) == 12 and among(HEX, text):
        assert str(ShortTag(text)) == text
    else:
        with pytest.raises(MissingSha):
            ShortTag(text)


# What deploy and rollback take.


@given(SHAS, st.sampled_from(["", " ", "\n", "\t "]))
def test_a_full_sha_selects_what_runs(sha: GitSha, around: str) -> None:
    assert GitSha.to_run(f"{around}{sha}{around}") == sha


@given(st.text(HEX, min_size=4, max_size=12))
def test_a_short_sha_is_refused_as_such(text: str) -> None:
    with pytest.raises(PolicyViolation, match="short") as caught:
        GitSha.to_run(text)
    assert caught.value.remedy == f"git rev-parse {text}"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("A" * 40, f"git rev-parse {'A' * 40}"), ("a" * 20, f"git rev-parse {'a' * 20}"),
        ("", "git log --format=%H"), ("a" * 41, "git log --format=%H"),
    ],
)  # fmt: skip
def test_what_is_next_never_names_another_commit(text: str, remedy: str) -> None:
    with pytest.raises(MissingSha) as caught:
        GitSha.to_run(text)
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    "text",
    [
        "latest", "main", "v1.2.3", "1.2.3", "stable", "HEAD", "HEAD~1", "origin/main", "abc", "ABCDEF",
        "production~1", "sha256:" + "a" * 64, "ghcr.io/owner/api:" + "a" * 40, "a" * 39 + "g", "-",
    ],
)  # fmt: skip
def test_a_floating_tag_is_refused_as_such(text: str) -> None:
    with pytest.raises(PolicyViolation, match="floating") as caught:
        GitSha.to_run(text)
    assert caught.value.found == text


@pytest.mark.parametrize(
    "text", ["", " \n", "A" * 40, "a" * 39 + "B", "a" * 39, "a" * 41, "a" * 13, "a" * 64], ids=repr
)
def test_a_malformed_sha_is_no_sha(text: str) -> None:
    with pytest.raises(MissingSha):
        GitSha.to_run(text)


@given(ANYTHING)
def test_nothing_but_a_full_sha_ever_selects_what_runs(text: str) -> None:
    try:
        sha = GitSha.to_run(text)
    except (MissingSha, PolicyViolation):
        return
    assert str(sha) == text.strip()


# Digests.


@given(ANYTHING | st.text(HEX, min_size=63, max_size=65).map("sha256:{}".format))
@example("sha256:" + "a" * 64 + "\n")
@example("sha256:" + "A" * 64)
@example("sha512:" + "a" * 64)
@example("sha384:" + "a" * 96)
def test_a_digest_is_complete_and_lowercase(text: str) -> None:
    algorithm, _, rest = text.partition(":")
    if len(rest) == {"sha256": 64, "sha512": 128}.get(algorithm) and among(HEX, rest):
        digest = Digest(text)
        assert (str(digest), digest.algorithm, digest.hex) == (text, algorithm, rest)
    else:
        with pytest.raises(DigestMismatch):
            Digest(text)


# Repositories and references.


@given(REPOSITORIES)
def test_a_repository_comes_back_from_its_text(repository: Repository) -> None:
    assert Repository.parse(str(repository)) == repository


@given(ANYTHING | st.text(string.ascii_letters + string.digits + ".:-_/[]@", max_size=40))
@example("a.b/c")
@example("[::1]:5000/c")
@example("api/")
def test_what_parses_as_a_repository_is_its_own_text(text: str) -> None:
    try:
        repository = Repository.parse(text)
    except ConfigInvalid:
        return
    assert str(repository) == text
    assert repository.path == repository.path.lower()
    assert not set("@ \n") & set(text)


@pytest.mark.parametrize(
    "text",
    [
        "api", "owner/api", "ghcr.io", "ghcr.io/", "/api", "ghcr.io/Owner/api", "ghcr.io/owner/api:latest",
        "ghcr.io/owner/api@sha256:" + "a" * 64, "ghcr.io/owner//api", "ghcr.io/owner/api/", "ghcr.io/-api",
        "ghcr.io/../api", "ghcr.io/a..b", "https://ghcr.io/owner/api", "ghcr.io/owner/api\n", "-a.io/api",
        "ghcr.io:/api", "ghcr.io:port/api", "user@ghcr.io/api", "ghcr.io/" + "a" * 255, "",
        "ghcr.io:65536/api", "127.0.0.1:99999/api", "[::::]/api", "[1:2]:5000/api", "[::1]:70000/api",
    ],
    ids=repr,
)  # fmt: skip
def test_a_repository_names_its_host_and_neither_tag_nor_digest(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        Repository.parse(text)


@pytest.mark.parametrize("host", ["", "registry", "owner"])
def test_a_host_without_a_dot_or_port_is_no_host_however_it_is_given(host: str) -> None:
    with pytest.raises(ConfigInvalid):
        Repository(host, "owner/api")


@given(REPOSITORIES, DIGESTS)
def test_an_image_comes_back_from_its_text(repository: Repository, digest: Digest) -> None:
    image = ImageRef(repository, digest)
    assert str(image) == f"{repository}@{digest}"
    assert ImageRef.parse(str(image)) == image


@pytest.mark.parametrize(
    "rest",
    ["", ":latest", ":" + "a" * 40, "@latest", "@sha256:abc", ":v1@sha256:" + "a" * 64],
)
def test_what_runs_is_never_named_by_a_tag(rest: str) -> None:
    with pytest.raises((ConfigInvalid, DigestMismatch)):
        ImageRef.parse(f"ghcr.io/owner/api{rest}")


@given(REPOSITORIES, SHAS)
def test_the_primary_tag_is_the_sha(repository: Repository, sha: GitSha) -> None:
    assert str(ShaTag(repository, sha)) == f"{repository}:{sha}"


# Platforms and environments.


@given(st.from_regex(r"[a-z0-9]{1,9}/[a-z0-9_]{1,9}(/[a-z0-9.]{1,9})?", fullmatch=True))
@example("linux/amd64")
@example("linux/arm64/v8")
def test_a_platform_comes_back_from_its_text(text: str) -> None:
    platform = Platform.parse(text)
    assert str(platform) == text
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "Linux/amd64", "a/b/c/d", "linux/amd64\n", "all"]
)  # fmt: skip
def test_a_platform_has_a_system_and_an_architecture(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        Platform.parse(text)


@given(ENVIRONMENTS)
def test_an_environments_name_comes_back_from_its_text(name: EnvironmentName) -> None:
    assert EnvironmentName(str(name)) == name


@given(ANYTHING)
@example("a" * 64)
@example("-a")
@example("a-")
@example("prod\n")
def test_an_environments_name_stands_in_streams_and_options(text: str) -> None:
    try:
        name = str(EnvironmentName(text))
    except ConfigInvalid:
        return
    assert 1 <= len(name) <= 63
    assert among(string.ascii_lowercase + string.digits + "-", name)
    assert not name.startswith("-")
    assert not name.endswith("-")


# What is shown.


@given(st.text())
@example("\x1b]0;title\x07")
@example("\u202egnp.exe")
@example("\udc80")
def test_foreign_text_is_bounded_and_without_escapes(text: str) -> None:
    clean = shown(text)
    assert clean.isprintable()
    assert len(clean) <= 201
    if text.isprintable() and len(text) <= 200:
        assert clean == text


def test_what_was_cut_off_is_marked() -> None:
    assert shown("x" * 201) == "x" * 200 + "…"


PARSERS: list[Callable[[str], object]] = [
    GitSha, GitSha.to_run, ShortTag, Digest, Repository.parse, ImageRef.parse, Platform.parse,
    EnvironmentName,
]  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__qualname__)
@given(text=st.text() | st.text("a\x1b\n\r\u202e@:/", min_size=1, max_size=300))
def test_no_refusal_shows_what_a_terminal_would_obey(parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
    except ImmutagError as error:
        for said in (error.message, error.expected, error.found, error.remedy):
            assert said.isprintable()
            assert len(said) <= 300
            assert said
