"""Where credentials are found, how a challenge is read, and to whom credentials may go."""

import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.errors import ConfigInvalid, ImmutagError, RegistryAuth
from immutag.oci.auth import Credentials, find_credentials
from immutag.oci.network import is_loopback, names_this_machine, proxy_for, trusted_certificates
from immutag.oci.tokens import Challenge, challenges, same_origin, trusts_realm

HOST = "registry.example:5000"
OURS = {"IMMUTAG_REGISTRY_USERNAME": "ours", "IMMUTAG_REGISTRY_PASSWORD": "p1"}


def packed(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    """docker's configuration file, whose folder is DOCKER_CONFIG; nothing else is near."""
    return tmp_path / "config.json"


def environ(docker: Path, **more: str) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(docker.parent), "HOME": "/nonexistent", "PATH": str(docker.parent), **more}


def helper(docker: Path, name: str, script: str) -> None:
    path = docker.parent / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def answering(username: str, secret: str) -> str:
    """A helper that answers for any host, and fails if asked for anything but `get`."""
    answer = json.dumps({"ServerURL": "", "Username": username, "Secret": secret})
    return f"[ \"$1\" = get ] || exit 9\nread -r host\necho '{answer}'"


def test_credentials_never_show_themselves() -> None:
    assert "hidden" not in repr(Credentials("hidden", "hidden"))
    assert "hidden" not in f"{Credentials('hidden', 'hidden')}"


def test_our_own_variables_come_first(docker: Path) -> None:
    docker.write_text(json.dumps({"auths": {HOST: {"auth": packed("docker", "p2")}}}))
    assert find_credentials(HOST, environ(docker, **OURS)) == Credentials("ours", "p1")
    assert find_credentials(HOST, environ(docker)) == Credentials("docker", "p2")
    half = {"IMMUTAG_REGISTRY_USERNAME": "ours"}
    assert find_credentials(HOST, environ(docker, **half)) == Credentials("docker", "p2")


@pytest.mark.parametrize(
    ("key", "host"),
    [
        (HOST, HOST),
        (f"https://{HOST}", HOST),
        (f"https://{HOST}/v2/", HOST),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"auth": packed("u", "p:with:colons")}, Credentials("u", "p:with:colons")),
        ({"username": "u", "password": "p"}, Credentials("u", "p")),
        ({"auth": packed("u", ""), "identitytoken": "t"}, Credentials("<token>", "t")),
        ({}, None),
        ({"auth": ""}, None),
    ],
)
def test_an_entry_of_auths(
    docker: Path, key: str, host: str, entry: dict[str, str], found: Credentials | None
) -> None:
    docker.write_text(json.dumps({"auths": {key: entry}}))
    assert find_credentials(host, environ(docker)) == found


@pytest.mark.parametrize(
    "other", ["registry.example", "registry.example:5001", "evil-registry.example:5000", "example:5000"]
)
def test_another_host_gets_nothing(docker: Path, other: str) -> None:
    docker.write_text(json.dumps({"auths": {HOST: {"auth": packed("u", "p")}}}))
    assert find_credentials(other, environ(docker)) is None


def test_a_helper_for_the_host_wins_over_the_file(docker: Path) -> None:
    helper(docker, "one", answering("helped", "s"))
    document = {"credHelpers": {HOST: "one"}, "auths": {HOST: {"auth": packed("file", "p")}}}
    docker.write_text(json.dumps(document))
    assert find_credentials(HOST, environ(docker)) == Credentials("helped", "s")


def test_the_store_is_asked_when_the_file_only_points_to_it(docker: Path) -> None:
    helper(docker, "store", answering("<token>", "t"))
    docker.write_text(json.dumps({"credsStore": "store", "auths": {HOST: {}}}))
    found = find_credentials(HOST, environ(docker))
    assert found is not None
    assert found.is_identity_token


def test_a_helper_gets_the_host_on_its_standard_input(docker: Path) -> None:
    helper(docker, "echo", 'read -r host\necho "{\\"Username\\": \\"$host $#\\", \\"Secret\\": \\"s\\"}"')
    docker.write_text(json.dumps({"credsStore": "echo"}))
    assert find_credentials(HOST, environ(docker)) == Credentials(f"{HOST} 1", "s")
    assert find_credentials("docker.io", environ(docker)) == Credentials("https://index.docker.io/v1/ 1", "s")


def test_a_helper_that_knows_nothing_is_no_error(docker: Path) -> None:
    helper(docker, "empty", 'echo "credentials not found in native keychain"; exit 1')
    docker.write_text(json.dumps({"credsStore": "empty"}))
    assert find_credentials(HOST, environ(docker)) is None


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (None, RegistryAuth),
        ("exit 3", RegistryAuth),
        ("echo nonsense", RegistryAuth),
        ("echo '[]'", RegistryAuth),
        ('echo \'{"Username": "u"}\'', RegistryAuth),
    ],
)
def test_a_helper_that_fails_is_an_error(docker: Path, script: str | None, kind: type[ImmutagError]) -> None:
    if script:
        helper(docker, "bad", script)
    docker.write_text(json.dumps({"credHelpers": {HOST: "bad"}}))
    with pytest.raises(kind):
        find_credentials(HOST, environ(docker))


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"auths": []}',
        b'{"auths": {"registry.example:5000": {"auth": "%%%"}}}',
        b'{"auths": {"registry.example:5000": {"auth": "aHVudGVyMg=="}}}',
        b'{"credHelpers": {"registry.example:5000": "../../bin/sh"}}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_not_quoted(docker: Path, text: bytes) -> None:
    docker.write_bytes(text)
    with pytest.raises(ConfigInvalid) as caught:
        find_credentials(HOST, environ(docker))
    said = str(caught.value.as_json())
    assert str(docker) in said
    assert "aHVudGVy" not in said
    assert "hunter" not in said


def test_podmans_files_count_too(tmp_path: Path) -> None:
    auth = json.dumps({"auths": {HOST: {"auth": packed("podman", "p")}}})
    named, runtime, config = tmp_path / "named.json", tmp_path / "run", tmp_path / "config"
    for folder in (runtime, config):
        (folder / "containers").mkdir(parents=True)
        (folder / "containers" / "auth.json").write_text(auth)
    named.write_text(json.dumps({"auths": {}}))
    assert find_credentials(HOST, {"XDG_RUNTIME_DIR": str(runtime)}) == Credentials("podman", "p")
    assert find_credentials(HOST, {"XDG_CONFIG_HOME": str(config)}) == Credentials("podman", "p")
    # a file that is named is the only one
    assert find_credentials(HOST, {"REGISTRY_AUTH_FILE": str(named), "XDG_RUNTIME_DIR": str(runtime)}) is None


def test_the_token_of_github_goes_to_ghcr_and_nowhere_else() -> None:
    given = {"GITHUB_TOKEN": "t", "GITHUB_ACTOR": "octo"}
    assert find_credentials("ghcr.io", given) == Credentials("octo", "t")
    for host in ("ghcr.io.evil.example", "evil.example", "docker.io", "ghcr.io:8443", "GHCR.IO.evil"):
        assert find_credentials(host, given) is None


# --- challenges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Basic realm="r"', [Challenge("basic", {"realm": "r"})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:x/y:pull,push"',
            [
                Challenge(
                    "bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:x/y:pull,push"}
                )
            ],
        ),
        (
            'Basic realm="r, \\"q\\"", Bearer realm=https://a/t , service = "s"',
            [
                Challenge("basic", {"realm": 'r, "q"'}),
                Challenge("bearer", {"realm": "https://a/t", "service": "s"}),
            ],
        ),
        ("Negotiate, BEARER Realm=x", [Challenge("negotiate", {}), Challenge("bearer", {"realm": "x"})]),
        ('Bearer realm="a",realm="b"', [Challenge("bearer", {"realm": "a"})]),
        ('realm="no scheme"', []),
        ('Bearer realm="never closed', [Challenge("bearer", {})]),
        ("", []),
    ],
)
def test_a_challenge_is_read_as_it_is_written(header: str, found: list[Challenge]) -> None:
    assert challenges(header) == found


@given(st.text(alphabet=st.sampled_from(list('Basicerlm=", \\x\t')), max_size=200))
def test_no_challenge_breaks_the_reader(header: str) -> None:
    for challenge in challenges(header):
        assert challenge.scheme == challenge.scheme.lower() != ""


# --- whom to trust


@pytest.mark.parametrize(
    ("registry", "realm", "trusted"),
    [
        ("https://ghcr.io", "https://ghcr.io/token", True),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", True),
        ("https://ghcr.io", "http://ghcr.io/token", False),
        ("https://ghcr.io", "http://auth.example/token", False),
        ("https://ghcr.io", "https://127.0.0.1/token", False),
        ("https://ghcr.io", "http://localhost:8080/token", False),
        ("https://ghcr.io", "https://127.1/token", False),
        ("https://ghcr.io", "https://0x7f000001/token", False),
        ("https://ghcr.io", "https://[::ffff:127.0.0.1]/token", False),
        ("https://ghcr.io", "https://127%2e0.0.1/token", False),
        ("https://ghcr.io", "https://x.localhost./token", False),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
        ("http://localhost:5000", "http://[::1]:5001/token", True),
        ("http://127.0.0.1:5000", "http://auth.example/token", False),
        ("http://registry.lan:5000", "http://registry.lan:5000/token", True),
        ("http://registry.lan:5000", "http://registry.lan/token", False),
        ("https://ghcr.io", "https://user@auth.example/token", False),
        ("https://ghcr.io", "file:///etc/passwd", False),
        ("https://ghcr.io", "//auth.example/token", False),
        ("https://ghcr.io", "https://[::/token", False),
        ("https://ghcr.io", "", False),
    ],
)
def test_a_token_server_gets_credentials_only_by_the_rule(registry: str, realm: str, trusted: bool) -> None:
    assert trusts_realm(registry, realm) == trusted


def test_an_origin_is_scheme_host_and_port() -> None:
    assert same_origin("https://a.example", "https://A.example:443/path")
    assert not same_origin("https://a.example", "http://a.example")
    assert not same_origin("https://a.example", "https://a.example:444")
    assert not same_origin("https://a.example", "https://a.example@b.example")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_loopback_by_its_own_name(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.1", True),
        ("0x7f000001", True),
        ("2130706433", True),
        ("0", True),
        ("::", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("any.localhost", True),
        ("127%2e0.0.1", True),
        ("10.0.0.1", False),
        ("128.1", False),
        ("::ffff:10.0.0.1", False),
        ("2001:db8::1", False),
        ("127.0.0.1.example", False),
        ("registry.example", False),
        ("", False),
    ],
)
def test_this_machine_is_known_in_every_spelling(host: str, here: bool) -> None:
    assert names_this_machine(host) == here


def test_half_a_character_is_no_password(docker: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no text"):
        find_credentials(HOST, environ(docker, **OURS | {"IMMUTAG_REGISTRY_PASSWORD": "\udcff"}))
    docker.write_text(json.dumps({"auths": {HOST: {"username": "u", "password": "\ud800"}}}))
    with pytest.raises(ConfigInvalid, match="no text"):
        find_credentials(HOST, environ(docker))


def test_a_proxy_is_honoured_and_never_for_loopback() -> None:
    given = {"HTTPS_PROXY": "http://p:1", "http_proxy": "http://q:2", "NO_PROXY": "x.example"}
    assert proxy_for("https", "a.example", given).url == "http://p:1"
    assert proxy_for("http", "a.example", given).url == "http://q:2"
    assert proxy_for("https", "a.example", given).exempt == "x.example"
    assert proxy_for("https", "127.0.0.1", given).url == ""
    assert proxy_for("https", "a.example", {"ALL_PROXY": "socks5://r:3"}).url == "socks5://r:3"
    assert proxy_for("http", "a.example", {"HTTP_PROXY": "http://h:4", "REQUEST_METHOD": "GET"}).url == ""


def test_a_missing_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="certificate authority"):
        trusted_certificates(tmp_path / "none.pem", {})


def test_the_systems_authorities_are_not_lost_when_another_is_added(tmp_path: Path) -> None:
    ca, named = tmp_path / "ca.pem", tmp_path / "system.pem"
    ca.write_text("ours")
    named.write_text("theirs")
    both = trusted_certificates(ca, {"SSL_CERT_FILE": str(named)})
    assert both.pem == b"theirs\nours"
    hashed = tmp_path / "certs"
    hashed.mkdir()
    (hashed / "0a1b2c3d.0").write_text("theirs")
    folder = trusted_certificates(ca, {"SSL_CERT_DIR": str(hashed)})
    assert (folder.bundle, folder.folder) == (ca, hashed)
