"""What `immutag verify` asks of a project: who vouches for images, and how that was found."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from immutag.composition.several import documents, or_error
from immutag.core.errors import ConfigInvalid, ImmutagError
from immutag.core.values import ImageRef
from immutag.core.views import Document, verification_document

if TYPE_CHECKING:
    from immutag.composition.adapters import Adapters
    from immutag.core.verification import Verification
    from immutag.trust.enforcers.render import Rule
    from immutag.usecases.verify import Found


class Verifications:
    """Verifies by the configuration's rule. `rule` is the same rule, as other tools are told it."""

    def __init__(self, adapters: "Adapters", rule: "Callable[[], Rule]") -> None:
        self._adapters = adapters
        self._rule = rule

    def verify(
        self, texts: Sequence[str], image: Callable[[str], ImageRef], *, explain: bool
    ) -> list[Document]:
        """A document for each text: the finding, or of several images the error that kept one from its own.

        Raises the error where only one image is asked for.
        """
        from immutag.usecases.verify import verify

        named = [or_error(image, text) for text in texts]
        images = [each for each in named if isinstance(each, ImageRef)]
        ask = self._explain if explain else self._verify
        answers = iter(verify(images, ask))
        found = [(each, next(answers)) if isinstance(each, ImageRef) else each for each in named]
        told = [
            each[0]
            for each in found
            if not isinstance(each, ImmutagError) and not isinstance(each[1], ImmutagError)
        ]
        explained = self._explanations(told) if explain and told else {}
        return documents(texts, [_answer(each, explained) for each in found])

    def _verify(self, image: ImageRef) -> "Verification":
        return self._adapters.verifier(image.repository).verify(image.digest)

    def _explain(self, image: ImageRef) -> "Verification":
        return self._adapters.verifier(image.repository).explain(image.digest)

    def _explanations(self, images: Sequence[ImageRef]) -> dict[ImageRef, Document]:
        """The root of trust, if one is needed, and the equal commands of other tools."""
        from immutag.trust.enforcers.render import cosign_command, gh_command

        root: Document | None = None
        if self._adapters.trust_rule.needs_root:
            text = self._adapters.root_of_trust.text()
            root = {"origin": text.origin, "age_seconds": max(0, int(text.age_s))}
        try:
            rule = self._rule()
        except ConfigInvalid:  # nobody is trusted, so there is nothing to say to others
            return {image: {"trusted_root": root, "commands": []} for image in images}
        return {
            image: {
                "trusted_root": root,
                "commands": [
                    command for command in (cosign_command(image, rule), gh_command(image, rule)) if command
                ],
            }
            for image in images
        }


def _answer(
    each: "tuple[ImageRef, Found] | ImmutagError", explained: dict[ImageRef, Document]
) -> Document | ImmutagError:
    if isinstance(each, ImmutagError):
        return each
    image, found = each
    if isinstance(found, ImmutagError):
        return found
    return {**verification_document(image, found), "explained": explained.get(image)}
