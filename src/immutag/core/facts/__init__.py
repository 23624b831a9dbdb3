"""Facts: what happened, in the ledger's words. Everything that people look at is a fold over these.

A fact is a frozen class of values; its JSON form has the same field names, with values as their text.
A release's stream holds `requested → built → pushed → claimed → signed, described, attested → tagged`, an
environment's `deploying → healthy | restored | failed | rolled_back`, `held`, `released_hold`, `mandatory`.
Either may hold `stopped`: the command ended with that error.
"""

from immutag.core.facts.codec import Fact, decode, encode
from immutag.core.facts.entry import Entry, Stream
from immutag.core.facts.environment import (
    AllowedUnverified,
    Deploying,
    Failed,
    Healthy,
    Held,
    Mandatory,
    ReleasedHold,
    Restored,
    RolledBack,
    Summarised,
    TakenOver,
)
from immutag.core.facts.others import Anchored, Ingested, Probed, Stopped
from immutag.core.facts.release import (
    Adopted,
    Attested,
    Built,
    Claimed,
    Described,
    EvidenceFailed,
    Pushed,
    Requested,
    SignatureChecked,
    Signed,
    Tagged,
)
from immutag.core.facts.words import Evidence, Outcome, SignatureReason, SignatureStatus, WriteOnce

__all__ = [
    "Adopted",
    "AllowedUnverified",
    "Anchored",
    "Attested",
    "Built",
    "Claimed",
    "Deploying",
    "Described",
    "Entry",
    "Evidence",
    "EvidenceFailed",
    "Fact",
    "Failed",
    "Healthy",
    "Held",
    "Ingested",
    "Mandatory",
    "Outcome",
    "Probed",
    "Pushed",
    "ReleasedHold",
    "Requested",
    "Restored",
    "RolledBack",
    "SignatureChecked",
    "SignatureReason",
    "SignatureStatus",
    "Signed",
    "Stopped",
    "Stream",
    "Summarised",
    "Tagged",
    "TakenOver",
    "WriteOnce",
    "decode",
    "encode",
]
