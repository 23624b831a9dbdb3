"""What every test gets: an environment without CI and the tester's own settings, and the parts by name."""

import os

import hypothesis
import pytest

# a busy machine is slow, and not wrong
hypothesis.settings.register_profile("immutag", deadline=None)
hypothesis.settings.load_profile("immutag")

pytest_plugins = [
    "tests.parts.registries",
    "tests.parts.peers",
    "tests.parts.checkouts",
    "tests.parts.git_http",
    "tests.parts.engines",
    "tests.parts.pushgateway",
    "tests.parts.site",
    "tests.parts.signing",
    "tests.parts.services",
    "tests.parts.targets",
    "tests.parts.sigstore",
    "tests.parts.bench",
]

_OURS = (
    "IMMUTAG_",
    "GITHUB_",
    "ACTIONS_",
    "SIGSTORE_",
    "COSIGN_",
    "GIT_",
    "DOCKER_",
    "BUILDAH_",
    "CONTAINERS_",
)
_NAMES = ("CI", "IMAGE_SHA", "REGISTRY_AUTH_FILE", "NO_COLOR", "SOURCE_DATE_EPOCH")
_KEPT = ("GIT_SSL_CAINFO",)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test says itself that it runs in CI, with credentials, or with an engine elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in list(os.environ):
        if name not in _KEPT and (name in _NAMES or name.startswith(_OURS)):
            monkeypatch.delenv(name)
