"""Attestations: ours as other tools find and verify them, theirs as we find and list them."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import immutag
from immutag.core.facts import Ingested, Stream
from immutag.core.statement import SLSA_PROVENANCE, SLSA_PROVENANCE_V02, SPDX
from immutag.ledger.sqlite import SqliteLedger
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.usecases.attestations import Source, ingest
from tests.parts import registries
from tests.parts.attested import (
    BUILDER,
    SIGNER,
    Fickle,
    Image,
    buildkit_index,
    gathered,
    listed,
    of_buildkit,
    pushed,
)
from tests.parts.images import MANIFEST, add_image, add_index, descriptor
from tests.parts.keys import a_key, cosign_pem, new_key, private_pem, public_pem
from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer
from tests.parts.site import Site

KINDS = ["registry2", "registry_referrers"]
STRANGE = "https://example.com/lunch-menu/v7"


@pytest.fixture
def http_client() -> Iterator[Http]:
    client = Http(environ={})
    yield client
    client.close()


@pytest.fixture(params=KINDS)
def part(request: pytest.FixtureRequest) -> registries.Registry:
    found: registries.Registry = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def cosign3() -> Peer:
    return Peer(peer("cosign"), {"COSIGN_PASSWORD": ""})


@pytest.fixture(scope="session")
def cosign2() -> Peer:
    return Peer(peer("cosign2"), {"COSIGN_PASSWORD": ""})


@pytest.fixture
def image(part: registries.Registry, http_client: Http, tmp_path: Path) -> Image:
    return pushed(part, http_client, tmp_path, add_image(tmp_path / "image", os.urandom(10)))


def predicates(said: str) -> list[Any]:
    """The statements that `cosign verify-attestation` prints, an envelope a line."""
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in said.splitlines() if line]


def test_cosign_accepts_our_provenance(image: Image, cosign3: Peer) -> None:
    image.prove()
    (statement,) = predicates(
        cosign3(
            "verify-attestation", "--type", "slsaprovenance1", "--key", image.public,
            "--insecure-ignore-tlog", "--allow-http-registry", image.reference,
        )
    )  # fmt: skip
    assert statement["predicate"]["runDetails"]["builder"]["id"] == BUILDER
    assert statement["subject"][0]["digest"] == {"sha256": image.content.digest.hex}


def test_proving_it_again_attaches_nothing(image: Image, oras: Peer) -> None:
    """Though signing it again would give another signature."""
    first = image.prove()
    assert image.prove() == first
    found = json.loads(oras("discover", "--plain-http", "--format", "json", image.reference))
    assert [each["digest"] for each in found.get("referrers") or found["manifests"]] == [str(first)]


def test_somebody_elses_equal_statement_is_not_ours(image: Image, oras: Peer) -> None:
    """The same words, signed by another key: ours is still to be made."""
    ours = image.key
    image.key = Fickle(new_key("P-256"))
    theirs = image.prove()
    image.key = ours
    assert image.prove() != theirs


def test_our_own_is_listed_with_who_signed_it_and_that_we_trust_it(image: Image) -> None:
    image.prove()
    (found,) = gathered(image).attestations
    assert (found.kind, found.said.signer, found.verified_by) == (SLSA_PROVENANCE, SIGNER, SIGNER)
    assert found.source in (Source.API, Source.TAG)
    assert found.problem is None


def cosign_attest(image: Image, cosign: Peer, *options: str) -> None:
    """By a key of cosign's own, with a predicate type that nobody knows."""
    key = image.folder / "cosign.key"
    key.write_bytes(cosign_pem(a_key(), b""))
    predicate = image.folder / "menu.json"
    predicate.write_text('{"soup": "tomato"}')
    cosign(
        "attest", "-y", "--key", key, "--predicate", predicate, "--type", STRANGE, *options,
        "--allow-http-registry", image.reference,
    )  # fmt: skip


@pytest.mark.slow
def test_what_cosign_3_attests_is_listed(image: Image, cosign3: Peer) -> None:
    empty = image.folder / "signing_config.json"
    cosign3("signing-config", "create", "--out", empty)
    cosign_attest(image, cosign3, "--signing-config", str(empty))
    assert listed(gathered(image)) == [
        (Source.API if gathered(image, Source.API).attestations else Source.TAG, STRANGE, SIGNER)
    ]


@pytest.mark.slow
def test_what_cosign_2_attests_is_listed(image: Image, cosign2: Peer) -> None:
    cosign_attest(image, cosign2, "--tlog-upload=false")
    assert listed(gathered(image)) == [(Source.LEGACY, STRANGE, "a key")]
    assert listed(gathered(image, Source.LEGACY)) == listed(gathered(image))
    assert gathered(image, Source.API).attestations == ()


@pytest.mark.slow
def test_each_cosign_accepts_our_provenance_beside_its_own(
    image: Image, cosign2: Peer, cosign3: Peer
) -> None:
    cosign_attest(image, cosign2, "--tlog-upload=false")
    image.prove()
    root = image.folder / "trusted_root.json"
    cosign3("trusted-root", "create", "--out", root)
    for cosign, options in ((cosign3, ()), (cosign2, ("--new-bundle-format", "--trusted-root", str(root)))):
        found = predicates(
            cosign(
                "verify-attestation", "--type", "slsaprovenance1", "--key", image.public, *options,
                "--insecure-ignore-tlog", "--allow-http-registry", image.reference,
            )
        )  # fmt: skip
        assert [each["predicateType"] for each in found] == [SLSA_PROVENANCE]


def test_what_nobody_knows_is_listed_and_not_dropped(image: Image, oras: Peer) -> None:
    (image.folder / "menu.json").write_text('{"soup": "tomato"}')
    oras(
        "attach", "--plain-http", "--disable-path-validation", "--artifact-type", "application/x-menu",
        image.reference, f"{image.folder / 'menu.json'}:application/json",
    )  # fmt: skip
    ((source, kind, signer),) = listed(gathered(image))
    assert source in (Source.API, Source.TAG)
    assert (kind, signer) == ("application/x-menu", None)


def test_what_cannot_be_read_says_why(image: Image, oras: Peer) -> None:
    (image.folder / "torn.json").write_text('{"mediaType": "application/vnd.dev.sigst')
    oras(
        "attach", "--plain-http", "--disable-path-validation", "--artifact-type", BUNDLE_V03,
        "--annotation", f"dev.sigstore.bundle.predicateType={STRANGE}",
        image.reference, f"{image.folder / 'torn.json'}:{BUNDLE_V03}",
    )  # fmt: skip
    (found,) = gathered(image).attestations
    assert found.kind == STRANGE
    assert found.problem is not None
    assert found.verified_by is None


def test_a_fallback_tag_beside_an_api_can_be_asked_alone(
    registry_referrers: registries.Registry, http_client: Http, tmp_path: Path, crane: Crane
) -> None:
    """Where both list the same, all of it is said to come from the API."""
    image = pushed(registry_referrers, http_client, tmp_path, add_image(tmp_path / "image", os.urandom(10)))
    manifest = image.prove()
    assert gathered(image, Source.TAG).attestations == ()
    reference = f"{image.registry.repository}@{manifest}"
    size = len(crane.raw("manifest", reference))
    entry = {"mediaType": MANIFEST, "digest": str(manifest), "size": size}
    listing = descriptor(add_index(tmp_path / "image", entry))
    with Layout(tmp_path / "image").open(listing) as content:
        image.registry.push(listing, content)
    crane("tag", f"{image.registry.repository}@{listing.digest}", f"sha256-{image.content.digest.hex}")
    (found,) = gathered(image, Source.TAG).attestations
    assert (found.source, found.kind) == (Source.TAG, SLSA_PROVENANCE)
    (found,) = gathered(image).attestations
    assert found.source is Source.API


def test_what_buildkit_puts_into_the_index_is_listed(
    part: registries.Registry, http_client: Http, tmp_path: Path
) -> None:
    folder = tmp_path / "image"
    subject = add_image(folder, b"content")["digest"].removeprefix("sha256:")
    other = of_buildkit(STRANGE, "c" * 64)
    root = buildkit_index(
        folder, [of_buildkit(SLSA_PROVENANCE_V02, subject), of_buildkit(SPDX, subject), other]
    )
    found = gathered(pushed(part, http_client, tmp_path, root))
    assert listed(found) == [(Source.INDEX, kind, None) for kind in (SLSA_PROVENANCE_V02, SPDX, STRANGE)]
    assert [each.problem for each in found.attestations] == [None, None, f"it is not about sha256:{subject}"]
    assert [each.verified_by for each in found.attestations] == [None] * 3
    answers = {place.name: place.answer for place in found.places}
    assert answers["index"] == "3 statements in 1 manifests"


def test_each_document_is_in_the_ledger_once(image: Image, oras: Peer, tmp_path: Path) -> None:
    image.prove()
    (image.folder / "menu.json").write_text('{"soup": "tomato"}')
    oras(
        "attach", "--plain-http", "--disable-path-validation", "--artifact-type", "application/x-menu",
        image.reference, f"{image.folder / 'menu.json'}:application/json",
    )  # fmt: skip
    ledger = SqliteLedger(tmp_path / "ledger.db", actor="tester@here")
    assert ingest(gathered(image), ledger=ledger) == 2
    assert ingest(gathered(image), ledger=ledger) == 0
    written = ledger.stream(Stream.image(image.registry.repository, image.content.digest))
    facts = [entry.fact for entry in written if isinstance(entry.fact, Ingested)]
    assert {(fact.predicate_type, fact.verified_by) for fact in facts} == {
        (SLSA_PROVENANCE, SIGNER),
        ("application/x-menu", None),
    }
    ledger.close()


def test_that_a_known_document_is_trusted_now_is_news(image: Image, tmp_path: Path) -> None:
    image.prove()
    ledger = SqliteLedger(tmp_path / "ledger.db", actor="tester@here")
    known = image.key
    image.key = Fickle(new_key("P-256"))
    assert ingest(gathered(image), ledger=ledger) == 1
    image.key = known
    assert ingest(gathered(image), ledger=ledger) == 1
    assert ingest(gathered(image), ledger=ledger) == 0
    ledger.close()


@pytest.fixture
def signed_site(site: Site) -> Site:
    """A released commit, signed and with provenance."""
    (site.folder / "key.pem").write_bytes(private_pem(a_key()))
    (site.folder / "key.pub").write_bytes(public_pem(a_key()))
    config = (site.folder / "immutag.toml").read_text()
    site.commit("Sign", {"immutag.toml": f'{config}\n[trust]\nkey = "key.pem"\npublic_keys = ["key.pub"]\n'})
    site.json("release")
    return site


@pytest.mark.slow
def test_the_command_shows_a_tree_and_keeps_what_it_found(signed_site: Site) -> None:
    site, sha = signed_site, signed_site.sha
    found = site.json("attestations", sha)
    schema = json.loads((Path(immutag.__file__).parent / "schemas" / "attestations.json").read_text())
    jsonschema.validate(found, schema)
    assert {each["predicate_type"]: each["verified_by"] for each in found["attestations"]} == {
        "https://sigstore.dev/cosign/sign/v1": SIGNER,
        "application/vnd.dev.cosign.simplesigning.v1+json": SIGNER,
        SLSA_PROVENANCE: SIGNER,
    }
    assert found["ingested"] == 3
    assert site.json("attestations", sha)["ingested"] == 0
    assert site.facts("image:") == ["ingested"] * 3
    tree = site.run("attestations", sha).stdout
    assert f"verified: {SIGNER}" in tree
    assert SLSA_PROVENANCE in tree
    (only,) = site.json("attestations", found["image"], "--from", "legacy")["attestations"]
    assert only["source"] == "legacy"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["show", "attestations"])
def test_one_that_fails_keeps_no_other_from_its_answer(signed_site: Site, command: str) -> None:
    done = signed_site.run(command, "f" * 40, signed_site.sha, "--json")
    failed, found = json.loads(done.stdout)
    assert (done.returncode, failed["image"], failed["error"]["code"]) == (13, "f" * 40, "MISSING_TAG")
    assert "error" not in found
    assert found["image"].startswith(str(signed_site.repository))
    if command == "attestations":
        schema = json.loads((Path(immutag.__file__).parent / "schemas" / "attestations.json").read_text())
        jsonschema.Draft202012Validator(schema).validate([failed, found])
    told = signed_site.run(command, "f" * 40, signed_site.sha)
    assert (told.returncode, "MISSING_TAG" in told.stdout, found["image"] in told.stdout) == (13, True, True)


@pytest.mark.slow
def test_a_releases_provenance_says_where_it_comes_from(signed_site: Site, cosign3: Peer) -> None:
    image = signed_site.json("show", signed_site.sha)["image"]
    (statement,) = predicates(
        cosign3(
            "verify-attestation", "--type", "slsaprovenance1", "--key", signed_site.folder / "key.pub",
            "--insecure-ignore-tlog", "--allow-http-registry", image,
        )
    )  # fmt: skip
    definition = statement["predicate"]["buildDefinition"]
    details = statement["predicate"]["runDetails"]
    assert definition["resolvedDependencies"][0]["digest"] == {"gitCommit": str(signed_site.sha)}
    assert definition["externalParameters"]["dockerfile"] == "Dockerfile"
    assert definition["externalParameters"]["ref"] == "refs/heads/main"
    assert definition["internalParameters"] == {"builder": "buildah", "cleanBuild": True}
    assert details["builder"]["id"] == "urn:immutag:builder:local"
    assert details["metadata"]["startedOn"] < details["metadata"]["finishedOn"]
