"""Images in a registry with what is attested of them: by us, with a key of the tests', and by BuildKit."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from immutag.core.facts import Built, Claimed, Entry, Fact, Requested, Stream
from immutag.core.provenance import BaseImage, Recipe, Run, provenance
from immutag.core.values import Digest, GitSha, ImageRef, RepositoryType
from immutag.oci import Descriptor
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from immutag.trust.attached import Attached
from immutag.trust.evidence.github import GitHub
from immutag.trust.formats.bundle import BUNDLE_V03, parse_bundle
from immutag.trust.formats.dsse import Envelope
from immutag.trust.places import Places
from immutag.trust.public_key import PublicKey
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import parse_private_key
from immutag.usecases.attest import Attesting
from immutag.usecases.attestations import Gathered, Source, Where, gather
from immutag.usecases.prove_origin import prove_origin
from tests.parts import registries
from tests.parts.facts import chained
from tests.parts.images import MANIFEST, add, add_image, add_index, add_json, descriptor, finish
from tests.parts.keys import Private, a_key, private_pem, public_pem

SHA = GitSha("1" * 40)
BUILDER = "https://builder.example"
SIGNER = parse_private_key(private_pem(a_key()), password=lambda: b"").public.name


class Fickle:
    """A key whose signatures differ from one to the next, as those of most programs and services do."""

    def __init__(self, key: Private) -> None:
        self._key = key
        self.public: PublicKey = parse_private_key(private_pem(key), password=lambda: b"").public

    def sign(self, payload: bytes) -> bytes:
        assert isinstance(self._key, EllipticCurvePrivateKey)
        return self._key.sign(payload, ECDSA(SHA256()))


class Image:
    """An image in a registry, and a key of the test's own."""

    def __init__(self, registry: Registry, content: Descriptor, folder: Path) -> None:
        self.registry, self.content = registry, content
        self.reference = f"{registry.repository}@{content.digest}"
        self.key = Fickle(a_key())
        self.public = folder / "key.pub"
        self.public.write_bytes(public_pem(a_key()))
        self.private = folder / "key.pem"
        self.private.write_bytes(private_pem(a_key()))
        self.folder = folder

    def attesting(self) -> Attesting:
        return Attesting(
            KeySigner(self.key), self.registry, Places(self.registry), lambda bundle: is_by(self.key, bundle)
        )

    def entries(self) -> list[Entry]:
        repository, digest = self.registry.repository, self.content.digest
        about = (self.content.media_type, self.content.size_bytes)
        facts: list[Fact] = [
            Requested(SHA, repository, RepositoryType.CANONICAL, "main", "https://github.com/owner/api"),
            Built(SHA, repository, digest, *about, "linux/amd64", "buildah", 1500),
            Claimed(SHA, repository, digest, *about),
        ]
        return [entry for entry, _ in chained([(Stream.release(repository, SHA), fact) for fact in facts])]

    def prove(self) -> Digest:
        entries = self.entries()
        claim = entries[-1].fact
        assert isinstance(claim, Claimed)
        recipe = Recipe("", "Dockerfile", {}, ("linux/amd64",), ())
        base = BaseImage("docker.io/library/debian:12", Digest("sha256:" + "b" * 64))
        run = Run(BUILDER, "tester@here")
        claimed_at = next(each.time for each in entries if isinstance(each.fact, Claimed))
        statement = provenance(entries, recipe=recipe, bases=[base], run=run)
        attested = prove_origin(claim, claimed_at, statement, by=self.attesting())
        return attested.manifest


def is_by(key: Fickle, bundle: bytes) -> bool:
    content = parse_bundle(bundle).content
    return isinstance(content, Envelope) and key.public.verify(content.signatures[0].value, content.signed())


def pushed(part: registries.Registry, http: Http, folder: Path, root: Mapping[str, Any]) -> Image:
    registry = Registry(part.repository(), http=http)
    copy(Layout(finish(folder / "image", dict(root))), registry, descriptor(dict(root)))
    return Image(registry, descriptor(dict(root)), folder)


def gathered(image: Image, source: Source | None = None, *, github: GitHub | None = None) -> Gathered:
    def asked() -> GitHub:
        assert github is not None
        return github

    def judge(attached: Attached) -> str | None:
        """A stand-in for the checks of signatures: whoever wrote a bundle with our key."""
        return (
            SIGNER
            if attached.content
            and attached.layer.media_type == BUNDLE_V03
            and is_by(image.key, attached.content)
            else None
        )

    where = Where(image.registry, None, None, asked)
    return gather(ImageRef(image.registry.repository, image.content.digest), source, where=where, judge=judge)


def listed(found: Gathered) -> list[tuple[Source, str, str | None]]:
    return [(each.source, each.kind, each.said.signer) for each in found.attestations]


def buildkit_index(folder: Path, statements: Sequence[dict[str, Any]], *, about: str | None = None) -> Any:
    """An index as BuildKit 0.34 pushes it, by hand, since the tests do not build that: the image, and beside
    it its statements. Older ones have a config in the place of artifact type and subject."""
    platform = {"architecture": "amd64", "os": "linux"}
    built = {**add_image(folder, b"content"), "platform": platform}
    layers = [
        {
            **add(folder, json.dumps(statement).encode(), "application/vnd.in-toto+json"),
            "annotations": {"in-toto.io/predicate-type": statement["predicateType"]},
        }
        for statement in statements
    ]
    manifest = add_json(
        folder,
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
            "config": add(folder, b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": layers,
            "subject": {name: built[name] for name in ("mediaType", "digest", "size")},
        },
        MANIFEST,
    )
    attestations = {
        **manifest,
        "annotations": {
            "vnd.docker.reference.digest": about or built["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        },
        "platform": {"architecture": "unknown", "os": "unknown"},
    }
    return add_index(folder, built, attestations)


def of_buildkit(predicate_type: str, subject: str) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": predicate_type,
        "subject": [{"name": "pkg:docker/api@1?platform=linux%2Famd64", "digest": {"sha256": subject}}],
        "predicate": {},
    }
