"""Make tests/vectors/wycheproof from a clone of C2SP/wycheproof: only keys and signatures, six of each kind.

python -m scripts.wycheproof_vectors CLONE
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "tests" / "vectors" / "wycheproof"
FILES = (
    "ecdsa_secp256r1_sha256",
    "ecdsa_secp384r1_sha384",
    "ecdsa_secp521r1_sha512",
    "ed25519",
    "rsa_signature_2048_sha256",
)
OF_A_KIND = 6


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    """The same vectors, at most six of those with the same flags and the same result."""
    seen: Counter[tuple[str, ...]] = Counter()
    groups = []
    for group in document["testGroups"]:
        tests = []
        for test in group["tests"]:
            kind = (*test["flags"], test["result"])
            seen[kind] += 1
            if seen[kind] <= OF_A_KIND:
                tests.append({name: test[name] for name in ("tcId", "comment", "msg", "sig", "result")})
        if tests:
            groups.append({"publicKeyPem": group["publicKeyPem"], "tests": tests})
    return {"algorithm": document["algorithm"], "testGroups": groups}


def main(clone: Path) -> None:
    for name in FILES:
        document = json.loads((clone / "testvectors_v1" / f"{name}_test.json").read_text())
        text = json.dumps(trimmed(document), indent=1, ensure_ascii=False)
        (TARGET / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
