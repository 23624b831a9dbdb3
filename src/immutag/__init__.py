"""immutag: one identity for a container image, from commit to running container."""

from immutag._version import __version__

__all__ = ["__version__"]
