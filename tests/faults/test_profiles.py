"""Releases on each kind of registry: they work, or are refused in words; no tag is ever overwritten."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from immutag.core.errors import PushFailure
from immutag.core.values import GitSha
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.attach import EMPTY, attach, push_blobs
from immutag.oci.content import digest_of
from immutag.oci.http import Http
from immutag.oci.legacy import add_layer
from immutag.oci.profiles import PROFILES
from immutag.oci.referrers import listed_by_api, referrers
from immutag.oci.registry import Registry as Client
from immutag.oci.standard_tag import StandardTag, Suffix
from tests.parts.attaching import artifact, signature
from tests.parts.images import GZIPPED_LAYER, add_image, finish, tar_of
from tests.parts.peers import Crane, Peer
from tests.parts.profile_proxy import BEHAVIOURS, Behaviour, ProfileProxy, profile_proxy
from tests.parts.programs import peer
from tests.parts.registries import Registry
from tests.parts.signing import SigningKey
from tests.parts.site import Site

pytestmark = pytest.mark.slow

NAMES = [profile.name for profile in PROFILES]
WITH_API = {"ecr", "docker-hub", "harbor"}
COSIGN = ("--insecure-ignore-tlog", "--allow-http-registry")


@pytest.fixture
def behind(
    request: pytest.FixtureRequest, registry2: Registry, registry3: Registry, registry_referrers: Registry
) -> Registry:
    """The real registry behind the profile's proxy."""
    name: str = request.getfixturevalue("name")
    if name in WITH_API:
        return registry_referrers
    return registry3 if name == "distribution-3" else registry2


def layout(folder: Path, sha: object) -> Path:
    return finish(folder, add_image(folder, tar_of("app", str(sha).encode()), layer_type=GZIPPED_LAYER))


def test_every_profile_is_played() -> None:
    assert set(BEHAVIOURS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_signed_releases_are_verified_and_no_tag_moves(
    name: str, behind: Registry, site: Site, ours: SigningKey, crane: Crane, tmp_path: Path
) -> None:
    real = behind.repository()
    with profile_proxy(behind.host, BEHAVIOURS[name]) as proxy:
        repository = proxy.repository(real)
        env = {**ours.env, "IMMUTAG_IMAGE_REPOSITORY": str(repository)}
        first = site.sha
        record = site.json("release", "--from", layout(tmp_path / "1", first), env=env)
        assert record["signature_status"] == "verified"
        before = {tag: crane.digest(f"{real}:{tag}") for tag in crane.tags(real)}
        second = site.commit("two")
        site.json("release", "--from", layout(tmp_path / "2", second), env=env)
        for sha in (first, second):
            assert site.json("verify", sha, env=env)["signature_status"] == "verified"
            site.json("deploy", "--sha", sha, "--env", "staging", env=env)
        cosign = Peer(peer("cosign"))
        cosign("verify", "--key", ours.public, *COSIGN, f"{real}@{record['image_digest']}")
        assert site.json("release", "--sha", first, env=env)["image_digest"] == record["image_digest"]
        keep = site.json("retention", "keep", env=env)
        assert {str(first), str(second)} <= {tag for each in keep["repositories"] for tag in each["tags"]}
    after = {tag: crane.digest(f"{real}:{tag}") for tag in crane.tags(real)}
    of_ours = [tag for tag in before if not tag.startswith("sha256-")]  # the standards' may be added to
    assert of_ours == [str(first)]
    assert after[str(first)] == before[str(first)]
    assert "DELETE" not in {method for method, _, _ in proxy.asked}
    if BEHAVIOURS[name].throttle:
        assert 429 in proxy.statuses()


@pytest.mark.parametrize("name", NAMES)
def test_a_tag_that_somebody_else_wrote_stays_and_the_release_is_refused(
    name: str, behind: Registry, site: Site, crane: Crane, tmp_path: Path
) -> None:
    real = behind.repository()
    with profile_proxy(behind.host, BEHAVIOURS[name]) as proxy:
        env = {"IMMUTAG_IMAGE_REPOSITORY": str(proxy.repository(real))}
        theirs = layout(tmp_path / "theirs", "something else")
        crane("push", theirs, f"{real}:{site.sha}")
        digest = crane.digest(f"{real}:{site.sha}")
        error = site.error("release", "--from", layout(tmp_path / "ours", site.sha), env=env)
        assert (error["code"], error["found"]) == ("DIGEST_MISMATCH", digest)
    assert crane.digest(f"{real}:{site.sha}") == digest


# --- the client alone

SHA = GitSha("a" * 40)
IMMUTABLE = [name for name, plays in BEHAVIOURS.items() if plays.immutable]


@contextmanager
def client(behind: Registry, behaviour: Behaviour) -> Iterator[tuple[Client, ProfileProxy]]:
    with profile_proxy(behind.host, behaviour) as proxy, Http(environ={}) as http:
        yield Client(proxy.repository(behind.repository()), http=http), proxy


def pushed(registry: Client, note: str) -> Descriptor:
    """A manifest with this annotation."""
    push_blobs(registry, [EMPTY])
    document = {"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": EMPTY.encode(), "layers": []}
    text = json.dumps({**document, "annotations": {"note": note}}).encode()
    manifest = Descriptor(IMAGE_MANIFEST, digest_of(text), len(text))
    registry.push(manifest, io.BytesIO(text))
    return manifest


@pytest.mark.parametrize("name", IMMUTABLE)
def test_however_a_vendor_refuses_to_move_a_tag_the_client_reads_what_is_there(
    name: str, behind: Registry
) -> None:
    plays = BEHAVIOURS[name]
    with client(behind, replace(plays, throttle=None)) as (registry, proxy):
        first, second = pushed(registry, "first"), pushed(registry, "second")
        registry.tag(first, SHA)
        registry.tag(second, SHA)  # no error: whoever asked reads it back
        assert registry.resolve(SHA) == first
        assert plays.immutable
        assert plays.immutable.status in proxy.statuses()


@pytest.mark.parametrize("name", IMMUTABLE)
def test_where_the_standards_tags_are_immutable_too_the_second_signature_is_refused_in_words(
    name: str, behind: Registry
) -> None:
    with client(behind, replace(BEHAVIOURS[name], throttle=None, frozen="sha256-.*")) as (registry, _):
        subject = pushed(registry, "subject").digest
        held = add_layer(registry, subject, Suffix.SIGNATURES, signature("one"))
        with pytest.raises(PushFailure) as refused:
            add_layer(registry, subject, Suffix.SIGNATURES, signature("two"))
        found = registry.standard_manifest(StandardTag(subject, Suffix.SIGNATURES))
        assert found
        assert found.content == held
        assert str(StandardTag(subject, Suffix.SIGNATURES)) in refused.value.message
        assert "signature_repository" in refused.value.remedy


@pytest.mark.parametrize("name", ["gitlab"])
def test_a_tag_answered_with_the_subject_is_no_list_and_can_become_one(name: str, behind: Registry) -> None:
    with client(behind, replace(BEHAVIOURS[name], throttle=None)) as (registry, _):
        subject = pushed(registry, "subject")
        answered = registry.standard_manifest(StandardTag(subject.digest))
        assert answered
        assert answered.content == subject
        assert referrers(registry, subject.digest) == []
        attached = attach(registry, subject, artifact("one"))
        assert [each.content for each in referrers(registry, subject.digest)] == [attached]


@pytest.mark.parametrize(("name", "answer"), [("ecr", 202), ("harbor", 401)])
def test_a_mount_that_is_refused_is_an_upload(name: str, answer: int, behind: Registry) -> None:
    with client(behind, replace(BEHAVIOURS[name], throttle=None)) as (registry, proxy):
        origin = registry.repository
        with Http(environ={}) as http:
            other = Client(proxy.repository(behind.repository("other")), http=http)
            push_blobs(registry, [EMPTY])
            assert other.mount(EMPTY.descriptor, origin) is False
            assert ("POST", answer) in {(m, s) for m, path, s in proxy.asked if "mount=" in path}
            assert other.exists(EMPTY.descriptor) is False
            push_blobs(other, [EMPTY])
            assert other.exists(EMPTY.descriptor)


@pytest.mark.parametrize("name", ["ecr"])
def test_the_digest_is_of_the_bytes_where_no_header_names_one(name: str, behind: Registry) -> None:
    with client(behind, replace(BEHAVIOURS[name], throttle=None)) as (registry, _):
        manifest = pushed(registry, "here")
        registry.tag(manifest, SHA)
        assert registry.resolve(SHA) == manifest
        assert registry.exists(manifest)


@pytest.mark.parametrize("name", ["ghcr", "gitlab", "docker-hub", "harbor"])
def test_each_way_to_have_no_referrers_is_told_apart(name: str, behind: Registry) -> None:
    has_api = name in WITH_API
    with client(behind, replace(BEHAVIOURS[name], throttle=None)) as (registry, _):
        subject = pushed(registry, "subject")
        assert listed_by_api(registry, subject.digest) == (() if has_api else None)
        attached = attach(registry, subject, artifact("one"))
        assert [each.content for each in referrers(registry, subject.digest)] == [attached]
        listed = listed_by_api(registry, subject.digest)
        assert (listed is not None and len(listed) == 1) == has_api


@pytest.mark.parametrize(
    ("name", "title"), [("gitlab", "GitLab"), ("harbor", "Harbor"), ("distribution-2", "no registry that is")]
)
def test_doctor_says_what_kind_of_registry_it_is_and_who_says_so(
    name: str, title: str, behind: Registry, site: Site
) -> None:
    with profile_proxy(behind.host, replace(BEHAVIOURS[name], throttle=None)) as proxy:
        env = {"IMMUTAG_IMAGE_REPOSITORY": str(proxy.repository(behind.repository()))}
        document = json.loads(site.run("--json", "doctor", env=env).stdout)
    (row,) = [each for each in document["checks"] if each["check"] == "registry profile"]
    assert title in row["found"]
    assert row["state"] == "ok"
    assert all(each.startswith("https://") for each in row.get("sources", ()))
    assert ("sources" in row) == (name != "distribution-2")
