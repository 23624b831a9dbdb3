"""What registries do differently, each statement with who says so. Knowledge for people and for the tests.

The client branches on none of it: it asks the registry, and believes what it is answered (DR-007, DR-012).
"""

from collections.abc import Mapping
from enum import Enum
from fnmatch import fnmatchcase

from immutag.core.frozen import frozen


class Topic(Enum):
    """What a statement is about."""

    REFERRERS = "referrers"
    IMMUTABLE_TAGS = "immutable tags"
    CONDITIONAL_PUT = "conditional PUT"
    RATE_LIMITS = "rate limits"
    HEAD = "HEAD"
    MOUNT = "cross-mount"
    DELETE = "delete"
    CLEAN_UP = "clean-up"


@frozen()
class Claim:
    """One statement, and the address of who makes it."""

    topic: Topic
    text: str
    source: str


@frozen()
class Profile:
    """A kind of registry. `greeting`: a header of `GET /v2/` without credentials, and a text in its value,
    by which one under any name shows itself."""

    name: str
    title: str
    claims: tuple[Claim, ...]
    hosts: tuple[str, ...] = ()
    greeting: tuple[str, str] | None = None

    def about(self, *topics: Topic) -> tuple[Claim, ...]:
        """The statements about these."""
        return tuple(claim for claim in self.claims if claim.topic in topics)


def profile_of_host(host: str) -> Profile | None:
    """By the name alone, `host[:port]`."""
    name = host.lower().partition(":")[0]
    return next((each for each in PROFILES if any(fnmatchcase(name, known) for known in each.hosts)), None)


def profile_of_greeting(headers: Mapping[str, str]) -> Profile | None:
    """By what the registry says of itself. `headers` may be asked in any case."""
    for profile in PROFILES:
        if profile.greeting:
            name, text = profile.greeting
            said = headers.get(name)
            if said is not None and text in said:
                return profile
    return None


_GITHUB = "https://github.com"
_DISTRIBUTION = f"{_GITHUB}/distribution/distribution/blob"
_HARBOR = f"{_GITHUB}/goharbor/harbor/blob/c50c7ddd6ea4e335a480b49c618281882ab7eec9/src"
_AWS = "https://docs.aws.amazon.com/AmazonECR/latest"
_GITLAB = "https://docs.gitlab.com/user/packages/container_registry"

GHCR = Profile(
    "ghcr",
    "GitHub Container Registry",
    (
        Claim(
            Topic.REFERRERS,
            "no referrers API: 404 MANIFEST_UNKNOWN; the fallback tag works, and its index may name another "
            "artifactType than the manifest does",
            f"{_GITHUB}/NVIDIA/aicr/issues/1957",
        ),
        Claim(
            Topic.REFERRERS,
            "the referrers address may redirect (303) to a web page of github.com",
            f"{_GITHUB}/artifacthub/hub/issues/4785",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "429 TOOMANYREQUESTS; the wait is in the message: retry-after: 880.092µs, allowed: 44000/minute",
            f"{_GITHUB}/dependabot/cli/issues/380",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "pushes have a limit of their own: allowed: 2000/minute",
            f"{_GITHUB}/chainguard-images/images/issues/173",
        ),
        Claim(
            Topic.DELETE,
            "405 for manifests; package versions are deleted through the REST API",
            f"{_GITHUB}/okxlin/docker-mirror-monitor/pull/13",
        ),
        Claim(
            Topic.CLEAN_UP,
            "a deleted version can be restored for 30 days; a public one with more than 5000 downloads "
            "cannot be deleted",
            "https://docs.github.com/en/enterprise-server@3.15/packages/learn-github-packages/deleting-and-restoring-a-package",
        ),
    ),
    hosts=("ghcr.io",),
)

GITLAB = Profile(
    "gitlab",
    "GitLab Container Registry",
    (
        Claim(
            Topic.REFERRERS,
            "no referrers API: 404; the tag sha256-<hex> is answered with the manifest sha256:<hex> itself",
            f"{_GITHUB}/oras-project/oras-go/issues/1396",
        ),
        Claim(
            Topic.IMMUTABLE_TAGS,
            "up to 5 rules for a project (Ultimate) deny a push to a tag that exists and matches; clean-up "
            "policies do not delete such a tag",
            f"{_GITLAB}/immutable_container_tags",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "requests below /v2/ may count as web requests of the user, and get 429",
            "https://gitlab.com/gitlab-org/gitlab/-/issues/627044",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "403 for an hour after 30 failed authentications from one address within 3 minutes",
            "https://docs.gitlab.com/ee/security/rate_limits.html",
        ),
        Claim(
            Topic.DELETE,
            "tags can be deleted by name; that is what clean-up policies do",
            f"{_GITLAB}/reduce_container_registry_storage",
        ),
        Claim(
            Topic.CLEAN_UP,
            "on GitLab.com a manifest without a tag that no other manifest refers to goes after 24 hours",
            f"{_GITLAB}/delete_container_registry_images.html",
        ),
    ),
    hosts=("registry.gitlab.com",),
    # lib/container_registry/client.rb of GitLab: it tells its own registry by this header
    greeting=("Gitlab-Container-Registry-Version", ""),
)

ECR = Profile(
    "ecr",
    "Amazon ECR",
    (
        Claim(
            Topic.REFERRERS,
            "has the referrers API",
            "https://docs.amazonaws.cn/en_us/AmazonECR/latest/userguide/images.md",
        ),
        Claim(
            Topic.REFERRERS,
            "a manifest with artifactType and subject has been refused with 405",
            f"{_GITHUB}/aws/containers-roadmap/issues/2783",
        ),
        Claim(
            Topic.IMMUTABLE_TAGS,
            "can be set for a repository, with up to 5 filters for tags that are excepted",
            f"{_AWS}/APIReference/API_PutImageTagMutability.html",
        ),
        Claim(
            Topic.IMMUTABLE_TAGS,
            "a second push is refused as `tag invalid: … cannot be overwritten because the repository is "
            "immutable`",
            f"{_GITHUB}/moby/buildkit/issues/3776",
        ),
        Claim(
            Topic.IMMUTABLE_TAGS,
            "the same content again is refused as well",
            f"{_GITHUB}/aws/containers-roadmap/issues/2380",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "429 Too Many Requests; each operation has a limit of its own",
            f"{_AWS}/userguide/common-errors.html",
        ),
        Claim(
            Topic.HEAD,
            "answers for manifests without Docker-Content-Digest have been seen",
            f"{_GITHUB}/distribution/distribution/issues/3792",
        ),
        Claim(
            Topic.MOUNT,
            "only where blob mounting is enabled for the registry, between repositories of equal encryption",
            f"{_AWS}/userguide/blob-mounting.html",
        ),
        Claim(
            Topic.DELETE,
            "manifests can be deleted by digest, signatures too",
            f"{_AWS}/userguide/image-artifact-delete.html",
        ),
        Claim(
            Topic.CLEAN_UP,
            "lifecycle policies expire by age or count, within 24 hours; they name what goes, not what stays",
            f"{_AWS}/userguide/LifecyclePolicies.html",
        ),
    ),
    hosts=("*.dkr.ecr.*.amazonaws.com",),
)

DOCKER_HUB = Profile(
    "docker-hub",
    "Docker Hub",
    (
        Claim(Topic.REFERRERS, "has the referrers API", f"{_GITHUB}/sigstore/cosign/issues/4641"),
        Claim(
            Topic.IMMUTABLE_TAGS,
            "can be set for all tags of a repository or for a pattern; such a tag can neither be overwritten "
            "nor deleted",
            "https://docs.docker.com/docker-hub/repos/manage/hub-images/immutable-tags",
        ),
        Claim(Topic.IMMUTABLE_TAGS, "a second push gets 403", f"{_GITHUB}/docker/hub-feedback/issues/2466"),
        Claim(
            Topic.RATE_LIMITS,
            "each GET of a manifest is a pull; ratelimit-limit and ratelimit-remaining say how many are left",
            "https://www.augmentedmind.de/2024/12/15/docker-hub-rate-limit-head-request/",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "over the limit a manifest is answered with 429",
            "https://docs.docker.com/docker-hub/usage/pulls/",
        ),
        Claim(
            Topic.DELETE,
            "405 for manifests: deletion has an interface of the Hub's own",
            f"{_GITHUB}/docker/hub-feedback/issues/2360",
        ),
    ),
    hosts=("docker.io", "index.docker.io", "registry-1.docker.io"),
)

HARBOR = Profile(
    "harbor",
    "Harbor",
    (
        Claim(
            Topic.REFERRERS,
            "has the referrers API: an empty list where there are none",
            f"{_HARBOR}/server/registry/referrers.go",
        ),
        Claim(
            Topic.IMMUTABLE_TAGS,
            "rules of a project; a second push gets 412 PRECONDITION, as if a condition had failed",
            f"{_HARBOR}/server/middleware/immutable/pushmf.go",
        ),
        Claim(
            Topic.RATE_LIMITS,
            "what is limited is answered with 429",
            f"{_HARBOR}/lib/http/error.go",
        ),
        Claim(
            Topic.MOUNT,
            "a source that is not there gets 401 instead of 202",
            f"{_GITHUB}/goharbor/harbor/issues/17097",
        ),
        Claim(
            Topic.DELETE,
            "an artifact with an immutable tag cannot be deleted",
            "https://goharbor.io/docs/latest/working-with-projects/working-with-images/create-tag-immutability-rules",
        ),
        Claim(
            Topic.CLEAN_UP,
            "garbage collection deletes untagged artifacts where that is allowed",
            f"{_GITHUB}/goharbor/website/pull/490",
        ),
    ),
    # src/server/middleware/v2auth/auth.go of Harbor: the service that its challenge names
    greeting=("WWW-Authenticate", 'service="harbor-registry"'),
)


def _distribution(version: str, tag_delete: str) -> tuple[Claim, ...]:
    """What both have; the source is each one's own."""
    handlers = f"{_DISTRIBUTION}/{version}/registry/handlers"
    return (
        Claim(
            Topic.REFERRERS,
            "no referrers API: 404, the fallback tag holds them",
            f"{handlers}/app.go",
        ),
        Claim(
            Topic.CONDITIONAL_PUT,
            "If-None-Match is looked at for GET only: a PUT overwrites the tag",
            f"{handlers}/manifests.go",
        ),
        Claim(Topic.HEAD, "Docker-Content-Digest is set", f"{handlers}/manifests.go"),
        Claim(
            Topic.MOUNT,
            "201 where the blob could be mounted, or else 202 and an upload",
            f"{handlers}/blobupload.go",
        ),
        Claim(Topic.DELETE, tag_delete, f"{handlers}/manifests.go"),
    )


DISTRIBUTION_2 = Profile(
    "distribution-2",
    "distribution 2 (registry:2)",
    _distribution("v2.8.3", "by digest, where it is enabled, else 405; the tags of the manifest go too"),
)

DISTRIBUTION_3 = Profile(
    "distribution-3",
    "distribution 3 (registry:3)",
    (
        *_distribution(
            "v3.1.1", "by digest, or by tag which leaves the manifest, where it is enabled, else 405"
        ),
        Claim(
            Topic.CLEAN_UP,
            "garbage-collect with --delete-untagged deletes manifests that no tag refers to; nothing may be "
            "pushed meanwhile",
            f"{_DISTRIBUTION}/v3.1.1/docs/content/about/garbage-collection.md",
        ),
    ),
)

PROFILES = (GHCR, GITLAB, ECR, DOCKER_HUB, HARBOR, DISTRIBUTION_2, DISTRIBUTION_3)
