"""Verifying many images at once: each gets its finding or its error, and none stops the others."""

from collections.abc import Callable, Sequence

from immutag.core.errors import ImmutagError
from immutag.core.values import ImageRef
from immutag.core.verification import Verification
from immutag.oci.fanout import map_each

Found = Verification | ImmutagError
_WORKERS = 16


def verify(images: Sequence[ImageRef], ask: Callable[[ImageRef], Verification]) -> list[Found]:
    """What is found of each image, in their order; an error is one of the answers."""

    def answer(image: ImageRef) -> Found:
        try:
            return ask(image)
        except ImmutagError as error:
            return error

    return map_each(answer, images, workers=_WORKERS)
