"""SBOMs by the real syft, held to the published schemas, and found by other tools."""

import base64
import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from immutag.core.errors import BuildFailure, ConfigInvalid, DigestMismatch, MissingTag
from immutag.core.facts import Attested, Claimed, Described, Evidence, EvidenceFailed, Stream
from immutag.core.linkage import Document, Link
from immutag.core.policy import Repositories
from immutag.core.sbom import MEDIA_TYPES, link, packages, unlinked
from immutag.core.values import Digest, GitSha, ImageRef, Repository
from immutag.ledger.sqlite import SqliteLedger
from immutag.oci import Descriptor
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from immutag.trust.evidence.sbom import Scanner, encode, scan
from immutag.trust.places import Places
from immutag.trust.signing.key_signer import KeySigner
from immutag.trust.signing.private_key import load_private_key
from immutag.usecases.attest import Attesting
from immutag.usecases.describe import describe
from immutag.usecases.sbom import Sboms
from immutag.usecases.scan import claimed_layout
from tests.parts import registries
from tests.parts.keys import a_key, private_pem, public_pem
from tests.parts.packaged import packaged, packaged_for_two
from tests.parts.peers import Crane, Peer
from tests.parts.programs import peer
from tests.parts.site import Site

pytestmark = pytest.mark.slow
FORMATS = (Evidence.CYCLONEDX, Evidence.SPDX)
SHA, EARLIER = GitSha("0123456789abcdef0123456789abcdef01234567"), GitSha("f" * 40)
REPOSITORY = Repository.parse("ghcr.io/owner/api")
SCHEMA = json.loads((Path(__file__).parents[1] / "vectors" / "spdx" / "spdx-schema-2.3.json").read_text())
EXPECTED = {("libc6", "2.36-9+deb12u3"), ("musl", "1.2.4-r2"), ("requests", "2.31.0")}


class Quiet:
    """A report that nobody reads."""

    def step(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def output(self, line: str) -> None: ...
    def transfer(self, label: str, done_bytes: int, total_bytes: int) -> None: ...


def of(layout: Layout, repository: Repository = REPOSITORY, sha: GitSha = SHA) -> Link:
    image = ImageRef(repository, layout.root().digest)
    return Link(sha, image, "https://example.com/owner/api", 1_700_000_000)


def described(layout: Layout, *formats: Evidence, scanner: Scanner | None = None) -> dict[Evidence, Document]:
    by = scanner or Scanner((), 60, Path("/"))
    return scan(layout, layout.root(), formats or FORMATS, scanner=by, of=of(layout))


def listed(document: Document) -> set[tuple[str, str]]:
    """The packages, without the distribution, which only CycloneDX lists."""
    return {(each.name, each.version) for each in packages(document)} - {("alpine", "3.18.4")}


# --- made


@pytest.mark.parametrize("make", [packaged, packaged_for_two])
def test_both_documents_hold_to_their_schemas_and_list_what_is_installed(
    make: Callable[[Path], Layout], tmp_path: Path
) -> None:
    layout = make(tmp_path / "layout")
    root = layout.root()
    found = {each: link(document, of(layout)) for each, document in described(layout).items()}
    for document in found.values():
        assert listed(document) == EXPECTED
        assert unlinked(document, SHA, root.digest) == ()
    text = encode(found[Evidence.CYCLONEDX]).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    jsonschema.Draft7Validator(SCHEMA).validate(json.loads(encode(found[Evidence.SPDX])))


def test_a_second_run_gives_the_same_bytes_wherever_the_layout_lies(tmp_path: Path) -> None:
    first, second = packaged(tmp_path / "one"), packaged(tmp_path / "another")
    one, another = described(first), described(second)
    for each in FORMATS:
        assert encode(link(one[each], of(first))) == encode(link(another[each], of(second)))


def test_the_users_own_configuration_of_syft_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".syft.yaml").write_text("default-catalogers: [python]\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    document = described(packaged(tmp_path / "layout"), Evidence.CYCLONEDX)[Evidence.CYCLONEDX]
    assert listed(document) == EXPECTED


def test_an_image_that_cannot_be_read_is_a_failure_with_words(tmp_path: Path) -> None:
    layout = packaged(tmp_path / "layout")
    for blob in (tmp_path / "layout" / "blobs" / "sha256").iterdir():
        if blob.read_bytes().startswith(b"\x1f\x8b"):
            blob.write_bytes(b"no layer")
    with pytest.raises(BuildFailure, match="could not be made") as failed:
        described(layout)
    assert failed.value.found.startswith("status 1")


# --- made by the user's own program

_PROGRAM = """\
#!/bin/sh
env | grep -E '^(IMMUTAG|SOURCE_DATE_EPOCH|COSIGN|GITHUB)' | sort >"$0.env"
test -s "$IMMUTAG_LAYOUT/index.json" && test -d "$IMMUTAG_LAYOUT/blobs" || exit 3
case $IMMUTAG_SBOM_FORMAT in
cyclonedx) echo '{"bomFormat":"CycloneDX","specVersion":"1.5","components":[{"name":"mine"}]}' ;;
spdx) echo '{"spdxVersion":"SPDX-2.3","packages":[{"name":"mine","SPDXID":"SPDXRef-mine"}]}' ;;
esac
"""


def program(folder: Path, text: str, *, timeout_s: float = 20) -> Scanner:
    """A program of the user's: `./sbom` in the folder where the configuration lies."""
    (folder / "sbom").write_text(text)
    (folder / "sbom").chmod(0o755)
    return Scanner(("./sbom",), timeout_s, folder)


def test_a_program_of_the_users_replaces_syft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")
    monkeypatch.setenv("IMMUTAG_REGISTRY_PASSWORD", "secret")
    layout = packaged(tmp_path / "layout")
    found = described(layout, scanner=program(tmp_path, _PROGRAM))
    for document in found.values():
        assert [each.name for each in packages(link(document, of(layout)))] == ["mine"]
    told = dict(line.split("=", 1) for line in (tmp_path / "sbom.env").read_text().splitlines())
    assert told.pop("IMMUTAG_LAYOUT").startswith("/")
    assert told == {
        "IMMUTAG_IMAGE": str(of(layout).image),
        "IMMUTAG_IMAGE_SHA": str(SHA),
        "IMMUTAG_DIGEST": str(layout.root().digest),
        "IMMUTAG_PLATFORM": "",
        "IMMUTAG_SBOM_FORMAT": "spdx",
        "SOURCE_DATE_EPOCH": "1700000000",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\necho broken >&2; exit 7\n", "status 7: broken"),
        ("#!/bin/sh\necho '{}'\n", "nothing"),
        ("#!/bin/sh\necho not json\n", "Expecting value"),
        ("#!/bin/sh\nhead -c 17000000 /dev/zero\n", "more"),
        ("#!/bin/sh\nsleep 60\n", "no output"),
    ],
)
def test_a_program_that_gives_no_sbom_is_a_failure_with_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(BuildFailure) as failed:
        described(
            packaged(tmp_path / "layout"), Evidence.CYCLONEDX, scanner=program(tmp_path, text, timeout_s=2)
        )
    assert words in failed.value.found


def test_a_program_that_is_not_there_is_a_matter_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be started"):
        described(packaged(tmp_path / "layout"), scanner=Scanner(("./missing",), 5, tmp_path))


# --- attached


class Place:
    """A registry with a claimed image, and a project's folder."""

    def __init__(self, registry: Registry, layout: Layout, folder: Path) -> None:
        self.registry, self.layout, self.folder = registry, layout, folder
        root = layout.root()
        copy(layout, registry, root)
        self.claim = Claimed(SHA, registry.repository, root.digest, root.media_type, root.size_bytes)
        self.reference = f"{registry.repository}@{root.digest}"

    def describe(self, evidence: Evidence, *, sign: bool = False, sha: GitSha = SHA) -> list[Any]:
        return describe(
            evidence,
            self.claim,
            to=of(self.layout, self.registry.repository, sha),
            documents=lambda: _scanned(self.layout),
            registry=self.registry,
            artifacts=self.folder / "artifacts",
            attesting=self._attesting() if sign else None,
        )

    def _attesting(self) -> Attesting:
        (self.folder / "key.pem").write_bytes(private_pem(a_key()))
        (self.folder / "key.pub").write_bytes(public_pem(a_key()))
        key = load_private_key(self.folder / "key.pem", password=lambda: b"")
        return Attesting(KeySigner(key), self.registry, Places(self.registry), lambda _: True)


_SCANNED: dict[Digest, dict[Evidence, Document]] = {}


def _scanned(layout: Layout) -> dict[Evidence, Document]:
    """Once for each image: that a second run gives the same is tested above."""
    digest = layout.root().digest
    if digest not in _SCANNED:
        _SCANNED[digest] = described(layout)
    return _SCANNED[digest]


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(environ={}) as client:
        yield client


@pytest.fixture(params=["registry2", "registry_referrers"])
def place(request: pytest.FixtureRequest, http: Http, tmp_path: Path) -> Place:
    part: registries.Registry = request.getfixturevalue(request.param)
    return Place(Registry(part.repository(), http=http), packaged(tmp_path / "layout"), tmp_path)


def discovered(oras: Peer, place: Place) -> dict[str, list[str]]:
    """The digests of the referrers that oras lists, by artifact type."""
    said = json.loads(oras("discover", "--plain-http", "--format", "json", place.reference))
    found: dict[str, list[str]] = {}
    for each in said.get("referrers") or said.get("manifests") or ():
        found.setdefault(each["artifactType"], []).append(each["digest"])
    return found


@pytest.mark.parametrize("evidence", FORMATS)
def test_an_sbom_is_attached_once_and_other_tools_find_it(
    evidence: Evidence, place: Place, oras: Peer, crane: Crane, tmp_path: Path
) -> None:
    (fact,) = place.describe(evidence)
    assert isinstance(fact, Described)
    assert place.describe(evidence) == [fact]
    assert discovered(oras, place) == {MEDIA_TYPES[evidence]: [str(fact.manifest)]}
    content = crane.raw("blob", f"{place.registry.repository}@{fact.document}")
    assert unlinked(json.loads(content), SHA, place.claim.digest) == ()
    ending = {Evidence.CYCLONEDX: "cdx", Evidence.SPDX: "spdx"}[evidence]
    kept = tmp_path / "artifacts" / f"sbom-{SHA}" / f"sbom-{SHA}.{ending}.json"
    assert kept.read_bytes() == content
    manifest = crane.manifest(f"{place.registry.repository}@{fact.manifest}")
    assert manifest["subject"]["digest"] == str(place.claim.digest)
    assert manifest["annotations"]["org.opencontainers.image.revision"] == str(SHA)
    assert manifest["layers"][0]["annotations"] == {"org.opencontainers.image.title": kept.name}


@pytest.mark.parametrize(
    ("evidence", "kind"), [(Evidence.CYCLONEDX, "cyclonedx"), (Evidence.SPDX, "spdxjson")]
)
def test_cosign_verifies_the_signed_statement_and_reads_the_same_document(
    evidence: Evidence, kind: str, place: Place, tmp_path: Path
) -> None:
    first, attested = place.describe(evidence, sign=True)
    assert isinstance(attested, Attested)
    assert place.describe(evidence, sign=True) == [first, attested]
    cosign = Peer(peer("cosign"), {"HOME": str(tmp_path), "TUF_ROOT": str(tmp_path / "tuf")})
    said = cosign(
        "verify-attestation", "--key", tmp_path / "key.pub", "--type", kind, "--insecure-ignore-tlog",
        "--allow-http-registry", place.reference,
    )  # fmt: skip
    statement = json.loads(_payload(json.loads(said.splitlines()[-1])))
    assert statement["subject"][0]["digest"] == {"sha256": place.claim.digest.hex}
    assert statement["subject"][0]["annotations"] == {"org.opencontainers.image.revision": str(SHA)}
    with place.registry.fetch(_blob(place, first.document)) as blocks:
        assert statement["predicate"] == json.loads(b"".join(blocks))
    other = public_pem(a_key("P-384"))
    (tmp_path / "other.pub").write_bytes(other)
    refused = cosign.run(
        "verify-attestation", "--key", tmp_path / "other.pub", "--type", kind, "--insecure-ignore-tlog",
        "--allow-http-registry", place.reference,
    )  # fmt: skip
    assert refused.returncode != 0


def _payload(envelope: dict[str, str]) -> bytes:
    return base64.b64decode(envelope["payload"])


def _blob(place: Place, digest: Any) -> Descriptor:
    (file,) = (place.folder / "artifacts" / f"sbom-{SHA}").iterdir()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest.hex
    return Descriptor("application/json", digest, file.stat().st_size)


def test_a_statement_that_cannot_be_attached_is_a_fact_beside_the_sbom(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("immutag.usecases.describe.ATTESTED_LIMIT_BYTES", 10)
    first, failed = place.describe(Evidence.CYCLONEDX, sign=True)
    assert isinstance(first, Described)
    assert isinstance(failed, EvidenceFailed)
    assert failed.message == "the SBOM is too large for a signed statement"


def test_content_that_another_run_built_comes_from_the_registry(place: Place, tmp_path: Path) -> None:
    other = packaged(tmp_path / "other", musl="9")
    with claimed_layout(place.claim, layout=other, registry=place.registry, report=Quiet()) as layout:
        folder = layout.folder
        assert layout.root().digest == place.claim.digest
        assert listed(described(layout, Evidence.SPDX)[Evidence.SPDX]) == EXPECTED
    assert not folder.exists()
    with claimed_layout(place.claim, layout=place.layout, registry=place.registry, report=Quiet()) as layout:
        assert layout is place.layout


def test_artifacts_that_cannot_be_written_are_said_in_words(place: Place, tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")
    with pytest.raises(ConfigInvalid, match="file cannot be written"):
        place.describe(Evidence.CYCLONEDX)


# --- read back


def test_what_is_read_back_is_of_the_release_that_was_asked_for(place: Place, tmp_path: Path) -> None:
    (fact,) = place.describe(Evidence.CYCLONEDX)
    (of_another,) = place.describe(Evidence.CYCLONEDX, sha=EARLIER)
    with SqliteLedger(tmp_path / "ledger.db", actor="tester") as ledger:
        sboms = _sboms(place, ledger)
        with pytest.raises(MissingTag, match="has no SBOM"):
            sboms.read(SHA, None)
        _append(ledger, place, SHA, place.claim, fact)
        assert listed(sboms.read(SHA, None).document) == EXPECTED
        assert sboms.read(SHA, None).image == ImageRef(place.registry.repository, place.claim.digest)
        with pytest.raises(MissingTag, match="has no SBOM"):
            sboms.read(SHA, Evidence.SPDX)
        _append(ledger, place, SHA, of_another)
        with pytest.raises(DigestMismatch, match="not linked to this release") as refused:
            sboms.read(SHA, None)
        assert str(SHA) in refused.value.found


def test_the_difference_of_two_releases(place: Place, http: Http, tmp_path: Path) -> None:
    later = Place(place.registry, packaged(tmp_path / "later", musl="1.2.5-r0"), tmp_path / "2")
    with SqliteLedger(tmp_path / "ledger.db", actor="tester") as ledger:
        sboms = _sboms(place, ledger)
        _append(ledger, place, EARLIER, place.claim, *place.describe(Evidence.SPDX, sha=EARLIER))
        assert sboms.preview(EARLIER, SHA) == {}
        _append(
            ledger,
            later,
            SHA,
            later.claim,
            *later.describe(Evidence.CYCLONEDX),
            *later.describe(Evidence.SPDX),
        )
        found = sboms.difference(EARLIER, SHA)
        assert [(each.name, each.old, each.new) for each in found.changed] == [
            ("musl", "1.2.4-r2", "1.2.5-r0")
        ]
        assert (found.added, found.removed) == ((), ())
        assert sboms.preview(SHA, EARLIER)["packages_changed"] == ["musl 1.2.5-r0 → 1.2.4-r2"]
        assert sboms.preview(None, SHA) == {}


def test_an_sbom_that_the_registry_lost_is_gone_and_no_mystery(
    http: Http, registry3_own: registries.Registry, tmp_path: Path
) -> None:
    place = Place(Registry(registry3_own.repository(), http=http), packaged(tmp_path / "layout"), tmp_path)
    facts = place.describe(Evidence.SPDX)
    assert registry3_own.storage
    for revision in registry3_own.storage.rglob(f"revisions/sha256/{facts[0].manifest.hex}/link"):
        revision.unlink()
    with SqliteLedger(tmp_path / "ledger.db", actor="tester") as ledger:
        _append(ledger, place, SHA, place.claim, *facts)
        with pytest.raises(MissingTag, match="lost the SBOM"):
            _sboms(place, ledger).read(SHA, None)
        assert _sboms(place, ledger).preview(SHA, SHA) == {}


@pytest.fixture
def registry3_own(tmp_path: Path) -> Iterator[registries.Registry]:
    with registries.distribution(peer("registry"), tmp_path / "registry") as running:
        yield running


def _sboms(place: Place, ledger: SqliteLedger) -> Sboms:
    canonical = place.registry.repository
    repositories = Repositories(canonical, Repository(canonical.host, f"{canonical.path}-staging"), "main")
    return Sboms(repositories, ledger, lambda _: place.registry)


def _append(ledger: SqliteLedger, place: Place, sha: GitSha, *facts: Any) -> None:
    stream = Stream.release(place.registry.repository, sha)
    for fact in facts:
        ledger.append(stream, fact, after=len(ledger.stream(stream)))


# --- by the command line

_ENABLED = '\n[sbom]\nenabled = true\nformats = ["cyclonedx", "spdx"]\n'
_INSTALLED = "P:musl\nV:{}\nA:x86_64\nL:MIT\no:musl\nm:N\n\n"


def enable(site: Site) -> GitSha:
    """A commit after which the service's releases have SBOMs, and musl 1.2.4."""
    config, dockerfile = ((site.folder / name).read_text() for name in ("immutag.toml", "Dockerfile"))
    files = {
        "immutag.toml": config + _ENABLED,
        "Dockerfile": f"{dockerfile}COPY installed /lib/apk/db/installed\n",
        "installed": _INSTALLED.format("1.2.4"),
    }
    return site.commit("describe what is in it", files)


def test_a_release_is_described_and_compared_and_a_rollback_says_what_it_changes(site: Site) -> None:
    older = enable(site)
    record = site.json("release")
    reference = record["sbom_ref"]
    name = f"image-metadata-{older}"
    kept = site.folder / ".immutag" / "artifacts" / name / f"{name}.json"
    assert json.loads(kept.read_text()) == record
    assert reference.startswith(f"{site.repository}@sha256:")
    shown = site.json("sbom", "show", str(older)[:8])
    assert ("musl", "1.2.4") in {(each["name"], each["version"]) for each in shown["packages"]}
    for name in ("cyclonedx", "spdx"):
        document = site.json("sbom", "show", older, "--format", name)
        assert unlinked(document, older, Digest(shown["image"].partition("@")[2])) == ()
    assert site.json("release")["sbom_ref"] == reference
    newer = site.commit("a newer musl", {"installed": _INSTALLED.format("1.2.5")})
    site.json("release")
    assert "1 changed, 0 added, 0 removed" in site.run("sbom", "diff", older, str(newer)[:8]).stdout
    (changed,) = site.json("sbom", "diff", older, newer)["changed"]
    assert (changed["name"], changed["old"], changed["new"]) == ("musl", "1.2.4", "1.2.5")
    for sha in (older, newer):
        site.json("deploy", "--environment", "staging", "--sha", sha)
    preview = site.json("rollback", "--environment", "staging", "--sha", older, "--dry-run")
    assert preview["packages_changed"] == ["musl 1.2.5 → 1.2.4"]
    assert site.json("sbom", "diff", "staging~1", "staging")["changed"] == [changed]


def test_a_release_without_an_sbom_says_so_and_can_still_be_gone_back_to(site: Site) -> None:
    bare = site.sha
    assert site.json("release")["sbom_ref"] is None
    assert site.error("sbom", "show", bare)["code"] == "MISSING_TAG"
    described_one = enable(site)
    site.json("release")
    assert site.error("sbom", "diff", bare, described_one)["message"] == f"{bare} has no SBOM"
    for sha in (bare, described_one):
        site.json("deploy", "--environment", "staging", "--sha", sha)
    assert "packages_changed" not in site.json(
        "rollback", "--environment", "staging", "--sha", bare, "--dry-run"
    )
    assert site.json("rollback", "--environment", "staging", "--sha", bare)["outcome"] == "ok"


def test_a_release_that_was_made_without_one_gets_its_sbom_later_from_the_registry(site: Site) -> None:
    bare = site.json("release")
    site.commit("the configuration of another day", {"immutag.toml": "# nothing that holds\n"})
    site.run("release")
    later = {"IMMUTAG_SBOM_ENABLED": "true", "IMMUTAG_IMAGE_REPOSITORY": str(site.repository)}
    record = site.json("release", "--sha", bare["image_sha"], env=later)
    assert record == bare | {"sbom_ref": record["sbom_ref"]}
    assert record["sbom_ref"] is not None
    assert site.facts().count("built") == 1
    assert site.json("sbom", "show", bare["image_sha"], env=later)["image"].endswith(bare["image_digest"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_around_its_fact_attaches_no_second_sbom(
    when: Literal["before", "after"], site: Site, oras: Peer
) -> None:
    enable(site)
    assert site.run_killed("release", when=when, fact="described").returncode == -signal.SIGKILL
    digest = site.json("release")["image_digest"]
    said = json.loads(oras("discover", "--plain-http", "--format", "json", f"{site.repository}@{digest}"))
    kinds = [each["artifactType"] for each in said.get("referrers") or said.get("manifests")]
    assert sorted(kinds) == sorted(MEDIA_TYPES.values())
