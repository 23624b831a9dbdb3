"""immutag.toml and the environment: what holds, where it comes from, and what is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutag.core.deployment import HealthCheck
from immutag.core.errors import ConfigInvalid, ImmutagError, PolicyViolation
from immutag.core.policy import Enforcement
from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import EnvironmentName, Platform, Repository
from immutag.settings import (
    CommandTarget,
    ContainerTarget,
    GitBranch,
    Settings,
    find,
    load,
)  # fmt: skip
from immutag.settings.sections import is_loopback

IMAGE = '[image]\nrepository = "ghcr.io/owner/api"\n'
Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Settings of a document (after a valid [image]) and an environment."""

    def read(document: str = "", environ: Mapping[str, str] | None = None, *, image: str = IMAGE) -> Settings:
        (tmp_path / "immutag.toml").write_text(image + document)
        return load(tmp_path, None, environ or {})

    return read


def _environment(settings: Settings, name: str = "production") -> ContainerTarget | CommandTarget:
    return settings.environments[EnvironmentName(name)].target


def test_a_repository_is_enough(read: Read, tmp_path: Path) -> None:
    settings = read()
    assert settings.image.repository == Repository("ghcr.io", "owner/api")
    assert settings.image.staging == Repository("ghcr.io", "owner/api-staging")
    assert (settings.image.main, settings.image.short_tag) == ("main", False)
    assert (settings.build.builder, settings.build.timeout_s) == ("auto", 600)
    assert settings.build.platforms == (Platform("linux", "amd64"),)
    assert settings.ledger.path == tmp_path / ".immutag/ledger.db"
    assert settings.trust.verification is Enforcement.SOFT
    assert not settings.metrics.enabled
    assert settings.environments == {}


def test_every_key_is_read(read: Read, tmp_path: Path) -> None:
    settings = read(
        """
        staging = "ghcr.io/owner/api-next"
        main = "trunk"
        short_tag = true
        [build]
        builder = "buildah"
        context = "app"
        file = "app/Containerfile"
        args = { LEVEL = "high", RETRIES = 3 }
        platforms = ["linux/amd64", "linux/arm64/v8"]
        timeout = 30.5
        builder_args = ["--quiet"]
        [registry."registry.example:5000"]
        plain_http = true
        ca = "ca.pem"
        [ledger]
        url = "sqlite:/var/lib/immutag/ledger.db"
        accept_unshared = true
        [trust]
        verification = "mandatory"
        key = "cosign.key"
        public_keys = ["cosign.pub", "/keys/old.pub"]
        identities = [{ issuer = "https://issuer.example", subject = "ci" }]
        [metrics]
        enabled = true
        textfile = "metrics/immutag.prom"
        pushgateway = "http://127.0.0.1:9091"
        [environments.production]
        target = "podman"
        container = "api"
        network = "host"
        ports = ["127.0.0.1:8080:8080"]
        env = { PORT = 8080 }
        volumes = ["data:/data"]
        command = ["serve"]
        engine_args = ["--runtime", "runc"]
        run_args = ["--read-only"]
        stop_timeout = 3
        irreversible = ["migrations/**"]
        timeout = 90
        health = { url = "http://127.0.0.1:8080/healthz", timeout = 5, contains_sha = true }
        [environments.preview-1]
        target = "command"
        apply = ["./deploy.sh", "preview"]
        observe = ["./running.sh"]
        production = true
        health = { command = ["./healthy.sh"] }
        """
    )
    assert settings.image.staging == Repository("ghcr.io", "owner/api-next")
    assert (settings.image.main, settings.image.short_tag) == ("trunk", True)
    build = settings.build
    assert (build.context, build.file) == (Path("app"), Path("app/Containerfile"))
    assert (build.args, build.builder_args) == ({"LEVEL": "high", "RETRIES": "3"}, ("--quiet",))
    assert build.platforms[1] == Platform("linux", "arm64", "v8")
    assert build.timeout_s == 30.5
    registry = settings.registries["registry.example:5000"]
    assert (registry.plain_http, registry.ca) == (True, tmp_path / "ca.pem")
    assert settings.ledger.path == Path("/var/lib/immutag/ledger.db")
    assert settings.ledger.accept_unshared
    assert settings.trust.verification is Enforcement.MANDATORY
    assert settings.trust.key == tmp_path / "cosign.key"
    assert settings.trust.public_keys == (tmp_path / "cosign.pub", Path("/keys/old.pub"))
    assert settings.trust.identities == (IdentityRule(Pattern("https://issuer.example"), Pattern("ci")),)
    assert settings.metrics.textfile == tmp_path / "metrics/immutag.prom"
    assert settings.metrics.pushgateway == "http://127.0.0.1:9091"
    production = settings.environments[EnvironmentName("production")]
    assert production.target == ContainerTarget(
        "podman", "api", "host", ("127.0.0.1:8080:8080",), {"PORT": "8080"}, ("data:/data",), ("serve",),
        ("--runtime", "runc"), ("--read-only",), 3,
    )  # fmt: skip
    assert production.production
    assert (production.irreversible, production.timeout_s) == (("migrations/**",), 90)
    assert production.health == HealthCheck("http://127.0.0.1:8080/healthz", (), 5, True)
    preview = settings.environments[EnvironmentName("preview-1")]
    assert preview.target == CommandTarget(("./deploy.sh", "preview"), ("./running.sh",))
    assert preview.production
    assert preview.health == HealthCheck(None, ("./healthy.sh",), 60, False)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("IMMUTAG_IMAGE_REPOSITORY", "localhost:5000/x", "image.repository", "localhost:5000/x"),
        ("IMMUTAG_IMAGE_SHORT_TAG", "1", "image.short_tag", True),
        ("IMMUTAG_BUILD_TIMEOUT", "12", "build.timeout", 12),
        ("IMMUTAG_BUILD_ARGS", '{ A = "b" }', "build.args", {"A": "b"}),
        ("IMMUTAG_BUILD_PLATFORMS", "linux/arm64", "build.platforms", ["linux/arm64"]),
        ("IMMUTAG_BUILD_PLATFORMS", '["linux/arm64"]', "build.platforms", ["linux/arm64"]),
        ("IMMUTAG_REGISTRY_GHCR_IO_PLAIN_HTTP", "true", 'registry."ghcr.io".plain_http', True),
        ("IMMUTAG_LEDGER_URL", "sqlite:x.db", "ledger.url", "sqlite:x.db"),
        ("IMMUTAG_TRUST_VERIFICATION", "mandatory", "trust.verification", "mandatory"),
        ("IMMUTAG_METRICS_ENABLED", "true", "metrics.enabled", True),
        ("IMMUTAG_ENVIRONMENTS_EU_WEST_TARGET", "docker", "environments.eu-west.target", "docker"),
        ("IMMUTAG_ENVIRONMENTS_EU_WEST_PORTS", "80:80", "environments.eu-west.ports", ["80:80"]),
        (
            "IMMUTAG_ENVIRONMENTS_EU_WEST_HEALTH_URL",
            "http://a/",
            "environments.eu-west.health.url",
            "http://a/",
        ),
    ],
)
def test_a_variable_wins_over_the_file(
    read: Read, variable: str, text: str, key: str, value: object, tmp_path: Path
) -> None:
    document = '[environments.eu-west]\ntarget = "podman"\n'
    origins = {origin.key: origin for origin in read(document, {variable: text}).origins}
    assert (origins[key].value, origins[key].source) == (value, variable)
    assert origins["environments.eu-west.production"].source == "default"
    in_file = "image.repository" if key != "image.repository" else "environments.eu-west.target"
    assert origins[in_file].source == str(tmp_path / "immutag.toml")


@pytest.mark.parametrize("enforcement", Enforcement)
def test_verification_has_three_settings(read: Read, enforcement: Enforcement) -> None:
    settings = read(f'[trust]\nverification = "{enforcement.value}"\n')
    assert settings.trust.verification is enforcement


def test_a_variable_that_is_empty_is_not_set(read: Read) -> None:
    assert read(environ={"IMMUTAG_IMAGE_MAIN": ""}).image.main == "main"


def test_every_key_has_a_variable(read: Read) -> None:
    """The law itself: set by its variable, each key of a full configuration says so."""
    document = '[environments.p]\ntarget = "podman"\nhealth = { url = "http://a/" }\n'
    document += '[environments.c]\ntarget = "command"\napply = ["a"]\n'
    samples: dict[str, str] = {
        "repository": "ghcr.io/o/x", "staging": "ghcr.io/o/y", "short_tag": "true", "builder": "docker",
        "args": "{}", "platforms": "linux/amd64", "timeout": "1", "stop_timeout": "1", "plain_http": "true",
        "url": "sqlite:y", "accept_unshared": "true", "anchor_in_rekor": "true", "verification": "soft",
        "identities": "[]", "enabled": "true", "pushgateway": "http://a/", "production": "true", "env": "{}",
        "keyless": "true", "transparency_log": "true", "legacy": "false", "formats": "spdx",
        "signature_repository": "ghcr.io/o/signatures",
    }  # fmt: skip
    together = {"IMMUTAG_TRUST_SIGNER": "a", "IMMUTAG_TRUST_SIGNER_KEY": "b"}
    for origin in read(document).origins:
        path = [part.strip('"') for part in _split(origin.key)]
        if path[-1] in ("target", "apply") or path[:-1][-1:] == ["health"] or path[-1] == "health":
            continue
        variable = "IMMUTAG_" + "_".join(path).upper().replace("-", "_").replace(".", "_")
        others = together if variable in together else {}
        again = read(document, {**others, variable: samples.get(path[-1], "text")})
        assert {each.key: each.source for each in again.origins}[origin.key] == variable


def _split(key: str) -> list[str]:
    before, quote, rest = key.partition('"')
    if not quote:
        return key.split(".")
    host, _, after = rest.partition('"')
    return [*before.strip(".").split("."), host, *after.strip(".").split(".")]


@pytest.mark.parametrize(
    ("document", "message", "expected"),
    [
        ("[imge]", "unknown key imge", "image, the nearest"),
        ('short_tags = true', "unknown key image.short_tags", "short_tag, the nearest"),
        ('[build]\nbuildr = "docker"', "unknown key build.buildr", "builder, the nearest"),
        ('[ledger]\nuri = "x"', "unknown key ledger.uri", "url, the nearest"),
        ('[registry."a.b"]\nhttp = true', 'unknown key registry."a.b".http', "plain_http"),
        ('[environments.p]\ntarget = "podman"\nprots = []', "unknown key environments.p.prots", "ports"),
        (
            '[environments.p]\ntarget = "podman"\nhealth = { uri = "http://a/" }',
            "unknown key environments.p.health.uri", "url",
        ),
        ('[environments.p]\ntarget = "podman"\napply = ["x"]', "environments.p.apply is no key", "ports"),
        ("short_tag = 1", "image.short_tag", "true or false"),
        ("main = 3", "image.main", "a text"),
        ('main = " "', "image.main", "not empty"),
        ('staging = "owner/api"', "image.staging", "host[:port]/path"),
        ('staging = "ghcr.io/owner/api"', "image.staging", "a repository of its own"),
        ('[build]\nbuilder = "kaniko"', "build.builder", "one of auto, docker, buildah, podman"),
        ("[build]\nplatforms = []", "build.platforms", "not empty"),
        ('[build]\nplatforms = ["amd64"]', "build.platforms", "os/architecture"),
        ("[build]\ntimeout = true", "build.timeout", "seconds"),
        ("[build]\ntimeout = 0", "build.timeout", "more than 0"),
        ("[build]\ntimeout = nan", "build.timeout", "seconds"),
        ('[build]\ncontext = "/etc"', "build.context", "inside the commit"),
        ("[build]\nargs = { A = true }", "build.args", "a table of texts"),
        ('[build]\nargs = { A = "a\\u0000b" }', "build.args", "a table of texts"),
        ('[build]\nargs = { "A\\u0000" = "a" }', "build.args", "a table of texts"),
        ('[build]\nbuilder_args = "--x"', "build.builder_args", "a list of texts"),
        ("registry = 3", "unknown key image.registry", "repository"),
        ('[registry."not a host"]', "registry", "host[:port]"),
        ('[ledger]\nurl = "postgresql://u:hush@h/db"', "ledger.url", "not in this version"),
        ('[ledger]\nurl = "git+https://u:hush@h/r#immutag-ledger"', "ledger.url", "without a password"),
        ('[ledger]\nurl = "git+https://h/r#a..b"', "ledger.url", "git+https://HOST/PATH#"),
        ('[ledger]\nurl = "git+ftp://h/r"', "ledger.url", "git+https://HOST/PATH#"),
        ('[ledger]\nurl = "git+https://h/--upload-pack=x y"', "ledger.url", "git+https://HOST/PATH#"),
        ('[ledger]\nurl = "ledger.db"', "ledger.url", "sqlite:PATH"),
        ('[ledger]\nurl = "sqlite://ledger.db"', "ledger.url", "sqlite:PATH"),
        ('[trust]\nverification = "off"', "trust.verification", "one of soft, mandatory, auto"),
        ('[trust]\nkey = "a"\nkeyless = true', "trust.key", "one of key, signer and keyless"),
        ('[trust]\nsigner = ["a"]', "trust.signer", "together with signer_key"),
        ('[trust]\nidentities = [{ issuer = "x" }]', "trust.identities.0", "subject"),
        ('[metrics]\npushgateway = "127.0.0.1:9091"', "metrics.pushgateway", "http://"),
        ('[metrics]\npushgateway = "http://u:hush@h/"', "metrics.pushgateway", "without credentials"),
        ("[environments]\nproduction = 3", "environments.production", "a table"),
        ("[environments.Prod]", "not an environment's name", "lowercase"),
        ("[environments.p]", "environments.p.target is missing", 'target = "podman"'),
        ('[environments.p]\ntarget = "kubernetes"', "environments.p.target", "kubernetes is not"),
        ('[environments.p]\ntarget = "ssh"', "environments.p.target", "one of docker, podman, command"),
        ('[environments.p]\ntarget = "command"', "environments.p.apply is missing", "apply ="),
        ('[environments.p]\ntarget = "command"\napply = []', "environments.p.apply", "a program"),
        ('[environments.p]\ntarget = "podman"\nhealth = {}', "environments.p.health", "a url or a command"),
        (
            '[environments.p]\ntarget = "podman"\nhealth = { url = "http://a/", command = ["x"] }',
            "environments.p.health", "a url or a command",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_path(
    read: Read, document: str, message: str, expected: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(document)
    error = caught.value
    assert message in error.message
    assert expected in error.expected
    assert error.remedy
    assert "hush" not in f"{error.message}{error.expected}{error.found}{error.remedy}"


@pytest.mark.parametrize(
    ("url", "address", "branch"),
    [
        ("git+https://ghcr.example/o/r.git#ledger", "https://ghcr.example/o/r.git", "ledger"),
        ("git+https://token@h:8443/o/r", "https://token@h:8443/o/r", "immutag-ledger"),
        ("git+ssh://git@github.com/o/r.git#a/b.c", "ssh://git@github.com/o/r.git", "a/b.c"),
        ("git+file:///srv/r", "file:///srv/r", "immutag-ledger"),
        ("git+http://127.0.0.1:1/r", "http://127.0.0.1:1/r", "immutag-ledger"),
    ],
)
def test_a_ledger_may_be_a_branch(read: Read, tmp_path: Path, url: str, address: str, branch: str) -> None:
    ledger = read(f'[ledger]\nurl = "{url}"\n').ledger
    assert ledger.branch == GitBranch(address, branch)
    assert ledger.path.parent == tmp_path / ".immutag"
    assert read('[ledger]\nurl = "git+https://other.example/r"\n').ledger.path != ledger.path


@pytest.mark.parametrize(
    "document",
    [
        "[build]\ncache = true",
        '[build]\ncache_from = ["x"]',
        '[build]\nbuilder_args = ["--cache-from=x"]',
        '[build]\nbuilder_args = ["--cache-to", "x"]',
        '[build]\nbuilder_args = ["--layers"]',
        '[build]\nbuilder_args = ["--no-cache=false"]',
    ],
)
def test_a_configuration_that_asks_for_a_cache_is_against_the_law(read: Read, document: str) -> None:
    with pytest.raises(PolicyViolation, match="asks for a cache"):
        read(document)


def test_a_cache_in_the_environment_is_against_the_law(read: Read) -> None:
    with pytest.raises(PolicyViolation) as caught:
        read(environ={"IMMUTAG_BUILD_BUILDER_ARGS": '["--cache-from=x"]'})
    assert "IMMUTAG_BUILD_BUILDER_ARGS" in caught.value.found


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("IMMUTAG_TRUST_VERIFICATON", "IMMUTAG_TRUST_VERIFICATION"),
        ("IMMUTAG_ENVIRONMENTS_PRODUCTION_TIMEOT", "IMMUTAG_ENVIRONMENTS_PRODUCTION_TIMEOUT"),
        ("IMMUTAG_ENVIRONMENTS_PRODUCTION_HEALTH_URI", "IMMUTAG_ENVIRONMENTS_PRODUCTION_HEALTH_URL"),
    ],
)
def test_a_mistyped_variable_is_refused_and_its_value_not_shown(read: Read, name: str, near: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read('[environments.production]\ntarget = "podman"\n', {name: "hush"})
    assert near in caught.value.expected
    assert "hush" not in str(caught.value.as_json())


def test_what_targets_and_credentials_use_is_no_setting(read: Read) -> None:
    given = (
        "REGISTRY_USERNAME",
        "REGISTRY_PASSWORD",
        "IMAGE",
        "IMAGE_SHA",
        "DIGEST",
        "ENVIRONMENT",
        "CONFIG",
    )
    read(environ={f"IMMUTAG_{name}": "x" for name in given if name != "CONFIG"})


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000, "{a = " * 5000])
def test_a_variable_that_is_too_much_to_read_is_refused_in_words(read: Read, value: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"build\.timeout"):
        read("", {"IMMUTAG_BUILD_TIMEOUT": value})


@pytest.mark.parametrize("table", ['{ url = "x" }', '{ ulr = "http://127.0.0.1/" }'])
def test_a_refused_key_of_a_table_in_a_variable_names_the_variable(read: Read, table: str) -> None:
    variable = "IMMUTAG_ENVIRONMENTS_ONE_HEALTH"
    with pytest.raises(ConfigInvalid) as caught:
        read('[environments.one]\ntarget = "podman"\n', {variable: table})
    assert caught.value.found.endswith(f" in {variable}")
    assert variable in caught.value.remedy


def test_a_refused_value_of_a_variable_names_the_variable(read: Read) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(environ={"IMMUTAG_BUILD_TIMEOUT": "soon"})
    assert caught.value.found == '"soon" in IMMUTAG_BUILD_TIMEOUT'


def test_the_nearest_configuration_upwards_is_used(tmp_path: Path) -> None:
    inner = tmp_path / "services/api"
    (inner / "src").mkdir(parents=True)
    (tmp_path / "immutag.toml").write_text(IMAGE)
    assert find(inner / "src", None, {}) == tmp_path / "immutag.toml"
    (inner / "immutag.toml").write_text(IMAGE)
    assert find(inner / "src", None, {}) == inner / "immutag.toml"


def test_a_named_configuration_wins_and_paths_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "immutag.toml").write_text(IMAGE)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/other.toml").write_text(IMAGE)
    (tmp_path / "etc/third.toml").write_text(IMAGE)
    environ = {"IMMUTAG_CONFIG": "etc/other.toml"}
    assert load(tmp_path, None, environ).ledger.path == tmp_path / "etc/.immutag/ledger.db"
    assert find(tmp_path, Path("etc/third.toml"), environ) == tmp_path / "etc/third.toml"


def test_a_service_is_where_its_folder_really_is(tmp_path: Path) -> None:
    """The place in the sources is found by it: by the link's name the service would be their top."""
    (tmp_path / "repo" / "svc").mkdir(parents=True)
    (tmp_path / "link").symlink_to("repo")
    for named in ("link/svc/immutag.toml", "repo/svc/../../link/svc/immutag.toml"):
        assert find(tmp_path, Path(named), {}) == tmp_path / "repo/svc/immutag.toml"


def test_no_configuration_says_init(tmp_path: Path) -> None:
    for config, init in (
        (None, "immutag init"),
        (Path("a.toml"), f"immutag --config {tmp_path}/a.toml init"),
    ):
        with pytest.raises(ConfigInvalid) as caught:
            load(tmp_path, config, {})
        assert caught.value.remedy.endswith(init)


def test_a_folder_that_is_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path / "none", None, {})
    assert caught.value.found == f"no folder {tmp_path}/none"


@pytest.mark.parametrize("form", [b"\xef\xbb\xbf%b", b"%b"])
def test_a_file_as_windows_writes_it_is_read(tmp_path: Path, form: bytes) -> None:
    (tmp_path / "immutag.toml").write_bytes(form % IMAGE.replace("\n", "\r\n").encode())
    assert load(tmp_path, None, {}).image.repository.path == "owner/api"


@pytest.mark.parametrize(
    "content",
    [
        b"[image", b"\xff\xfe", b'[image]\nrepository = "a\n', b"a = " + b"9" * 5000, b"a = " + b"[" * 5000,
        b"a = " + b"{a = " * 5000,
    ],
)  # fmt: skip
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "immutag.toml").write_bytes(content)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        load(tmp_path, None, {})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.0.0.1:5000", True), ("localhost:5000", True), ("[::1]:5000", True),
        ("127.0.0.1.evil.example", False), ("127.evil.example", False), ("localhost.evil.example:80", False),
        ("ghcr.io", False), ("10.0.0.1:5000", False), ("[::2]:5000", False),
    ],
)  # fmt: skip
def test_plain_http_is_for_this_machine_only(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(
    name=st.sampled_from(("IMAGE_REPOSITORY", "BUILD_ARGS", "BUILD_PLATFORMS", "LEDGER_URL")), value=_texts
)
def test_no_value_of_a_variable_is_an_unforeseen_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: object
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / "immutag.toml").write_text(IMAGE)
    try:
        load(folder, None, {f"IMMUTAG_{name}": str(value)})
    except ImmutagError as error:
        assert error.remedy
