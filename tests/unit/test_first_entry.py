"""A log's first entry is proven too, although its proof says nearly nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from immutag.core.trust import IdentityRule, Pattern
from immutag.core.values import Digest, Repository
from immutag.oci import Descriptor
from immutag.trust.attached import Attached, Kind
from immutag.trust.checks import Case, judge
from immutag.trust.formats.bundle import BUNDLE_V03
from immutag.trust.judgement import Check, Refused
from immutag.trust.public_key import parse_public_key
from immutag.trust.root import RootText, authorities_of
from immutag.trust.rule import TrustRule

VECTORS = Path(__file__).parents[1] / "vectors/first_entry"


def judged(name: str, bundle: dict[str, Any], vector: dict[str, Any]) -> str:
    """Who vouches, by the vector's own root of trust and a rule that trusts its signer."""
    if name == "key":
        rule = TrustRule((parse_public_key(vector["publicKey"].encode()),), transparency_log=True)
    else:
        rule = TrustRule(identities=(IdentityRule(Pattern(vector["issuer"]), Pattern("dev@example.com")),))
    root = RootText(json.dumps(vector["trustedRoot"]).encode(), "the vector", 0.0)
    content = json.dumps(bundle).encode()
    subject = Digest(vector["subject"])
    layer = Descriptor(BUNDLE_V03, Digest("sha256:" + "a" * 64), len(content))
    case = Case(subject, Repository("localhost", "api"), rule, lambda: authorities_of(root))
    return judge(Attached("a place", layer, BUNDLE_V03, {}, Kind.BUNDLE, layer, {}, content), case).signer


@pytest.mark.parametrize("name", ["key", "identity"])
def test_the_first_entry_of_a_log_is_proof(name: str) -> None:
    vector = json.loads((VECTORS / f"{name}.json").read_text())
    entry = vector["bundle"]["verificationMaterial"]["tlogEntries"][0]
    assert {"logIndex"} & {*entry, *entry["inclusionProof"]} == set()
    assert judged(name, vector["bundle"], vector).startswith(("key sha256:", "dev@example.com ("))


@pytest.mark.parametrize(("name", "check"), [("key", Check.LOG), ("identity", Check.CERTIFICATE)])
@pytest.mark.parametrize(
    "field", ["inclusionProof", "rootHash", "treeSize", "checkpoint", "canonicalizedBody"]
)
def test_what_the_proof_needs_is_not_made_up(name: str, check: Check, field: str) -> None:
    vector = json.loads((VECTORS / f"{name}.json").read_text())
    entry = vector["bundle"]["verificationMaterial"]["tlogEntries"][0]
    del (entry if field in entry else entry["inclusionProof"])[field]
    with pytest.raises(Refused) as refused:
        judged(name, vector["bundle"], vector)
    assert refused.value.check is check
