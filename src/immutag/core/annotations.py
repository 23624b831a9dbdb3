"""The annotations by which an image, and what is attached to it, say what they are (OCI annotations.md)."""

REVISION = "org.opencontainers.image.revision"
CREATED = "org.opencontainers.image.created"
