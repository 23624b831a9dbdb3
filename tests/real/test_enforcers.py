"""Admission controllers by the rendered rule, and immutag by the same one: a table of
docs/reference/interop.md, row by row. By a rule that trusts others, none of the three accepts anything."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from immutag.core.statement import COSIGN_SIGN, CYCLONEDX, SLSA_PROVENANCE
from immutag.core.values import ImageRef
from immutag.oci import Descriptor
from immutag.oci.http import Http
from immutag.oci.registry import Registry
from immutag.trust.formats.simple_signing import LOG_BUNDLE, SIGNATURE
from tests.parts.bench import NOBODY, PERSON, Bench
from tests.parts.enforcers import Enforcers
from tests.parts.interop_page import table
from tests.parts.paper_sigstore import (
    ISSUER,
    Certified,
    Key,
    PaperSigstore,
    legacy_timestamp,
    timestamp,
    with_timestamps,
)
from tests.parts.tuf_repository import tuf_repository
from tests.parts.vouching import attach_bundle, attach_legacy, payload_of, push_image, statement

pytestmark = pytest.mark.slow

OPERATOR = "ops@example.com"


@dataclass(frozen=True)
class Stage:
    """A bench, and a Sigstore on paper for what the running one cannot make: entries of Rekor v1. That is the
    public Sigstore here."""

    bench: Bench
    paper: PaperSigstore
    tsa: Certified
    registry: Registry
    enforcers: Enforcers
    folder: Path

    def cosign(self, version: str, command: str) -> ImageRef:
        """An image that only cosign has signed."""
        image = self.bench.image()
        assert self.bench.cosign(version, command, image)
        return image

    def bundle(self, predicate_type: str = COSIGN_SIGN) -> ImageRef:
        """By a person, with an entry of Rekor v1."""
        image, by = self._pushed(), self.paper.certify(PERSON)
        bundle = self.paper.bundle(statement(image.digest, predicate_type=predicate_type), by)
        return self._attached(image, bundle)

    def unlogged(self) -> ImageRef:
        """By a person, with a timestamp and without any entry."""
        image, by = self._pushed(), self.paper.certify(PERSON)
        bundle = self.paper.bundle(statement(image.digest), by, kind="none")
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        stamp = timestamp(signature, self.tsa, self.folder / "tsa")
        return self._attached(image, with_timestamps(bundle, stamp))

    def legacy(self) -> ImageRef:
        """By a person, in cosign's older form, with a promise of Rekor v1."""
        return self._attached_legacy(lambda annotations: annotations)

    def unlogged_legacy(self) -> ImageRef:
        """The same with a timestamp, and without the promise."""

        def stamped(annotations: dict[str, str]) -> dict[str, str]:
            signature = base64.b64decode(annotations[SIGNATURE])
            stamp = timestamp(signature, self.tsa, self.folder / "tsa")
            rest = {name: each for name, each in annotations.items() if name != LOG_BUNDLE}
            return {**rest, **legacy_timestamp(stamp)}

        return self._attached_legacy(stamped)

    def rule(
        self, sigstore: str, *, key: str = "cosign.pub", person: str = PERSON, log: str = "false"
    ) -> dict[str, str]:
        """Whom a test trusts, two of each kind: all three are told the same."""
        issuer = self.bench.sigstore.issuer if sigstore == "running" else ISSUER
        people = ", ".join(f'{{ issuer = "{issuer}", subject = "{each}" }}' for each in (OPERATOR, person))
        root = "trusted_root.json" if sigstore == "running" else "paper/trusted_root.json"
        return {
            "trust.public_keys": key,
            "trust.identities": f"[{people}]",
            "trust.trusted_root": root,
            "trust.transparency_log": log,
        }

    def answers(self, image: ImageRef, sigstore: str, **others: str) -> list[bool]:
        """Of Kyverno, policy-controller and immutag."""
        rule = self.rule(sigstore, **others)
        told = {name: each for name, each in rule.items() if sigstore != "public" or "root" not in name}

        def rendered(name: str) -> Any:
            return self.bench.result("policy", "render", name, settings=told)

        return [
            self.enforcers.kyverno(rendered("kyverno"), image),
            self.enforcers.policy_controller(rendered("policy-controller"), image),
            self.bench.verifies(image, rule),
        ]

    def _pushed(self) -> Descriptor:
        return push_image(self.registry, self.folder / "image")

    def _attached_legacy(self, change: Callable[[dict[str, str]], dict[str, str]]) -> ImageRef:
        image, by = self._pushed(), self.paper.certify(PERSON)
        payload = payload_of(self.registry, image)
        attach_legacy(self.registry, image, payload, change(self.paper.legacy(payload, by)))
        return ImageRef(self.registry.repository, image.digest)

    def _attached(self, image: Descriptor, bundle: dict[str, Any]) -> ImageRef:
        attach_bundle(self.registry, image, json.dumps(bundle).encode())
        return ImageRef(self.registry.repository, image.digest)


@pytest.fixture
def stage(bench: Bench, tmp_path: Path) -> Iterator[Stage]:
    paper = PaperSigstore()
    tsa = paper.timestamping()
    (bench.folder / "paper").mkdir()
    root = paper.trusted_root(bench.folder / "paper", tsa=tsa)
    targets = {
        "trusted_root.json": root.read_bytes(),
        "fulcio_v1.crt.pem": paper.authority.pem,
        "fulcio_intermediate_v1.crt.pem": paper.authority.pem,
        "rekor.pub": public(paper.log),
        "ctfe.pub": public(paper.ct_log),
    }
    with Http(environ={}) as http, tuf_repository(tmp_path / "repository", targets) as tuf:
        registry = Registry(bench.repository, http=http)
        yield Stage(bench, paper, tsa, registry, Enforcers(tmp_path, tuf), tmp_path)


def public(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def by_cosign(version: str, command: str) -> Callable[[Stage], ImageRef]:
    return lambda stage: stage.cosign(version, f"cosign {command} IMAGE")


def by_immutag(stage: Stage) -> ImageRef:
    return stage.bench.release({"trust.key": "cosign.key"})


def keyless(stage: Stage) -> ImageRef:
    files = {f"trust.{name}": f"{name}.json" for name in ("signing_config", "trusted_root")}
    token = {"SIGSTORE_ID_TOKEN": stage.bench.sigstore.token(PERSON)}
    return stage.bench.release({"trust.keyless": "true", **files}, token)


BY_KEY = "--key cosign.key --signing-config no_services.json"
PROVENANCE = "--type slsaprovenance1 --predicate provenance.json"
SBOM = "--type cyclonedx --predicate sbom.json"
SIGNED: dict[tuple[str, str], tuple[str, Callable[[Stage], ImageRef]]] = {
    ("a key", "bundle and `.sig`"): ("running", by_immutag),
    ("a key", "bundle"): ("running", by_cosign("cosign 3", f"sign {BY_KEY}")),
    ("a key", "`.sig`"): ("running", by_cosign("cosign 2", "sign --key cosign.key --tlog-upload=false")),
    ("a key", "bundle with SLSA provenance"): (
        "running", by_cosign("cosign 3", f"attest {BY_KEY} {PROVENANCE}")
    ),
    ("a key", "bundle with CycloneDX"): ("running", by_cosign("cosign 3", f"attest {BY_KEY} {SBOM}")),
    ("an identity, own Sigstore", "bundle, Rekor v2"): ("running", keyless),
    ("an identity, own Sigstore", "bundle, Rekor v1"): ("paper", Stage.bundle),
    ("an identity, own Sigstore", "`.sig`, Rekor v1"): ("paper", Stage.legacy),
    ("an identity, own Sigstore", "bundle, a timestamp and no log"): ("paper", Stage.unlogged),
    ("an identity, own Sigstore", "`.sig`, a timestamp and no log"): ("paper", Stage.unlogged_legacy),
    ("an identity, public Sigstore", "bundle, Rekor v1"): ("public", Stage.bundle),
    ("an identity, public Sigstore", "`.sig`, Rekor v1"): ("public", Stage.legacy),
    ("an identity, public Sigstore", "bundle with SLSA provenance, Rekor v1"): (
        "public", lambda stage: stage.bundle(SLSA_PROVENANCE),
    ),
    ("an identity, public Sigstore", "bundle with CycloneDX, Rekor v1"): (
        "public", lambda stage: stage.bundle(CYCLONEDX),
    ),
    ("an identity, public Sigstore", "bundle, a timestamp and no log"): ("public", Stage.unlogged),
    ("nobody", "nothing"): ("running", lambda stage: stage.bench.image()),
}  # fmt: skip
"""By whom and in which form; which Sigstore the rule is about."""

ROWS = table("What admission controllers accept")


def test_every_row_of_the_page_is_tested() -> None:
    assert [(who, form) for who, form, *_ in ROWS] == list(SIGNED)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[1]}")
def test_each_accepts_what_the_page_says(stage: Stage, row: list[str]) -> None:
    who, form, *expected = row
    sigstore, sign = SIGNED[who, form]
    image = sign(stage)
    assert [{True: "yes", False: "no"}[each] for each in stage.answers(image, sigstore)] == expected
    assert not any(stage.answers(image, sigstore, key="other.pub", person=NOBODY))


@pytest.mark.parametrize("form", ["bundle", "`.sig`"])
def test_nobody_takes_a_key_without_a_log_where_the_rule_wants_one(stage: Stage, form: str) -> None:
    sigstore, sign = SIGNED["a key", form]
    image = sign(stage)
    assert not any(stage.answers(image, sigstore, log="true"))
