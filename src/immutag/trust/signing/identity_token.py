"""The identity token that Fulcio certifies a key for, from the environment, or from the CI."""

import os
from typing import TYPE_CHECKING

from immutag.core.errors import ConfigInvalid, SoftVerifyToolError
from immutag.core.values import shown

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

VARIABLE = "SIGSTORE_ID_TOKEN"
"""cosign reads the same one."""

_REMEDY = (
    "give the job an identity (GitHub: permissions: id-token: write; GitLab: id_tokens with aud sigstore), "
    f"or put a token into {VARIABLE}"
)


def identity_token() -> "IdentityToken":
    """The token of who runs this. It is never shown.

    Raises ConfigInvalid where there is none, or one that cannot be used; SoftVerifyToolError where the CI
    does not give the one that it promises.
    """
    from sigstore.oidc import IdentityError, IdentityToken

    raw = os.environ.get(VARIABLE) or _ambient()
    if not raw:
        raise ConfigInvalid(
            "nothing says who signs",
            expected="an identity token",
            found=f"no {VARIABLE}, and no CI that gives one",
            remedy=_REMEDY,
        )
    try:
        return IdentityToken(raw.strip())
    except IdentityError as error:
        raise ConfigInvalid(
            "the identity token cannot be used",
            expected="an unexpired OpenID Connect token for the audience sigstore",
            found=shown(str(error)),
            remedy=_REMEDY,
        ) from None  # its cause may hold parts of the token


def _ambient() -> str | None:
    from id import GitHubOidcPermissionCredentialError
    from sigstore.oidc import IdentityError, detect_credential

    try:
        return detect_credential()
    except IdentityError as error:
        if isinstance(error.__cause__, GitHubOidcPermissionCredentialError):
            raise ConfigInvalid(
                "the job may not have an identity",
                expected="permissions: id-token: write",
                found="a job of GitHub Actions without it",
                remedy=_REMEDY,
            ) from None
        raise SoftVerifyToolError(
            "the CI gave no identity token",
            expected="an OpenID Connect token for the audience sigstore",
            found=shown(str(error)),
            remedy="once more: immutag release",
        ) from error
