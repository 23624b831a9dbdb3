"""Metrics for Prometheus, folded from the ledger: a short-lived CI job loses none (DR-010)."""

from immutag.metrics.emit import emit
from immutag.metrics.exposition import exposition

__all__ = ["emit", "exposition"]
