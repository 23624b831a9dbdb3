"""`immutag verify` as people and programs use it: many images, explanations, and what it costs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import immutag
from immutag.cli import main
from immutag.core.values import ImageRef, Repository
from immutag.oci import Descriptor
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from tests.parts import registries
from tests.parts.keys import new_key, private_pem
from tests.parts.processes import free_port
from tests.parts.programs import peer
from tests.parts.vouching import attach_bundle, attach_legacy, payload_of, push_image, statement

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(immutag.__file__).parent / "schemas" / "verify.json").read_text())
_RUN = """
import sys
from immutag.cli import main
status = main(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""


class Site:
    """A project that trusts one key."""

    def __init__(self, folder: Path, registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.registry, self.capsys = folder, registry, capsys
        self.key = KeySigner(parse_private_key(private_pem(new_key("P-256")), password=lambda: b""))
        (folder / "cosign.pub").write_bytes(self.key.public.pem())
        self.configure("")

    def configure(self, trust: str) -> None:
        (self.folder / "immutag.toml").write_text(
            f'[image]\nrepository = "{self.registry.repository}"\n'
            f'[trust]\npublic_keys = ["cosign.pub"]\n{trust}\n'
        )

    def image(self, name: str, *, signed: bool = True, legacy: bool = False) -> Descriptor:
        image = push_image(self.registry, self.folder / name)
        if legacy:
            payload = payload_of(self.registry, image)
            attach_legacy(self.registry, image, payload, self.key.simple(payload))
        elif signed:
            attach_bundle(self.registry, image, self.key.bundle(statement(image.digest)))
        return image

    def reference(self, image: Descriptor) -> str:
        return str(ImageRef(self.registry.repository, image.digest))

    def run(self, *arguments: str) -> tuple[int, str]:
        status = main(["-C", str(self.folder), "verify", *arguments])
        return status, self.capsys.readouterr().out

    def json(self, *arguments: str) -> tuple[int, Any]:
        status, said = self.run(*arguments, "--json")
        document = json.loads(said)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        return status, document


@pytest.fixture
def site(
    registry_referrers: registries.Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Site]:
    with Http(environ={}) as http:
        yield Site(tmp_path, Registry(registry_referrers.repository(), http=http), capsys)


def test_many_images_each_get_their_finding(site: Site) -> None:
    images = [site.image(str(at), signed=at % 3 != 0, legacy=at % 3 == 2) for at in range(12)]
    status, found = site.json(*(site.reference(image) for image in images))
    assert status == 31
    assert [each["image"] for each in found] == [site.reference(image) for image in images]
    assert [each["signature_status"] for each in found] == ["unverified", "verified", "verified"] * 4
    assert {each["signature_reason"] for each in found} == {"missing", "n/a"}


def test_one_that_cannot_be_determined_keeps_no_other_from_its_finding(site: Site) -> None:
    away = ImageRef(Repository(f"127.0.0.1:{free_port()}", "api"), site.image("other", signed=False).digest)
    references = [
        site.reference(site.image("one")),
        str(away),
        site.reference(site.image("two", signed=False)),
    ]
    status, found = site.json(*references)
    assert status == 16
    assert [each.get("signature_status") for each in found] == ["verified", None, "unverified"]
    assert (found[1]["image"], found[1]["error"]["code"]) == (str(away), "SOFT_VERIFY_TOOL_ERROR")
    status, said = site.run(*references)
    assert status == 16
    assert "SOFT_VERIFY_TOOL_ERROR" in said
    assert "verified" in said


def test_one_alone_that_cannot_be_determined_is_an_error(site: Site) -> None:
    status, said = site.run(f"127.0.0.1:{free_port()}/api@sha256:{'a' * 64}", "--json")
    assert status == 16
    assert json.loads(said)["error"]["code"] == "SOFT_VERIFY_TOOL_ERROR"


def test_an_unknown_release_among_others_is_its_own_error(site: Site) -> None:
    good = site.reference(site.image("one"))
    status, found = site.json(good, "f" * 40)
    assert status == 13
    assert found[0]["signature_status"] == "verified"
    assert found[1]["error"]["code"] == "MISSING_TAG"


def test_explaining_names_places_candidates_and_what_others_would_be_asked(site: Site) -> None:
    image = site.image("one")
    attach_bundle(site.registry, image, b"{}")
    status, found = site.json(site.reference(image), "--explain")
    assert status == 0
    assert {each["place"] for each in found["places"]} == {"referrers API", "fallback tag", "cosign tag"}
    assert sorted(str(each["refused_by"]) for each in found["candidates"]) == ["2 form", "None"]
    assert found["explained"]["trusted_root"] is None
    status, said = site.run(site.reference(image), "--explain")
    assert status == 0
    for words in ("accepted: signed by", "refused by 2 form", "no such tag", "cosign verify --key"):
        assert words in said


def test_the_equal_cosign_command_says_the_same(site: Site) -> None:
    verdicts = []
    for signed in (True, False):
        image = site.image(f"image-{signed}", signed=signed)
        status, found = site.json(site.reference(image), "--explain")
        (command,) = found["explained"]["commands"]
        cosign = command.replace("cosign ", f"{peer('cosign')} ", 1) + " --allow-http-registry"
        done = subprocess.run(["sh", "-c", cosign], check=False, capture_output=True)
        verdicts.append((status, done.returncode == 0))
    assert verdicts == [(0, True), (31, False)]


def test_signatures_in_a_repository_of_their_own_are_found(site: Site) -> None:
    image = site.image("one", signed=False)
    separate = Repository(site.registry.repository.host, f"{site.registry.repository.path}-signatures")
    with Http(environ={}) as http:
        attach_bundle(Registry(separate, http=http), image, site.key.bundle(statement(image.digest)))
    assert site.json(site.reference(image))[0] == 31
    site.configure(f'signature_repository = "{separate}"')
    status, found = site.json(site.reference(image))
    assert (status, found["signer"]) == (0, site.key.name)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_key_alone_needs_no_library_for_certificates(site: Site, legacy: bool) -> None:
    """Start-up counts: a verification by key loads nothing that it does not use."""
    image = site.image("one", legacy=legacy)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, "-C", str(site.folder), "verify", site.reference(image)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    modules = set(done.stderr.splitlines()[-1].split())
    assert "immutag.trust.checks" in modules
    heavy = {"sigstore", "pydantic", "tuf", "requests", "rfc3161_client", "nacl", "rich", "cryptography.x509"}
    heavy |= {"immutag.trust.authority", "cryptography.hazmat.primitives.serialization", "immutag.build"}
    assert not modules & heavy


def test_what_cannot_change_is_asked_for_once(
    site: Site, registry_referrers: registries.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of referrers is asked for again, manifest and signature are not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(site.folder / "cache"))
    image = site.image("one")
    asked = []
    for _ in range(2):
        before = len(registry_referrers.requests(site.registry.repository.path))
        assert site.run(site.reference(image))[0] == 0
        asked.append([r.path for r in registry_referrers.requests(site.registry.repository.path)[before:]])
    assert len(asked[0]) == 3
    assert len(asked[1]) == 1
    assert "/referrers/" in asked[1][0]
