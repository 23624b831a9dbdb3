"""Where a process runs, as an address that a policy can name: SLSA's builder and verifier identity."""

from collections.abc import Mapping

_LIMIT = 2048
LOCAL = "urn:immutag:builder:local"
"""A machine that no CI vouches for."""

ANOTHER_RUN = "urn:immutag:builder:another-run"
"""The run that signs did not build it: it finished what another one had begun, and cannot speak for that."""


def builder_id(environ: Mapping[str, str], configured: str | None = None) -> str:
    """The configured identity, or else that of the CI's workflow or runner, or `LOCAL`."""
    if configured:
        return configured
    server, workflow = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_WORKFLOW_REF")
    if environ.get("GITHUB_ACTIONS") == "true" and server and workflow:
        return _uri(f"{server}/{workflow}")  # as in the certificate that GitHub's issuer vouches for
    project, runner = environ.get("CI_PROJECT_URL"), environ.get("CI_RUNNER_ID")
    if environ.get("GITLAB_CI") == "true" and project and runner:
        return _uri(f"{project}/-/runners/{runner}")  # as in GitLab's own provenance
    return LOCAL


def _uri(text: str) -> str:
    """An identity as it is, never shortened: half of one is somebody else's."""
    return text if text.isprintable() and len(text) <= _LIMIT and " " not in text else LOCAL
