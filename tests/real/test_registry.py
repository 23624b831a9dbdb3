"""The registry client against the registries that people run; crane and oras are asked for the truth."""

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from immutag.core.errors import DigestMismatch, PushFailure, RegistryAuth, RegistryUnavailable
from immutag.core.values import Digest, GitSha, Repository
from immutag.oci import IMAGE_MANIFEST, Descriptor
from immutag.oci.auth import Credentials, find_credentials
from immutag.oci.http import Http
from immutag.oci.referrers import legacy_manifest, listed_by_api, listed_by_tag, referrers
from immutag.oci.registry import Registry
from immutag.oci.session import Limits
from immutag.oci.standard_tag import Suffix
from tests.parts import registries as parts
from tests.parts.peers import Crane, Peer

SHA, OTHER_SHA, NO_SHA = GitSha("a" * 40), GitSha("b" * 40), GitSha("c" * 40)
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
EVERY = ["registry2", "registry3", "registry_referrers", "registry_immutable"]


def described(content: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"), len(content))


def _reference(content: Descriptor) -> dict[str, object]:
    return {"mediaType": content.media_type, "digest": str(content.digest), "size": content.size_bytes}


class Image:
    """A config, a layer and their manifest."""

    def __init__(self, layer: bytes) -> None:
        self.layer = layer
        self.config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(described(layer, LAYER).digest)]},
        }).encode()  # fmt: skip
        self.manifest = json.dumps({
            "schemaVersion": 2, "mediaType": IMAGE_MANIFEST,
            "config": _reference(described(self.config, CONFIG)),
            "layers": [_reference(described(layer, LAYER))],
        }).encode()  # fmt: skip
        self.root = described(self.manifest, IMAGE_MANIFEST)

    def push(self, registry: Registry) -> Descriptor:
        registry.push(described(self.layer, LAYER), io.BytesIO(self.layer))
        registry.push(described(self.config, CONFIG), io.BytesIO(self.config))
        registry.push(self.root, io.BytesIO(self.manifest))
        return self.root


IMAGE, OTHER = Image(b"layer" * 100_000), Image(b"other" * 10)


@pytest.fixture
def http() -> Iterator[Http]:
    with Http() as client:
        yield client


@pytest.fixture(params=EVERY)
def registry(request: pytest.FixtureRequest) -> parts.Registry:
    found: parts.Registry = request.getfixturevalue(request.param)
    return found


def test_an_image_that_we_push_is_the_one_that_others_pull(
    registry: parts.Registry, http: Http, crane: Crane, tmp_path: Path
) -> None:
    ours = Registry(registry.repository(), http=http)
    assert ours.resolve(SHA) is None
    assert not ours.exists(IMAGE.root)
    root = IMAGE.push(ours)
    assert ours.tags() == []
    ours.tag(root, SHA)
    assert crane.tags(ours.repository) == [str(SHA)]
    assert crane.digest(f"{ours.repository}:{SHA}") == str(root.digest)
    crane("pull", "--format=oci", f"{ours.repository}:{SHA}", tmp_path / "pulled")  # it checks every digest
    blob = tmp_path / "pulled" / "blobs" / "sha256" / described(IMAGE.layer, LAYER).digest.hex
    assert blob.read_bytes() == IMAGE.layer


def test_what_others_push_is_found_and_read(registry: parts.Registry, http: Http, crane: Crane) -> None:
    ours = Registry(registry.repository(), http=http)
    IMAGE.push(Registry(ours.repository, http=http))
    crane("tag", f"{ours.repository}@{IMAGE.root.digest}", SHA)
    assert ours.resolve(SHA) == IMAGE.root
    assert ours.describe(IMAGE.root.digest) == IMAGE.root
    assert ours.manifest(IMAGE.root) == crane.raw("manifest", f"{ours.repository}:{SHA}")
    assert ours.exists(described(IMAGE.layer, LAYER))
    with ours.fetch(described(IMAGE.layer, LAYER)) as blocks:
        assert b"".join(blocks) == IMAGE.layer
    with ours.fetch(IMAGE.root) as blocks:
        assert b"".join(blocks) == IMAGE.manifest
    assert ours.tags() == [str(SHA)]


def test_pushing_twice_sends_nothing_twice(registry: parts.Registry, http: Http) -> None:
    ours = Registry(registry.repository(), http=http)
    IMAGE.push(ours)

    class Unread(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise AssertionError("the registry has it already")

    ours.push(described(IMAGE.layer, LAYER), Unread(IMAGE.layer))


def test_a_blob_of_no_bytes_is_a_blob(registry: parts.Registry, http: Http) -> None:
    ours = Registry(registry.repository(), http=http)
    empty = described(b"", LAYER)
    ours.push(empty, io.BytesIO())
    with ours.fetch(empty) as blocks:
        assert list(blocks) == []


def test_a_registry_checks_what_it_gets(registry: parts.Registry, http: Http) -> None:
    ours = Registry(registry.repository(), http=http)
    with pytest.raises(DigestMismatch):
        ours.push(described(OTHER.layer, LAYER), io.BytesIO(OTHER.layer[::-1]))
    assert not ours.exists(described(OTHER.layer, LAYER))


def test_a_blob_is_mounted_from_a_repository_of_the_same_registry(
    registry2: parts.Registry, http: Http
) -> None:
    origin, target = (Registry(registry2.repository(), http=http) for _ in range(2))
    layer = described(IMAGE.layer, LAYER)
    IMAGE.push(origin)
    assert target.mount(layer, origin.repository)
    assert target.exists(layer)
    assert not target.mount(described(b"not there", LAYER), origin.repository)
    assert not target.mount(layer, Repository("registry.example", "api"))


def test_a_write_once_registry_keeps_the_first_content(
    registry_immutable: parts.Registry, http: Http, crane: Crane
) -> None:
    ours = Registry(registry_immutable.repository(), http=http)
    ours.tag(IMAGE.push(ours), SHA)
    ours.tag(OTHER.push(ours), SHA)  # refused; the caller reads back
    assert ours.resolve(SHA) == IMAGE.root
    assert crane.digest(f"{ours.repository}:{SHA}") == str(IMAGE.root.digest)


def test_many_tags_at_once_keep_their_order(registry3: parts.Registry, http: Http) -> None:
    ours = Registry(registry3.repository(), http=http)
    ours.tag(IMAGE.push(ours), SHA)
    ours.tag(OTHER.push(ours), OTHER_SHA)
    found = ours.resolve_many([SHA, NO_SHA, OTHER_SHA] * 20)
    assert found == [IMAGE.root, None, OTHER.root] * 20


@pytest.mark.slow
def test_every_page_of_tags_is_read(registry3: parts.Registry, http: Http) -> None:
    ours = Registry(registry3.repository(), http=http)
    root = IMAGE.push(ours)
    tags = [GitSha(f"{number:040x}") for number in range(1100)]  # more than one page of a thousand
    for tag in tags:
        ours.tag(root, tag)
    assert sorted(ours.tags()) == [str(tag) for tag in tags]


def test_one_tag_costs_one_request(registry3: parts.Registry, http: Http) -> None:
    ours = Registry(registry3.repository(), http=http)
    ours.resolve(SHA)
    assert ours.requests == 1
    assert [r.method for r in registry3.requests(ours.repository.path)] == ["GET"]


# --- credentials


def _with(registry: parts.Registry, http: Http, password: str | None) -> Registry:
    given = None if password is None else Credentials(parts.USERNAME, password)
    return Registry(registry.repository(), http=http, credentials=lambda: given)


@pytest.fixture(params=["registry_auth", "registry_token"])
def guarded(request: pytest.FixtureRequest) -> parts.Registry:
    found: parts.Registry = request.getfixturevalue(request.param)
    return found


def test_credentials_open_a_registry(guarded: parts.Registry, http: Http) -> None:
    ours = _with(guarded, http, parts.PASSWORD)
    ours.ping()
    ours.tag(IMAGE.push(ours), SHA)
    assert ours.resolve(SHA) == IMAGE.root
    origin = ours.repository
    other = _with(guarded, http, parts.PASSWORD)
    assert other.mount(described(IMAGE.layer, LAYER), origin)


@pytest.mark.parametrize("password", [None, "wrong"])
def test_wrong_or_no_credentials_are_refused(
    guarded: parts.Registry, http: Http, password: str | None
) -> None:
    ours = _with(guarded, http, password)
    for ask in (ours.ping, lambda: ours.resolve(SHA), lambda: IMAGE.push(ours), ours.tags):
        with pytest.raises(RegistryAuth) as caught:
            ask()
        assert "wrong" not in str(caught.value.as_json())


def test_a_token_is_asked_for_once_a_scope(registry_token: parts.Registry, http: Http) -> None:
    ours = _with(registry_token, http, parts.PASSWORD)
    assert registry_token.tokens is not None
    before = len(registry_token.tokens.asked)
    ours.resolve_many([SHA] * 50)
    ours.tag(IMAGE.push(ours), SHA)
    path = ours.repository.path
    pull, push = (f"repository:{path}:pull",), (f"repository:{path}:pull,push",)
    assert registry_token.tokens.asked[before:] == [pull, push]


def test_a_token_that_has_expired_is_renewed(
    registry_token: parts.Registry, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry_token.tokens is not None
    ours = _with(registry_token, http, parts.PASSWORD)
    monkeypatch.setattr(registry_token.tokens, "lifetime_s", -120)  # expired when it comes
    with pytest.raises(RegistryAuth):
        ours.resolve(SHA)
    monkeypatch.setattr(registry_token.tokens, "lifetime_s", 300)
    assert ours.resolve(SHA) is None


def test_crane_and_we_use_the_same_login(
    registry_auth: parts.Registry, http: Http, crane: Crane, tmp_path: Path
) -> None:
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    login = Peer(crane.path, {**os.environ, **environ})
    login("auth", "login", registry_auth.host, "-u", parts.USERNAME, "--password-stdin",
          stdin=parts.PASSWORD.encode())  # fmt: skip
    ours = Registry(
        registry_auth.repository(),
        http=http,
        credentials=lambda: find_credentials(registry_auth.host, environ),
    )
    ours.ping()


# --- TLS


def test_tls_needs_the_authority_that_signed(registry_tls: parts.Registry) -> None:
    repository = registry_tls.repository()
    with Http(ca=registry_tls.ca) as trusting:
        ours = Registry(repository, http=trusting, plain_http=False)
        ours.tag(IMAGE.push(ours), SHA)
        assert ours.resolve(SHA) == IMAGE.root
        with ours.fetch(described(IMAGE.layer, LAYER)) as blocks:
            assert b"".join(blocks) == IMAGE.layer
    with Http() as distrusting:
        ours = Registry(repository, http=distrusting, plain_http=False)
        with pytest.raises(RegistryUnavailable, match="TLS"):
            ours.resolve(SHA)
        with pytest.raises(PushFailure, match="TLS"):
            IMAGE.push(ours)


@pytest.mark.parametrize("named", ["SSL_CERT_FILE", "both"])
def test_authorities_from_the_environment_count(registry_tls: parts.Registry, named: str) -> None:
    assert registry_tls.ca is not None
    environ = {"SSL_CERT_FILE": str(registry_tls.ca)}
    with Http(ca=registry_tls.ca if named == "both" else None, environ=environ) as http:
        assert Registry(registry_tls.repository(), http=http, plain_http=False).resolve(SHA) is None


def test_plain_http_is_not_spoken_to_a_registry_elsewhere() -> None:
    # nothing answers; what counts is which way we would have gone
    with Http(environ={"all_proxy": "http://127.0.0.1:1"}) as proxied:
        limits = Limits(tries=1)
        ours = Registry(Repository("registry.example", "api"), http=proxied, limits=limits)
        with pytest.raises(RegistryUnavailable, match=r"https://registry\.example"):
            ours.ping()


# --- referrers


def _attach(oras: Peer, image: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a note")
    attach = Peer("/bin/sh", oras.env)  # oras takes the file's path into the artifact: be in its folder
    attach("-c", f'cd "{tmp_path}" && exec "{oras.path}" attach --plain-http --artifact-type '
           f'application/x.note "{image}" note.txt')  # fmt: skip


@pytest.mark.parametrize(("fixture", "has_api"), [("registry3", False), ("registry_referrers", True)])
def test_what_oras_attaches_is_found(
    fixture: str, has_api: bool, request: pytest.FixtureRequest, http: Http, oras: Peer, tmp_path: Path
) -> None:
    registry: parts.Registry = request.getfixturevalue(fixture)
    ours = Registry(registry.repository(), http=http)
    digest = IMAGE.push(ours).digest
    assert referrers(ours, digest) == []
    assert (listed_by_api(ours, digest) is not None) == has_api
    _attach(oras, f"{ours.repository}@{digest}", tmp_path)
    (found,) = referrers(ours, digest)
    assert found.artifact_type == "application/x.note"
    assert json.loads(ours.manifest(found.content))["subject"]["digest"] == str(digest)
    assert bool(listed_by_tag(ours, digest)) != has_api
    assert legacy_manifest(ours, digest, Suffix.SIGNATURES) is None


# --- measures that do not depend on the clock


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(registry3: parts.Registry, tmp_path: Path) -> None:
    program = """
import hashlib, resource, sys
from immutag.core.values import Digest, Repository
from immutag.oci import Descriptor
from immutag.oci.http import Http
from immutag.oci.registry import Registry
repository, size = sys.argv[1], int(sys.argv[2])
class Source:
    def __init__(self): self.at = 0
    def seekable(self): return True
    def tell(self): return self.at
    def seek(self, at): self.at = at
    def read(self, n):
        n = min(n, size - self.at); self.at += n
        return bytes(n)
digest = hashlib.sha256(); source = Source()
while part := source.read(131072): digest.update(part)
source.seek(0)
content = Descriptor("application/x", Digest("sha256:" + digest.hexdigest()), size)
with Http() as http:
    registry = Registry(Repository.parse(repository), http=http)
    registry.push(content, source)
    with registry.fetch(content) as blocks:
        assert sum(map(len, blocks)) == size
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks_kib = []
    for size in (8 << 20, 256 << 20):
        argv = [sys.executable, "-c", program, str(registry3.repository()), str(size)]
        ended = subprocess.run(argv, capture_output=True, check=True, text=True)
        peaks_kib.append(int(ended.stdout))
    small, large = peaks_kib
    assert large < small + 4096


def test_importing_the_client_does_not_load_libcurl() -> None:
    program = "import sys, immutag.oci.registry; print('pycurl._pycurl' in sys.modules, 'ssl' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert ended.stdout.split() == ["False", "False"]
