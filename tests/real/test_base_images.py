"""The base images of a real build, as they can be found from the registry and the commit alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from immutag.build.buildah import Buildah
from immutag.core.provenance import BaseImage
from immutag.core.values import GitSha
from immutag.oci import Descriptor
from immutag.oci.copy import copy
from immutag.oci.http import Http
from immutag.oci.layout import Layout
from immutag.oci.registry import Registry
from immutag.usecases.base_images import base_images
from tests.parts import registries
from tests.parts.builders import Progress, bench, build_request
from tests.parts.images import GZIPPED_LAYER, add_image, descriptor, finish, tar_of

pytestmark = pytest.mark.slow
TAG = GitSha("b" * 40)


@pytest.fixture
def http_client() -> Iterator[Http]:
    client = Http(environ={})
    yield client
    client.close()


@pytest.fixture
def bases(
    registry2: registries.Registry,
    http_client: Http,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> "Bases":
    bench("buildah", request, monkeypatch)  # on storage of the tests' own
    builder = Buildah("buildah", ["--tls-verify=false"])
    names = {name: Registry(registry2.repository(name), http=http_client) for name in ("base", "tool", "api")}
    return Bases(builder, names, tmp_path)


class Bases:
    """A registry with two base images, and a builder that begins from them."""

    def __init__(self, builder: Buildah, registries: Mapping[str, Registry], folder: Path) -> None:
        self._builder, self._registries, self._folder = builder, registries, folder
        self.base, self.tool = (self._push(name) for name in ("base", "tool"))

    def _push(self, name: str) -> BaseImage:
        registry, folder = self._registries[name], self._folder / name
        root = add_image(folder, tar_of(name, name.encode()), layer_type=GZIPPED_LAYER)
        copy(Layout(finish(folder, root)), registry, descriptor(root))
        registry.tag(descriptor(root), TAG)
        return BaseImage(f"{registry.repository}:{TAG}", descriptor(root).digest)

    def built(self, name: str, dockerfile: str) -> Descriptor:
        """Built and pushed."""
        work = self._folder / f"work-{name}"
        work.mkdir()
        request = build_request(self._folder, "")
        request.dockerfile.write_text(dockerfile)
        root = self._builder.build(request, layout=work / "layout", log=work / "log", report=Progress())
        copy(Layout(work / "layout"), self._registries[name], root)
        return root

    def found(self, dockerfile: str, *arguments: str) -> list[BaseImage]:
        """Built, pushed, and then looked for where a later run would."""
        root, registry = self.built("api", dockerfile), self._registries["api"]
        return base_images(root, registry=registry, dockerfile=dockerfile.encode(), builder_args=arguments)


def pinned(image: BaseImage) -> BaseImage:
    return BaseImage(f"{image.name.rpartition(':')[0]}@{image.digest}", image.digest)


def test_the_base_is_known_by_digest_though_the_dockerfile_does_not_pin_it(bases: Bases) -> None:
    assert bases.found(f"FROM {bases.base.name}\nCOPY busybox /x\n") == [bases.base]


def test_what_the_dockerfile_pins_is_known_of_every_stage(bases: Bases) -> None:
    tool = pinned(bases.tool)
    found = bases.found(f"FROM {tool.name} AS tool\nFROM {bases.base.name}\nCOPY --from=tool /tool /tool\n")
    assert found == [tool, bases.base]


def test_a_last_stage_on_another_one_is_no_base(bases: Bases) -> None:
    """buildah then annotates the name of the one and the digest of the other."""
    root = bases.built("tool", "FROM scratch\nCOPY busybox /x\n")
    name = f"{bases.tool.name.rpartition(':')[0]}@{root.digest}"
    found = bases.found(f"FROM {name} AS one\nCOPY busybox /y\nFROM one\nCOPY busybox /z\n")
    assert found == [BaseImage(name, root.digest)]


def test_nothing_is_no_base(bases: Bases) -> None:
    assert bases.found("FROM scratch\nCOPY busybox /x\n") == []


def test_arguments_that_lead_elsewhere_leave_nothing_sure(bases: Bases) -> None:
    assert bases.found(f"FROM {bases.base.name}\nCOPY busybox /x\n", "--target=x") == []
