"""A process that attaches things to an image, as one of several that do so at the same time.

    python -m tests.parts.attaching REPOSITORY MEDIA_TYPE DIGEST SIZE HOW NAME COUNT

HOW is `referrer` (a bundle with its own annotation) or `signature` (a layer behind cosign's tag). It prints
the digest of each manifest that it was told of.
"""

import sys

from immutag.core.values import Digest, Repository
from immutag.oci import Descriptor
from immutag.oci.attach import Artifact, Layer, attach
from immutag.oci.http import Http
from immutag.oci.legacy import SIMPLE_SIGNING, add_layer
from immutag.oci.registry import Registry
from immutag.oci.standard_tag import Suffix

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE = "dev.cosignproject.cosign/signature"


def artifact(name: str) -> Artifact:
    return Artifact(BUNDLE, (Layer(BUNDLE, f'{{"of":"{name}"}}'.encode(), {}),), {"org.example.name": name})


def signature(name: str) -> Layer:
    return Layer(SIMPLE_SIGNING, b'{"critical":{}}', {SIGNATURE: name})


def main(repository: str, media_type: str, digest: str, size: str, how: str, name: str, count: str) -> None:
    subject = Descriptor(media_type, Digest(digest), int(size))
    with Http(environ={}) as http:
        registry = Registry(Repository.parse(repository), http=http)
        print("ready", flush=True)
        sys.stdin.readline()  # until the others are as well
        for number in range(int(count)):
            if how == "referrer":
                print(attach(registry, subject, artifact(f"{name}-{number}")).digest, flush=True)
            else:
                layer = signature(f"{name}-{number}")
                print(add_layer(registry, subject.digest, Suffix.SIGNATURES, layer).digest, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
