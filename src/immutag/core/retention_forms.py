"""The list of what to spare, as clean-up tools take it. Each form's source says how the tool reads it.

A form spares the same names in each repository: a SHA or a digest names the same thing in all of them.
"""

import json
import re
from collections.abc import Callable, Mapping

from immutag.core.errors import PolicyViolation
from immutag.core.frozen import frozen
from immutag.core.retention import KeepList
from immutag.core.values import SHORT_LENGTH

_GITLAB_LIMIT = 255
_LEAST = 4
_HEX = re.compile("[0-9a-f]+")


@frozen()
class Form:
    """What one tool takes, and what it cannot be told. `render` gives lines for the tool's configuration."""

    tool: str
    source: str
    cannot: str
    render: Callable[[KeepList], str]


def _ghcr_cleanup_action(keep: KeepList) -> str:
    return f"exclude-tags={','.join((*keep.tags, *map(str, keep.digests)))}"


def _container_retention_policy(keep: KeepList) -> str:
    tags = " ".join(f"!{tag}" for tag in keep.tags)
    return f"image-tags={tags}\nskip-shas={','.join(map(str, keep.digests))}"


def _delete_package_versions(keep: KeepList) -> str:
    return f"ignore-versions=^(?:{'|'.join(map(str, keep.digests))})$"


def _gitlab(keep: KeepList) -> str:
    """RE2, for the whole of a tag. GitLab's database takes 255 characters, which six full SHAs fill: so each
    SHA is named by how it begins, as long as there is room, and the standards' tags all together. That spares
    more than the list, and never less."""
    shas = [tag for tag in keep.tags if _HEX.fullmatch(tag)]
    standard = sorted({f"{tag.partition('-')[0]}-" for tag in keep.tags if not _HEX.fullmatch(tag)})
    for length in range(SHORT_LENGTH, _LEAST - 1, -1):
        starts = [*standard, *dict.fromkeys(sha[:length] for sha in shas)]
        pattern = f"(?:{'|'.join(starts)}).*"
        if len(pattern) <= _GITLAB_LIMIT:
            return json.dumps({"container_expiration_policy_attributes": {"name_regex_keep": pattern}})
    raise PolicyViolation(
        "there are more releases to spare than GitLab's clean-up policy can be told",
        expected=f"a pattern of at most {_GITLAB_LIMIT} characters",
        found=f"{len(shas)} SHAs, of which the first {_LEAST} characters alone are more than that",
        remedy="fewer --candidates; or switch the policy off, and delete from a script what `--format json` "
        "does not name",
    )


def _harbor(keep: KeepList) -> str:
    """A rule for each repository: Harbor deletes in it what no rule retains. Untagged manifests are retained,
    since Harbor has no pattern for them."""
    return json.dumps({"rules": [_harbor_rule(path, keep) for path in _paths(keep)]})


def _harbor_rule(path: str, keep: KeepList) -> dict[str, object]:
    tags = {
        "kind": "doublestar",
        "decoration": "matches",
        "pattern": f"{{{','.join(keep.tags)}}}",
        "extras": json.dumps({"untagged": True}),
    }
    scope = {"kind": "doublestar", "decoration": "repoMatches", "pattern": path}
    return {
        "action": "retain",
        "template": "always",
        "params": {},
        "tag_selectors": [tags],
        "scope_selectors": {"repository": [scope]},
    }


def _paths(keep: KeepList) -> list[str]:
    """The repositories' names below their Harbor project."""
    paths = dict.fromkeys(piece.repository.path for piece in keep.pieces)
    return [path.partition("/")[2] or path for path in paths]


def _ecr(_: KeepList) -> str:
    raise PolicyViolation(
        "an ECR lifecycle policy has no list of images to spare",
        expected="a tool that can be told what to spare",
        found="rules that select what expires: by age, count, and patterns of tags, all of which must match",
        remedy="expire nothing tagged there; delete from a script what `--format json` does not name",
    )


FORMS: Mapping[str, Form] = {
    "ghcr-cleanup-action": Form(
        "dataaxiom/ghcr-cleanup-action, input exclude-tags",
        "https://github.com/dataaxiom/ghcr-cleanup-action/blob/f092b48ba3b604b2a83690dc4b2bbb3392e1045f/src/image-filter.ts",
        "nothing that is listed: tags and digests are both taken, as long as use-regex is not set",
        _ghcr_cleanup_action,
    ),
    "container-retention-policy": Form(
        "snok/container-retention-policy, inputs image-tags and skip-shas",
        "https://github.com/snok/container-retention-policy/blob/54bd23d1082d6c3b772bba433c5cfa34c5298445/README.md",
        "untagged manifests by anything but their digest, and digests other than sha256; patterns in "
        "image-tags are not for the workflow's own GITHUB_TOKEN",
        _container_retention_policy,
    ),
    "delete-package-versions": Form(
        "actions/delete-package-versions, input ignore-versions",
        "https://github.com/actions/delete-package-versions/blob/4dbb860504f6d0cde296a192842138c03915746a/src/delete.ts",
        "tags: a version is named by its digest, so a standards' tag that is written again before the job "
        "runs is not spared",
        _delete_package_versions,
    ),
    "gitlab": Form(
        "GitLab's clean-up policy, attribute name_regex_keep",
        "https://docs.gitlab.com/user/packages/container_registry/reduce_container_registry_storage",
        "untagged manifests: it deletes tags only, and its garbage collection knows no list; more than 255 "
        "characters, so tags are named by how they begin",
        _gitlab,
    ),
    "harbor": Form(
        "Harbor's tag retention, rules of a policy",
        "https://github.com/goharbor/harbor/blob/c50c7ddd6ea4e335a480b49c618281882ab7eec9/src/pkg/retention/policy/rule/models.go",
        "untagged manifests by digest: all of them are retained",
        _harbor,
    ),
    "ecr": Form(
        "Amazon ECR's lifecycle policies",
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html",
        "what to spare at all",
        _ecr,
    ),
}
