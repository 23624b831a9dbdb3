"""How the service is built, as its provenance says it: the configuration's recipe, and the base images."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from immutag.core.errors import ConfigInvalid
from immutag.core.facts import Claimed
from immutag.core.provenance import BaseImage, Recipe
from immutag.core.values import Repository
from immutag.settings import Settings

if TYPE_CHECKING:
    from immutag.git.commit import GitRepository
    from immutag.oci.registry import Registry


class Recipes:
    """What the configuration and the clone that holds it say of how an image is built."""

    def __init__(self, settings: Settings, registry: "Callable[[Repository], Registry]") -> None:
        self._settings = settings
        self._registry = registry

    def recipe(self) -> Recipe:
        """Context and Dockerfile as they are in the commit, and the rest of `[build]`."""
        build, context = self._settings.build, self._context()
        return Recipe(
            context=str(context),
            dockerfile=str(context / build.file),
            args=build.args,
            platforms=tuple(map(str, build.platforms)),
            builder_args=build.builder_args,
        )

    def bases(self, claim: Claimed) -> list[BaseImage]:
        """The base images that are known for sure. Raises RegistryUnavailable, RegistryAuth, MissingTag."""
        from immutag.git.file import file_at
        from immutag.oci import Descriptor
        from immutag.usecases.base_images import base_images

        clone = self._clone()
        path = self._context() / self._settings.build.file
        return base_images(
            Descriptor(claim.media_type, claim.digest, claim.size_bytes),
            registry=self._registry(claim.repository),
            dockerfile=file_at(clone, claim.sha, path) if clone else None,
            builder_args=self._settings.build.builder_args,
        )

    def _context(self) -> PurePosixPath:
        """The build's context from the top of the sources; as configured where they are elsewhere."""
        clone, root = self._clone(), self._settings.root
        inside = root.relative_to(clone.root) if clone and root.is_relative_to(clone.root) else Path()
        return PurePosixPath(inside / self._settings.build.context)

    def _clone(self) -> "GitRepository | None":
        from immutag.git.commit import GitRepository

        try:
            return GitRepository.find(self._settings.root)
        except (ConfigInvalid, FileNotFoundError):
            return None
