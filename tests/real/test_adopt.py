"""Adopting tags that other tools wrote: all of the image is looked at, and then it is a release (law 2)."""

import json
import shutil

import pytest

from tests.parts.peers import Crane, Peer
from tests.parts.site import Site

pytestmark = pytest.mark.slow


@pytest.fixture
def floating(site: Site, crane: Crane) -> str:
    """An image of the commit under its SHA tag, of which the ledger knows nothing; gives its digest."""
    digest = str(site.json("release")["image_digest"])
    site.ledger.unlink()
    for rest in site.ledger.parent.glob("ledger.db-*"):
        rest.unlink()
    assert site.facts() == []
    return digest


def test_an_adopted_tag_is_deployed_like_any_release(site: Site, floating: str) -> None:
    refused = site.error("deploy", "--sha", site.sha, "--env", "staging")
    assert refused["code"] == "MISSING_TAG"
    assert f"immutag adopt {site.sha}" in refused["next"]
    (record,) = site.json("adopt", site.sha)
    assert (record["image_digest"], record["digest_verification"]) == (floating, "ok")
    assert site.facts("release:") == ["requested", "adopted", "claimed", "signature_checked", "tagged"]
    deployed = site.json("deploy", "--sha", site.sha, "--env", "staging")
    assert (deployed["outcome"], deployed["image_digest"]) == ("ok", floating)


def test_adopting_twice_changes_nothing(site: Site, floating: str) -> None:
    first = site.json("adopt", site.sha)
    facts = site.facts()
    assert site.json("adopt", site.sha) == first
    assert site.facts() == facts


def test_a_release_refuses_the_tag_and_names_adopt(site: Site, floating: str) -> None:
    refused = site.error("release")
    assert refused["code"] == "DIGEST_MISMATCH"
    assert refused["found"] == floating
    assert f"immutag adopt {site.sha}" in refused["next"]


def test_all_adopts_what_is_a_commit_here_and_nothing_else(site: Site, floating: str, crane: Crane) -> None:
    for tag in ("latest", "v1.2.3", "f" * 40):
        crane("tag", f"{site.repository}:{site.sha}", tag)
    assert [record["image_sha"] for record in site.json("adopt", "--all")] == [str(site.sha)]
    assert site.json("adopt", "--all") == []


def test_an_image_of_another_commit_is_not_adopted(site: Site, floating: str, crane: Crane) -> None:
    other = site.commit("another")
    crane("tag", f"{site.repository}@{floating}", other)
    refused = site.error("adopt", other)
    assert refused["code"] == "POLICY_VIOLATION"
    assert site.facts() == []


def test_one_that_cannot_be_adopted_stops_no_other(site: Site, floating: str, crane: Crane) -> None:
    adoptable = site.sha
    wrong = [site.commit(name) for name in ("one", "two")]
    for sha in wrong:
        crane("tag", f"{site.repository}@{floating}", sha)
    done = site.run("--json", "adopt", "--all")
    found = {each["image_sha"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 14
    assert found.keys() == {str(sha) for sha in (adoptable, *wrong)}
    assert found[str(adoptable)]["digest_verification"] == "ok"
    assert {found[str(sha)]["error"]["code"] for sha in wrong} == {"POLICY_VIOLATION"}
    assert site.run("adopt", "--all").stdout.count("not adopted") == 2
    assert site.json("deploy", "--sha", adoptable, "--env", "staging")["outcome"] == "ok"


def test_a_claimed_tag_that_was_moved_is_a_mismatch_whatever_the_image_says(site: Site, crane: Crane) -> None:
    claimed, first = site.json("release"), site.sha
    second = site.commit("another")
    site.json("release")
    crane("tag", f"{site.repository}:{second}", first)
    refused = site.error("adopt", first)
    assert (refused["code"], refused["expected"]) == ("DIGEST_MISMATCH", claimed["image_digest"])


def test_every_platform_is_of_the_commit(site: Site, floating: str, crane: Crane) -> None:
    adopted, other = site.sha, site.commit("another")
    platforms = [f"{site.repository}@{floating}", f"{site.repository}:{other}"]
    site.json("release")
    named = [argument for each in platforms for argument in ("--manifest", each)]
    crane("index", "append", *named, "--tag", f"{site.repository}:{adopted}")
    refused = site.error("adopt", adopted)
    assert (refused["code"], str(other) in refused["found"]) == ("POLICY_VIOLATION", True)


def test_an_image_that_is_not_whole_is_not_adopted(site: Site, floating: str, crane: Crane) -> None:
    manifest = json.loads(crane("manifest", f"{site.repository}:{site.sha}"))
    layer = manifest["layers"][0]
    assert site.registry.storage
    links = f"{site.repository.path}/_layers/sha256/{layer['digest'][7:]}"
    (link,) = site.registry.storage.rglob(links)
    shutil.rmtree(link)
    refused = site.error("adopt", site.sha)
    assert refused["code"] == "MISSING_TAG"
    assert layer["digest"] in refused["expected"]
    assert site.facts() == []


def test_a_sha_without_a_tag_is_not_adopted(site: Site) -> None:
    assert site.error("adopt", site.sha)["code"] == "MISSING_TAG"


def test_where_verification_is_mandatory_an_unsigned_tag_is_not_adopted(site: Site, floating: str) -> None:
    refused = site.error("adopt", site.sha, env={"IMMUTAG_TRUST_VERIFICATION": "mandatory"})
    assert refused["code"] == "POLICY_VIOLATION"
    assert site.facts() == []


@pytest.mark.parametrize("arguments", [(), ("--all", "a" * 40), ("abc1234",), ("latest",)])
def test_what_to_adopt_is_full_shas_or_all(site: Site, arguments: tuple[str, ...]) -> None:
    assert site.error("adopt", *arguments)["code"] in ("MISSING_SHA", "POLICY_VIOLATION")


def test_the_adopted_digest_is_the_one_that_another_tool_sees(
    site: Site, floating: str, skopeo: Peer
) -> None:
    (record,) = site.json("adopt", site.sha)
    image = f"docker://{record['repository']}:{site.sha}"
    seen = skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", image)
    assert seen == record["image_digest"]
