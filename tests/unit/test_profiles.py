"""What is known of registries: which one a host is, a source for everything, and the page that says it."""

import runpy
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from immutag.oci.http import Headers
from immutag.oci.profiles import PROFILES, Topic, profile_of_greeting, profile_of_host

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("ghcr.io", "ghcr"), ("GHCR.IO", "ghcr"), ("ghcr.io:443", "ghcr"), ("registry.gitlab.com", "gitlab"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"), ("docker.io", "docker-hub"),
        ("index.docker.io", "docker-hub"), ("ghcr.io.example.com", None), ("notghcr.io", None),
        ("s3.amazonaws.com", None), ("127.0.0.1:5000", None), ("[::1]:5000", None), ("", None),
    ],
)  # fmt: skip
def test_a_host_is_known_by_its_whole_name(host: str, name: str | None) -> None:
    found = profile_of_host(host)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Gitlab-Container-Registry-Version": "4.15.2-gitlab"}, "gitlab"),
        ({"gitlab-container-registry-version": "4.15.2-gitlab"}, "gitlab"),
        ({"WWW-Authenticate": 'Bearer realm="https://h/service/token",service="harbor-registry"'}, "harbor"),
        ({"WWW-Authenticate": 'Bearer realm="https://h/token",service="registry.example"'}, None),
        ({"Docker-Distribution-Api-Version": "registry/2.0"}, None),
        ({}, None),
    ],
)
def test_another_is_known_by_its_greeting(headers: dict[str, str], name: str | None) -> None:
    greeting = Headers()
    for header, value in headers.items():
        greeting.add(header, value)
    found = profile_of_greeting(greeting)
    assert (found.name if found else None) == name


def test_every_statement_has_a_source_and_referrers_are_told_of_for_all() -> None:
    assert len({known.name for known in PROFILES}) == len(PROFILES) == 7
    for known in PROFILES:
        assert known.about(Topic.REFERRERS)
        assert len(set(known.claims)) == len(known.claims)
        for claim in known.claims:
            address = urlsplit(claim.source)
            assert (address.scheme, bool(address.path.strip("/"))) == ("https", True)
            assert claim.text


def test_the_page_says_what_the_data_say() -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "registries_page.py"))["page"]()
    assert (ROOT / "docs" / "reference" / "registries.md").read_text() == made
    for profile in PROFILES:
        assert all(claim.source in made for claim in profile.claims)
